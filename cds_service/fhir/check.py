"""Strict validation by fhir.resources: for what we send, for tests and the command line, never on the way of a call.

R4B stands in for R4, which the package does not have. It is imported when first used: that takes a while.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MOST = 20


def validate(resource: object) -> list[str]:
    """What is wrong with a resource, one line per problem, without its values; empty if it is valid R4B.

    >>> validate({"resourceType": "Patient", "birthDate": "1958-03-14"})
    []
    """
    if not isinstance(resource, dict):
        return ["not a JSON object"]
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not kind.isidentifier():
        return ["resourceType: missing or not a name"]
    try:
        model: Any = import_module("fhir.resources.R4B").get_fhir_model_class(kind)
    except (ImportError, LookupError, ValueError):
        return [f"resourceType: {kind[:40]} is no resource of R4B"]
    try:
        model.model_validate(resource)
    except Exception as error:  # KeyError, TypeError and RecursionError escape its validation
        return _problems(error)
    return []


def _problems(error: Exception) -> list[str]:
    listed = getattr(error, "errors", None)
    if not callable(listed):
        return [f"not valid ({type(error).__name__})"]
    found = [f"{'.'.join(map(str, item.get('loc', ())))}: {item.get('type', 'not valid')}" for item in listed()]
    return found[:_MOST] or ["not valid"]
