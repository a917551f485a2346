"""The dose against its limit as a drawing: the limit over time per phase, and the ordered schedule on it.

Geometry only, in pixels of the width that is asked for; a template writes the SVG. Nothing is judged here: limits, rows
and verdicts are those of the judgement, and where several answers are still possible none is drawn as if it were one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from cds_service.assessment import as_judged
from cds_service.criteria.criterion import COMBINATION, MAINTENANCE
from cds_service.criteria.dose_steps import NEVER
from cds_service.criteria.quantity import in_weeks
from cds_service.criteria.verdict import Verdict
from cds_service.dosing import judge_dose, steps
from cds_service.web.pages import frame
from cds_service.wording import in_mg, in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cds_service.criteria.criterion import DoseRow
    from cds_service.criteria.dose import DoseJudgement
    from cds_service.criteria.dose_rows import StepJudgement
    from cds_service.criteria.dose_steps import Step
    from cds_service.criteria.dose_worlds import World
    from cds_service.policies.revision import Revision
    from cds_service.result import DoseAssessment, Judged

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 52, 18, 46, 54, 268
ABOVE_ALL, TAG = 26, 34
_WEEK = Decimal(7)
_ALONE, _PHASED = 16, 26
MOST_DOSES = 60
_LETTER, _SMALL_LETTER = 7.2, 6.4


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time with one limit: ``y`` is the height of the cap, ``text`` the row in words.

    ``tag`` is where the ``label`` stands: above the line, or below it or above every dose where one rises over it. It
    is as much of the words as there is room for, and ``label_width`` how wide it is drawn.
    """

    x: float
    width: float
    y: float
    tag: float
    text: str
    label: str
    label_width: float
    cite: str
    phase: str

    @property
    def apart(self) -> bool:
        """Whether the label stands so far from its line that something has to lead to it."""
        return self.tag == ABOVE_ALL < self.y - TAG


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

    ``unsure`` says why no limit is drawn, where none is. ``amounts`` is empty where nothing is known in mg. ``more``:
    not every ordered administration is drawn.
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
    more: bool


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


@dataclass(frozen=True, slots=True)
class _Given:
    """One ordered administration: the week, the amount, the row that it is judged by, and what its step comes to.

    ``row`` is None where no limit is certain.
    """

    at: Decimal
    mg: Decimal | None
    words: str
    row: DoseRow | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Series:
    """The administrations of one instruction: the first, the weeks from one to the next, how many (None: without end).

    After as many as ``kept`` they go by the row ``later``.
    """

    first: _Given
    every: Decimal
    count: int | None
    kept: int | None
    later: DoseRow | None

    def until(self, horizon: Decimal) -> Iterator[_Given]:
        """Those that lie before a week, and not many more than are drawn."""
        for number in range(MOST_DOSES + 1 if self.count is None else min(self.count, MOST_DOSES + 1)):
            at = self.first.at + self.every * number
            if at >= horizon:
                return
            beyond = self.kept is not None and number >= self.kept
            yield replace(self.first, at=at, row=self.later if beyond else self.first.row)


