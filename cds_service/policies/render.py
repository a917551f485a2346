"""A policy as a page that a pharmacist reads and checks: tables first, then criteria, then readings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cds_service.criteria.criterion import (
    AllOf,
    AnyOf,
    Attached,
    Companions,
    Criterion,
    DoseWithin,
    FactTest,
    Given,
    Unclear,
)
from cds_service.criteria.quantity import in_weeks, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cds_service.criteria.criterion import DoseRow
    from cds_service.policies.model import LineOfBusinessWord, PoliciesWord, PolicyWord, ReferralWord
    from cds_service.policies.revision import Pathway, Revision

    Titles = Mapping[str, str]


class Line(NamedTuple):
    """A cited criterion in plain words (Markdown), with the cited criteria below it."""

    cite: str
    label: str
    words: str
    parts: tuple[Line, ...]


def outline(criterion: Criterion, revision: Revision) -> Line:
    """A criterion and what it rests on, for pages that lay it out themselves."""
    parts = tuple(outline(part, revision) for part in _cited(criterion))
    return Line(criterion.cite or "", criterion.label, _inline(criterion, titles_of(revision), cited=False), parts)


def titles_of(revision: Revision) -> Titles:
    """The diseases that the policy names, each under its key."""
    return {key: word.title for key, word in revision.document.diseases.items()}


def render(revision: Revision) -> str:
    """The revision as GitHub-flavoured Markdown, made from the loaded policy alone."""
    return "\n".join(_page(revision)) + "\n"


def _page(revision: Revision) -> Iterator[str]:
    yield from _head(revision)
    yield "## Dose tables"
    yield ""
    yield "An administration may not be above the limit, nor come sooner than the interval."
    yield ""
    for pathway in revision.pathways:
        yield from _dose_table(pathway)
    yield "## Criteria"
    yield ""
    for pathway in revision.pathways:
        yield from _criteria(pathway, titles_of(revision))
    for referral in revision.document.referrals:
        yield from _referral(referral, revision.document.lines_of_business)
    yield from _other_policies(revision.document)
    yield "## Settings"
    yield ""
    for name, criterion in revision.settings.items():
        yield f"- **{name}**: {_inline(criterion, titles_of(revision))}"
    yield ""
    yield from _remarks(revision.document)


def _head(revision: Revision) -> Iterator[str]:
    """What the document is, the drug, and the lines of business."""
    document = revision.document
    until = revision.in_force.end
    yield f"# {revision.policy}: {revision.title}"
    yield ""
    yield f"Revision {revision.revision}, in force from {revision.in_force.start}" + (f" to {until}." if until else ".")
    lines = document.lines_of_business
    yield f"Payer: {revision.payer}. Lines of business: {', '.join(w.title for w in lines.values())}."
    yield f"Source: {document.source.document} (SHA-256 `{document.source.sha256}`)."
    yield f"Reviewed by: {document.reviewed_by or 'not yet signed'}."
    yield ""
    drug = revision.drug
    vials = ", ".join(f"{plain(v.mg)} mg/{plain(v.ml)} mL" for v in drug.vials)
    if vials:
        unit = f", one unit is {plain(drug.billing_unit_mg)} mg" if drug.billing_unit_mg is not None else ""
        strength = f"Strength: {plain(drug.mg_per_ml)} mg/mL. " if drug.mg_per_ml is not None else ""
        yield f"{strength}Vials: {vials}. Billing: {drug.billing_code or 'not stated'}{unit}."
        yield ""
    for line in lines_of_business(revision):
        yield f"- {line}"
    yield ""


def _criteria(pathway: Pathway, titles: Titles) -> Iterator[str]:
    yield f"### {pathway.section} {pathway.label}"
    yield ""
    yield f"All of these. Approval: {approval(pathway, titles)}."
    yield ""
    for criterion in pathway.criteria:
        yield from _criterion(criterion, titles, 0)
    yield ""


def _referral(referral: ReferralWord, lines: Mapping[str, LineOfBusinessWord]) -> Iterator[str]:
    """The policies that a request is referred to, by line of business."""
    yield f"### {referral.section} {referral.label}"
    yield ""
    yield f"{referral.label_change.cite}: {referral.label_change.label}."
    yield ""
    yield f"| section | when | {' | '.join(w.title for w in lines.values())} |"
    yield f"|---|---|{'---|' * len(lines)}"
    for word, when in routes(referral):
        yield f"| {word.cite} | {when} | {' | '.join(word.policies[line] for line in lines)} |"
    yield ""


def _other_policies(document: PolicyWord) -> Iterator[str]:
    """What is said elsewhere: the purpose of other policies, and the partners that the document lists."""
    if document.other_policies:
        yield "What these policies are for, as cards say it:"
        yield ""
        for number, purpose in document.other_policies.items():
            yield f"- {number}: {purpose}"
        yield ""
    if document.listed_partners:
        listed = document.listed_partners
        yield f"### {listed.section}: partners by histology"
        yield ""
        for histology, partners in listed.histology.items():
            yield f"- {histology}: {' or '.join(partners)}"
        yield ""


def _remarks(document: PolicyWord) -> Iterator[str]:
    """How unclear places are read, what is left out, and what goes with answers."""
    yield "## Readings of unclear places"
    yield ""
    yield "| section | trouble | reading |"
    yield "|---|---|---|"
    for item in document.readings:
        yield f"| {item.section} | {item.trouble} | {item.reading} |"
    yield ""
    yield "## Not encoded"
    yield ""
    yield "| section | why |"
    yield "|---|---|"
    for left_out in document.not_encoded:
        yield f"| {left_out.section} | {left_out.why} |"
    for restated in document.restated:
        yield f"| {restated.section} | Restated: {restated.where} |"
    if document.notes:
        yield ""
        yield "## Notes that go with answers"
        yield ""
        for note in document.notes:
            yield f"- {note.section} ({note.when}): {note.text}"


def lines_of_business(revision: Revision) -> list[str]:
    """What goes with the answers for a line of business, and for any other one."""
    document = revision.document
    notes = [f"{line.title}: {line.note}" for line in document.lines_of_business.values() if line.note]
    return [*notes, f"Any other line of business: {document.other_line_of_business}"]


def routes(referral: ReferralWord) -> list[tuple[PoliciesWord, str]]:
    """The places of a referral that name policies, each with when it applies."""
    change = referral.label_change
    within = f"Label changed within {change.within_months} months"
    return [
        (change.formulary, f"{within}: {change.formulary.label}"),
        (change.non_formulary, f"{within}: {change.non_formulary.label}"),
        (referral.off_label, f"Otherwise: {referral.off_label.label}"),
    ]


def approval(pathway: Pathway, titles: Titles) -> str:
    """How long the policy would approve."""
    texts = []
    for word in pathway.approval:
        text = f"{plain(word.months)} months"
        if word.less:
            text = f"up to {text} in total, less the months already received"
        if word.disease:
            text = f"{titles.get(word.disease, word.disease)}: {text}"
        elif len(pathway.approval) > 1:
            text = f"others: {text}"
        texts.append(text)
    return "; ".join(texts)


def partner_of(row: DoseRow) -> str:
    """The drug that a row is tied to, in words; more doses of it than there are cycles go on into maintenance."""
    partner = row.partner
    if partner is None:
        return ""
    text = partner.drug + (f" {partner.cap}" if partner.cap else "")
    if partner.doses:
        text += f", {partner.doses} dose{'s' if partner.doses > 1 else ''} at most"
        if row.cycles and partner.doses > row.cycles:
            text += f" ({row.cycles} in the cycles, {partner.doses - row.cycles} in maintenance)"
    return text


def _dose_table(pathway: Pathway) -> Iterator[str]:
    yield f"### {pathway.section} {pathway.label}"
    yield ""
    yield "| section | setting | body weight | phase | limit | shortest interval | cycles | with |"
    yield "|---|---|---|---|---|---|---|---|"
    for setting, rows in pathway.tables.items():
        for row in rows:
            every = in_weeks(row.every_days)
            yield (
                f"| {row.cite} | {setting or ''} | {row.band} | {row.phase or ''} | {row.cap} | {every} "
                f"| {row.cycles or ''} | {partner_of(row)} |"
            )
    yield ""
    for setting, note in pathway.table_notes.items():
        if note:
            yield f"{setting}: {note}" if setting else note
            yield ""


def _criterion(criterion: Criterion, titles: Titles, depth: int) -> Iterator[str]:
    """A cited criterion as a list item; conditions without a citation are written into it."""
    indent = "  " * depth
    parts = list(_cited(criterion))
    head = f"{indent}- **{criterion.cite}** {criterion.label}"
    words = _inline(criterion, titles, cited=False)
    yield f"{head}: {words}" if words else head
    for part in parts:
        yield from _criterion(part, titles, depth + 1)


def _cited(criterion: Criterion) -> Iterator[Criterion]:
    """The nearest cited criteria below one."""
    for part in criterion.parts:
        if part.cite:
            yield part
        else:
            yield from _cited(part)


def _inline(criterion: Criterion, titles: Titles, *, cited: bool = True) -> str:
    """A clause in words. With ``cited`` false, cited parts are only named."""
    match criterion.clause:
        case FactTest() as test:
            return f"{test.meaning}: {_requirement(test, titles)}" + (
                f" ({', '.join('no' if v is False else str(v) for v in test.open_if)}: ask)" if test.open_if else ""
            )
        case AllOf(parts=parts):
            return _joined(parts, titles, " **and** ", cited=cited)
        case AnyOf(parts=parts):
            return _joined(parts, titles, " **or** ", cited=cited)
        case Given(condition=condition, then=then):
            follows = then.cite or _inline(then, titles, cited=False)
            return f"if {_inline(condition, titles)}, then {follows}"
        case Companions() as companions:
            text = f"given with {companions.requirement}"
            return text + "".join(f" ({drug} is no substitute for {place})" for drug, place in companions.not_instead)
        case DoseWithin() as within:
            return f"dose within the rows for {within.setting}" if within.setting else "dose within the rows"
        case Attached() as attached:
            return f"{attached.meaning} (a reviewer judges it)"
        case Unclear() as unclear:
            return f"*{unclear.because}*"


def _joined(parts: tuple[Criterion, ...], titles: Titles, joint: str, *, cited: bool) -> str:
    texts = []
    for part in parts:
        if part.cite:
            texts.append(part.cite)
        else:
            text = _inline(part, titles, cited=cited)
            texts.append(f"({text})" if isinstance(part.clause, AllOf | AnyOf) and len(parts) > 1 else text)
    return joint.join(texts)


def _requirement(test: FactTest, titles: Titles) -> str:
    if test.equals in {(True,), (False,)}:
        return "yes" if test.equals == (True,) else "no"
    if test.fact in {"indication", "disease"} and test.equals is not None:
        return " or ".join(titles.get(str(value), str(value)) for value in test.equals)
    return test.requirement
