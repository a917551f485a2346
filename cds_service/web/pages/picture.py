"""The dose against its limit as a drawing: the limit over time per phase, and the ordered schedule on it.

Geometry only, in pixels of the width that is asked for; a template writes the SVG. Nothing is judged here: limits, rows
and verdicts are those of the judgement, and where several answers are still possible none is drawn as if it were one.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from cds_service.assessment import as_judged
from cds_service.criteria.criterion import COMBINATION, MAINTENANCE
from cds_service.criteria.dose_steps import NEVER
from cds_service.criteria.quantity import in_weeks, plain
from cds_service.criteria.verdict import Verdict
from cds_service.dosing import judge_dose, steps
from cds_service.web.pages import frame
from cds_service.wording import in_mg, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.criteria.criterion import DoseRow
    from cds_service.criteria.dose import DoseJudgement
    from cds_service.criteria.dose_steps import Step
    from cds_service.criteria.dose_worlds import World
    from cds_service.policies.revision import Revision
    from cds_service.result import DoseAssessment, Judged

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 52, 18, 46, 54, 268
ABOVE_ALL, TAG = 26, 34
_WEEK = Decimal(7)
_ALONE, _PHASED = 16, 26
_MOST_DOSES = 60


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time with one limit: ``y`` is the height of the cap, ``text`` the row in words.

    ``tag`` is where the words stand: above the line, or below it or above every dose where one rises over it.
    """

    x: float
    width: float
    y: float
    tag: float
    text: str
    cite: str
    phase: str
    narrow: bool


@dataclass(frozen=True, slots=True)
class Stem:
    """One ordered administration. ``top`` is where the part above the limit begins (``y`` where none is)."""

    x: float
    y: float
    top: float
    state: str
    title: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Two administrations that follow each other sooner than the row allows."""

    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything the drawing shows, and the same in one sentence for those who do not see it.

    ``unsure`` says why no limit is drawn, where none is. ``amounts`` is empty where nothing is known in mg.
    """

    width: int
    height: int
    floor: float
    spans: tuple[Span, ...]
    other: tuple[Span, ...]
    stems: tuple[Stem, ...]
    gaps: tuple[Gap, ...]
    weeks: tuple[Tick, ...]
    amounts: tuple[Tick, ...]
    open_rows: tuple[str, ...]
    unsure: str
    describes: str
    verdict: str
    unit: str


def picture(judged: Judged, revision: Revision, width: int) -> Picture | None:
    """The drawing for one judged order; None where no dose row can be drawn (another disease, no amount at all)."""
    pathway = next((p for p in revision.pathways if p.section == judged.assessment.section), None)
    if pathway is None:
        return None
    facts = as_judged(judged.facts, revision)
    order = steps(facts)
    judgement = judge_dose(facts, revision, pathway, order)
    if not judgement.worlds:
        return None
    drawing = _Drawing(judgement, judgement.worlds[0], order, width)
    rows = pathway.tables[drawing.world.setting]
    return drawing.draw(rows, judged)