class _Drawing:
    def __init__(self, judgement: DoseJudgement, world: World, order: Sequence[Step], width: int) -> None:
        self.judgement, self.world, self.order = judgement, world, order
        self.width = width
        self.weight = judgement.question.weight
        self.per_kg = self.weight is None
        certain = len(judgement.worlds) == 1 or judgement.verdict is not Verdict.UNDETERMINED
        self.limited = certain and not self.per_kg
        self.horizon = Decimal(_ALONE)
        self.more = False

    def draw(self, rows: Sequence[DoseRow], judged: Judged) -> Picture:
        banded = [row for row in rows if self.weight is None or row.band.holds(self.weight.kg)]
        given = self._given({row.phase: row for row in banded})
        phases = self._phases(given, banded) if self.limited else []
        others = self._alternatives(banded, phases)
        caps = [self._mg(row) for row in (*(row for _, _, row in phases), *others)]
        most = max([*caps, *(one.mg for one in given if one.mg is not None), Decimal(100)]) * Decimal("1.14")
        scale = _scale(most)
        self.top = scale[-1] if scale[-1] >= most else most
        spans = tuple(self._span(start, end, row, given) for start, end, row in phases)
        stems, gaps = self._stems(given)
        in_mg_known = bool(caps) or any(one.mg is not None for one in given)
        apart = next(weeks for weeks in (2, 4, 8, 13, 26, 52, 104, 10**9) if self.horizon <= weeks * self._most_ticks)
        dose = judged.assessment.dose
        return Picture(
            width=self.width,
            height=HEIGHT,
            floor=float(HEIGHT - BOTTOM),
            spans=spans,
            other=tuple(self._beside(row) for row in others),
            stems=stems,
            gaps=gaps,
            weeks=tuple(Tick(self._x(Decimal(week)), str(week)) for week in range(0, int(self.horizon) + 1, apart)),
            amounts=tuple(
                Tick(self._y(amount), f"{amount:,.0f}") for amount in scale if in_mg_known and amount <= self.top
            ),
            open_rows=self._open(rows) if not spans else (),
            unsure="" if spans else self._unsure(dose),
            describes=frame.arithmetic(dose) or frame.in_words(f"Ordered {dose.ordered or 'nothing readable'}."),
            verdict=dose.verdict.value,
            unit="mg",
            more=self.more,
        )

    @property
    def _most_ticks(self) -> int:
        return 5 if self.width < 460 else 8

    def _given(self, by_phase: Mapping[str | None, DoseRow]) -> list[_Given]:
        """The ordered administrations that are drawn, and with them how far the time goes."""
        combination, maintenance = by_phase.get(COMBINATION), by_phase.get(MAINTENANCE)
        cycles = combination.cycles if combination is not None and maintenance is not None else None
        series: list[_Series] = []
        at, self.horizon = Decimal(0), Decimal(_PHASED if len(self.order) > 1 else _ALONE)
        for step, phase, judged, verdict in self._judged_steps():
            amount = step.known_amount
            mg = None if amount is None or (amount.mg_per_kg and self.per_kg) else amount.at(self.world.kg)
            rhythm = step.intervals[0] if step.names_interval else None
            every = rhythm.days / rhythm.times / _WEEK if rhythm is not None and rhythm is not NEVER else None
            row, later, last = self._row(judged, mg, verdict), None, step.last
            number = step.first or 1
            if series:  # every instruction is seen to begin
                self.horizon = max(self.horizon, at + 4)
            if row is not None and phase == COMBINATION and cycles is not None:
                row, later = combination, maintenance
                self.horizon = max(self.horizon, Decimal(_PHASED))
                if last is None and verdict is not Verdict.WRONG_INTERVAL:
                    last = cycles  # nobody has ordered more of the combination than there may be
                elif last is not None and last > cycles and every:  # what goes beyond is what is judged: it is shown
                    self.horizon = max(self.horizon, at + every * (cycles + 2 - number))
            count = 1 if not every else None if last is None else max(0, last - number + 1)
            kept = None if later is None or cycles is None else max(0, cycles - number + 1)
            series.append(_Series(_Given(at, mg, step.shown, row, verdict), every or Decimal(0), count, kept, later))
            at = self.horizon if count is None else at + (every or Decimal(0)) * count
        found = [one for each in series for one in each.until(self.horizon)]
        self.more = len(found) > MOST_DOSES
        return found[:MOST_DOSES]

    def _judged_steps(self) -> Iterator[tuple[Step, str | None, StepJudgement, Verdict]]:
        """The steps of the order, each with its phase, its judgement and the verdict that is certain of it."""
        alone = len(self.order) == 1
        verdicts = [self.judgement.verdict] if alone else [summary.verdict for summary in self.judgement.steps]
        return zip(self.order, self.world.phases, self.world.steps, verdicts, strict=True)

    def _row(self, judged: StepJudgement, mg: Decimal | None, verdict: Verdict) -> DoseRow | None:
        """The row that a step is held against: for one that comes too soon, the first that it would be in time for."""
        if not self.limited:
            return None
        if verdict is Verdict.WRONG_INTERVAL and mg is not None:
            holding = [row for row in judged.candidates if mg <= self._mg(row)]
            return min(holding, key=lambda row: row.every_days, default=judged.row)
        return judged.row

    def _phases(self, given: Sequence[_Given], rows: Sequence[DoseRow]) -> list[tuple[Decimal, Decimal, DoseRow]]:
        """The rows that follow each other in time, each from and to which week; one row where there are no phases."""
        first = given[0].row if given else None
        if first is None:
            return []
        if first.phase != COMBINATION:
            return [(Decimal(0), self.horizon, first)]
        later = next((one for one in given if one.row is not None and one.row.phase == MAINTENANCE), None)
        maintenance = next((row for row in rows if row.phase == MAINTENANCE), None)
        until = later.at if later else self._after_combination(first)
        if until is None or maintenance is None or until >= self.horizon:
            return [(Decimal(0), self.horizon, first)]
        return [(Decimal(0), until, first), (until, self.horizon, later.row if later and later.row else maintenance)]

    def _after_combination(self, row: DoseRow) -> Decimal | None:
        """The week in which maintenance may begin: one interval after the last cycle, as far as it is ordered."""
        step = self.order[0]
        if row.cycles is None:
            return None
        named = step.intervals[0] if step.names_interval else None
        days = max(row.every_days, named.days / named.times) if named is not None else row.every_days
        return days * max(1, row.cycles - (step.first or 1) + 1) / _WEEK

    def _alternatives(
        self, rows: Sequence[DoseRow], phases: Sequence[tuple[Decimal, Decimal, DoseRow]]
    ) -> list[DoseRow]:
        """Other regimens of the same band and phase, drawn beside the one that decides."""
        used = {row for _, _, row in phases}
        return [row for row in rows if phases and row.phase is None and row not in used]

    def _stems(self, given: Sequence[_Given]) -> tuple[tuple[Stem, ...], tuple[Gap, ...]]:
        """The administrations as they are judged: nothing is coloured against the verdict on its step."""
        stems: list[Stem] = []
        gaps: list[Gap] = []
        for before, one in zip((None, *given), given, strict=False):
            mg, cap = one.mg, self._mg(one.row) if one.row is not None else None
            height = self._y(mg) if mg is not None else self._y(self.top * Decimal("0.62"))
            over = one.verdict is Verdict.EXCEEDS and mg is not None and cap is not None and mg > cap
            settled = mg is not None and cap is not None and one.verdict is not Verdict.UNDETERMINED
            state = "over" if over else "ok" if settled else "unknown"
            if gap := self._gap(before, one):
                gaps.append(gap)
                state = "soon" if state == "ok" else state
            amount = in_mg(mg) if mg is not None else "amount unknown"
            stems.append(
                Stem(
                    self._x(one.at),
                    height,
                    self._y(cap) if over and cap else height,
                    state,
                    f"{_when(one.at)}: {amount} ({frame.in_words(one.words)})",
                )
            )
        return tuple(stems), tuple(gaps)

    def _gap(self, before: _Given | None, one: _Given) -> Gap | None:
        """The time since the administration before, where it is too short. Maintenance begins in the combination's."""
        if before is None or before.row is None or one.row is None or one.verdict is not Verdict.WRONG_INTERVAL:
            return None
        apart, least = one.at - before.at, one.row.every_days / _WEEK
        if apart >= least or (before.row.phase == COMBINATION and one.row.phase == MAINTENANCE):
            return None
        start = self._x(before.at)
        return Gap(start, self._x(one.at) - start, f"{_long(apart)}, at least {_long(least)}")

    def _span(self, start: Decimal, end: Decimal, row: DoseRow, given: Sequence[_Given]) -> Span:
        x, until = self._x(start), self._x(end)
        cap, y = self._mg(row), self._y(self._mg(row))
        words = f"{row.cap} every {in_weeks(row.every_days)}"
        if self.weight is not None and row.cap.mg_per_kg:
            words = f"{in_mg(cap)} every {in_weeks(row.every_days)}"
        # Words above the line would hide the very doses that rise over it; nothing is drawn as high as ABOVE_ALL.
        risen = any(start <= one.at < end and one.mg is not None and one.mg > cap for one in given)
        below = y + 6 if y + TAG < HEIGHT - BOTTOM else ABOVE_ALL
        tag = below if risen else y - 27
        label = next((said for said in (f"limit {in_words(words)}", in_mg(cap)) if _wide(said) <= until - x - 12), "")
        phase = row.phase or ""
        return Span(
            x=x,
            width=until - x,
            y=y,
            tag=tag,
            text=in_words(words),
            label=label,
            label_width=_wide(label),
            cite=row.cite,
            phase=phase if len(phase) * _LETTER <= until - x - 10 else "",
        )

    def _beside(self, row: DoseRow) -> Span:
        """A limit that may be kept instead, for the whole time."""
        span = self._span(Decimal(0), self.horizon, row, ())
        label = f"also allowed: {span.text}"
        fits = len(label) * _SMALL_LETTER + 6 <= span.width
        return replace(span, label=label if fits else f"also allowed: {in_mg(self._mg(row))}")

    def _mg(self, row: DoseRow) -> Decimal:
        return row.cap.at(self.world.kg)

    def _unsure(self, dose: DoseAssessment) -> str:
        """Why no limit is drawn."""
        if self.judgement.verdict is not Verdict.UNDETERMINED:
            without = "Of several body weights" if self.judgement.question.weights else "Without a body weight"
            return f"{without} the limit is not drawn in mg."
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


def _wide(label: str) -> float:
    """How wide a label is drawn, in pixels."""
    return len(label) * _LETTER + 18


def _long(weeks: Decimal) -> str:
    """A time in whole weeks where it is one, else in days."""
    return in_weeks((weeks * _WEEK).quantize(Decimal("0.01")))


def _when(weeks: Decimal) -> str:
    """The week or the day on which something is given, counted from the first dose.

    >>> _when(Decimal(4)), _when(Decimal(10) / 7)
    ('week 4', 'day 10')
    """
    number, unit = _long(weeks).split()
    return f"{unit.removesuffix('s')} {number}"


def _scale(most: Decimal) -> list[Decimal]:
    """Round amounts for the axis, about four of them, the last at or above ``most``."""
    rough = most / 4
    power = Decimal(10) ** (rough.adjusted())
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    return [step * n for n in range(int(-(-most // step)) + 2) if step * n <= most + step]
