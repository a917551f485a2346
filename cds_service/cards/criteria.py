"""The card about criteria and documents: contradictions first, then what to supply and where it was looked for."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from cds_service.cards.asked import asked_for
from cds_service.cards.dose import arithmetic, weight_in_words
from cds_service.cards.frame import CardOptions, drug_name, footer, further_routes, make_card, remarks_of
from cds_service.cards.sorting import (
    DOSE_FACTS,
    SETTLES_ROW,
    dose_is_unread,
    fails_by_partner,
    has_no_row,
    is_of_dose,
    to_supply,
)
from cds_service.cards.text import (
    CITED,
    DATE,
    bullets,
    escaped,
    first_fitting,
    fitting,
    once,
    one_line,
    paragraphs,
    uncapital,
)
from cds_service.cards.words import CAUSES, MEANINGS, in_few_words
from cds_service.criteria.outcome import Outcome
from cds_service.criteria.verdict import Verdict
from cds_service.criteria.words import OR_ELSE, capital
from cds_service.evidence import NOT_OBTAINED
from cds_service.facts.catalogue import FACTS
from cds_service.result import CardKind, decisive
from cds_service.values import remembered
from cds_service.wording import in_words, short_in_words, words_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from cds_service.cards.asked import Asked, Request
    from cds_service.cards.sorting import Matter
    from cds_service.criteria.finding import Finding, Missing
    from cds_service.evidence import Absence, Evidence
    from cds_service.result import Assessment, Card

_BY_REFERENCE = re.compile(r" \(by \S+/\S+\)\Z")
"""Who gave an answer, where nothing but a reference says it: a card has no room for what nobody reads."""


def criteria_card(matter: Matter, options: CardOptions) -> Card | None:
    """The card about criteria and documents, or None where the dose card or silence says it all."""
    assessment, contradicted = matter.assessment, matter.contradicted
    missing = to_supply(matter) if options.documents else ()
    open_ = matter.open if options.documents else ()
    unread = assessment.dose.verdict is Verdict.UNDETERMINED and options.documents
    if not (contradicted or missing or open_ or assessment.could_not_check or unread):
        return None
    if contradicted:
        kind, indicator, summary = CardKind.CRITERIA, "warning", _contradiction_summary(assessment, contradicted)
    elif assessment.could_not_check:
        kind, indicator, summary = CardKind.UNCHECKED, "warning", _unchecked_summary(assessment)
    elif assessment.referred and has_no_row(assessment):
        kind, indicator, summary = CardKind.REFERRAL, "info", _referral_summary(assessment)
    else:
        kind, indicator, summary = CardKind.DOCUMENTS, "info", _documents_summary(matter, missing, open_)
    detail = _criteria_detail(matter, missing, open_)
    section = (contradicted or open_ or assessment.findings)[0].section if assessment.findings else assessment.section
    return make_card(
        assessment.policy, options, kind=kind, indicator=indicator, summary=summary, detail=detail, section=section
    )


def _contradiction_summary(assessment: Assessment, contradicted: Sequence[Finding]) -> str:
    drug, first, reason = drug_name(assessment.policy), contradicted[0], None
    section = first.section
    more = f" (and {len(contradicted) - 1} more)" if len(contradicted) > 1 else ""
    if fails_by_partner(assessment, first):
        because, todo = assessment.dose.partner_because, "change it or attach evidence"
        section = assessment.dose.row or section  # evidence may still carry the criterion above it
    else:
        reason = decisive(first)
        because = reason.because if reason is not None else ""
        todo = f"see {assessment.refer_to[0]}" if len(assessment.refer_to) == 1 else "correct the record or see detail"
    because = uncapital(CITED.sub("", one_line(in_words(because))).rstrip("."))
    condition = "; ".join(because.split("; ")[:2])
    if OR_ELSE in because and not _fails_a_limit(reason):
        condition = because  # what one of several alternatives wants is not required: all of them or none
    by_reason = (
        f"{drug}: {because}{more}; plan criterion {section} is not met, {todo}",
        f"{drug}: {because}{more}; criterion {section} not met, {todo}",
        f"{drug}: {condition}{more}; criterion {section} not met, {todo}",
    )
    return fitting(
        *(by_reason if because else ()),
        f"{drug} does not meet plan criterion {section}{more}: {first.label}; {todo}",
        f"{drug}: criterion {section} not met{more}: {first.label}; {todo}",
        f"{drug} does not meet plan criterion {section}{more}; {todo}",
    )


def _fails_a_limit(reason: Finding | None) -> bool:
    """Whether a number beyond its limit comes first among the reasons: it says more than the criterion's label."""
    refuted_by = reason.refuted_by if reason is not None else ()
    return bool(refuted_by) and FACTS[refuted_by[0]].kind in {"number", "age"}


