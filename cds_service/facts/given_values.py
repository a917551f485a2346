"""Single values given as JSON: what each fact takes, and as what it is read.

A value that its fact cannot take is an :class:`UnusableError`; the fact is then not understood and shows what was
given.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from cds_service.criteria.quantity import OLDEST, PartialDate
from cds_service.evidence import Absence, AnyFact, Evidence, Known, Origin, Unknown
from cds_service.facts.catalogue import FACTS
from cds_service.facts.coverage import line_of_business
from cds_service.facts.merged import merged
from cds_service.facts.reasons import names_no_disease
from cds_service.fhir.read import clinical_date, decimal, partial_date, whole
from cds_service.terminology import Diagnosis, diagnosis_from_codings, histology_kind, histology_of, stage_from_text
from cds_service.terminology.codes import ICD10, Coding
from cds_service.terminology.diagnosis import NOT_ESTABLISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cds_service.terminology import Drug

UNKNOWN_WORDS = frozenset({"", "?", "unknown", "not known", "not recorded", "undetermined", "n/a", "unspecified"})
STATUSES = {
    "confirmed": "confirmed",
    **dict.fromkeys(NOT_ESTABLISHED, "provisional"),
    **dict.fromkeys(("refuted", "ruled-out"), "refuted"),
    "entered-in-error": "entered-in-error",
}
LINES_OF_THERAPY = {
    name: word
    for number, word in enumerate(("first", "second", "third", "fourth", "fifth", "sixth"), 1)
    for name in (word, str(number), f"{number}l", f"{number}{('st', 'nd', 'rd')[number - 1] if number < 4 else 'th'}")
} | {"frontline": "first", "front": "first", "initial": "first", "subsequent": "subsequent", "later": "subsequent"}
_LINE = re.compile(r"(?<![-\s])[-\s]*line(?: of)?(?: therapy| treatment)?$")
"""What follows the number of a line. It begins where a run of hyphens does: from each of them would take for ever."""
_CODE = re.compile(r"[A-TV-Za-tv-z]\d\d(?:\.\w{1,4})?")
"""ICD-10 with its point, so that no other short text is taken for a code."""
_LONGEST = 120
_LIFETIME = {"days": 366 * OLDEST, "months": 12 * OLDEST, "years": OLDEST}
"""More than anybody's life holds: an age or a time beyond it is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where given values stand: the assess body, or a questionnaire response with the day it was answered."""

    reference: str = "facts"
    origin: Origin = Origin.GIVEN
    recorded: date | None = None
    author: str = ""

    def evidence(self, name: str, value: object) -> Evidence:
        """Evidence that shows a value as it was given, and who gave it where that is recorded."""
        said = f"{as_given(value)} (by {self.author})" if self.author else as_given(value)
        return Evidence(self.reference, name, said, self.recorded, self.origin)


class Given(NamedTuple):
    """What the reader of one fact receives beside the value."""

    name: str
    values: Mapping[str, Any]
    place: Place
    on: date
    drug: Drug | None
    notes: list[str]

    def evidence(self, value: object) -> tuple[Evidence, ...]:
        """Evidence that shows the value as it was given."""
        return (self.place.evidence(self.name, value),)


class UnusableError(ValueError):
    """A value that its fact cannot take."""


LEFT_OUT = Unknown(Absence.NOT_RECORDED, "left out")


def as_given(value: object) -> str:
    """A given value as a short text."""
    if isinstance(value, str):
        said = value.strip()
    elif isinstance(value, date | Decimal):
        said = str(value)
    else:
        try:
            said = json.dumps(value, ensure_ascii=False, default=str)
        except (TypeError, ValueError, RecursionError):
            said = "…"
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"


def _boolean(value: object, reading: Given) -> AnyFact:
    return Known(_truth(value), reading.evidence(value))


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    raise UnusableError


def _number(value: object, reading: Given) -> AnyFact:
    number = decimal(value)
    unit = next((unit for unit in _LIFETIME if unit in reading.name), "years")
    if number is None or not 0 <= number <= _LIFETIME[unit]:
        raise UnusableError
    return Known(number, reading.evidence(value))


def _ordinal(value: object, reading: Given) -> AnyFact:
    number = whole(value)
    if number is None or number < 1:
        raise UnusableError
    return Known(Decimal(number), reading.evidence(value))


def _text(value: object, reading: Given) -> AnyFact:
    said = _words(value)
    allowed = FACTS[reading.name].values
    if allowed:
        said = "-".join(said.lower().replace("_", " ").replace("-", " ").split())
        if said not in allowed:
            raise UnusableError
    return Known(said, reading.evidence(value))


def _words(value: object) -> str:
    """A text that says something. Numbers are no text."""
    if not isinstance(value, str) or value.strip().lower() in UNKNOWN_WORDS:
        raise UnusableError
    return value.strip()


