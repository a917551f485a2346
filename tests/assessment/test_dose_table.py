"""Every row of the dose table: at the limit, above it, a day early, at 30 kg; the table stands here a second time."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import product

import pytest

from cds_service.assessment import assess
from cds_service.criteria.verdict import Verdict
from cds_service.facts.given import read_given
from cds_service.policies.library import load_library

REVISION = load_library().revision("CP.PHAR.339")[0]
ORDERED = date(2026, 11, 22)


@dataclass(frozen=True)
class Row:
    """A row of the readings' dose table, written down a second time so that the policy file is checked against it."""

    setting: str
    phase: str | None
    light: bool
    mg_per_kg: int | None
    mg: int | None
    weeks: int
    initial: str
    continued: str

    def cap(self, kg: Decimal) -> Decimal:
        return Decimal(self.mg) if self.mg is not None else self.mg_per_kg * kg


TABLE = [
    Row("stage II-III", None, True, 10, None, 2, "I.A.5.a.i", "II.A.4.a.i"),
    Row("stage II-III", None, False, 10, None, 2, "I.A.5.a.ii", "II.A.4.a.ii"),
    Row("stage II-III", None, False, None, 1500, 4, "I.A.5.a.ii", "II.A.4.a.ii"),
    Row("metastatic", "combination", True, 20, None, 3, "I.A.5.b.i", "II.A.4.b.i"),
    Row("metastatic", "combination", False, None, 1500, 3, "I.A.5.b.ii", "II.A.4.b.ii"),
    Row("metastatic", "maintenance", True, 20, None, 4, "I.A.5.b.i", "II.A.4.b.i"),
    Row("metastatic", "maintenance", False, None, 1500, 4, "I.A.5.b.ii", "II.A.4.b.ii"),
    Row("es-sclc", "combination", True, 20, None, 3, "I.B.5.a", "II.A.4.c.i"),
    Row("es-sclc", "combination", False, None, 1500, 3, "I.B.5.b", "II.A.4.c.ii"),
    Row("es-sclc", "maintenance", True, 10, None, 2, "I.B.5.a", "II.A.4.c.i"),
    Row("es-sclc", "maintenance", False, None, 1500, 4, "I.B.5.b", "II.A.4.c.ii"),
    Row("btc", "combination", True, 20, None, 3, "I.C.5.a", "II.A.4.d.i"),
    Row("btc", "combination", False, None, 1500, 3, "I.C.5.b", "II.A.4.d.ii"),
    Row("btc", "maintenance", True, 20, None, 4, "I.C.5.a", "II.A.4.d.i"),
    Row("btc", "maintenance", False, None, 1500, 4, "I.C.5.b", "II.A.4.d.ii"),
    Row("hcc", "combination", True, 20, None, 4, "I.D.4.a", "II.A.4.e.i"),
    Row("hcc", "combination", False, None, 1500, 4, "I.D.4.b", "II.A.4.e.ii"),
    Row("hcc", "maintenance", True, 20, None, 4, "I.D.4.a", "II.A.4.e.i"),
    Row("hcc", "maintenance", False, None, 1500, 4, "I.D.4.b", "II.A.4.e.ii"),
]
WEIGHTS = {True: ["7.5", "29.9"], False: ["30.0", "30.1", "70", "149.9"]}
CASES = [
    (row, Decimal(kg), request) for row in TABLE for kg in WEIGHTS[row.light] for request in ("initial", "continuation")
]


def judged(row: Row, kg: Decimal, mg: Decimal, days: int, request: str = "initial"):
    facts = {
        "indication": "nsclc" if row.setting in {"stage II-III", "metastatic"} else row.setting,
        "stage": {"stage II-III": "IIIA", "metastatic": "IV"}.get(row.setting),
        "request_type": request,
        "dose_increase": True,
        "weight_kg": kg,
        "combination_drugs": [
            {"name": "tremelimumab", "dose": {"metastatic": 1, "hcc": 4}.get(row.setting), "unit": "mg/kg"}
            if row.light
            else {"name": "tremelimumab", "dose": {"metastatic": 75, "hcc": 300}.get(row.setting), "unit": "mg"}
        ],
        "dose": {"value": mg, "unit": "mg", "interval_value": days, "interval_unit": "d", "phase": row.phase},
    }
    return assess(read_given(facts, ORDERED).facts, REVISION)


