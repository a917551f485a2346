"""A policy document as written: the closed vocabulary of its YAML, typed.

Everything is text until a model here types it; unknown words are errors. :mod:`.load` turns a document into a
:class:`~cds_service.policies.revision.Revision`.
"""

from __future__ import annotations

import re
from datetime import date  # pydantic reads the annotations
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, model_validator

from cds_service.criteria.criterion import Band
from cds_service.criteria.quantity import Amount
from cds_service.terminology.drug import Vial

Phase = Literal["combination", "maintenance"]
DAYS = {"day": 1, "days": 1, "week": 7, "weeks": 7}


_THOUSAND_OR_DECIMAL = re.compile(r"([1-9]\d{0,2})\.(\d{3})", re.ASCII)


def _number(text: str) -> Decimal:
    if match := _THOUSAND_OR_DECIMAL.fullmatch(text):
        # In much of the world a point parts thousands: a limit of 1.5 mg would be taken from "1.500 mg".
        decimal = text.rstrip("0").rstrip(".") if text.endswith("0") else f"{text}0"
        msg = f"{text!r} may be a thousand or a decimal number; write {match[1]}{match[2]} or {decimal}"
        raise ValueError(msg)
    if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        msg = f"{text!r} is not a number; write it in digits without a comma, as 1500 or 67.5"
        raise ValueError(msg)
    return Decimal(text)


def _more_than_0(text: str) -> Decimal:
    number = _number(text)
    if not number:
        msg = f"{text!r} cannot be right; it has to be more than 0"
        raise ValueError(msg)
    return number


def _amount(text: str) -> Amount:
    """``10 mg/kg`` or ``1500 mg``."""
    match str(text).split():
        case [number, "mg"]:
            return Amount(mg=_more_than_0(number))
        case [number, "mg/kg"]:
            return Amount(mg_per_kg=_more_than_0(number))
    msg = f"{text!r} is no amount; write it as '1500 mg' or '10 mg/kg'"
    raise ValueError(msg)


def _figure(text: object) -> str:
    """A number for pydantic to type; without shapes that only programmers know, as ``1_8`` and ``1e1``."""
    if not re.fullmatch(r"-?\d+(\.\d+)?", str(text), re.ASCII):
        msg = "is to be a number, in digits and without a unit"
        raise ValueError(msg)
    return str(text)


def _whole(text: object) -> str:
    if not re.fullmatch(r"-?\d+", str(text), re.ASCII):
        msg = "is to be a whole number, written in digits"
        raise ValueError(msg)
    return str(text)


def _date(text: object) -> object:
    """A day for pydantic to type; without numbers that it would take for seconds, and without a time of day."""
    if isinstance(text, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        msg = "is to be a date, written as 2022-12-02"
        raise ValueError(msg)
    return text


def _filled(text: object) -> object:
    if text == "":
        msg = "is empty"
        raise ValueError(msg)
    return text


def _policy_number(text: str) -> str:
    """The policy's number is part of addresses, and the id of its form."""
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,64}", str(text), re.ASCII):
        msg = f"{text!r} is no policy number; it has letters, digits, points and hyphens, 64 at most"
        raise ValueError(msg)
    return str(text)


def _days(text: str) -> Decimal:
    """``4 weeks`` as days."""
    match str(text).split():
        case [number, unit] if unit in DAYS:
            return _more_than_0(number) * DAYS[unit]
    msg = f"{text!r} is no interval; write it as '4 weeks' or '28 days'"
    raise ValueError(msg)


def _band(text: str) -> Band:
    """``< 30 kg``, ``>= 30 kg`` or ``>= 30 kg and < 50 kg``."""
    low = high = None
    for part in str(text).split(" and "):
        match part.split():
            case ["<", number, "kg"]:
                high = _number(number)
            case [">=", number, "kg"]:
                low = _number(number)
            case _:
                msg = f"{text!r} is no weight band; write it as '< 30 kg', '>= 30 kg' or '>= 30 kg and < 50 kg'"
                raise ValueError(msg)
    return Band(low, high)


def _billing_unit(text: str) -> Amount:
    amount = _amount(text)
    if not amount.mg:
        msg = f"{text!r} is no billing unit; write it as '10 mg'"
        raise ValueError(msg)
    return amount


def _vial(text: str) -> Vial:
    match str(text).replace("/", " ").split():
        case [mg, "mg", ml, "mL"]:
            return Vial(_more_than_0(mg), _more_than_0(ml))
    msg = f"{text!r} is no vial; write it as '500 mg/10 mL'"
    raise ValueError(msg)


def _strength(text: str) -> Decimal:
    match str(text).split():
        case [number, "mg/mL"]:
            return _more_than_0(number)
    msg = f"{text!r} is no strength; write it as '50 mg/mL'"
    raise ValueError(msg)


def _partner(text: str) -> tuple[str, Amount | None]:
    """``tremelimumab 75 mg`` or, without an amount, ``tremelimumab``."""
    name, _, amount = str(text).partition(" ")
    return name, _amount(amount) if amount else None


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", str(text)):
        msg = "a SHA-256 has 64 characters, digits and the letters a to f; `sha256sum` prints that of a file"
        raise ValueError(msg)
    return str(text)


AmountText = Annotated[InstanceOf[Amount], BeforeValidator(_amount)]
DaysText = Annotated[Decimal, BeforeValidator(_days)]
PartnerText = Annotated[tuple[str, InstanceOf[Amount] | None], BeforeValidator(_partner)]
NumberText = Annotated[Decimal, Field(ge=0), BeforeValidator(_figure)]
WholeText = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
DayText = Annotated[date, BeforeValidator(_date)]
Text = Annotated[str, BeforeValidator(_filled)]
BandText = Annotated[InstanceOf[Band], BeforeValidator(_band)]


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
    every: DaysText
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
        if self.cite and not self.label:
            msg = f"{self.cite} has no label"
            raise ValueError(msg)
        return self


def _yaml_name(name: str) -> str:
    return {"all_of": "all", "any_of": "any", "equals": "is"}.get(name, name)


class ApprovalWord(Word):
    """How long the policy would approve: months, less the months of a fact, for one disease or for the rest."""

    months: Annotated[Decimal, Field(gt=0), BeforeValidator(_figure)]
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
    unit: Annotated[InstanceOf[Amount], BeforeValidator(_billing_unit)]


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
    strength: Annotated[Decimal, BeforeValidator(_strength)] | None = None
    vials: tuple[Annotated[InstanceOf[Vial], BeforeValidator(_vial)], ...] = ()
    billing: BillingWord | None = None


class InForceWord(Word):
    """The days on which the revision is in force, both included."""

    start: DayText = Field(alias="from")
    until: DayText | None = None


class SourceWord(Word):
    """The document the facts come from and the hash of its text."""

    document: str
    sha256: Annotated[str, BeforeValidator(_sha256)]


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

    policy: Annotated[str, BeforeValidator(_policy_number)]
    title: Text
    payer: Text
    revision: DayText
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
