"""A policy document as written: the closed vocabulary of its YAML, typed.

Unknown words are errors, and :mod:`.scalars` says how numbers, amounts and dates are written. :mod:`.load` turns a
document into a :class:`~cds_service.policies.revision.Revision`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cds_service.criteria.criterion import Band
from cds_service.policies.scalars import (  # pydantic reads the annotations
    AmountText,
    BandText,
    BillingUnitText,
    DateText,
    IntervalText,
    MonthsText,
    NumberText,
    PartnerText,
    PolicyNumberText,
    Sha256Text,
    StrengthText,
    Text,
    VialText,
    WholeText,
)

Phase = Literal["combination", "maintenance"]


class Word(BaseModel):
    """Base of every construct: nothing beyond its own words."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


class RowWord(Word):
    """One row of a dose table."""

    cite: str
    weight: BandText = Band()
    phase: Phase | None = None
    cycles: WholeText | None = None
    limit: AmountText
    every: IntervalText
    partner: PartnerText | None = Field(default=None, alias="with")
    partner_doses: WholeText | None = None


CLAUSES = ("fact", "all_of", "any_of", "given", "given_with", "dose_within", "attached", "unclear")
REQUIREMENTS = ("equals", "is_one_of", "at_least", "at_most", "more_than", "documented")


class CriterionWord(Word):
    """A criterion or a condition: exactly one clause, and a citation with a label where the policy states it."""

    cite: str | None = None
    label: str = ""

    fact: str | None = None
    equals: str | None = Field(default=None, alias="is")
    is_one_of: tuple[str, ...] | None = None
    at_least: NumberText | None = None
    at_most: NumberText | None = None
    more_than: NumberText | None = None
    documented: Literal["yes"] | None = None
    open_if: tuple[str, ...] = ()

    all_of: tuple[CriterionWord, ...] | None = Field(default=None, alias="all", min_length=1)
    any_of: tuple[CriterionWord, ...] | None = Field(default=None, alias="any", min_length=1)
    ask: Literal["in order"] | None = None
    also_ask: str | None = None
    ask_instead: str | None = None

    given: CriterionWord | None = None
    then: CriterionWord | None = None

    given_with: tuple[str, ...] | None = Field(default=None, min_length=1)
    not_instead: dict[str, str] = Field(default_factory=dict)

    setting: str | None = None
    dose_within: tuple[RowWord, ...] | None = Field(default=None, min_length=1)
    table_note: str = ""

    attached: str | None = None
    unclear: str | None = None

    @model_validator(mode="after")
    def _one_clause(self) -> CriterionWord:
        clauses = [name for name in CLAUSES if getattr(self, name) is not None]
        if len(clauses) != 1:
            known = ", ".join(_yaml_name(c) for c in CLAUSES)
            here = ", ".join(_yaml_name(c) for c in clauses) or "none"
            msg = f"a criterion has exactly one clause of {known}; here: {here}"
            raise ValueError(msg)
        requirements = [name for name in REQUIREMENTS if getattr(self, name) is not None]
        if (clauses == ["fact"]) != (len(requirements) == 1) or (clauses != ["fact"] and requirements):
            msg = "a fact is tested by exactly one of is, is_one_of, at_least, at_most, more_than, documented"
            raise ValueError(msg)
        if (self.given is None) != (self.then is None):
            msg = "given and then go together"
            raise ValueError(msg)
        if self.table_note and self.dose_within is None:
            msg = "a table_note goes with dose_within"
            raise ValueError(msg)
        if self.cite and not self.label:
            msg = f"{self.cite} has no label"
            raise ValueError(msg)
        return self


def _yaml_name(name: str) -> str:
    return {"all_of": "all", "any_of": "any", "equals": "is"}.get(name, name)


class ApprovalWord(Word):
    """How long the policy would approve: months, less the months of a fact, for one disease or for the rest."""

    months: MonthsText
    disease: str | None = None
    less: str | None = None


class PathwayWord(Word):
    """The criteria of one section, all of which have to be met."""

    section: str
    request: Literal["initial", "continuation"]
    disease: str | None = None
    label: str
    approval: tuple[ApprovalWord, ...] = Field(min_length=1)
    criteria: tuple[CriterionWord, ...] = Field(min_length=1)


class PoliciesWord(Word):
    """The payer's other policies, one for each line of business."""

    cite: str
    label: str
    policies: dict[str, str] = Field(min_length=1)


class LabelChangeWord(Word):
    """The route for a label change that the policy does not reflect yet."""

    cite: str
    label: str
    within_months: WholeText
    formulary: PoliciesWord
    non_formulary: PoliciesWord


class ReferralWord(Word):
    """Where requests for other diseases go."""

    section: str
    request: Literal["initial", "continuation"]
    label: str
    label_change: LabelChangeWord
    off_label: PoliciesWord


class NoteWord(Word):
    """A remark that goes with an answer."""

    section: str
    when: Literal["other disease", "withdrawn indication"]
    text: str


class ListedPartnersWord(Word):
    """Partner drugs that the policy lists by histology; they inform and decide nothing."""

    section: str
    setting: str
    drugs: tuple[str, ...]
    histology: dict[str, tuple[str, ...]]


class ReadingWord(Word):
    """How an unclear place is read."""

    section: str
    trouble: str
    reading: str


class NotEncodedWord(Word):
    """A section from which no criterion follows, and why."""

    section: str
    why: str


class RestatedWord(Word):
    """A section that says again what is encoded elsewhere, and where."""

    section: str
    where: str


class BillingWord(Word):
    """The billing code and the amount of one unit."""

    code: str
    unit: BillingUnitText


class CodeWord(Word):
    """A code by which the drug is recognised."""

    system: str
    code: str


class DrugWord(Word):
    """The drug: how it is recognised, its strength, vials and billing."""

    name: Text
    brand: str
    names: tuple[Text, ...] = Field(min_length=1)
    value_set: str | None = None
    codes: tuple[CodeWord, ...] = ()
    strength: StrengthText | None = None
    vials: tuple[VialText, ...] = ()
    billing: BillingWord | None = None


class InForceWord(Word):
    """The days on which the revision is in force, both included."""

    start: DateText = Field(alias="from")
    until: DateText | None = None


class SourceWord(Word):
    """The document the facts come from and the hash of its text."""

    document: str
    sha256: Sha256Text


class LineOfBusinessWord(Word):
    """A line of business the policy covers, and a note that goes with every answer for it."""

    title: str
    note: str = ""


class DiseaseWord(Word):
    """A disease the policy covers and the pathway of its first request."""

    title: str
    pathway: str


class PolicyWord(Word):
    """The whole document."""

    policy: PolicyNumberText
    title: Text
    payer: Text
    revision: DateText
    in_force: InForceWord
    source: SourceWord
    reviewed_by: str = ""
    drug: DrugWord
    lines_of_business: dict[str, LineOfBusinessWord] = Field(min_length=1)
    other_line_of_business: str
    diseases: dict[str, DiseaseWord] = Field(min_length=1)
    settings: dict[str, CriterionWord] = {}
    pathways: tuple[PathwayWord, ...] = Field(min_length=1)
    referrals: tuple[ReferralWord, ...] = ()
    other_policies: dict[str, str] = {}
    notes: tuple[NoteWord, ...] = ()
    listed_partners: ListedPartnersWord | None = None
    readings: tuple[ReadingWord, ...] = ()
    restated: tuple[RestatedWord, ...] = ()
    not_encoded: tuple[NotEncodedWord, ...] = ()
    outline: tuple[tuple[str, ...], ...] = Field(min_length=1)