def day_of(value: object) -> date | None:
    """The day a value says, None for anything else."""
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else clinical_date(value)


def _date(value: object, reading: Given) -> AnyFact:
    day = day_of(value)
    if day is None:
        raise UnusableError
    return Known(day, reading.evidence(value))


def _birth_date(value: object, reading: Given) -> AnyFact:
    day = day_of(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # a bare year
    born = PartialDate(day, day, day.isoformat()) if day is not None else partial_date(value)
    if born is None:
        raise UnusableError
    return Known(born, reading.evidence(value))


def _responding(value: object, reading: Given) -> AnyFact:
    if isinstance(value, str) and value.strip().lower() == "stable":
        return Known("stable", reading.evidence(value))
    return _boolean(value, reading)


def _line_of_business(value: object, reading: Given) -> AnyFact:
    return Known(line_of_business(_words(value)), reading.evidence(value))


def _line_of_therapy(value: object, reading: Given) -> AnyFact:
    said = str(value) if isinstance(value, int) and not isinstance(value, bool) else _words(value).lower()
    said = _LINE.sub("", said).strip()
    if said not in LINES_OF_THERAPY:
        raise UnusableError
    return Known(LINES_OF_THERAPY[said], reading.evidence(value))


def _histology(value: object, reading: Given) -> AnyFact:
    return Known(histology_kind(_words(value)), reading.evidence(value))


def _stage(value: object, reading: Given) -> AnyFact:
    said = str(value) if isinstance(value, int) and not isinstance(value, bool) else _words(value)
    stage = stage_from_text(said)
    if stage is None:
        raise UnusableError
    return Known(stage, reading.evidence(value))


def _status(value: object, reading: Given) -> AnyFact:
    said = "-".join(_words(value).lower().replace("-", " ").split())
    if said not in STATUSES:
        raise UnusableError
    if STATUSES[said] == "entered-in-error":
        return Unknown(Absence.NOT_RECORDED, FACTS[reading.name].meaning, reading.evidence(value))
    return Known(STATUSES[said], reading.evidence(value))


def _indication(value: object, reading: Given) -> AnyFact:
    """Every text is a diagnosis the drug is ordered for; one that names no disease we know is another disease."""
    histology = reading.values.get("histology")
    tissue = histology_of((), histology) if isinstance(histology, str) else None
    status = reading.values.get("diagnosis_status")
    texts = [_words(item) for item in (value if isinstance(value, list) else [value]) if item is not None]
    if any(map(names_no_disease, texts)):
        raise UnusableError
    named = [diagnosis_from_codings(_coded(said), said) or Diagnosis(None, said) for said in texts]
    found = [diagnosis_from_codings(_coded(said), said, tissue) or Diagnosis(None, said) for said in texts]
    if len({d.disease for d in named if d.disease}) > 1:
        # Nothing says which of several cancers the tissue is of: it may settle one, and speaks against none.
        found = [plain if plain.settled else typed for plain, typed in zip(named, found, strict=True)]
    if not found:
        return LEFT_OUT
    certain = _certainty(status)
    if certain == "entered-in-error":
        return Unknown(Absence.NOT_RECORDED, FACTS[reading.name].meaning, reading.evidence(value))
    if certain is None:
        why = f"the status of the diagnosis ({as_given(status)}) is not understood"
        found = [replace(d, settled=False, why=why, ask=("diagnosis_status",)) for d in found]
    elif certain:
        found = [replace(d, status=certain) for d in found]
    return Known(merged(list(dict.fromkeys(found))), reading.evidence(value))


def _coded(said: str) -> tuple[Coding, ...]:
    """A diagnosis given as nothing but its ICD-10 code."""
    return (Coding(ICD10, said.upper()),) if _CODE.fullmatch(said) else ()


def _certainty(status: object) -> str | None:
    """The status given, empty where none is, None where it is not understood."""
    if status is None:
        return ""
    if isinstance(status, str):
        return STATUSES.get("-".join(status.lower().replace("-", " ").split()))
    return None


READERS: dict[str, Callable[[object, Given], AnyFact]] = {
    "birth_date": _birth_date,
    "diagnosis_status": _status,
    "histology": _histology,
    "indication": _indication,
    "line_of_business": _line_of_business,
    "line_of_therapy": _line_of_therapy,
    "responding": _responding,
    "stage": _stage,
    "tremelimumab_dose_number": _ordinal,
}
"""The readers of facts that take values of their own."""

BY_KIND: dict[str, Callable[[object, Given], AnyFact]] = {
    "age": _number,
    "boolean": _boolean,
    "date": _date,
    "diagnosis": _indication,
    "number": _number,
    "partial-date": _birth_date,
    "text": _text,
}
"""The readers of all others, by the kind of the fact in the catalogue."""
