"""What must hold in a policy document beyond its form: no gap, no overlap, no citation twice or forgotten."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from cds_service.criteria.quantity import plain
from cds_service.documents import closest
from cds_service.terminology.codes import value_sets
from cds_service.terminology.drugs import GENERICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cds_service.policies.model import CriterionWord, PoliciesWord, PolicyWord, RowWord

Loc = tuple[int | str, ...]
Problem = tuple[Loc, str]

TOP = Decimal(10) ** 6  # kg; above every weight, stands for "no upper end"


def problems_of(word: PolicyWord) -> Iterator[Problem]:
    """Every problem of a typed document, with the place of the value it is about."""
    yield from _citations(word)
    yield from _bands(word)
    yield from _pathways(word)
    yield from _names(word)
    yield from _drugs(word)
    yield from _header(word)


def _criteria(word: CriterionWord, loc: Loc) -> Iterator[tuple[CriterionWord, Loc]]:
    yield word, loc
    for key, parts in (("all", word.all_of), ("any", word.any_of)):
        for index, part in enumerate(parts or ()):
            yield from _criteria(part, (*loc, key, index))
    if word.given is not None and word.then is not None:
        yield from _criteria(word.given, (*loc, "given"))
        yield from _criteria(word.then, (*loc, "then"))


def _all_criteria(word: PolicyWord) -> Iterator[tuple[CriterionWord, Loc]]:
    for p, pathway in enumerate(word.pathways):
        for c, criterion in enumerate(pathway.criteria):
            yield from _criteria(criterion, ("pathways", p, "criteria", c))


def _citations(word: PolicyWord) -> Iterator[Problem]:
    """Each citation once; each section of the outline cited or listed; nothing cited that the outline lacks."""
    seen: dict[str, Loc] = {}
    row_tables: dict[str, Loc] = {}
    rows: dict[str, Loc] = {}
    for criterion, loc in _all_criteria(word):
        if criterion.cite:
            if criterion.cite in seen:
                yield loc, f"{criterion.cite} is cited twice"
            seen.setdefault(criterion.cite, loc)
        for index, row in enumerate(criterion.dose_within or ()):
            table = row_tables.setdefault(row.cite, loc)
            rows.setdefault(row.cite, (*loc, "dose_within", index))
            if table != loc:
                yield (*loc, "dose_within", index), f"{row.cite} is cited by rows of two tables"
            if row.cite in seen:
                yield (*loc, "dose_within", index), f"{row.cite} is cited by a criterion and by a row"
    cited = {**rows, **seen}
    for r, referral in enumerate(word.referrals):
        change = referral.label_change
        for cite in (change.cite, change.formulary.cite, change.non_formulary.cite, referral.off_label.cite):
            if cite in cited:
                yield ("referrals", r), f"{cite} is cited twice"
            cited[cite] = ("referrals", r)
    listed = {item.section for item in word.not_encoded}
    elsewhere = {note.section for note in word.notes} | {item.section for item in word.restated}
    if word.listed_partners:
        elsewhere.add(word.listed_partners.section)
    if word.drug.vials:
        elsewhere.add("VI")
    outline = [section for line in word.outline for section in line]
    for section in outline:
        if section not in cited and section not in listed and section not in elsewhere:
            yield ("outline",), f"section {section} is neither encoded nor listed under not_encoded"
    for section, loc in cited.items():
        if section not in outline:
            yield loc, f"{section} is cited, but the outline has no such section{closest(section, outline)}"
    for index, item in enumerate(word.not_encoded):
        if item.section in cited:
            yield ("not_encoded", index), f"{item.section} is listed as not encoded, but it is cited"


def _bands(word: PolicyWord) -> Iterator[Problem]:
    for criterion, loc in _all_criteria(word):
        rows = criterion.dose_within
        if rows is None:
            continue
        name = criterion.cite or _common(rows)
        for phase in dict.fromkeys(row.phase for row in rows):
            yield from _band_problems([r for r in rows if r.phase == phase], phase, name, (*loc, "dose_within"))
        phases = {row.phase for row in rows}
        if None in phases and len(phases) > 1:
            yield (*loc, "dose_within"), f"{name} has rows with and without a phase"


def _band_problems(rows: list[RowWord], phase: str | None, name: str, loc: Loc) -> Iterator[Problem]:
    """Weights that no row is for, and weights that bands with different ends share."""
    bands = sorted({(row.weight.at_least or Decimal(0), row.weight.below or TOP) for row in rows})
    of_phase = f" in the {phase} phase" if phase else ""
    reached = Decimal(0)
    for (low, high), following in [*pairwise([*bands, (TOP, TOP)])]:
        if low > reached:
            yield loc, f"{name} has no row for weights from {plain(reached)} kg to {plain(low)} kg{of_phase}"
        if following[0] < high:
            yield loc, f"{name} has overlapping weight bands at {plain(following[0])} kg{of_phase}"
        reached = max(reached, high)
    if reached < TOP:
        yield loc, f"{name} has no row for weights from {plain(reached)} kg{of_phase}"


def _common(rows: tuple[RowWord, ...]) -> str:
    """The section that the rows' citations have in common: ``I.B.5`` for ``I.B.5.a`` and ``I.B.5.b``."""
    parts = [row.cite.split(".") for row in rows]
    shared = [group[0] for group in zip(*parts, strict=False) if len(set(group)) == 1]
    return ".".join(shared)