def _unchecked_summary(assessment: Assessment) -> str:
    drug = drug_name(assessment.policy)
    # Evidence for a dose is attached or not; there is nothing to read.
    unread = [m for m in assessment.missing if m.absence in NOT_OBTAINED and m.fact != "off_label_evidence"]
    return fitting(
        *(f"{drug} could not be fully checked: {what} could not be read; check by hand or try again"
          for what in in_few_words(tuple(m.fact for m in unread))),
        f"{drug} could not be fully checked: chart data could not be read; check by hand or try again",
    )  # fmt: skip


def _referral_summary(assessment: Assessment) -> str:
    outside = f"{drug_name(assessment.policy)}: this use is outside {assessment.policy.id}"
    if not assessment.refer_to:
        return f"{outside}, and it names no policy for this line of business; ask the plan which one applies"
    if len(assessment.refer_to) == 1:
        number = assessment.refer_to[0]
        return fitting(
            f"{outside}; the plan refers it to {assessment.policy.other(number)}; send evidence",
            f"{outside}; the plan refers it to {number}; send evidence",
        )
    return fitting(
        f"{outside}; the plan refers it to one of {', '.join(assessment.refer_to)}; send evidence",
        f"{outside}; the plan refers it to another policy; see the numbers in the detail",
    )


def _documents_summary(matter: Matter, missing: Sequence[Missing], open_: Sequence[Finding]) -> str:
    assessment = matter.assessment
    drug = drug_name(assessment.policy)
    if has_no_row(assessment):
        no_row = f"{drug}: {assessment.policy.id} has no dose row for what is recorded of the disease; check the record"
        return fitting(f"{no_row}{_more_missing(asked_for(missing).count)}", no_row)
    if dose_is_unread(assessment):
        also = _more_missing(asked_for([m for m in missing if m.fact not in DOSE_FACTS]).count)
        todo = _dose_entry({m.fact for m in missing})
        ordered = short_in_words(assessment.dose.ordered) or "without a dose"
        return fitting(
            f"{drug} dose could not be evaluated: ordered {ordered}; {todo}{also}",
            f"{drug} dose could not be evaluated; {todo}{also}",
        )
    asked = asked_for(missing)
    if "indication" in asked.facts and "histology" not in asked.facts:
        also = _more_missing(asked.count - 1)
        if any(missing[one.place].fact == "indication" for one in asked.ours):
            return f"{drug} was not judged: the diagnosis was not available to this check; send it if the chart has it"
        return f"{drug}: it is open which diagnosis the order is for; link a diagnosis that settles it{also}"
    unsettled = SETTLES_ROW.intersection([one.fact for one in assessment.dose.unsettled])
    if unsettled and assessment.dose.verdict is Verdict.UNDETERMINED:
        without = asked_for([m for m in missing if m.fact in unsettled])
        also = _more_missing(asked.count - without.count)
        several = without.count > 1
        if without.document:
            todo = "record them" if several else "record it"
        else:
            todo = f"{'they were' if several else 'it was'} not available to this check"
        if assessment.dose.over_anyhow:
            return first_fitting(_over_anyhow(drug, short_in_words(assessment.dose.ordered), without))
        return first_fitting(f"{drug} dose cannot be judged without {what}; {todo}{also}" for what in without.named)
    if not missing:
        return _reviewer_summary(drug, open_)
    if not asked.document:
        return first_fitting(_not_available(drug, asked))
    return first_fitting(_needed(drug, asked, also=matter.over))


