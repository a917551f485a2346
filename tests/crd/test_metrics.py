"""Records in the shape of CRDMetricData: what they count, and that they hold nothing of the patient."""

import json
from datetime import UTC, datetime

from cds_service.crd.metrics import NPI, MetricsFile, metric
from tests.bodies import order, searchset
from tests.crd.calls import ORGANIZATION, chart, coverage, crd

WHEN = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def measured(body, answer=None, **more):
    return metric(body, answer, received=WHEN, answered=WHEN, status=200, **more)


def test_what_is_not_known_is_left_out():
    record = measured(crd())
    assert record.keys() == {
        *("source", "hookInstance", "hookType", "requestTime", "responseTime", "httpResponse", "tokenUse"),
        *("resources", "request"),
    }
    assert record["requestTime"] == "2026-11-22T09:30:00.000+00:00"


def test_national_identifiers_are_taken_from_what_was_sent():
    practitioner = {"resourceType": "Practitioner", "id": "7", "identifier": [{"system": NPI, "value": "1234567893"}]}
    group = {"resourceType": "Organization", "id": "g", "identifier": [{"system": NPI, "value": "1993999998"}]}
    body = crd(prefetch=chart(coverage=searchset(coverage()), practitioners=practitioner, organizations=group))
    record = measured(body)
    assert record["providerId"] == {"system": NPI, "value": "1234567893"}
    assert record["groupId"] == {"system": NPI, "value": "1993999998"}
    payer = {**ORGANIZATION, "identifier": [{"system": NPI, "value": "1111111112"}]}
    assert "groupId" not in measured(crd(prefetch=chart(coverage=searchset(coverage(), payer)))), "a payer is no group"
    beside = measured(crd(prefetch=chart(organizations=searchset(group, payer))))
    assert beside["groupId"] == {"system": NPI, "value": "1993999998"}
    versioned = coverage(payor=[{"reference": f"Organization/{ORGANIZATION['id']}/_history/2"}])
    beside = measured(crd(prefetch=chart(coverage=searchset(versioned), organizations=searchset(group, payer))))
    assert beside["groupId"] == {"system": NPI, "value": "1993999998"}, "a payer by its version is one too"
    two = measured(crd(prefetch=chart(organizations=searchset(group, {**group, "id": "h"}))))
    assert "groupId" not in two, "which of several is the user's is not known"


def test_answers_are_told_by_order():
    cards = [
        {
            "source": {"topic": {"code": "off-guideline"}},
            "extension": {"davinci-crd.associated-resource": ["MedicationRequest/rx-1"]},
        },
        {
            "source": {"topic": {"code": "guideline"}},
            "extension": {"davinci-crd.associated-resource": [{"reference": "MedicationRequest/rx-2"}]},
        },
        {"source": {"topic": {"code": "somethingelse"}}},
    ]
    first, second = measured(crd(order("rx-1"), order("rx-2")), {"cards": cards})["request"]
    assert [one.get("type") for one in first["response"]] == ["off-guideline", None]
    assert [one.get("type") for one in second["response"]] == ["guideline", None]


def test_an_order_that_was_dispatched_by_its_version_is_told():
    body = crd(prefetch=chart(orders=searchset(order("rx-1"))))
    body["context"] = {"patientId": "pt-1", "dispatchedOrders": ["MedicationRequest/rx-1/_history/3"]}
    assert len(measured(body)["request"]) == 1


def test_broken_calls_are_measured_too():
    for body in ({}, {"context": 7, "prefetch": []}, {"prefetch": {"a": None, "b": {"entry": "none"}}}):
        assert measured(body, issue="invalid")["issue"] == [{"code": "invalid"}]


def test_a_dispatched_call_with_an_id_of_another_shape_is_measured():
    body = crd(prefetch=chart(orders=searchset(order("rx-1"), {**order(), "id": ["rx-2"]})))
    body["context"] = {"patientId": "pt-1", "dispatchedOrders": ["MedicationRequest/rx-1"]}
    assert len(measured(body)["request"]) == 1


def test_lines_are_appended(tmp_path):
    path = tmp_path / "metrics.ndjson"
    for number in (1, 2):
        file = MetricsFile(path)
        file.add({"number": number})
        file.close()
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [1, 2]


def test_nothing_of_the_patient_is_kept():
    body = crd(order("rx-1", note=[{"text": "Jane Doe"}]))
    body["prefetch"]["patient"]["name"] = [{"family": "Doe"}]
    said = json.dumps(measured(body))
    for word in ("Doe", "pt-1", "1958", "M-1", "rx-1"):
        assert word not in said


def test_words_in_the_place_of_an_id_a_hook_or_a_type_are_left_out():
    body = crd(order("rx-1"), {"resourceType": "Jane Doe", "id": "x"}, hookInstance="Jane Doe")
    body["prefetch"]["more"] = {"resourceType": "Jane Doe", "id": "y"}
    for hook in ("Jane Doe", {"of": "Jane Doe"}):
        record = measured({**body, "hook": hook}, issue="invalid")
        assert "Doe" not in json.dumps(record)
        assert not {"hookInstance", "hookType"} & record.keys()
        assert [one["type"] for one in record["request"]] == ["MedicationRequest"]
    assert measured(crd())["hookType"] == "order-sign"
