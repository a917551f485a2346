"""The dose table: every spelling gives an exact dose and interval, or the reason why not."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cds_service.criteria.dose_steps import steps_of
from cds_service.criteria.quantity import Weight
from cds_service.evidence import Absence, Known, Unknown
from cds_service.facts.dose import SOURCE, dose_lines
from cds_service.facts.dose_change import dose_views
from tests.facts.orders import DURVALUMAB, reading

if TYPE_CHECKING:
    from cds_service.criteria.quantity import DoseLine

TABLE = yaml.safe_load((Path(__file__).parent / "dose_spellings.yaml").read_text(encoding="utf-8"))
SYSTEMS = {
    "UCUM": "http://unitsofmeasure.org",
    "HCPCS": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
}
Q2W = {"repeat": {"frequency": 1, "period": 2, "periodUnit": "wk"}}
MG = [{"doseQuantity": {"value": 1500, "unit": "mg", "system": SYSTEMS["UCUM"], "code": "mg"}}]
INSTRUCTION = {
    "text": lambda row: {"text": row["sig"]},
    "quantity": lambda row: {"doseAndRate": [{"doseQuantity": row["dose"]}], "timing": Q2W},
    "repeat": lambda row: {"doseAndRate": MG, "timing": {"repeat": row["repeat"]}},
    "timing": lambda row: {"doseAndRate": MG, "timing": row["timing"]},
    "instruction": lambda row: row["instruction"],
}
ROWS = [pytest.param(kind, row, id=f"{kind}{i}") for kind, rows in TABLE.items() for i, row in enumerate(rows)]


def spelled_out(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: spelled_out(SYSTEMS.get(item, item) if key == "system" else item) for key, item in value.items()}
    return [spelled_out(item) for item in value] if isinstance(value, list) else value


def said(line: DoseLine) -> str:
    missing = {m.fact: f"{m.fact} {m.absence}" for m in line.missing}
    assert (line.amount is None) == bool(missing.keys() & {"dose.value", "dose.unit"}), (
        "an amount or the reason why not"
    )
    assert (line.interval is None and not line.once) == ("dose.interval" in missing), (
        "an interval or the reason why not"
    )
    amount = str(line.amount) if line.amount else missing.get("dose.value") or missing["dose.unit"]
    if line.once:
        return f"{amount} / once"
    if line.interval is None:
        return f"{amount} / {missing['dose.interval']}"
    times = "" if line.interval.times == 1 else f"{line.interval.times} in "
    return f"{amount} / {times}{line.interval.days.normalize():f} d"


def test_table_is_long_enough():
    assert len(ROWS) >= 250


@pytest.mark.parametrize(("kind", "row"), ROWS)
def test_spelling(kind, row):
    instruction = spelled_out(INSTRUCTION[kind](row))
    (line,) = dose_lines({"dosageInstruction": [instruction]}, row.get("product"), DURVALUMAB)
    assert said(line) == row["is"], row
    for part in ("count", "cycles", "cycle_number", "phase", "sequence", "shown"):
        if part in row:
            assert getattr(line, part) == row[part], row
    for part in ("ceiling", "at_least"):
        expected = row.get(part)
        assert (str(getattr(line, part)) if getattr(line, part) else None) == expected, row
    if "note" in row:
        assert any(row["note"] in note for note in line.notes), line.notes


def test_instructions_given_together_stay_one_line_each():
    raw = {"dosageInstruction": [{"doseAndRate": MG, "timing": Q2W}] * 3}
    lines = dose_lines(raw)
    assert [str(line.amount) for line in lines] == ["1500 mg"] * 3
    assert {line.sequence for line in lines} == {None}


def test_instructions_that_name_their_phases_are_successive():
    raw = {
        "dosageInstruction": [
            {"text": "maintenance: 1500 mg IV every 4 weeks"},
            {"text": "1500 mg IV every 3 weeks, cycles 1-4"},
        ]
    }
    assert [(line.phase, line.sequence) for line in dose_lines(raw)] == [("combination", 1), ("maintenance", 2)]


def test_text_that_names_successive_doses_gives_one_line_each():
    sig = "1500 mg IV every 3 weeks for 4 cycles, then 1500 mg IV every 4 weeks until progression"
    lines = dose_lines({"dosageInstruction": [{"text": sig}]})
    assert [(said(line), line.sequence, line.cycles) for line in lines] == [
        ("1500 mg / 21 d", 1, 4),
        ("1500 mg / 28 d", 2, None),
    ]


def test_successive_doses_never_take_over_an_amount():
    sig = "1500 mg IV every 3 weeks for 4 cycles, then every 4 weeks"
    (line,) = dose_lines({"dosageInstruction": [{"text": sig}]})
    assert said(line) == "dose.value not-understood / dose.interval not-understood"
    assert line.shown == "in words that are not understood"


@pytest.mark.parametrize(
    ("instruction", "shown"),
    [
        ({}, "without a dose"),
        ({"timing": Q2W}, "every 2 wk without an amount"),
        (
            {"timing": Q2W, "doseAndRate": [{"doseQuantity": {"unit": "mg", "code": "mg"}}]},
            "every 2 wk without an amount",
        ),
        ({"timing": {"repeat": {"count": 1}}}, "once without an amount"),
        ({"asNeededBoolean": True}, "as needed without an amount"),
        ({"text": "per protocol"}, "in words that are not understood"),
        ({"timing": Q2W, "text": "per protocol"}, "every 2 wk, the amount in words that are not understood"),
    ],
)
def test_what_an_order_without_an_amount_says_is_said_as_a_pharmacist_would(instruction, shown):
    (line,) = dose_lines({"dosageInstruction": [instruction]} if instruction else {})
    assert line.shown == shown


def test_phase_from_an_additional_instruction():
    raw = {
        "dosageInstruction": [{"doseAndRate": MG, "timing": Q2W, "additionalInstruction": [{"text": "Maintenance"}]}]
    }
    (line,) = dose_lines(raw)
    assert (said(line), line.phase) == ("1500 mg / 14 d", "maintenance")


@pytest.mark.parametrize("flag", [True, "true"])
def test_as_needed_is_no_schedule_whatever_its_type(flag):
    (line,) = dose_lines({"dosageInstruction": [{"doseAndRate": MG, "timing": Q2W, "asNeededBoolean": flag}]})
    assert said(line) == "1500 mg / dose.interval not-recorded"


def test_a_schedule_in_unread_words_is_not_understood():
    timing = {"code": {"text": "per protocol"}}
    (line,) = dose_lines({"dosageInstruction": [{"doseAndRate": MG, "timing": timing}]})
    assert said(line) == "1500 mg / dose.interval not-understood"


def test_vials_are_opened_whole_and_outranked_by_what_was_ordered():
    vials = {"type": {"coding": [{"code": "admin-amount"}]}, "doseQuantity": {"value": 2, "unit": "vial"}}
    ordered = {"type": {"coding": [{"code": "ordered"}]}, "doseQuantity": {"value": 10, "unit": "mg/kg"}}
    calculated = {"type": {"coding": [{"code": "calculated"}]}, "doseQuantity": {"value": 640, "unit": "mg"}}
    for views, amount in (
        ([calculated, vials, ordered], "640 mg"),
        ([vials, ordered], "10 mg/kg"),
        ([vials], "1000 mg"),
    ):
        (line,) = dose_lines(
            {"dosageInstruction": [{"doseAndRate": views, "timing": Q2W}]}, "500 mg/10 mL vial", DURVALUMAB
        )
        assert said(line) == f"{amount} / 14 d"


def test_dispense_request_is_never_a_dose():
    raw = {
        "dispenseRequest": {
            "quantity": {"value": 1500, "unit": "mg"},
            "expectedSupplyDuration": {"value": 28, "code": "d"},
        }
    }
    (line,) = dose_lines(raw)
    assert said(line) == "dose.value not-recorded / dose.interval not-recorded"


def test_administration_and_statement_keep_their_dose_in_dosage():
    (line,) = dose_lines({"dosage": {"dose": {"value": 1500, "unit": "mg", "code": "mg"}}})
    assert str(line.amount) == "1500 mg"


def test_rendered_instruction_counts_where_there_is_no_other():
    (line,) = dose_lines({"renderedDosageInstruction": "1500 mg IV every 4 weeks"})
    assert said(line) == "1500 mg / 28 d"


def test_no_instruction_gives_a_line_that_says_what_is_missing():
    fact = SOURCE.read(reading({"dosageInstruction": []}))["dose"]
    assert isinstance(fact, Known)
    assert {m.fact for m in fact.value[0].missing} == {"dose.value", "dose.interval"}


def test_evidence_names_the_places():
    fact = SOURCE.read(reading({"dosageInstruction": [{"doseAndRate": MG, "timing": Q2W}]}))["dose"]
    assert [(seen.reference, seen.path, seen.shown) for seen in fact.evidence] == [
        ("MedicationRequest/rx-1", "dosageInstruction[0].doseAndRate[0].doseQuantity", "1500 mg"),
        ("MedicationRequest/rx-1", "dosageInstruction[0].timing.repeat", "every 2 wk"),
    ]


def test_amounts_are_exact():
    (line,) = dose_lines({"dosageInstruction": [{"doseAndRate": [{"doseQuantity": {"value": 0.1, "unit": "g"}}]}]})
    assert line.amount is not None
    assert line.amount.mg == Decimal(100)


@pytest.mark.parametrize(
    ("rendered", "expected"),
    [("1500 mg every 2 weeks", "dose.value conflicting / 14 d"), ("640 mg every 2 weeks", "640 mg / 14 d")],
)
def test_a_rendered_instruction_is_the_text_of_the_only_instruction(rendered: str, expected: str) -> None:
    structured = {"doseAndRate": [{"doseQuantity": {"value": 640, "unit": "mg"}}], "timing": Q2W}
    (line,) = dose_lines({"dosageInstruction": [structured], "renderedDosageInstruction": rendered})
    assert said(line) == expected


@pytest.mark.parametrize(
    ("rendered", "missing"),
    [
        ("1500 mg IV every 4 weeks", []),
        ("1,500 mg every 28 days for 6 doses", []),
        ("call the clinic first", []),
        ("3000 mg IV every 4 weeks", ["dose.value"]),
        ("1500 mg IV every 2 weeks", ["dose.interval"]),
        ("1500 mg IV as needed", ["dose.interval"]),
    ],
)
@pytest.mark.parametrize("structured", [True, False])
def test_a_rendered_instruction_beside_a_text_may_contradict_the_order(rendered, missing, structured):
    timing = {"repeat": {"period": 4, "periodUnit": "wk"}}
    instruction = {"text": "1500 mg every 4 weeks", **({"doseAndRate": MG, "timing": timing} if structured else {})}
    (line,) = dose_lines({"dosageInstruction": [instruction], "renderedDosageInstruction": rendered})
    assert [item.fact for item in line.missing] == missing


def test_numbered_instructions_that_name_their_phases_keep_their_numbers():
    named = [
        {"text": "1500 mg every 4 weeks as maintenance", "sequence": 1},
        {"text": "1500 mg every 3 weeks with chemo"},
    ]
    assert [line.sequence for line in dose_lines({"dosageInstruction": named})] == [1, None]


def on(*days, mg=1500, **more):
    return {"timing": {"event": list(days)}, **_mg(mg), **more}


def within(start, end, mg=1500, weeks=4, **more):
    bounds = {"start": start, **({"end": end} if end else {})}
    repeat = {"frequency": 1, "period": weeks, "periodUnit": "wk", "boundsPeriod": bounds}
    return {"timing": {"repeat": {**repeat, **more}}, **_mg(mg)}


def _mg(mg):
    return {"doseAndRate": [{"doseQuantity": {"value": mg, "unit": "mg"}}]}


def single(day, mg=1500):
    return {"timing": {"repeat": {"count": 1, "boundsPeriod": {"start": day, "end": day}}}, **_mg(mg)}


def on_day(number, where="text"):
    words = f"On day {number} of each cycle"
    timing = {"repeat": {"frequency": 1, "period": 28, "periodUnit": "d"}}
    return {where: words if where == "text" else [{"text": words}], "timing": timing, **_mg(750)}


TWO_WEEKS_APART = "1500 mg on 2 dates, at least 14 days apart"


@pytest.mark.parametrize(
    ("instructions", "shown"),
    [
        ([on("2026-11-20"), on("2026-12-04")], [TWO_WEEKS_APART]),
        ([on("2026-12-04"), on("2026-11-20")], [TWO_WEEKS_APART]),
        ([single("2026-11-20"), single("2026-12-04")], [TWO_WEEKS_APART]),
        (
            [on("2026-11-20"), on("2026-12-04", mg=700)],
            ["1500 mg at least 14 days apart", "700 mg at least 14 days apart"],
        ),
        ([on("2026-11-20", mg=750), on("2026-11-20", mg=750)], ["1500 mg once (2 lines)"]),
        (
            [within("2026-11-20", "2027-05-20"), within("2027-05-21", "2027-11-20")],
            ["1500 mg every 4 wk", "1500 mg every 4 wk"],
        ),
        ([within("2026-11-20", "2027-05-20"), within("2027-05-20", "2027-11-20")], ["3000 mg every 4 wk (2 lines)"]),
        (
            [within("2026-11-20", "2027-02-11", weeks=3), within("2027-02-12", None)],
            ["1500 mg every 3 wk", "1500 mg every 4 wk"],
        ),
        (
            [within("2027-02-12", None), within("2026-11-20", "2027-02-11", weeks=3)],
            ["1500 mg every 3 wk", "1500 mg every 4 wk"],
        ),
        (
            [within("2026-11-20", "2027-02-12", weeks=3), within("2027-02-12", "9999-12-31")],
            ["1500 mg every 3 wk", "1500 mg every 4 wk"],
        ),
        (
            [within("2026-11-20", "2027-02-12", mg=700), within("2027-02-12", None)],
            ["700 mg every 4 wk", "1500 mg every 4 wk"],
        ),
        ([on("2026-11-20"), within("2026-12-18", None)], ["1500 mg 28 days before the next", "1500 mg every 4 wk"]),
        (
            [{**on("2026-11-20"), "text": "1500 mg IV once"}, within("2026-11-27", None)],
            ["1500 mg 7 days before the next", "1500 mg every 4 wk"],
        ),
        (
            [on("2026-11-20", "2026-12-11"), within("2026-12-25", None)],
            ["1500 mg 14 days before the next", "1500 mg every 4 wk"],
        ),
        (
            [within("2026-11-20", "2027-02-11"), single("2027-02-12"), within("2027-03-12", None)],
            ["1500 mg every 4 wk", "1500 mg 28 days before the next", "1500 mg every 4 wk"],
        ),
        (
            [within("2026-11-20", None, weeks=3), within("2027-02-12", None)],
            ["1500 mg every 3 wk + 1500 mg every 4 wk"],
        ),
        (
            [within("2026-11-20", "2027", weeks=3), within("2027-02-12", None)],
            ["1500 mg every 3 wk + 1500 mg every 4 wk"],
        ),
        ([within("2026-11-20", None, mg=750), within("2026-12-04", None, mg=750)], ["750 mg every 14 d"]),
        ([within("2026-12-04", None, mg=750), within("2026-11-20", "2027-11-20", mg=750)], ["750 mg every 14 d"]),
        ([within("2026-11-20", None, mg=750), within("2026-11-27", None, mg=750)], ["750 mg every 7 d"]),
        ([within("2026-11-20", None, mg=750), within("2026-12-11", None, mg=750)], ["750 mg every 7 d"]),
        ([within("2026-11-20", None, mg=750), within("2026-11-20", None, mg=750)], ["1500 mg every 4 wk (2 lines)"]),
        ([within("2026-11-20", None, mg=750), within("2026-12-18", None, mg=750)], ["1500 mg every 4 wk (2 lines)"]),
        (
            [within("2026-11-20", None, mg=640), within("2026-12-04", None, mg=750)],
            ["640 mg every 14 d", "750 mg every 14 d"],
        ),
        (
            [within("2026-11-20", None, mg=500), within("2026-12-04", None), within("2026-11-20", None, mg=250)],
            ["750 mg every 14 d (2 lines)", "1500 mg every 14 d"],
        ),
        ([on_day(1), on_day(15)], ["750 mg every 14 d"]),
        ([{**on_day(1), "sequence": 1}, {**on_day(15), "sequence": 2}], ["750 mg every 14 d"]),
        (
            [{**within("2026-11-20", None), "sequence": 1}, {**within("2026-12-04", None), "sequence": 2}],
            ["1500 mg every 14 d"],
        ),
        (
            [{**within("2026-11-20", "2026-12-03"), "sequence": 1}, {**within("2026-12-04", None), "sequence": 2}],
            ["1500 mg every 4 wk", "1500 mg every 4 wk"],
        ),
        (
            [{**within("2026-11-20", None), "sequence": 1}, {**within("2026-11-20", None), "sequence": 2}],
            ["1500 mg every 4 wk", "1500 mg every 4 wk"],
        ),
        ([on_day(1), {**on_day(15), "text": "given on a Monday"}], ["1500 mg every 28 d (2 lines)"]),
        ([on_day(1, "additionalInstruction"), on_day(15, "additionalInstruction")], ["750 mg every 14 d"]),
        ([on("2026-11-20"), within("2026-11-20", None)], ["1500 mg once + 1500 mg every 4 wk"]),
        ([within("2026-11-20", None), on("2026-12-04")], ["1500 mg every 4 wk + 1500 mg once"]),
        ([on("2026-11-20"), {**_mg(700), "timing": Q2W}], ["1500 mg once + 700 mg every 2 wk"]),
        ([on("2026-11-20", sequence=1), on("2026-12-04", sequence=2)], ["1500 mg once", "1500 mg once"]),
    ],
)
def test_instructions_for_different_days_follow_each_other(instructions, shown):
    lines = dose_lines({"dosageInstruction": instructions}, None, DURVALUMAB)
    assert [step.shown for step in steps_of(lines)] == shown


def test_a_line_among_dated_ones_keeps_its_own_number_of_doses():
    days = ("2026-11-20", "2026-12-11", "2027-01-01", "2027-01-22")
    lines = dose_lines({"dosageInstruction": [on(*days), on("2027-02-19", mg=750)]}, None, DURVALUMAB)
    assert [(line.count, line.interval.days) for line in lines] == [(4, 21), (1, 21)]


@pytest.mark.parametrize(
    "instruction",
    [
        {"text": "1500 mg IV once", "timing": {"code": {"text": "every 2 weeks"}}},
        {"text": "1500 mg IV once", "additionalInstruction": [{"text": "every 2 weeks"}]},
        {**_mg(1500), "timing": {"repeat": {"count": 1}}, "patientInstruction": "every 2 weeks"},
        {**_mg(1500), "timing": {"repeat": {"count": 1}, "event": ["2026-11-20", "2026-11-27"]}},
    ],
)
def test_once_beside_words_or_dates_that_repeat_it_is_open(instruction):
    (line,) = dose_lines({"dosageInstruction": [instruction]}, None, DURVALUMAB)
    assert not line.once
    assert [(one.fact, one.absence.value) for one in line.missing] == [("dose.interval", "conflicting")]


def test_lines_in_their_turn_are_shown_where_they_stand():
    instructions = [within("2027-05-21", "2027-11-20"), within("2026-11-20", "2027-05-20")]
    lines = dose_lines({"dosageInstruction": instructions}, None, DURVALUMAB, reference="MedicationRequest/rx-1")
    assert [line.sequence for line in lines] == [1, 2]
    assert [line.evidence[0].path.partition(".")[0] for line in lines] == [
        "dosageInstruction[1]",
        "dosageInstruction[0]",
    ]


TEN_PER_KG = {"timing": Q2W, "doseAndRate": [{"doseQuantity": {"value": 10, "unit": "mg/kg"}}]}


@pytest.mark.parametrize(
    ("words", "kgs", "shown", "missing"),
    [
        ("700 mg (10 mg/kg) IV every 2 weeks", [70], "10 mg/kg every 2 wk", []),
        ("690 mg (10 mg/kg) IV every 2 weeks", [70], "10 mg/kg every 2 wk", []),
        ("760 mg (10 mg/kg) IV every 2 weeks", [70], "760 mg every 2 wk", []),
        ("1,500 mg IV every 2 weeks", [70], "10 mg/kg every 2 wk (or 1500 mg)", ["dose.value"]),
        ("500 mg IV every 2 weeks", [70], "10 mg/kg every 2 wk (or 500 mg)", ["dose.value"]),
        ("700 mg IV every 2 weeks", [68, 72], "10 mg/kg every 2 wk (or 700 mg)", ["dose.value"]),
        ("1,500 mg IV every 2 weeks", [], "1500 mg every 2 wk", []),
        ("10 mg/kg IV every 2 weeks", [], "10 mg/kg every 2 wk", []),
        ("10 mg/kg x 2 doses, then 1,000 mg every 2 weeks", [70], "10 mg/kg every 2 wk", []),
        ("10 mg/kg q2wk x 2 doses, then 1,000 mg q2wk", [70], "10 mg/kg every 2 wk (or 1000 mg)", ["dose.value"]),
    ],
)
def test_milligrams_in_the_text_of_a_dose_by_weight_are_never_passed_over(words, kgs, shown, missing):
    weights = tuple(Weight(Decimal(kg)) for kg in kgs)
    weight = Known(weights[0], ()) if len(weights) == 1 else Unknown(Absence.CONFLICTING, "weight", rivals=weights)
    known = {"dose": Known(dose_lines({"dosageInstruction": [{**TEN_PER_KG, "text": words}]}), ()), "weight_kg": weight}
    dose_views(known)
    (line,) = known["dose"].value
    assert (line.shown, [one.fact for one in line.missing]) == (shown, missing)


def test_different_milligrams_in_the_texts_of_a_dose_by_weight_are_open_without_a_weight():
    raw = {**TEN_PER_KG, "text": "700 mg every 2 weeks", "patientInstruction": "1500 mg every 2 weeks"}
    known = {"dose": Known(dose_lines({"dosageInstruction": [raw]}), ())}
    dose_views(known)
    (line,) = known["dose"].value
    assert (str(line.at_least), str(line.ceiling)) == ("700 mg", "1500 mg")
    assert [one.fact for one in line.missing] == ["dose.value"]


def test_a_maximum_of_a_dose_by_weight_is_no_other_dose():
    raw = {**TEN_PER_KG, "maxDosePerAdministration": {"value": 700, "unit": "mg"}, "text": "700 mg every 2 weeks"}
    known = {"dose": Known(dose_lines({"dosageInstruction": [raw]}), ())}
    dose_views(known)
    assert str(known["dose"].value[0].amount) == "10 mg/kg (at most 700 mg)"