def dose_finding(result, cite: str):
    return next(f for top in result.findings for f in top.walk() if f.section == cite)


@pytest.mark.parametrize(("row", "kg", "request_type"), CASES)
def test_at_the_limit_it_is_ok(row: Row, kg: Decimal, request_type: str) -> None:
    result = judged(row, kg, row.cap(kg), row.weeks * 7, request_type)
    assert result.dose.verdict is Verdict.OK
    assert result.dose.row == (row.initial if request_type == "initial" else row.continued)
    assert dose_finding(result, result.dose.row).outcome.value == "met"
    assert result.dose.limit_mg >= row.cap(kg)


@pytest.mark.parametrize(("row", "kg", "request_type"), CASES)
def test_a_milligram_above_it_exceeds(row: Row, kg: Decimal, request_type: str) -> None:
    limit = max(
        r.cap(kg)
        for r in TABLE
        if (r.setting, r.phase, r.light) == (row.setting, row.phase, row.light) and r.weeks <= row.weeks
    )
    result = judged(row, kg, limit + 1, row.weeks * 7, request_type)
    assert result.dose.verdict is Verdict.EXCEEDS
    assert result.dose.limit_mg == limit
    assert dose_finding(result, result.dose.row).outcome.value == "not-met"


@pytest.mark.parametrize(("row", "kg", "request_type"), CASES)
def test_a_day_early_it_is_not_ok(row: Row, kg: Decimal, request_type: str) -> None:
    result = judged(row, kg, row.cap(kg), row.weeks * 7 - 1, request_type)
    shorter = [
        r for r in TABLE if (r.setting, r.phase, r.light) == (row.setting, row.phase, row.light) and r.weeks < row.weeks
    ]
    if any(r.cap(kg) >= row.cap(kg) for r in shorter):
        assert result.dose.verdict is Verdict.OK
    else:
        assert result.dose.verdict is (Verdict.EXCEEDS if shorter else Verdict.WRONG_INTERVAL)


def test_from_150_kg_the_weight_based_row_carries_1500_mg_a_day_early() -> None:
    row = TABLE[2]
    assert judged(row, Decimal(150), Decimal(1500), 27).dose.verdict is Verdict.OK
    assert judged(row, Decimal("149.99"), Decimal(1500), 27).dose.verdict is Verdict.EXCEEDS


@pytest.mark.parametrize(("row", "kg"), list(product(TABLE, ["29.9", "30.0", "30.1"])))
def test_the_band_changes_at_30_kg_and_not_before(row: Row, kg: str) -> None:
    weight = Decimal(kg)
    result = judged(row, weight, Decimal(1500), 28)
    heavy = weight >= 30
    assert result.dose.verdict is (Verdict.OK if heavy else Verdict.EXCEEDS)
    cites = {r.initial for r in TABLE if r.setting == row.setting and r.light is not heavy}
    assert result.dose.row in cites


@pytest.mark.parametrize(("kg", "said"), [("299.9", False), ("300", True), ("6400", True)])
def test_a_weight_that_hardly_anybody_has_is_remarked_and_decides_all_the_same(kg, said):
    facts = {"request_type": "initial", "indication": "nsclc", "stage": "III", "weight_kg": Decimal(kg)}
    dose = {"value": 10, "unit": "mg/kg", "interval_value": 2, "interval_unit": "wk"}
    found = assess(read_given({**facts, "dose": dose}, ORDERED).facts, REVISION)
    assert found.dose.verdict is Verdict.OK
    assert (f"A weight of {kg} kg is unusual: check weight and unit." in found.notes) is said
