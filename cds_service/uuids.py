"""UUIDs as text (RFC 9562), without the object that the standard library makes first, which is most of their cost."""

from __future__ import annotations

from os import urandom

_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
"""The first digit of the fourth group says which kind of UUID it is by two of its bits; the other two are free."""


def random_uuid() -> str:
    """A random UUID (version 4)."""
    return uuid_from(urandom(16).hex(), version=4)


def uuid_from(digits: str, *, version: int) -> str:
    """The UUID of a version that begins with these hexadecimal digits, of which there are at least 32."""
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:32]}"