def _over_anyhow(drug: str, ordered: str, asked: Asked) -> Iterator[str]:
    """An order that no possible row allows, here for its amount and there for its interval."""
    over = "is too much or too often for any plan row; change it or attach evidence"
    for what in asked.named:
        yield f"{drug} {ordered} {over}; {what} would settle which"
    yield f"{drug} {ordered} {over}"
    yield f"{drug} {over}"


def _not_available(drug: str, asked: Asked) -> Iterator[str]:
    for what in asked.named:
        yield f"{drug}: {what} not available to this check; send it if the chart has it"
    yield f"{drug}: {asked.count} facts were not available to this check; send them if the chart has them"


def _needed(drug: str, asked: Asked, *, also: bool) -> Iterator[str]:
    needs = "also needs" if also else "needs"
    for what in asked.named:
        yield f"{drug}: the plan {needs} {what}; please document"
    yield f"{drug}: the plan {needs} {asked.count} facts documented; see the list"


def _reviewer_summary(drug: str, open_: Sequence[Finding]) -> str:
    if not open_:
        return f"{drug}: the plan's reviewer judges part of this request; send what supports it"
    section, because = open_[0].section, uncapital(one_line(open_[0].because))
    return fitting(
        f"{drug}: {because}; criterion {section} is for the plan's reviewer",
        f"{drug}: criterion {section} ({uncapital(open_[0].label)}) is for the plan's reviewer; send what supports it",
        f"{drug}: criterion {section} is for the plan's reviewer; send what supports it",
    )


def _dose_entry(asked: set[str]) -> str:
    """What to enter so that the dose can be judged; both where it is not known which of them is at fault."""
    amount, interval = asked & {"dose.value", "dose.unit"}, "dose.interval" in asked
    if interval and not amount:
        return "enter an interval in weeks"
    return "enter mg or mg/kg" if amount and not interval else "enter mg or mg/kg and an interval"


def _more_missing(count: int) -> str:
    if count == 0:
        return ""
    return "; one more fact is missing" if count == 1 else f"; {count} more facts are missing"


def _criteria_detail(matter: Matter, missing: Sequence[Missing], open_: Sequence[Finding]) -> str:
    assessment = matter.assessment
    blocks: list[list[str]] = [] if matter.over else [[dose_line(assessment)]]
    if matter.contradicted:
        blocks.append(
            [
                "**Recorded and against the plan's criteria**",
                "",
                *bullets(_criterion(assessment, f) for f in matter.contradicted),
            ]
        )
    asked = asked_for(missing)
    sections = _sections(assessment) if missing else {}
    said = frozenset([note.rstrip(".").lower() for note in assessment.notes])
    if asked.document:
        blocks.append(["**Please document**", "", *_requests(asked.document, missing, sections, said)])
    if asked.ours:
        blocks.append(["**Not available to this check** (no omission of yours)", ""])
        blocks[-1] += _requests(asked.ours, missing, sections, said)
    judged = [f for f in open_ if not _asks_for(f, asked.facts)]
    if judged:
        blocks.append(["**Open**", "", *bullets(_criterion(assessment, f) for f in judged)])
    if assessment.refer_to:
        blocks.append(
            ["**Other policies that apply**", "", *bullets(map(assessment.policy.other, assessment.refer_to))]
        )
    remarks = [] if matter.over else remarks_of(assessment)
    remarks += further_routes(assessment)
    if remarks:
        # right below another list they would be read as a part of it
        heading = ["**Noted**", ""] if blocks and blocks[-1][-1].startswith("- ") else []
        blocks.append([*heading, *bullets(once(remarks))])
    return paragraphs(*blocks, [footer(assessment)])


def dose_line(assessment: Assessment) -> str:
    """The dose in one line, for a card that is about something else."""
    dose = assessment.dose
    weight = f" Weight {weight_in_words(dose.weight)}." if dose.weight else ""
    if dose.verdict is Verdict.OK:
        row = f" ({dose.row})" if dose.row else ""
        return f"Dose within the limit{row}: {arithmetic(dose)}.{weight}"
    if has_no_row(assessment):
        return "The dose was not judged: the policy has no row for this use."
    rows = f" Possible rows: {', '.join(dose.open_rows)}." if len(dose.open_rows) > 1 else ""
    if dose.over_anyhow:
        return f"Dose too much or too often for every row that is possible: {arithmetic(dose)}.{weight}{rows}"
    named = "limit " if dose.arithmetic else "ordered " if dose.ordered else ""
    return f"Dose not evaluable: {named}{arithmetic(dose)}.{weight}{rows}"


