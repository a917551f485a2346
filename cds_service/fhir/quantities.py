"""Dose amounts and body weights: a closed table of units, exact factors, and nothing guessed.

Units are never handed to a UCUM parser: what EHRs display as ``MG`` or ``mcg`` means something else, or nothing, there.
Two tables: UCUM codes are read as they are written, displayed units without regard to case.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import Amount, plain
from cds_service.evidence import Absence
from cds_service.fhir.read import Json, as_object, by_content, decimal, text
from cds_service.terminology.codes import HCPCS, UCUM, canonical_system, entries, lookup
from cds_service.values import LONGEST, dataclass, remembered

if TYPE_CHECKING:
    from cds_service.terminology.drug import Drug

ONE = Decimal(1)

# Kinds: mg (a mass), mg/kg, mL, vial. The factor turns the unit into its kind.
_UCUM: dict[str, tuple[str, Decimal]] = {
    "mg": ("mg", ONE),
    "MG": ("mg", ONE),  # UCUM's case-insensitive form; in the other it is no mass at all
    "g": ("mg", Decimal(1000)),
    "ug": ("mg", Decimal("0.001")),
    "mg/{dose}": ("mg", ONE),  # words in braces are one of something
    "mg/kg": ("mg/kg", ONE),
    "mg/kg/{dose}": ("mg/kg", ONE),
    "mg.kg-1": ("mg/kg", ONE),
    "mL": ("mL", ONE),
    "ml": ("mL", ONE),
    "cm3": ("mL", ONE),
    "{vial}": ("vial", ONE),
}

_DISPLAY: dict[str, tuple[str, Decimal]] = {
    **dict.fromkeys(("mg", "mgs", "mg.", "milligram", "milligrams", "mg/dose"), ("mg", ONE)),
    **dict.fromkeys(("g", "gm", "gms", "gram", "grams"), ("mg", Decimal(1000))),
    **dict.fromkeys(("ug", "mcg", "mcgs", "\u00b5g", "\u03bcg", "microgram", "micrograms"), ("mg", Decimal("0.001"))),
    **dict.fromkeys(
        (
            "mg/kg",
            "mg/kg/dose",
            "mg/kg per dose",
            "mg per kg",
            "mg/kg of body weight",
            "mg/kg body weight",
            "mg/kg bw",
            "milligram per kilogram",
            "milligrams per kilogram",
            "milligram/kilogram",
            "mg/kg actual weight",
        ),
        ("mg/kg", ONE),
    ),
    **dict.fromkeys(("ml", "mls", "cc", "milliliter", "milliliters", "millilitre", "millilitres"), ("mL", ONE)),
    **dict.fromkeys(("vial", "vials", "{vial}", "single-dose vial", "single-dose vials"), ("vial", ONE)),
}

_BILLED = re.compile(
    r"(?:(?:HCPCS |BILLING )*UNITS?(?:\(S\))? (?:OF )?)?\(?(?:HCPCS )?(?P<code>[A-Z]\d{4})\)?"
    r"(?: (?:HCPCS |BILLING )*UNITS?(?:\(S\))?)?"
)
"""Billing units and nothing else: beside "mg" or "vial" the code only says by what the drug is billed."""

_NO_AMOUNT = frozenset(
    (
        *("u", "unit", "units", "iu", "each", "ea", "dose", "doses", "infusion", "infusions", "bag", "bags"),
        *("tablet", "tablets", "tab", "tabs", "capsule", "capsules", "cap", "caps", "pill", "pills", "drop", "drops"),
        *("syringe", "syringes", "ampule", "ampules", "ampoule", "ampoules", "puff", "puffs", "patch", "patches"),
        *("mmol", "mol", "meq", "ng", "l", "liter", "liters", "litre", "litres", "hour", "hours", "day", "days"),
        *("cm", "m", "in", "inch", "inches", "ft", "feet"),
    )
)
"""Words of a displayed unit that name no mass, volume or vial."""

_WEIGHT_UCUM = {
    entry.code: Decimal(entry.attributes["to_kg"]) for entry in entries("weight_unit") if entry.system == UCUM
}
POUND = _WEIGHT_UCUM["[lb_av]"]
"""Kilograms, exact."""
_WEIGHT_DISPLAY: dict[str, Decimal] = {
    **_WEIGHT_UCUM,
    **dict.fromkeys(("kg", "kgs", "kilogram", "kilograms", "kilo", "kilos"), _WEIGHT_UCUM["kg"]),
    **dict.fromkeys(("g", "gm", "gram", "grams"), _WEIGHT_UCUM["g"]),
    **dict.fromkeys(("lb", "lbs", "{lb_av}", "lb_av", "pound", "pounds"), POUND),
    **dict.fromkeys(("oz", "oz_av", "ounce", "ounces"), _WEIGHT_UCUM["[oz_av]"]),
    **dict.fromkeys(("stone", "stones"), _WEIGHT_UCUM["[stone_av]"]),
}
_WEIGHT_NAMES = {"[lb_av]": "lb", "[oz_av]": "oz", "[stone_av]": "stone"}


@dataclass(frozen=True, slots=True)
class Product:
    """What a product's label says of its content: concentration, mg per vial, or that it is a diluted bag.

    ``sizes`` is how many sizes of vials it names: with several nobody knows which one is meant.
    """

    mg_per_ml: Decimal | None = None
    vial_mg: Decimal | None = None
    bag: bool = False
    sizes: int = 0


_PLURAL = re.compile(r"(?<=[a-z])\(s\)$")
"""``milligram(s)``, ``lb(s)``: one or several."""

NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
"""A number in words, also with commas between its thousands. What it comes to depends on its unit (number_said)."""

DILUENTS = (
    *("ns", "nss", "d5w", "normal saline", r"(?:0\.9 ?% )?(?:sodium chloride|nacl)(?: 0\.9 ?%)?(?: \(ns\))?"),
    r"(?:5 ?% dextrose|dextrose 5 ?%)(?: in water)?(?: \(d5w\))?",
)
"""What drugs are diluted in, as orders write it."""

_STRENGTH = re.compile(rf"(?<![\d.,])(?P<mg>{NUMBER}) ?mg ?(?:/|per|in) ?(?P<ml>\d+(?:\.\d+)?)? ?ml\b")
_RXNORM_FORM = re.compile(r"^(?P<ml>\d+(?:\.\d+)?) ml .*? (?P<mg>\d+(?:\.\d+)?) mg/ml\b")
_BAG = re.compile(
    r"\b(?:bags?|diluted|premix\w*|compounded|ivpb|piggyback|saline|dextrose|syringe|"
    rf"{'|'.join(DILUENTS)})(?!\w)|\b0\.9 ?%"
)


@remembered
def product_of(label: str) -> Product:
    """Read a product label: ``vial solution 50 mg/mL``, ``500 mg/10 mL vial``, ``diluted infusion bag``, RxNorm's.

    >>> product_of("10 ML durvalumab 50 MG/ML Injection").vial_mg
    Decimal('500')
    """
    words = " ".join(label.lower().split())
    if _BAG.search(words):
        return Product(bag=True)
    words = words[:LONGEST]
    found: list[tuple[Decimal, Decimal | None]] = []
    if form := _RXNORM_FORM.match(words):
        ml, concentration = Decimal(form["ml"]), Decimal(form["mg"])
        if ml and concentration:
            found.append((concentration, ml * concentration))
    for strength in _STRENGTH.finditer(words):
        mg, ml = Decimal(strength["mg"].replace(",", "")), Decimal(strength["ml"] or 1)
        if mg and ml:
            found.append((mg / ml, mg if strength["ml"] and ml != 1 else None))
    if len({concentration for concentration, _ in found}) != 1:
        return Product()
    vials = {vial for _, vial in found if vial is not None}
    return Product(found[0][0], next(iter(vials)) if len(vials) == 1 else None, sizes=len(vials))


def unit_of(unit: str | None) -> tuple[str, Decimal] | None:
    """Kind and factor of a unit, or None if the table does not hold it. Units of a billing code give mg."""
    return _UCUM.get(unit) or _other_unit(unit) if unit else None


def _other_unit(unit: str) -> tuple[str, Decimal] | None:
    exact = unit.strip()
    known = _UCUM.get(exact) or _DISPLAY.get(_PLURAL.sub("s", " ".join(exact.lower().split())))
    if known is None and (billed := _BILLED.fullmatch(" ".join(exact.upper().split()))):
        for entry in lookup(HCPCS, billed["code"]):
            if "unit_mg" in entry.attributes:
                return billed["code"], Decimal(entry.attributes["unit_mg"])
    return known


def number_said(written: str, unit: str = "") -> Decimal | None:
    """A number as somebody wrote it beside its unit; None where it may be one of two.

    ``1.500`` is one and a half, or fifteen hundred written the European way. Commas part the thousands of milligrams
    and micrograms; of what is never counted in thousands they may be decimal.

    >>> number_said("1,500", "mg"), number_said("1,500", "g"), number_said("0,750", "mg")
    (Decimal('1500'), None, None)
    """
    if re.fullmatch(NUMBER, written) is None or re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", written):
        return None
    if "," in written:
        kind, factor = unit_of(unit) or ("", ONE)
        once = written.count(",") == 1 and "." not in written
        if written.startswith("0") or (once and kind and (kind != "mg" or factor > ONE)):
            return None
    return Decimal(written.replace(",", ""))


def _no_value(absence: Absence, looked_for: str) -> Missing:
    return Missing("dose.value", absence, looked_for)


def amount(
    value: Decimal | None, unit: str | None, product: str | None = None, drug: Drug | None = None
) -> Amount | Missing:
    """A dose per administration in mg or mg/kg.

    mL count only where the product is the vial solution, vials only where it gives their size, billing units only
    where the unit names the drug's billing code. Returns what is missing (``dose.value``, ``dose.unit``) otherwise.

    >>> str(amount(Decimal(30), "mL", "vial solution 50 mg/mL"))
    '1500 mg'
    """
    if value is None:
        return _no_value(Absence.NOT_RECORDED, "amount of the dose")
    if value <= 0:
        return _no_value(Absence.NOT_UNDERSTOOD, "amount of the dose (zero or negative)")
    if not unit or not unit.strip():
        return Missing("dose.unit", Absence.NOT_RECORDED, "unit of the dose")
    kind, factor = unit_of(unit) or ("", ONE)
    if kind == "mg":
        return Amount(mg=value * factor)
    if kind == "mg/kg":
        return Amount(mg_per_kg=value * factor)
    if kind in {"mL", "vial"}:
        return _content(value, kind, product, drug)
    if kind and (drug is None or kind == drug.billing_code):
        return Amount(mg=value * factor)
    words = f'unit of the dose ("{unit.strip()[:40]}" is not read as a mass)'
    return Missing("dose.unit", Absence.NOT_UNDERSTOOD, words)


def _content(value: Decimal, kind: str, label: str | None, drug: Drug | None) -> Amount | Missing:
    """What a volume or a number of vials holds, where the product is known to be what is on the market."""
    product = product_of(label) if label else Product()
    marketed = drug.mg_per_ml if drug is not None else None
    if product.mg_per_ml is None or (marketed is not None and product.mg_per_ml != marketed):
        product = Product()
    if kind == "mL":
        if product.mg_per_ml is None:
            return _no_value(Absence.NOT_UNDERSTOOD, "amount in mg (a volume of unknown content)")
        return Amount(mg=value * product.mg_per_ml)
    sizes = {vial.mg for vial in drug.vials} if drug is not None else set()
    if product.vial_mg is None or (sizes and product.vial_mg not in sizes):
        return _no_value(Absence.NOT_UNDERSTOOD, "amount in mg (vials of unknown size)")
    return Amount(mg=value * product.vial_mg)


class Measured(NamedTuple):
    """A FHIR Quantity, read: value, the unit to look up, and how a reader would write it."""

    value: Decimal | None
    unit: str | None
    shown: str
    trouble: str = ""


@by_content
def quantity(raw: object) -> Measured | None:
    """Read a Quantity.

    The UCUM code decides; a displayed unit counts where there is no code or the code is of another system. A code and
    a unit that mean different things, and a comparator, make it unusable (``trouble``).
    """
    found = as_object(raw)
    if not found:
        return None
    value = decimal(found.get("value"))
    used, named, trouble = _unit(text(found.get("system")), text(found.get("code")), text(found.get("unit")))
    shown = f"{plain(value) if value is not None else text(found.get('value'))[:20] or '?'} {named}".strip()
    if "comparator" in found and (comparator := text(found["comparator"])):
        trouble, shown = "it is only a bound", f"{comparator} {shown}"
    elif value is None and found.get("value") is not None:
        trouble = "its number is not readable"
    return Measured(value, used or None, shown, trouble)


@remembered
def _unit(system: str, code: str, unit: str) -> tuple[str, str, str]:
    """The unit to look up, how a reader would write it, and what makes it unusable."""
    system = canonical_system(system) if system else ""
    ucum = system in {"", UCUM}
    used = code if code and (ucum or system == HCPCS or not unit) else unit or code
    trouble = ""
    if code and unit and (not _same_unit(code, unit) if ucum else system == HCPCS and _is_no_billing_unit(code, unit)):
        trouble = "its code and its unit disagree"
    elif system == UCUM and code not in _UCUM and code.lower() != code and unit_of(code) is not None:
        trouble = f"its code {code[:20]} is another unit in UCUM"
    return used, (unit or code)[:40], trouble


def _same_unit(code: str, unit: str) -> bool:
    """Whether a code and the displayed unit beside it mean the same.

    Two that are both unknown are not our business, and words that nobody knows take nothing from a code that is known.
    """
    if code == unit or code.lower() == unit.lower():
        return True
    meant, said = _meanings(code), _meanings(unit)
    if meant == said:
        return True
    return meant != _NO_MEANING and said == _NO_MEANING and not _names_another(unit, meant)


_NO_MEANING = (None, None)
_PLAIN_UNIT = re.compile(r"[^\W\d_]+(?:[ .()]+[^\W\d_]+)*[ .()]*")


def _meanings(unit: str) -> tuple[tuple[str, Decimal] | None, Decimal | None]:
    """What a unit is as one of doses and as one of body weights."""
    return unit_of(unit), weight_unit(unit)


def _names_another(unit: str, meant: tuple[tuple[str, Decimal] | None, Decimal | None]) -> bool:
    """Whether an unknown displayed unit has a part of another meaning: a number, a ratio, the word for another unit."""
    if _PLAIN_UNIT.fullmatch(unit) is None:
        return True
    words = re.split(r"[ .()]+", unit.lower())
    return any(word in _NO_AMOUNT or word == "per" or _meanings(word) not in {meant, _NO_MEANING} for word in words)


def _is_no_billing_unit(code: str, unit: str) -> bool:
    """Whether the unit displayed beside a billing code is one of its own: milligrams or vials of J9173."""
    return unit_of(unit) not in {None, unit_of(code)}


def dose_quantity(raw: object, product: str | None, drug: Drug | None = None) -> tuple[Amount | Missing, str] | None:
    """A dose Quantity as amount, with the words for it; None if there is no Quantity."""
    found = quantity(raw)
    if found is None:
        return None
    if found.trouble:
        absence = Absence.CONFLICTING if "disagree" in found.trouble else Absence.NOT_UNDERSTOOD
        fact = "dose.unit" if "code" in found.trouble else "dose.value"
        return Missing(fact, absence, f"dose quantity ({found.trouble})"), found.shown
    return amount(found.value, found.unit, product, drug), found.shown


def dose_in_rate(raw: object, product: str | None, drug: Drug | None = None) -> tuple[Amount, str] | None:
    """A dose in the element for a rate: a mass without any time in its unit. A volume there is that of the infusion."""
    measured = quantity(raw)
    found = dose_quantity(raw, product, drug)
    if measured is None or found is None or isinstance(found[0], Missing):
        return None
    kind, _ = unit_of(measured.unit) or ("", ONE)
    return None if kind == "mL" else (found[0], found[1])


def dose_range(raw: Json, product: str | None, drug: Drug | None = None) -> tuple[Amount | Missing, Amount | None, str]:
    """A dose range: its upper end as amount, its lower end (only where the upper is missing), and the words for it."""
    low, high = quantity(raw.get("low")), quantity(raw.get("high"))
    if high is not None and low is not None and high.unit is None and high.value is not None:
        high = Measured(high.value, low.unit, high.shown, high.trouble)  # "5 - 10 mg": one unit for both ends
    if low is not None and high is not None and low.unit is None and low.value is not None:
        low = Measured(low.value, high.unit, low.shown, low.trouble)
    lower = _usable(low, product, drug)
    shown = f"{low.shown if low else ''} - {high.shown if high else ''}".strip()
    if high is None or high.value is None:
        return (
            _no_value(Absence.NOT_RECORDED, "upper end of the dose range"),
            lower,
            f"at least {low.shown if low else '?'}",
        )
    upper: Amount | Missing
    if high.trouble or (low is not None and low.trouble):
        upper = _no_value(Absence.NOT_UNDERSTOOD, "dose range")
    elif low is not None and low.value is not None and low.value < 0:
        upper = _no_value(Absence.NOT_UNDERSTOOD, "dose range (an end of it is negative)")
    else:
        upper = amount(high.value, high.unit, product, drug)
    if isinstance(upper, Amount) and lower is not None and (lower.mg > upper.mg or lower.mg_per_kg > upper.mg_per_kg):
        return _no_value(Absence.NOT_UNDERSTOOD, "dose range (its ends are exchanged)"), None, shown
    return upper, lower if isinstance(upper, Missing) else None, shown


def _usable(measured: Measured | None, product: str | None, drug: Drug | None) -> Amount | None:
    if measured is None or measured.trouble:
        return None
    found = amount(measured.value, measured.unit, product, drug)
    return found if isinstance(found, Amount) else None


def weight_unit(unit: str | None) -> Decimal | None:
    """Kilograms per unit of body weight, exact; None for no unit or one that is not in the table."""
    if not unit:
        return None
    written = unit.strip()
    return _WEIGHT_UCUM.get(written) or _WEIGHT_DISPLAY.get(_PLURAL.sub("s", written.lower().rstrip(".")))


def weight_unit_in_words(unit: str) -> str:
    """A unit of body weight as people write it; one that is no UCUM code with brackets as it stands."""
    return _WEIGHT_NAMES.get(unit, unit)


def kilograms(value: Decimal | None, unit: str | None) -> Decimal | None:
    """A body weight in kg, exact; None for no value, zero, a negative one, or a unit that is not known.

    >>> kilograms(Decimal(100), "[lb_av]")
    Decimal('45.35923700')
    """
    factor = weight_unit(unit)
    return value * factor if value is not None and factor is not None and value > 0 else None
