"""The scalars of a policy document: each is text until a type here reads it, in the one way it may be written.

YAML's own guesses (``NO`` is false, ``1:30`` is 90) do not come in. What is written in another way is a ValueError that
shows how to write it; :mod:`.load` adds file and line.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, InstanceOf

from cds_service.criteria.criterion import Band
from cds_service.criteria.quantity import Amount
from cds_service.terminology.drug import Vial

_DAYS = {"day": 1, "days": 1, "week": 7, "weeks": 7}
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


def _interval(text: str) -> Decimal:
    """``4 weeks`` in days."""
    match str(text).split():
        case [number, unit] if unit in _DAYS:
            return _more_than_0(number) * _DAYS[unit]
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
    """``10 mg``."""
    amount = _amount(text)
    if not amount.mg:
        msg = f"{text!r} is no billing unit; write it as '10 mg'"
        raise ValueError(msg)
    return amount


def _vial(text: str) -> Vial:
    """``500 mg/10 mL``."""
    match str(text).replace("/", " ").split():
        case [mg, "mg", ml, "mL"]:
            return Vial(_more_than_0(mg), _more_than_0(ml))
    msg = f"{text!r} is no vial; write it as '500 mg/10 mL'"
    raise ValueError(msg)


def _strength(text: str) -> Decimal:
    """``50 mg/mL``, in mg per mL."""
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


Text = Annotated[str, BeforeValidator(_filled)]
"""A text that is not empty."""
NumberText = Annotated[Decimal, Field(ge=0), BeforeValidator(_figure)]
WholeText = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
MonthsText = Annotated[Decimal, Field(gt=0), BeforeValidator(_figure)]
DateText = Annotated[date, BeforeValidator(_date)]
IntervalText = Annotated[Decimal, BeforeValidator(_interval)]
"""An interval between doses, in days."""
AmountText = Annotated[InstanceOf[Amount], BeforeValidator(_amount)]
BandText = Annotated[InstanceOf[Band], BeforeValidator(_band)]
"""A band of body weight, in kg."""
PartnerText = Annotated[tuple[str, InstanceOf[Amount] | None], BeforeValidator(_partner)]
"""A partner drug and, where the row says one, the amount of each of its doses."""
VialText = Annotated[InstanceOf[Vial], BeforeValidator(_vial)]
StrengthText = Annotated[Decimal, BeforeValidator(_strength)]
"""The concentration of the solution, in mg per mL."""
BillingUnitText = Annotated[InstanceOf[Amount], BeforeValidator(_billing_unit)]
PolicyNumberText = Annotated[str, BeforeValidator(_policy_number)]
Sha256Text = Annotated[str, BeforeValidator(_sha256)]
