"""Updating an order: nothing but its coverage-information changes, and nothing is sent when nothing is new."""

import json
import random
import string
from copy import deepcopy
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.cdshooks import read_json, write_json
from cds_service.crd.actions import as_written, assertion_id, update
from cds_service.crd.decision import CoverageDecision, Covered, Documents, Needed, Version
from cds_service.crd.render import COVERAGE_INFORMATION, coverage_information
from tests.bodies import order
from tests.crd.checker import exact, keys, said_of, same, stripped

DAY = date(2026, 11, 22)
OTHER_EXTENSION = {"url": "http://example.org/extension/note", "valueString": "theirs"}


def said(coverage="Coverage/cov-1", *, documents=None, on=DAY, assertion="a-1", version=Version.STU_2_2):
    decision = CoverageDecision(coverage, Covered(Needed(documents)), "Because.", on, assertion)
    return coverage_information(decision, version)


def updated(resource, *answers):
    action = update(resource, answers or (said(),), "Add coverage information")
    return action["resource"] if action else None


# --- what changes ----------------------------------------------------------------------------------------------------


def test_the_order_comes_back_with_one_extension_more():
    before = order(extension=[OTHER_EXTENSION], note=[{"text": "keep"}])
    after = updated(deepcopy(before))
    assert after["extension"][0] == OTHER_EXTENSION
    assert said_of(after) == [said()]
    assert stripped(after) == before
    assert keys(stripped(after)) == keys(before)


def test_an_order_without_extensions_gets_them_at_its_end():
    assert list(updated(order()))[-1] == "extension"


@pytest.mark.parametrize("identity", [None, "", 5, ["rx-1"]])
def test_an_order_without_a_usable_id_cannot_be_updated(identity):
    assert updated({**order(), "id": identity}) is None


def test_coverage_information_for_the_same_coverage_is_replaced_in_its_place():
    before = order(extension=[OTHER_EXTENSION, said(documents=Documents()), {**OTHER_EXTENSION, "valueString": "last"}])
    after = updated(before)
    assert [one.get("valueString") for one in after["extension"]] == ["theirs", None, "last"]
    assert said_of(after) == [said()]


def test_coverage_information_for_another_coverage_stays():
    before = order(extension=[said("Coverage/other")])
    assert said_of(updated(before)) == [said("Coverage/other"), said()]


def test_several_answers_of_one_coverage_are_replaced_together():
    before = order(extension=[said(documents=Documents()), OTHER_EXTENSION, said(assertion="a-2")])
    assert updated(before)["extension"] == [said(), OTHER_EXTENSION]


def test_a_coverage_counts_as_the_same_however_it_is_referred_to():
    before = order(extension=[said("https://ehr.example/fhir/Coverage/cov-1/_history/3", documents=Documents())])
    assert said_of(updated(before)) == [said()]


def test_the_order_given_is_not_changed():
    before = order(extension=[OTHER_EXTENSION])
    kept = deepcopy(before)
    updated(before)
    assert before == kept


# --- when nothing is sent --------------------------------------------------------------------------------------------


def test_nothing_is_sent_when_the_order_says_the_same_already():
    yesterday = said(on=date(2026, 11, 21), assertion="older")
    assert updated(order(extension=[yesterday])) is None


def test_the_order_of_parts_and_the_spelling_of_numbers_are_no_news():
    ours = said()
    ours["extension"].append({"url": "detail", "extension": [{"url": "value", "valueQuantity": {"value": 70}}]})
    theirs = deepcopy(ours)
    theirs["extension"].reverse()
    theirs["extension"][0]["extension"][0]["valueQuantity"]["value"] = 70.0
    assert updated(order(extension=[theirs]), ours) is None


def test_a_changed_answer_is_news():
    assert updated(order(extension=[said(documents=Documents())])) is not None


def test_nothing_is_sent_for_an_order_that_cannot_be_named():
    assert updated(order(None)) is None
    assert updated({**order(), "id": ""}) is None


@pytest.mark.parametrize("shape", [{}, OTHER_EXTENSION, "text", 7, None])
def test_extensions_in_another_shape_than_a_list_are_left_alone(shape):
    assert updated({**order(), "extension": shape}) is None


def test_nothing_is_sent_without_an_answer():
    assert update(order(), (), "Add coverage information") is None


# --- exactly as it came ----------------------------------------------------------------------------------------------

names = st.text(string.ascii_letters, min_size=1, max_size=8)
numbers = st.one_of(
    st.integers(-(10**25), 10**25).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=20, min_value=-(10**9), max_value=10**9).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1.10", "0.1000000000000000000001", "1e-400", "-0.0", "12345678901234567890.5", "1E5", "72.40"]),
)
texts = st.text(max_size=12).filter(lambda text: text.isprintable())
json_texts = st.recursive(
    st.one_of(numbers, texts.map(json.dumps), st.sampled_from(["true", "false", '""'])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(names, inner, max_size=4).map(
            lambda members: "{" + " ,".join(f"{json.dumps(name)} : {value}" for name, value in members.items()) + "}"
        ),
    ),
    max_leaves=20,
)
_OWN = {"resourceType", "id", "extension"}


