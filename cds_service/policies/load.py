"""From a YAML file to a revision; every problem says file and line (see :mod:`cds_service.documents`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cds_service.criteria.criterion import (
    AllOf,
    AnyOf,
    Attached,
    Clause,
    Companions,
    Criterion,
    DoseRow,
    DoseWithin,
    FactTest,
    Given,
    Partner,
    Unclear,
)
from cds_service.criteria.evaluate import prepare
from cds_service.criteria.quantity import in_weeks, plain
from cds_service.documents import Source, closest, read_document
from cds_service.errors import PolicyError
from cds_service.facts.catalogue import FACTS
from cds_service.files import read_file
from cds_service.policies.consistency import problems_of
from cds_service.policies.model import CriterionWord, PolicyWord
from cds_service.policies.revision import InForce, Pathway, Revision
from cds_service.terminology.drug import Drug

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cds_service.documents import Loc
    from cds_service.facts.catalogue import FactDefinition
    from cds_service.policies.model import DrugWord, RowWord


_DISEASES = frozenset({"indication", "disease"})
_NUMBERS = frozenset({"number", "age", "weight"})


def load_revision(path: Path) -> Revision:
    """Load, type and check one policy file. PolicyError lists every problem with file and line."""
    source = Source("/".join(filter(None, (path.parent.name, path.name))), PolicyError)
    try:
        raw = read_file(path)
    except OSError as error:
        raise PolicyError([f"{source.name}:1: cannot be read ({error.strerror})"]) from None
    word = read_document(raw, PolicyWord, source)
    build = Build(source, word)
    settings = {name: build.criterion(setting, ("settings", name)) for name, setting in word.settings.items()}
    pathways = tuple(build.pathway(index) for index in range(len(word.pathways)))
    for loc, text in problems_of(word):
        source.problem(loc, text)
    source.raise_problems()
    for criterion in (*settings.values(), *(criterion for pathway in pathways for criterion in pathway.criteria)):
        prepare(criterion)
    return Revision(
        policy=word.policy,
        title=word.title,
        payer=word.payer,
        revision=word.revision,
        in_force=InForce(word.in_force.start, word.in_force.until),
        sha256=hashlib.sha256(raw).hexdigest(),
        drug=_drug(word.drug),
        document=word,
        settings=settings,
        pathways=pathways,
        file=source.name,
    )


def _drug(word: DrugWord) -> Drug:
    return Drug(
        name=word.name,
        brand=word.brand,
        names=tuple(n.strip().lower() for n in word.names),
        value_set=word.value_set,
        codes=frozenset((c.system, c.code) for c in word.codes),
        mg_per_ml=word.strength,
        vials=word.vials,
        billing_code=word.billing.code if word.billing else None,
        billing_unit_mg=word.billing.unit.mg if word.billing else None,
    )


@dataclass
class Build:
    """Turns the words of one document into criteria; what makes no sense becomes a problem at its line."""

    source: Source
    word: PolicyWord

    def pathway(self, index: int) -> Pathway:
        """One pathway with its criteria and dose tables."""
        word = self.word.pathways[index]
        loc: Loc = ("pathways", index)
        criteria = tuple(self.criterion(c, (*loc, "criteria", i)) for i, c in enumerate(word.criteria))
        for i, written in enumerate(word.criteria):
            if not written.cite:
                self.source.problem((*loc, "criteria", i), f"a criterion of {word.section} has no citation")
        tables: dict[str | None, tuple[DoseRow, ...]] = {}
        notes: dict[str | None, str] = {}
        for criterion in criteria:
            for within in criterion.dose_tables:
                if within.setting in tables:
                    self.source.problem(loc, f"{word.section} has two dose tables for {within.setting}")
                tables[within.setting] = within.rows
                notes[within.setting] = within.note
        for i, approval in enumerate(word.approval):
            if approval.less is not None and approval.less not in FACTS:
                self.source.problem((*loc, "approval", i), _unknown_fact(approval.less))
            elif approval.less is not None and FACTS[approval.less].kind not in _NUMBERS:
                self.source.problem((*loc, "approval", i), f"{approval.less} is no number; nothing can be taken off")
        return Pathway(word.section, word.request, word.disease, word.label, word.approval, criteria, tables, notes)

    def criterion(self, word: CriterionWord, loc: Loc) -> Criterion:
        """A criterion with everything below it."""
        return Criterion(self._clause(word, loc), word.cite, word.label)

    def _clause(self, word: CriterionWord, loc: Loc) -> Clause:
        in_order = word.ask == "in order"
        for name in (word.also_ask, word.ask_instead):
            self._known_fact(name, loc)
        if word.all_of is not None:
            parts = tuple(self.criterion(p, (*loc, "all", i)) for i, p in enumerate(word.all_of))
            return AllOf(parts, in_order, word.also_ask)
        if word.any_of is not None:
            parts = tuple(self.criterion(p, (*loc, "any", i)) for i, p in enumerate(word.any_of))
            return AnyOf(parts, in_order, word.also_ask, word.ask_instead)
        if word.given is not None and word.then is not None:
            return Given(self.criterion(word.given, (*loc, "given")), self.criterion(word.then, (*loc, "then")))
        if word.given_with is not None:
            return Companions(
                tuple(tuple(d.strip() for d in group.split(" or ")) for group in word.given_with),
                " and ".join(word.given_with),
                tuple(word.not_instead.items()),
            )
        if word.dose_within is not None:
            return self._dose_within(word, loc)
        if word.attached is not None:
            self._known_fact(word.attached, (*loc, "attached"))
            definition = FACTS.get(word.attached)
            return Attached(word.attached, definition.meaning if definition else "")
        if word.unclear is not None:
            return Unclear(word.unclear)
        return self._fact_test(word, loc)

    def _dose_within(self, word: CriterionWord, loc: Loc) -> DoseWithin:
        if word.setting is not None and word.setting not in self.word.settings:
            known = ", ".join(self.word.settings)
            self.source.problem((*loc, "setting"), f"unknown setting {word.setting!r}; known are {known}")
        rows = tuple(_row(row) for row in word.dose_within or ())
        return DoseWithin.of(rows, word.setting, word.table_note)

    def _known_fact(self, name: str | None, loc: Loc) -> None:
        if name is not None and name not in FACTS:
            self.source.problem(loc, _unknown_fact(name))

    def _fitting_test(self, word: CriterionWord, definition: FactDefinition, loc: Loc) -> None:
        """Numbers are compared, everything else is one of its values: any other test could never be met."""
        compared = next((key for key in ("at_least", "at_most", "more_than") if getattr(word, key) is not None), None)
        if compared is not None and definition.kind not in _NUMBERS:
            self.source.problem((*loc, compared), f"{definition.name} is no number; test it by is or is_one_of")
        if definition.kind in _NUMBERS and (word.equals is not None or word.is_one_of is not None):
            key = "is" if word.equals is not None else "is_one_of"
            words = f"{definition.name} is a number; test it by at_least, at_most or more_than"
            self.source.problem((*loc, key), words)

    def _fact_test(self, word: CriterionWord, loc: Loc) -> FactTest:
        name = word.fact or ""
        self._known_fact(name, (*loc, "fact"))
        definition = FACTS.get(name)
        values = definition.values if definition else ()
        if name in _DISEASES:
            values = tuple(self.word.diseases)
        if definition is not None:
            self._fitting_test(word, definition, loc)
        answers_yes = definition is not None and (definition.kind == "boolean" or "true" in values)

        def typed(text: str, key: str) -> str | bool:
            if answers_yes and text in {"yes", "no"}:
                return _yes_no(text)
            if (definition is not None and definition.kind == "boolean") or (values and text not in values):
                allowed = ", ".join(values) if values else "yes, no"
                self.source.problem((*loc, key), f"{name} is never {text!r}; it may be {allowed}")
            return text

        equals: tuple[str | bool, ...] | None = None
        if word.equals is not None:
            equals = (typed(word.equals, "is"),)
        elif word.is_one_of is not None:
            equals = tuple(typed(text, "is_one_of") for text in word.is_one_of)
        for text in word.open_if:
            if typed(text, "open_if") in (equals or ()):
                self.source.problem((*loc, "open_if"), f"{text} is what {name} has to be; it cannot leave it open too")
        return FactTest(
            fact=name,
            meaning=definition.meaning if definition else name,
            asked=definition.asked if definition else name,
            requirement=_requirement(word),
            equals=equals,
            at_least=word.at_least,
            at_most=word.at_most,
            more_than=word.more_than,
            documented=word.documented is not None,
            open_if=tuple(_yes_no(text) for text in word.open_if) if answers_yes else word.open_if,
        )


def _unknown_fact(name: str) -> str:
    return f"unknown fact {name!r}{closest(name, FACTS) or '; docs/what-we-read.md lists them'}"


def _yes_no(text: str) -> str | bool:
    return text == "yes" if text in {"yes", "no"} else text


def _requirement(word: CriterionWord) -> str:
    if word.equals is not None:
        return word.equals
    if word.is_one_of is not None:
        return f"one of {', '.join(_folded(word.is_one_of))}"
    if word.at_least is not None:
        return f"at least {plain(word.at_least)}"
    if word.at_most is not None:
        return f"at most {plain(word.at_most)}"
    if word.more_than is not None:
        return f"more than {plain(word.more_than)}"
    return "a value"


def _folded(values: Iterable[str]) -> Iterator[str]:
    """Values with what follows letter by letter folded: ``III, IIIA, IIIB, IIIC`` is ``III, IIIA-IIIC``."""
    runs: list[list[str]] = []
    for value in values:
        if runs and value[:-1] == runs[-1][-1][:-1] and ord(value[-1]) == ord(runs[-1][-1][-1]) + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    for run in runs:
        yield from run if len(run) < 3 else [f"{run[0]}-{run[-1]}"]


def _cycles(count: int | None) -> str:
    return f", {count} cycle{'s' if count > 1 else ''}" if count else ""


def _row(row: RowWord) -> DoseRow:
    shown = f"{row.limit} every {in_weeks(row.every)}"
    if row.phase:
        shown += f" ({row.phase}{_cycles(row.cycles)})"
    partner = Partner(row.partner[0], row.partner[1], row.partner_doses) if row.partner else None
    return DoseRow(row.cite, row.weight, row.limit, row.every, shown, row.phase, row.cycles, partner)