def _criterion(assessment: Assessment, finding: Finding) -> str:
    """A criterion with its reason, and below it the reasons of its alternatives where it is made of some."""
    reason = f"{finding.section} {finding.label}: {_because(finding)}"
    failed = finding.deciding
    if finding.outcome is not Outcome.NOT_MET or len(failed) < 2 or is_of_dose(assessment, finding):
        return reason
    return "\n".join([reason, *(f"  - {part.section}: {_because(part)}" for part in failed)])


def _because(finding: Finding) -> str:
    """The reason with what it was read from, where the reason does not give the dates itself."""
    because = one_line(escaped(in_words(finding.because))).removeprefix(f"{finding.section}: ")
    if DATE.search(because):
        return because
    seen = once(f"{_value(e)}, {e.recorded.isoformat()}" for e in finding.evidence if e.recorded and e.shown)
    return because + (f" ({'; '.join(seen)})" if seen else "")


def _value(evidence: Evidence) -> str:
    """What was read; an answer that is yes or no together with its question, and by whom where that is a name."""
    shown = _BY_REFERENCE.sub("", evidence.shown)
    said, _, by = shown.partition(" (")
    answer = {"true": "yes", "false": "no"}.get(said)
    if answer is None or evidence.path not in FACTS:
        return escaped(in_words(shown))
    return f"{FACTS[evidence.path].meaning}: {answer}" + (f" ({escaped(by)}" if by else "")


def _asks_for(finding: Finding, facts: Collection[str]) -> bool:
    """Whether a finding or any of its parts lacks one of the facts."""
    return any(missing.fact in facts for part in finding.walk() for missing in part.missing)


def _requests(
    requests: Sequence[Request], missing: Sequence[Missing], sections: Mapping[str, str], said: Collection[str]
) -> list[str]:
    """What is asked for, as lines of a list; alternatives below a line that says so.

    ``said`` are the remarks of the card: why a diagnosis is open is not said again with what it lacks.
    """
    lines: list[str] = []
    together: dict[tuple[str, ...], list[str]] = {}
    for place, parts, among in requests:
        one = missing[place]
        section = sections.get(one.fact, "")
        looked_for = "" if said and one.looked_for.lower() in said else _looked_for(one.looked_for)
        if among:
            first = f"- One of these can be enough{f' ({section})' if section else ''}:"
            line = f"  {_request(one.fact, one.absence, parts, '')}{looked_for}"
            together.setdefault(among, [first]).append(line)
        else:
            lines.append(_request(one.fact, one.absence, parts, section) + looked_for)
    return [*lines, *chain.from_iterable(together.values())] if together else lines


@lru_cache(maxsize=4096)
def _request(fact: str, absence: Absence, parts: tuple[str, ...], section: str) -> str:
    """One request; the parts of a group that is asked for as a whole are named in its line."""
    asked = words_for(fact)
    inside = f": {'; '.join(words_for(part).what for part in parts)}" if parts else ""
    text = CAUSES[absence].format(do=asked.do + inside, what=asked.what + inside)
    return f"- {capital(text)}{f' ({section})' if section else ''}."


@remembered
def _looked_for(place: str) -> str:
    return f" Looked for: {escaped(place)}." if place and place not in MEANINGS else ""


def _sections(assessment: Assessment) -> dict[str, str]:
    """The innermost section that asks for each fact, the first in the policy's order where several do."""
    sections: dict[str, str] = {}
    _add_sections(assessment.findings, sections)
    return sections


def _add_sections(findings: Sequence[Finding], sections: dict[str, str]) -> None:
    for finding in findings:
        section = finding.section
        for missing in finding.missing:
            known = sections.get(missing.fact)
            if known is None or known.count(".") < section.count("."):
                sections[missing.fact] = section
        if finding.parts:
            _add_sections(finding.parts, sections)
