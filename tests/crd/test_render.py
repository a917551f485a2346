"""Whatever can be decided can be said: every decision is valid in both versions, and no invalid one can be written."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.crd.decision import (
    AllowedPeriod,
    AllowedQuantity,
    Conditional,
    Contact,
    CoverageDecision,
    Covered,
    Documents,
    Indeterminate,
    Instructions,
    Needed,
    NotCovered,
    PolicyLink,
    Satisfied,
    Undecided,
    Unresolved,
    Version,
)
from cds_service.crd.render import coverage_information
from tests.crd.checker import extension_complaints

DAY = date(2026, 11, 22)
FORM = "https://payer.example/fhir/Questionnaire/CP.PHAR.339|2022-12-02"

words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)
days = st.dates(date(2020, 1, 1), date(2030, 1, 1))
needed = st.builds(Needed, st.one_of(st.none(), st.builds(Documents, st.sampled_from([None, FORM]))))
answers = st.one_of(
    st.builds(Covered, st.one_of(needed, st.builds(Satisfied, words))),
    st.builds(Conditional, st.one_of(needed, st.just(Undecided()))),
    st.just(Indeterminate()),
    st.builds(NotCovered, st.sampled_from(Unresolved)),
)
details = st.one_of(
    st.just(PolicyLink("https://payer.example/policies/CP.PHAR.339#I.A")),
    st.builds(Instructions, words),
    st.tuples(days, days, words).map(lambda found: AllowedPeriod(min(found[:2]), max(found[:2]), found[2])),
    st.builds(AllowedQuantity, st.decimals("0.1", 1000, places=4), words, words),
)
decisions = st.builds(
    CoverageDecision,
    coverage=words.map(lambda identity: f"Coverage/{identity.encode().hex()[:64]}"),
    answer=answers,
    reason=words,
    on=days,
    assertion_id=words,
    billing_code=st.sampled_from([None, "J9173"]),
    details=st.lists(details, max_size=4).map(tuple),
    dependency=st.lists(words.map(lambda identity: f"MedicationRequest/{identity}"), max_size=3).map(tuple),
    contact=st.one_of(st.none(), st.builds(Contact, st.one_of(st.just(""), words), st.just("phone"), words)),
    expires=st.one_of(st.none(), days),
)


@settings(max_examples=300, deadline=None)
@given(decisions, st.sampled_from(Version))
def test_every_decision_is_valid_in_both_versions(decision, version):
    assert extension_complaints(coverage_information(decision, version), version.value) == []


def said(answer, version=Version.STU_2_2, **more):
    decision = CoverageDecision("Coverage/cov-1", answer, "Because.", DAY, "a-1", **more)
    found = {}
    for part in coverage_information(decision, version)["extension"]:
        found.setdefault(part["url"], []).append(next(value for name, value in part.items() if name != "url"))
    return found


@pytest.mark.parametrize("empty", ["", " "])
def test_a_decision_without_reason_trace_or_coverage_cannot_be_made(empty):
    for members in (("Coverage/1", "r", empty), ("Coverage/1", empty, "a"), (empty, "r", "a")):
        coverage, reason, trace = members
        with pytest.raises(ValueError, match="a coverage decision has a"):
            CoverageDecision(coverage, Indeterminate(), reason, DAY, trace)
    with pytest.raises(ValueError, match="authorization number"):
        Satisfied(empty)


def test_indeterminate_is_said_in_the_words_of_each_version():
    newer, older = said(Indeterminate()), said(Indeterminate(), Version.STU_2_0)
    assert (newer["covered"], newer["pa-needed"]) == (["indeterminate"], ["indeterminate"])
    assert newer["reason"][0]["coding"][0]["code"] == "technical"
    assert (older["covered"], older["pa-needed"], older["info-needed"]) == (["conditional"], ["conditional"], ["OTH"])
    assert older["reason"] == [{"text": "Because."}]


def test_the_older_version_gets_no_part_it_does_not_know():
    details = (PolicyLink("https://payer.example/p"), Instructions("Do."), AllowedPeriod(DAY, DAY, "six months"))
    contact = Contact("Desk", "phone", "+1-555-0111")
    older = said(Covered(Needed()), Version.STU_2_0, details=details, contact=contact, expires=DAY)
    assert len(older["detail"]) == 1
    assert [part["url"] for part in older["detail"][0]] == ["code", "value", "qualification"]
    assert older["contact"] == [{"system": "phone", "value": "+1-555-0111"}]
    assert "expiry-date" not in older
    newer = said(Covered(Needed()), details=details, contact=contact, expires=DAY)
    assert len(newer["detail"]) == 3
    assert newer["contact"] == [{"name": "Desk", "telecom": [{"system": "phone", "value": "+1-555-0111"}]}]
    assert newer["expiry-date"] == ["2026-11-22"]


def test_a_quantity_is_exact():
    found = said(Covered(Needed()), details=(AllowedQuantity(Decimal("29.93709642"), "units", "each"),))
    assert found["detail"][0][2]["valueQuantity"]["value"] == Decimal("29.93709642")
    whole = said(Covered(Needed()), details=(AllowedQuantity(Decimal("70.0"), "units", "each"),))
    assert repr(whole["detail"][0][2]["valueQuantity"]["value"]) == "70"


# --- the checker catches what is wrong -------------------------------------------------------------------------------


def extension(answer=None, version=Version.STU_2_2, **more):
    answer = answer or Covered(Needed(Documents(FORM)))
    details = (AllowedQuantity(Decimal(70), "units", "each"), AllowedPeriod(DAY, DAY, "a day"))
    decision = CoverageDecision("Coverage/cov-1", answer, "Because.", DAY, "a-1", "J9173", details, **more)
    return coverage_information(decision, version)


def without(url):
    return lambda parts: [part for part in parts if part["url"] != url]


def with_part(**part):
    return lambda parts: [*parts, part]


def set_to(url, **value):
    return lambda parts: [{"url": url, **value} if part["url"] == url else part for part in parts]


MUTATIONS = [
    ("cardinality", without("coverage")),
    ("cardinality", without("covered")),
    ("cardinality", without("date")),
    ("cardinality", without("coverage-assertion-id")),
    ("cardinality", lambda parts: [*parts, parts[1]]),
    ("crd-ci-q1", lambda parts: without("doc-purpose")(without("doc-needed")(parts))),
    ("crd-ci-q2", set_to("covered", valueCode="not-covered")),
    ("crd-ci-q2", without("pa-needed")),
    ("crd-ci-q3", with_part(url="info-needed", valueCode="OTH")),
    ("crd-ci-q3", set_to("covered", valueCode="conditional")),
    ("crd-ci-q4", set_to("pa-needed", valueCode="satisfied")),
    ("crd-ci-q5", set_to("pa-needed", valueCode="satisfied")),
    ("crd-ci-q5", with_part(url="satisfied-pa-id", valueString="PA-1")),
    ("crd-ci-q8", without("reason")),
    ("contract 8", set_to("pa-needed", valueCode="no-auth")),
    ("contract 8", set_to("reason", valueCodeableConcept={"coding": [{"code": "gold-card"}]})),
    ("binding", set_to("covered", valueCode="maybe")),
    ("binding", set_to("doc-purpose", valueCode="PA")),
    ("shape", set_to("coverage", valueString="Coverage/cov-1")),
    ("shape", set_to("date", valueDate="2026-11-22T10:00:00Z")),
    ("shape", set_to("date", valueDateTime="2026-11-22")),
    ("shape", set_to("questionnaire", valueCanonical="not a canonical")),
    ("shape", set_to("reason", valueCodeableConcept={})),
    ("shape", with_part(url="coverageInfo", valueCode="covered")),
    ("shape", with_part(url="identifier", valueString="a")),
    ("shape", set_to("billingCode", valueCoding={"code": "J9173"})),
    (
        "binding",
        lambda parts: [
            {**p, "extension": [*p["extension"][:-3], _old, *p["extension"][-2:]]} if p["url"] == "detail" else p
            for p in parts
        ],
    ),
    ("shape", lambda parts: [{**p, "extension": p["extension"][:-2]} if p["url"] == "detail" else p for p in parts]),
]
_old = {"url": "code", "valueCodeableConcept": {"coding": [{"system": "http://example.org", "code": "limit"}]}}


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize(("rule", "mutate"), MUTATIONS)
def test_a_mutated_extension_is_caught(rule, mutate, version):
    good = extension(version=version)
    assert extension_complaints(good, version.value) == []
    bad = {**good, "extension": mutate(good["extension"])}
    assert [complaint for complaint in extension_complaints(bad, version.value) if complaint.startswith(rule)]


@pytest.mark.parametrize(
    ("rule", "answer", "mutate"),
    [
        ("crd-ci-q9", Indeterminate(), without("reason")),
        ("resp-43", Indeterminate(), set_to("reason", valueCodeableConcept={"text": "Trouble."})),
        ("resp-45", NotCovered(Unresolved.NO_MEMBER), set_to("reason", valueCodeableConcept={"text": "No."})),
        ("crd-ci-q6", Conditional(Needed()), without("reason")),
        ("crd-ci-q3", Conditional(Undecided()), without("info-needed")),
        ("crd-ci-q5", Covered(Satisfied("PA-1")), without("satisfied-pa-id")),
    ],
)
def test_a_mutated_answer_of_another_kind_is_caught(rule, answer, mutate):
    good = extension(answer)
    assert extension_complaints(good, "2.2") == []
    bad = {**good, "extension": mutate(good["extension"])}
    assert [complaint for complaint in extension_complaints(bad, "2.2") if complaint.startswith(rule)]


def test_an_extension_of_one_version_is_not_valid_in_the_other():
    contact = Contact("Desk", "phone", "1")
    assert extension_complaints(extension(version=Version.STU_2_2, contact=contact), "2.0")
    assert extension_complaints(extension(version=Version.STU_2_0, contact=contact), "2.2")
    assert extension_complaints(extension(Indeterminate()), "2.0")