@settings(max_examples=200, deadline=None)
@given(members=st.dictionaries(names, json_texts, max_size=8), place=st.integers(0, 8), has=st.booleans())
def test_two_hundred_generated_orders_come_back_as_they_were(members, place, has):
    """Any content, any key order, any number: without coverage-information the update is the order that came."""
    written = [f"{json.dumps(name)}:{value}" for name, value in members.items() if name not in _OWN]
    if has:
        written.insert(min(place, len(written)), f'"extension":[{json.dumps(OTHER_EXTENSION)}]')
    resource = '{"resourceType":"MedicationRequest","id":"rx-1",' + ",".join(written) + "}"
    resource = resource.replace(",}", "}")
    body = f'{{"context": {{"draftOrders": {{"entry": [{{"resource": {resource}}}]}}}}}}'.encode()
    document = read_json(body)
    parsed = document["context"]["draftOrders"]["entry"][0]["resource"]
    action = update(as_written(parsed, document, body), [said()], "Add coverage information")
    after, before = exact(write_json(action))["resource"], exact(resource)
    assert same(stripped(after), before)
    assert keys(stripped(after)) == keys(before)
    assert len(said_of(after)) == 1


def test_without_the_text_of_the_request_the_parsed_numbers_are_sent():
    document = {"order": order(mg=1.5)}
    assert as_written(document["order"], document, b"") is document["order"]


def test_an_order_that_is_no_part_of_the_text_is_sent_as_it_was_read():
    """A dispatched order is read from the client's server; the text of the call may have long numbers of its own."""
    body = b'{"context": {"draftOrders": []}, "prefetch": {"weight": {"value": 70.12345678901234567}}}'
    fetched = {"resourceType": "MedicationRequest", "id": "rx-1", "value": 1.5}
    assert as_written(fetched, json.loads(body), body) is fetched
    body = (
        b'{"prefetch": {"weight": {"value": 70.12345678901234567}}, "context": {"order": {"id": "rx-1", "value": 1.5}}}'
    )
    assert as_written(fetched, json.loads(body), body) is fetched


def test_of_two_contexts_the_numbers_of_the_last_are_sent():
    first, last = '{"draftOrders": [{"value": 1500.5}]}', '{"draftOrders": [{"value": 700.00000000000000001}]}'
    source = f'{{"context": {first}, "prefetch": {{}}, "context": {last}}}'.encode()
    document = read_json(source)
    sent = as_written(document["context"]["draftOrders"][0], document, source)
    assert b"700.00000000000000001" in write_json(sent)


def test_an_ordinary_document_is_not_read_twice(monkeypatch):
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("read again"))
    uuid = "6bb4de8f-5b1c-4c3c-9b41-8e4012345678"
    held = order(mg=1500.25, identifier=[{"system": "urn:oid:1.2.840.114350.1.13.4567.2.7.2.798268", "value": uuid}])
    body = json.dumps({"order": held}).encode()
    document = read_json(body)
    assert as_written(document["order"], document, body) is document["order"]


@pytest.mark.parametrize("number", ["1.00000000000000001", "123456789012345678901234567890", "1.5e-320", "7e-400"])
def test_a_number_that_no_float_holds_is_sent_as_it_was_written(number):
    body = b'{"orders": [{"resourceType": "MedicationRequest", "id": "rx-1", "value": %s}]}' % number.encode()
    document = read_json(body)
    action = update(as_written(document["orders"][0], document, body), [said()], "Add")
    assert f'"value":{number}'.encode() in write_json(action)


# --- trace identifiers -----------------------------------------------------------------------------------------------


def trace(resource, coverage="Coverage/cov-1", version="2022-12-02 abc", **more):
    return assertion_id(resource, coverage, "CP.PHAR.339", version, **more)


def test_the_trace_of_an_order_stays_from_drafting_to_dispatch():
    drafted = order()
    active = {"text": {"div": "<div/>"}, **order(status="active", meta={"versionId": "2"}), "extension": [said()]}
    assert trace(drafted) == trace(active)
    assert trace(drafted) == trace({name: drafted[name] for name in reversed(drafted)}), "key order is no content"
    assert trace(drafted) == trace(order(mg=1500.0)), "nor is the spelling of a number"


def test_another_order_coverage_policy_or_client_has_another_trace():
    traces = [
        trace(order()),
        trace(order(mg=700)),
        trace(order("rx-2")),
        trace(order(extension=[OTHER_EXTENSION])),
        trace(order(), "Coverage/cov-2"),
        trace(order(), version="2023-12-01 def"),
        trace(order(), owner="another hospital"),
    ]
    assert len(set(traces)) == len(traces)


@pytest.mark.parametrize("subject", [None, {"display": "Jane"}, {"reference": "#p"}, {"reference": "urn:uuid:1"}, 5])
def test_orders_that_do_not_say_whom_they_are_for_have_a_trace_for_each_patient(subject):
    nobodys = {**order(), "subject": subject}
    assert trace(nobodys, patient="pt-1") == trace(nobodys, patient="pt-1") != trace(nobodys, patient="pt-2")
    assert trace(order(), patient="pt-1") == trace(order()), "an order that says it is known by its content alone"


@pytest.mark.parametrize("url", [["date"], {"date": 1}, 5, None])
def test_a_part_of_another_shape_in_what_stands_there_is_no_obstacle(url):
    there = said()
    there["extension"].append({"url": url, "valueString": "x"})
    assert said_of(updated(order(extension=[there]))) == [said()]


def test_the_same_order_has_the_same_trace_every_time():
    resource = order()
    shuffled = dict(random.Random(7).sample(list(resource.items()), len(resource)))
    assert {trace(deepcopy(resource)) for _ in range(3)} == {trace(shuffled)}


def test_the_url_of_the_extension_is_the_specifications():
    assert COVERAGE_INFORMATION.endswith("/davinci-crd/StructureDefinition/ext-coverage-information")
