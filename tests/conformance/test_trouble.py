"""Da Vinci CRD: calls that are refused, and answers where something cannot be read or checked.

Ids as in requirements.py.
"""

import pytest

from tests.bodies import order, searchset
from tests.crd.calls import (
    FAILED,
    ORGANIZATION,
    SERVICES,
    Client,
    both,
    chart,
    complete,
    coverage,
    crd,
    said_on,
    texts,
    within,
)

requirement = pytest.mark.requirement


@both
@requirement("resp-43", "indeterminate")
async def test_a_chart_that_cannot_be_read_is_indeterminate(site, version):
    said = said_on(await site.ask(crd(within(), version=version, prefetch=complete(weight=FAILED, conditions=FAILED))))
    if version == "2.2":
        assert (said["covered"], said["pa-needed"]) == (["indeterminate"], ["indeterminate"])
        assert said["reason"][0]["coding"][0]["code"] == "technical"
    else:
        assert (said["covered"], said["pa-needed"], said["info-needed"]) == (["conditional"], ["conditional"], ["OTH"])
    assert "doc-needed" not in said
    assert "no omission" in texts(said)


@both
@requirement("resp-43", "indeterminate")
async def test_a_coverage_that_cannot_be_read_is_no_mistake_of_the_call(site, version):
    drafted = order(insurance=[{"reference": "Coverage/cov-1"}])
    said = said_on(await site.ask(crd(drafted, version=version, prefetch=chart(coverage=FAILED))))
    assert said["coverage"] == [{"reference": "Coverage/cov-1"}]
    assert said["covered"] == [{"2.0": "conditional", "2.2": "indeterminate"}[version]]


@both
@requirement("resp-43")
async def test_a_fault_of_ours_is_indeterminate_and_told(site, version, monkeypatch):
    from hooks import review

    def crash(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(review, "assess", crash)
    answer = await site.ask(crd(version=version), every_order=True)
    assert said_on(answer)["covered"] == [{"2.0": "conditional", "2.2": "indeterminate"}[version]]
    assert "could not be checked" in answer["cards"][0]["summary"]


@both
@requirement("resp-44")
async def test_a_member_that_is_not_found_is_not_covered(version, tmp_path):
    register = tmp_path / "register.yaml"
    register.write_text("members: [M-7]\n")
    said = said_on(await Client(authorizations=register).ask(crd(version=version)))
    assert said["covered"] == ["not-covered"]
    assert "pa-needed" not in said
    if version == "2.2":
        assert said["reason"][0]["coding"][0]["code"] == "no-member-found"


@both
@requirement("resp-45", "resp-42")
async def test_a_coverage_that_has_ended_is_not_covered(site, version):
    ended = chart(coverage=searchset(coverage(period={"end": "2026-10-31"}), ORGANIZATION))
    said = said_on(await site.ask(crd(version=version, prefetch=ended)))
    assert said["covered"] == ["not-covered"]
    if version == "2.2":
        assert said["reason"][0]["coding"][0]["code"] == "no-active-coverage"


OTHER_PAYER = Client(crd_payers=["urn:payers|999"])
OUR_PAYER = Client(crd_payers=["urn:payers|123"])


@both
@requirement("hook-13", "hook-14", "hook-9", "hook-10", "@158", "@159", "@162", "@163")
@pytest.mark.parametrize("hook", ["order-sign", "order-select", "order-dispatch"])
@pytest.mark.parametrize(
    ("status", "held"),
    [
        (400, None),
        (400, searchset()),
        (400, searchset(coverage(), coverage("cov-2"))),
        (400, searchset(coverage(beneficiary={"reference": "Patient/other"}))),
        (422, searchset(coverage(payor=[{"reference": "Patient/pt-1"}]))),
    ],
)
async def test_a_crd_call_without_its_one_coverage_is_refused(site, version, hook, status, held):
    response = await site.post(crd(version=version, hook=hook, prefetch=chart(coverage=held)))
    assert response.status_code == status
    assert response.json()["resourceType"] == "OperationOutcome"
    assert "M-1" not in response.text


@both
@requirement("hook-13", "@162", "@163")
async def test_another_payers_coverage_is_refused(version):
    assert (await OTHER_PAYER.post(crd(version=version))).status_code == 400
    assert (await OUR_PAYER.post(crd(version=version))).status_code == 200
    unnamed = chart(coverage=searchset(coverage(payor=[{"display": "A plan"}])))
    assert (await OUR_PAYER.post(crd(version=version, prefetch=unnamed))).status_code == 400


@requirement("hook-13")
async def test_other_calls_need_no_coverage(site):
    body = crd(version=None, prefetch=chart(coverage=None), extension={})
    answer = (await site.post(body)).json()
    assert answer["cards"]
    assert "systemActions" not in answer


@requirement("hook-9", "hook-13", "@158", "@162")
@pytest.mark.parametrize("text", ["", "{", "[]", '{"hook": "order-sign"}', '{"hook": "order-select"}'])
async def test_what_cannot_be_read_is_400(site, text):
    response = await site.http.post(SERVICES["order-sign"], content=text, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["resourceType"] == "OperationOutcome"


@both
@requirement("found-32", "found-34", "@63", "conf-7", "conf-8", "conf-9", "conf-12", "hook-22")
async def test_a_call_with_the_coverage_alone_is_answered(site, version):
    drafted = order()
    drafted = {
        k: drafted[k] for k in ("resourceType", "id", "status", "intent", "medicationCodeableConcept", "subject")
    }
    held = coverage()
    held = {k: held[k] for k in ("resourceType", "id", "status", "beneficiary", "payor")}
    answer = await site.ask(crd(drafted, version=version, prefetch={"coverage": held}), every_order=True)
    assert said_on(answer)["doc-needed"] == ["clinical"]


@both
@requirement("billopt-2")
async def test_billing_options_make_no_difference(site, version):
    option = {
        "url": "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options",
        "extension": [{"url": "code", "valueCodeableConcept": {"text": "J9173"}}],
    }
    with_options = said_on(await site.ask(crd(order(extension=[option]), version=version)))
    without = said_on(await site.ask(crd(version=version)))
    for said in (with_options, without):
        del said["coverage-assertion-id"]
    assert with_options == without