class _Drawing:
    def __init__(self, judgement: DoseJudgement, world: World, order: Sequence[Step], width: int) -> None:
        self.judgement, self.world, self.order = judgement, world, order
        self.width = width
        self.weight = judgement.question.weight
        self.certain = len(judgement.worlds) == 1 or judgement.verdict is not Verdict.UNDETERMINED
        self.per_kg = self.weight is None
        self.horizon = Decimal(_ALONE)

    def draw(self, rows: Sequence[DoseRow], judged: Judged) -> Picture:
        banded = [row for row in rows if self.weight is None or row.band.holds(self.weight.kg)]
        phases = self._phases(banded) if self.certain and not self.per_kg else []
        self.horizon = Decimal(_PHASED if len(phases) > 1 or len(self.order) > 1 else _ALONE)
        given = self._given()
        caps = [self._mg(row) for _, _, row in phases] + [self._mg(row) for row in self._alternatives(banded, phases)]
        most = max([*caps, *(mg for _, mg, _ in given if mg is not None), Decimal(100)]) * Decimal("1.14")
        scale = _scale(most)
        self.top = scale[-1] if scale[-1] >= most else most
        spans = tuple(self._span(start, end, row, given) for start, end, row in phases)
        other = tuple(self._span(Decimal(0), self.horizon, row, ()) for row in self._alternatives(banded, phases))
        stems, gaps = self._stems(given, phases)
        in_mg_known = bool(caps) or any(mg is not None for _, mg, _ in given)
        step = 4 if self.horizon > 20 or self.width < 460 else 2
        dose = judged.assessment.dose
        return Picture(
            width=self.width,
            height=HEIGHT,
            floor=float(HEIGHT - BOTTOM),
            spans=spans,
            other=other,
            stems=stems,
            gaps=gaps,
            weeks=tuple(Tick(self._x(Decimal(week)), str(week)) for week in range(0, int(self.horizon) + 1, step)),
            amounts=tuple(
                Tick(self._y(amount), f"{amount:,.0f}") for amount in scale if in_mg_known and amount <= self.top
            ),
            open_rows=self._open(rows) if not spans else (),
            unsure="" if spans else self._unsure(dose),
            describes=frame.in_words(dose.arithmetic or f"Ordered {dose.ordered or 'nothing readable'}."),
            verdict=dose.verdict.value,
            unit="mg",
        )

    def _phases(self, rows: Sequence[DoseRow]) -> list[tuple[Decimal, Decimal, DoseRow]]:
        """The rows that follow each other in time, each from and to which week; one row where there are no phases."""
        first = self.world.steps[0]
        if all(row.phase is None for row in rows):
            return [(Decimal(0), self.horizon, first.row)]
        by_phase = {row.phase: row for row in rows}
        combination, maintenance = by_phase.get(COMBINATION), by_phase.get(MAINTENANCE)
        if self.world.phases[0] == MAINTENANCE or combination is None:
            return [(Decimal(0), Decimal(_ALONE), maintenance)] if maintenance else []
        cycles = combination.cycles or (self.order[0].last if len(self.order) > 1 else None)
        if cycles is None or maintenance is None:
            return [(Decimal(0), Decimal(_ALONE), combination)]
        until = combination.every_days * cycles / _WEEK
        return [(Decimal(0), until, combination), (until, Decimal(_PHASED), maintenance)]

    def _alternatives(
        self, rows: Sequence[DoseRow], phases: Sequence[tuple[Decimal, Decimal, DoseRow]]
    ) -> list[DoseRow]:
        """Other regimens of the same band and phase, drawn beside the one that decides."""
        used = {row for _, _, row in phases}
        return [row for row in rows if phases and row.phase is None and row not in used]

    def _given(self) -> list[tuple[Decimal, Decimal | None, str]]:
        """Week, mg and words of each ordered administration within the horizon."""
        found: list[tuple[Decimal, Decimal | None, str]] = []
        at = Decimal(0)
        for step in self.order:
            amount = step.known_amount
            mg = None if amount is None or (amount.mg_per_kg and self.per_kg) else amount.at(self.world.kg)
            rhythm = step.intervals[0] if step.names_interval else None
            every = rhythm.days / rhythm.times / _WEEK if rhythm is not None and rhythm is not NEVER else None
            count = 0
            while at < self.horizon and len(found) < _MOST_DOSES and (step.last is None or count < step.last):
                found.append((at, mg, step.shown))
                count += 1
                if not every:
                    break
                at += every
        return found

    def _stems(
        self, given: Sequence[tuple[Decimal, Decimal | None, str]], phases: Sequence[tuple[Decimal, Decimal, DoseRow]]
    ) -> tuple[tuple[Stem, ...], tuple[Gap, ...]]:
        stems: list[Stem] = []
        gaps: list[Gap] = []
        wrong = self.judgement.verdict is Verdict.WRONG_INTERVAL
        for index, (at, mg, words) in enumerate(given):
            row = next((row for start, end, row in phases if start <= at < end), None)
            cap = self._mg(row) if row else None
            height = self._y(mg) if mg is not None else self._y(self.top * Decimal("0.62"))
            over = mg is not None and cap is not None and mg > cap
            state = "unknown" if mg is None or cap is None else "over" if over else "ok"
            if index and row is not None:
                apart, least = at - given[index - 1][0], row.every_days / _WEEK
                if (
                    apart < least
                    and (wrong or row.phase is not None)
                    and not (row.phase == MAINTENANCE and _follows_combination(given[index - 1][0], phases))
                ):
                    before = self._x(given[index - 1][0])
                    gaps.append(Gap(before, self._x(at) - before, f"{plain(apart)} wk, at least {plain(least)}"))
                    state = "soon" if state == "ok" else state
            amount = f"{mg:,.0f} mg" if mg is not None else "amount unknown"
            stems.append(
                Stem(
                    self._x(at),
                    height,
                    self._y(cap) if over and cap else height,
                    state,
                    f"week {plain(at)}: {amount} ({frame.in_words(words)})",
                )
            )
        return tuple(stems), tuple(gaps)

    def _span(
        self,
        start: Decimal,
        end: Decimal,
        row: DoseRow,
        given: Sequence[tuple[Decimal, Decimal | None, str]],
    ) -> Span:
        x, until = self._x(start), self._x(end)
        cap, y = self._mg(row), self._y(self._mg(row))
        words = f"{row.cap} every {in_weeks(row.every_days)}"
        if self.weight is not None and row.cap.mg_per_kg:
            words = f"{in_mg(cap)} every {in_weeks(row.every_days)}"
        # Words above the line would hide the very doses that rise over it; nothing is drawn as high as ABOVE_ALL.
        risen = any(start <= at < end and mg is not None and mg > cap for at, mg, _ in given)
        below = y + 6 if y + TAG < HEIGHT - BOTTOM else ABOVE_ALL
        tag = below if risen else y - 27
        return Span(x, until - x, y, tag, in_words(words), row.cite, row.phase or "", until - x < 230)

    def _mg(self, row: DoseRow) -> Decimal:
        return row.cap.at(self.world.kg)

    def _unsure(self, dose: DoseAssessment) -> str:
        """Why no limit is drawn."""
        if self.judgement.verdict is not Verdict.UNDETERMINED:
            return "Without a body weight the limit is not drawn in mg."
        if dose.limit_mg is None and dose.limit_mg_per_kg is None:
            return "The limit is not certain yet."
        return "The dose cannot be drawn against its limit yet."

    def _open(self, rows: Sequence[DoseRow]) -> tuple[str, ...]:
        possible = set(self.judgement.open_rows)
        kept = [row for row in rows if not possible or row.cite in possible]
        return tuple(
            f"{row.cite}: {row.band}{f', {row.phase}' if row.phase else ''}: "
            + in_words(f"{row.cap} every {in_weeks(row.every_days)}")
            for row in kept
        )

    def _x(self, week: Decimal) -> float:
        return round(LEFT + float(week / self.horizon) * (self.width - LEFT - RIGHT), 1)

    def _y(self, mg: Decimal) -> float:
        return round(HEIGHT - BOTTOM - float(mg / self.top) * (HEIGHT - TOP - BOTTOM), 1)


def _follows_combination(before: Decimal, phases: Sequence[tuple[Decimal, Decimal, DoseRow]]) -> bool:
    """The first dose of the maintenance phase follows the last combination dose after its interval (section V)."""
    return len(phases) > 1 and before < phases[-1][0]


def _scale(most: Decimal) -> list[Decimal]:
    """Round amounts for the axis, about four of them, the last at or above ``most``."""
    rough = most / 4
    power = Decimal(10) ** (rough.adjusted())
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    return [step * n for n in range(int(-(-most // step)) + 2) if step * n <= most + step]
