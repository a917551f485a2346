"""What the record keeps of a call, what it does not, and how it remembers."""

from __future__ import annotations

import pickle
import threading
from copy import deepcopy
from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from cds_service.cdshooks import write_json
from cds_service.crd.evaluations import Evaluation
from cds_service.criteria.quantity import Weight
from cds_service.evidence import Facts, Known
from cds_service.record import feedback
from cds_service.record.entry import Keeping
from cds_service.record.evaluations import EvaluationRow, StoredEvaluations
from cds_service.record.export import audit_event
from cds_service.record.pseudonyms import Keys, keys_from
from cds_service.record.recorder import Recorder
from cds_service.record.replay import SharedReplay
from cds_service.record.spool import Spool
from cds_service.record.sql import SqlStore
from cds_service.record.writer import Writer
from cds_service.result import CardKind, Judged
from cds_service.trust.replay import SPARE
from tests.bodies import call, nsclc, order, outcome, searchset, weight
from tests.record.cases import NOON, entries, feedback_body, judged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CANARY = "Zanzibar Quux"


@pytest.fixture(autouse=True)
def _time_to_remember(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered does not hang on how busy the machine is."""
    monkeypatch.setattr("cds_service.record.entry._MEMORY_BUDGET", 60)


@pytest.fixture
def recorder(store: SqlStore, keys: Keys, tmp_path: Path) -> Callable[..., Recorder]:
    def make(**keeping: Any) -> Recorder:
        return Recorder(store, Writer(store, Spool(tmp_path / "spool", 10**6)), keys, Keeping(**keeping))

    return make


def with_canaries() -> dict[str, Any]:
    """A call with a name in every place that takes free text or a reference."""
    chart = {
        "patient": {
            "resourceType": "Patient",
            "id": "pt-1",
            "birthDate": "1958-03-14",
            "name": [{"text": CANARY}],
            "identifier": [{"value": CANARY}],
        },
        "conditions": searchset({**nsclc(), "note": [{"text": CANARY}], "subject": {"reference": "Patient/pt-1"}}),
        "weight": searchset({**weight(70), "performer": [{"display": CANARY}]}),
        "practitionerRole": searchset(
            {"resourceType": "PractitionerRole", "id": "r", "specialty": [{"text": f"Oncology of {CANARY}"}]}
        ),
        CANARY: {"resourceType": "Patient", "id": CANARY},
    }
    draft = order(note=[{"text": CANARY}], requester={"display": CANARY})
    draft["dosageInstruction"][0]["text"] = f"1500 mg every 2 weeks for {CANARY}"
    draft["medicationCodeableConcept"]["text"] = f"durvalumab {CANARY}"
    body = call(draft, prefetch=chart, hookInstance=f"for {CANARY}")
    body["context"]["userId"] = f"Practitioner/{CANARY}"
    body["fhirServer"] = "https://ehr.example/fhir"
    return body


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("record.sqlite*"))


def answered(judged: list[Judged]) -> tuple[list[dict[str, Any]], bytes]:
    cards = [card for one in judged for card in one.cards]
    return cards, write_json({"cards": cards})


async def test_a_row_tells_what_was_judged_and_answered(
    recorder: Callable[..., Recorder], store: SqlStore, keys: Keys
) -> None:
    keeper = recorder()
    called, found = judged()
    cards, answer = answered(found)
    identity = await keeper.entry(called, found).keep(cards, [], answer)
    stored = store.decision(identity)
    assert stored is not None
    body = orjson.loads(stored.decision.body)
    (kept,) = body["orders"]
    assessment = found[0].assessment
    assert (kept["policy"], kept["revision"], kept["sha256"]) == (
        assessment.policy.id,
        assessment.policy.revision,
        assessment.policy.sha256,
    )
    assert kept["outcome"] == assessment.outcome
    assert kept["verdict"] == "exceeds"
    assert kept["facts"]["weight_kg"]["kg"] == 70
    assert kept["facts"]["stage"] == "IIIB"
    assert list(kept["missing"]) == [missing.fact for missing in assessment.missing]
    assert [card["uuid"] for card in body["cards"]] == [card["uuid"] for card in cards]
    assert body["sources"]["origins"]["prefetch"] > 1
    assert stored.decision.sealed is not None
    full = orjson.loads(keys.unseal(stored.decision.sealed))
    assert full["answer"] == orjson.loads(answer)
    assert all(store.decision(card["uuid"]) == stored for card in cards)
    assert "pt-1" not in stored.decision.body
    keeper.close()


async def test_free_text_and_identifiers_of_a_chart_are_nowhere_in_the_store(
    recorder: Callable[..., Recorder], store: SqlStore, url: str, tmp_path: Path
) -> None:
    keeper = recorder()
    called, found = judged(with_canaries())
    cards, answer = answered(found)
    await keeper.entry(called, found).keep(cards, [], answer)
    await keeper.take(
        entries(feedback_body(cards[0]["uuid"], overrideReason={"userComment": CANARY, "reason": {"code": CANARY}})),
        service="durvalumab-order-sign",
        client="clinic",
    )
    if url.startswith("sqlite"):
        everything = on_disk(tmp_path)
    else:
        rows = [(row.decision.body, row.decision.sealed) for row in store.decisions()]
        everything = repr([rows, list(store.feedback())]).encode()
    keeper.close()
    assert len(everything) > 1000
    for word in (*CANARY.encode().split(), b"pt-1", b"1958-03-14"):
        assert word not in everything


async def test_identifiers_are_kept_where_a_site_wants_them(recorder: Callable[..., Recorder], store: SqlStore) -> None:
    keeper = recorder(identifiers=True, answers=False)
    called, found = judged()
    cards, answer = answered(found)
    stored = store.decision(await keeper.entry(called, found).keep(cards, [], answer))
    assert stored is not None
    assert orjson.loads(stored.decision.body)["identifiers"]["patient"] == "pt-1"
    assert stored.decision.sealed is None
    keeper.close()


async def acknowledge(keeper: Recorder, called: Any, found: list[Judged]) -> None:
    cards, answer = answered(found)
    await keeper.entry(called, found).keep(cards, [], answer)
    now = datetime.now(UTC).date().isoformat()
    for card in cards:
        body = feedback_body(card["uuid"], at=f"{now}T23:59:59Z")
        await keeper.take(entries(body), service="s", client="clinic")


async def test_an_acknowledged_finding_is_softer_for_the_same_patient_and_order(
    recorder: Callable[..., Recorder],
) -> None:
    keeper = recorder(memory_hours=48)
    await acknowledge(keeper, *judged())
    redrafted = call(order("rx-2", authoredOn="2026-11-02"))
    called, found = judged(redrafted)
    cards, notes, quieted = await keeper.entry(called, found).quieten(found[0].cards)
    assert [card["indicator"] for card in cards] == ["info"] * len(cards)
    assert set(quieted) == {card["uuid"] for card in cards}
    assert "acknowledged" in notes[0][0]
    assert found[0].cards[0]["indicator"] == "warning", "what was judged stays as it was"
    keeper.close()


async def test_a_finding_speaks_up_again_when_two_weights_of_one_day_are_others(
    recorder: Callable[..., Recorder],
) -> None:
    """The limit in mg/kg is the same, and says not which they are."""

    def weighed(*kgs: float) -> tuple[Any, Any]:
        weights = searchset(*(weight(kg) | {"id": f"wt-{kg}"} for kg in kgs))
        return judged(call(prefetch={"conditions": searchset(nsclc()), "weight": weights}))

    keeper = recorder(memory_hours=48, memory_mode="drop")
    await acknowledge(keeper, *weighed(70, 72))
    for kgs, shown in (((70, 72), 0), ((74, 77), 1)):
        called, found = weighed(*kgs)
        cards, *_ = await keeper.entry(called, found).quieten(found[0].cards)
        assert len([card for card in cards if card["indicator"] == "warning"]) == shown
    keeper.close()


async def test_an_acknowledged_finding_can_be_left_out(recorder: Callable[..., Recorder]) -> None:
    keeper = recorder(memory_hours=48, memory_mode="drop")
    called, found = judged()
    await acknowledge(keeper, called, found)
    cards, notes, quieted = await keeper.entry(called, found).quieten(found[0].cards)
    assert cards == []
    assert len(notes[0]) == len(quieted) == len(found[0].cards)
    keeper.close()


@pytest.mark.parametrize("mode", ["downgrade", "drop"])
async def test_a_store_that_is_slow_to_remember_leaves_the_card_as_it_is(
    recorder: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    keeper = recorder(memory_hours=48, memory_mode=mode)
    called, found = judged()
    await acknowledge(keeper, called, found)
    shown = found[0].cards
    assert (await keeper.entry(called, found).quieten(shown))[0] != list(shown)
    remembered = threading.Event()

    def slowly(*_: Any) -> dict[str, int]:
        remembered.wait(60)
        return {}

    with monkeypatch.context() as patched:
        patched.setattr(SqlStore, "acknowledged", slowly)
        patched.setattr("cds_service.record.entry._MEMORY_BUDGET", 0.01)
        assert await keeper.entry(called, found).quieten(shown) == (list(shown), {}, {})
        remembered.set()
    keeper.close()


def heavier() -> dict[str, Any]:
    body = call()
    body["prefetch"]["weight"] = searchset(weight(60))
    return body


def of_another_patient() -> dict[str, Any]:
    body = call(order(patient="pt-2"))
    body["context"]["patientId"] = "pt-2"
    for name in ("conditions", "weight"):
        for entry in body["prefetch"][name]["entry"]:
            entry["resource"]["subject"]["reference"] = "Patient/pt-2"
    body["prefetch"]["patient"]["id"] = "pt-2"
    return body


@pytest.mark.parametrize(
    "changed",
    [lambda: call(order(mg=1400)), lambda: call(order(weeks=1)), heavier, of_another_patient],
    ids=["dose", "interval", "finding", "patient"],
)
async def test_whatever_changes_is_said_again(recorder: Callable[..., Recorder], changed: Callable[[], Any]) -> None:
    keeper = recorder(memory_hours=48)
    await acknowledge(keeper, *judged())
    called, found = judged(changed())
    dose = [card for card in found[0].cards if "dose" in card["source"]["topic"]["code"]]
    cards, _, quieted = await keeper.entry(called, found).quieten(dose)
    assert (cards, quieted) == (dose, {})
    keeper.close()


async def test_what_names_a_call_is_made_once_for_memory_and_row(
    recorder: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, ...]] = []
    plainly = Keys.pseudonym

    def counted(keys: Keys, *parts: str) -> str:
        made.append(parts)
        return plainly(keys, *parts)

    keeper = recorder(memory_hours=48)
    called, found = judged()
    monkeypatch.setattr(Keys, "pseudonym", counted)
    entry = keeper.entry(called, found)
    cards, _, _ = await entry.quieten(found[0].cards)
    await entry.keep(cards, [], b"{}")
    named = [parts for parts in made if parts[0] in {"patient", "order", "memory"}]
    assert {parts[0] for parts in named} == {"patient", "order", "memory"}
    assert len(named) == len(set(named))
    keeper.close()


async def test_without_a_window_nothing_is_remembered(recorder: Callable[..., Recorder]) -> None:
    keeper = recorder()
    called, found = judged()
    await acknowledge(keeper, called, found)
    assert (await keeper.entry(called, found).quieten(found[0].cards))[2] == {}
    keeper.close()


async def test_a_critical_card_is_never_softened(recorder: Callable[..., Recorder]) -> None:
    keeper = recorder(memory_hours=48, memory_mode="drop")
    called, found = judged()
    grave = deepcopy(found[0].cards[0])
    grave["indicator"] = "critical"
    found = [Judged(found[0].order, found[0].facts, found[0].assessment, (grave,))]
    await acknowledge(keeper, called, found)
    assert (await keeper.entry(called, found).quieten([grave]))[0] == [grave]
    keeper.close()


@pytest.mark.parametrize("mode", ["downgrade", "drop"])
async def test_what_could_not_be_checked_is_said_each_time(recorder: Callable[..., Recorder], mode: str) -> None:
    """An answer without it would be an all-clear."""
    keeper = recorder(memory_hours=48, memory_mode=mode)
    body = call(order(mg=700))
    body["prefetch"] |= {"conditions": outcome("timeout"), "medicationRequests": outcome("timeout")}
    called, found = judged(body)
    (card,) = found[0].cards
    assert card.kind is CardKind.UNCHECKED
    await acknowledge(keeper, called, found)
    assert (await keeper.entry(called, found).quieten([card]))[0] == [card]
    keeper.close()


async def test_audit_events_are_valid_fhir(recorder: Callable[..., Recorder], store: SqlStore) -> None:
    keeper = recorder()
    called, found = judged()
    cards, answer = answered(found)
    await keeper.entry(called, found).keep(cards, [], answer)
    keeper.close()
    (stored,) = store.decisions()
    event = audit_event(stored)
    AuditEvent.model_validate(event)
    assert "pt-1" not in str(event)


async def test_evaluations_are_shared_between_replicas(
    recorder: Callable[..., Recorder], store: SqlStore, keys: Keys
) -> None:
    keeper = recorder()
    _, found = judged()
    kept = Evaluation(
        assertion_id="a-1",
        version="2.0.1",
        policy="CP.PHAR.339",
        revision="2022-12-02",
        section="I.A",
        patient="pt-1",
        coverage="Coverage/1",
        order="MedicationRequest/rx-1",
        missing=("stage",),
        facts=found[0].facts,
        asked=True,
        on=date(2026, 11, 2),
    )
    StoredEvaluations(store, keeper.writer, keys).put("clinic", kept)
    called, again = judged()
    await keeper.entry(called, again).keep(*answered(again)[:1], [], b"{}")
    other = StoredEvaluations(store, keeper.writer, keys)
    got = await other.get("clinic", "a-1")
    assert (got.patient, got.facts.value("stage"), got.on) == ("pt-1", "IIIB", date(2026, 11, 2))
    assert await other.get("elsewhere", "a-1") is None
    keeper.close()


async def test_what_was_sealed_for_another_place_is_never_read_as_an_evaluation(
    recorder: Callable[..., Recorder], store: SqlStore, keys: Keys
) -> None:
    """Whoever writes to the database alone could put a user's comment there, and a comment may be anything."""
    keeper = recorder()
    (said,) = feedback.rows(
        entries(feedback_body("6bb4de8f", overrideReason={"userComment": "S'words of a user'\n."})),
        service="s",
        client="clinic",
        at=NOON,
        keys=keys,
    )
    names = [keys.pseudonym("evaluation", "clinic", name) for name in ("a-1", "a-2", "a-3")]
    assert said.comment is not None
    store.append([EvaluationRow(names[0], NOON, said.comment)])
    kept = StoredEvaluations(store, keeper.writer, keys)
    assert await kept.get("clinic", "a-1") is None
    store.append([EvaluationRow(names[1], NOON, keys.seal(pickle.dumps("of a-3"), f"evaluation {names[2]}"))])
    assert await kept.get("clinic", "a-2") is None
    keeper.close()


async def test_an_evaluation_of_another_version_that_lacks_a_member_counts_as_none(
    recorder: Callable[..., Recorder], store: SqlStore, keys: Keys
) -> None:
    keeper = recorder()
    kept = StoredEvaluations(store, keeper.writer, keys)
    name = keys.pseudonym("evaluation", "clinic", "a-1")
    older, weight = object.__new__(Evaluation), object.__new__(Weight)
    for member in (one.name for one in fields(Evaluation) if one.name != "facts"):
        object.__setattr__(older, member, "")
    object.__setattr__(weight, "kg", Decimal(70))
    for facts in (None, Facts({"weight_kg": Known(weight)})):
        if facts is not None:
            object.__setattr__(older, "facts", facts)
        store.append([EvaluationRow(name, NOON, keys.seal(pickle.dumps(older), f"evaluation {name}"))])
        assert await kept.get("clinic", "a-1") is None
    store.append([EvaluationRow(name, NOON, keys.seal(b"\x80\x05.", f"evaluation {name}"))])
    assert await kept.get("clinic", "a-1") is None, "nor one that cannot be read at all"
    keeper.close()


async def test_replicas_share_used_tokens(url: str, store: SqlStore, keys: Keys) -> None:
    second = SqlStore(url, keys)
    one, other = SharedReplay(store, lambda: 100.0, spare=SPARE), SharedReplay(second, lambda: 100.0, spare=SPARE)
    assert await one.first_use(b"mark", 400.0)
    assert not await other.first_use(b"mark", 400.0)
    ahead = SharedReplay(
        second, lambda: 3100.0, spare=SPARE
    )  # its clock is wrong; what it forgets is forgotten for all
    assert await ahead.first_use(b"another", 4000.0)
    assert not await one.first_use(b"mark", 400.0)
    second.close()


def test_a_made_secret_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "secret"
    first, second = keys_from(None, file), keys_from(None, file)
    assert first.fingerprint == second.fingerprint != keys_from("x" * 40, file).fingerprint
    assert file.stat().st_mode & 0o077 == 0