def _pathways(word: PolicyWord) -> Iterator[Problem]:
    """Diseases and pathways that are named have to exist, and each pathway and approval is for something."""
    first = {pathway.section: pathway for pathway in word.pathways if pathway.request == "initial"}
    for name, disease in word.diseases.items():
        named = first.get(disease.pathway)
        if named is None:
            yield ("diseases", name), f"{name} names the pathway {disease.pathway}, which does not exist"
        elif named.disease not in {None, name}:
            yield ("diseases", name), f"{name} names the pathway {disease.pathway}, which is for {named.disease}"
    reached: dict[tuple[str, str | None], str] = {}
    for p, pathway in enumerate(word.pathways):
        if pathway.disease is not None and pathway.disease not in word.diseases:
            yield ("pathways", p, "disease"), _unknown("disease", pathway.disease, word.diseases)
        before = reached.get((pathway.request, None)) or reached.get((pathway.request, pathway.disease))
        if before is not None:
            yield ("pathways", p), f"{pathway.section} is never used: {before} is for the same requests"
        reached.setdefault((pathway.request, pathway.disease), pathway.section)
        given: set[str | None] = set()
        for a, approval in enumerate(pathway.approval):
            if approval.disease is not None and approval.disease not in word.diseases:
                yield ("pathways", p, "approval", a), _unknown("disease", approval.disease, word.diseases)
            if given & {None, approval.disease}:
                words = "this approval is never used: one above it counts; the one without a disease comes last"
                yield ("pathways", p, "approval", a), words
            given.add(approval.disease)


def _places(word: PolicyWord) -> Iterator[tuple[PoliciesWord, Loc]]:
    """The places of the referrals that name policies."""
    for r, referral in enumerate(word.referrals):
        change = referral.label_change
        yield change.formulary, ("referrals", r, "label_change", "formulary")
        yield change.non_formulary, ("referrals", r, "label_change", "non_formulary")
        yield referral.off_label, ("referrals", r, "off_label")


def _names(word: PolicyWord) -> Iterator[Problem]:
    """Lines of business and settings that are named have to exist."""
    lines = set(word.lines_of_business)
    referred: dict[str, Loc] = {}
    for where, loc in _places(word):
        if set(where.policies) != lines:
            wanted = ", ".join(word.lines_of_business)
            yield loc, f"{where.cite} does not name a policy for each line of business ({wanted})"
        for number in where.policies.values():
            referred.setdefault(number, loc)
    for number, loc in referred.items():
        if number not in word.other_policies:
            yield loc, f"other_policies does not say what {number} is for{closest(number, word.other_policies)}"
    for number in word.other_policies.keys() - referred.keys():
        yield ("other_policies", number), f"nothing is referred to {number}"
    if word.listed_partners and word.listed_partners.setting not in word.settings:
        yield ("listed_partners", "setting"), _unknown("setting", word.listed_partners.setting, word.settings)
    for criterion, loc in _all_criteria(word):
        if criterion.cite and not re.fullmatch(r"[A-Z0-9][A-Za-z0-9.\- ]*", criterion.cite):
            yield loc, f"{criterion.cite!r} is no section number"


def _drugs(word: PolicyWord) -> Iterator[Problem]:
    """Partner drugs have to be ones that are recognised in a chart: another name could never be found there."""
    for criterion, loc in _all_criteria(word):
        named = [("given_with", drug) for group in criterion.given_with or () for drug in group.split(" or ")]
        required = [drug.strip() for _, drug in named]
        for place in criterion.not_instead.values():
            if place not in required:
                yield (*loc, "not_instead"), f"{place} is not among the drugs of given_with{closest(place, required)}"
        named += [("not_instead", drug) for drug in criterion.not_instead]
        for key, drug in named:
            if drug.strip() not in GENERICS:
                yield (*loc, key), _unknown("drug", drug.strip(), GENERICS)
        for index, row in enumerate(criterion.dose_within or ()):
            if row.partner is not None and row.partner[0] not in GENERICS:
                yield (*loc, "dose_within", index, "with"), _unknown("drug", row.partner[0], GENERICS)
    for loc, drug in _listed_partners(word):
        if drug not in GENERICS:
            yield loc, _unknown("drug", drug, GENERICS)


def _listed_partners(word: PolicyWord) -> Iterator[tuple[Loc, str]]:
    if word.listed_partners is None:
        return
    for drug in word.listed_partners.drugs:
        yield ("listed_partners", "drugs"), drug
    for histology, regimens in word.listed_partners.histology.items():
        for drug in (drug for regimen in regimens for drug in regimen.split("+")):
            yield ("listed_partners", "histology", histology), drug.strip()


def _header(word: PolicyWord) -> Iterator[Problem]:
    """Codes that exist, vials that hold the drug at its strength, and a revision does not end before it begins."""
    if word.drug.value_set is not None and word.drug.value_set not in value_sets():
        yield ("drug", "value_set"), _unknown("value set", word.drug.value_set, value_sets())
    for index, vial in enumerate(word.drug.vials):
        if word.drug.strength is not None and vial.mg != vial.ml * word.drug.strength:
            shown = f"{plain(vial.mg)} mg/{plain(vial.ml)} mL"
            yield ("drug", "vials", index), f"{shown} is not the strength of {plain(word.drug.strength)} mg/mL"
    if word.in_force.until is not None and word.in_force.until < word.in_force.start:
        yield ("in_force", "until"), "the last day in force is before the first"


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    return f"unknown {kind} {name!r}" + (closest(name, names) or f"; known are {', '.join(names)}")
