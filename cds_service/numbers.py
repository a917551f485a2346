"""Decimals as JSON numbers. Their bytes differ, because their readers do.

* :func:`exact_number`: the value in as few digits as it takes (explanation, record).
* :func:`exact_quantity`: a whole number as such, else digit by digit as it was computed (coverage-information).
* :func:`near_number`: what any program holds for it (orders that we write, to be read again as if they had come).

A Decimal that nobody turns into a number is written digit by digit (:func:`cds_service.cdshooks.write_json`).
"""

from __future__ import annotations

from decimal import Decimal

import orjson

from cds_service.criteria.quantity import plain

_LARGEST_INTEGER = 2**63
"""Beyond this an integer is written as text by :func:`exact_number`: orjson knows 64-bit integers only."""


def exact_number(number: Decimal | None) -> int | float | orjson.Fragment | None:
    """A JSON number with exactly this value.

    >>> exact_number(Decimal("700.0")), exact_number(Decimal("67.5"))
    (700, 67.5)
    """
    if number is None:
        return None
    if number == number.to_integral_value() and abs(number) < _LARGEST_INTEGER:
        return int(number)
    near = float(number)
    return near if Decimal(repr(near)) == number else orjson.Fragment(plain(number))


def exact_quantity(number: Decimal) -> int | Decimal:
    """A number of a quantity: 700 rather than 700.0, but 67.50 stays as it is.

    >>> exact_quantity(Decimal("700.0")), exact_quantity(Decimal("67.50"))
    (700, Decimal('67.50'))
    """
    return int(number) if number == number.to_integral_value() else number


def near_number(number: Decimal) -> int | float:
    """The number nearest to it that a program computes with.

    >>> near_number(Decimal("10.0")), near_number(Decimal("67.50"))
    (10, 67.5)
    """
    return int(number) if number == number.to_integral_value() else float(number)
