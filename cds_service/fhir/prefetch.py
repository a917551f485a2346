"""What a client answered for one prefetch key.

CDS Hooks knows five answers and they mean different things: the key is absent (the client did not or could not
supply it), null or an empty Bundle (it looked and found nothing), an OperationOutcome (the query failed), data.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from cds_service.fhir.read import as_list, objects, text
from cds_service.terminology.codes import LOINC, SNOMED, lookup
from cds_service.values import dataclass, direct

if TYPE_CHECKING:
    from cds_service.fhir.read import Json

RESOURCE_TYPES: dict[str, tuple[str, ...]] = {
    "patient": ("Patient",),
    "conditions": ("Condition",),
    "weight": ("Observation",),
    "oncologyObservations": ("Observation",),
    "medicationRequests": ("MedicationRequest", "MedicationOrder"),
    "medicationAdministrations": ("MedicationAdministration",),
    "procedures": ("Procedure",),
    "coverage": ("Coverage",),
    "practitionerRole": ("PractitionerRole",),
    "questionnaireResponses": ("QuestionnaireResponse",),
}
"""The contract's prefetch keys (section 1) and the resource types each asks for."""

_WEIGHT_CODES = frozenset({"29463-7", "3141-9"})
_WEIGHTS = frozenset({"weight_observation", "weight_exclude"})
_SYSTEMS = (LOINC, SNOMED)
_WHOLE = frozenset({"patient", "subject", "beneficiary", "practitioner", "code"})
_NARROWING = frozenset(
    {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_text", "_content", "_filter", "_query"}
)
_REFUSED = frozenset({"forbidden", "security", "login", "suppressed"})
_FAILED = frozenset({"error", "fatal"})
_WRAPPED = frozenset({"Bundle", "OperationOutcome"})
"""What may stand in an entry without being a resource of the patient."""
_DEPTH = 3


@direct
class KeyState(Enum):
    """The five answers; REFUSED is the OperationOutcome that says the client may not read the data."""

    ABSENT = "absent"
    NOTHING = "nothing"
    FAILED = "failed"
    REFUSED = "refused"
    DATA = "data"
    UNUSABLE = "unusable"


_DATA, _NOTHING = KeyState.DATA, KeyState.NOTHING


@dataclass(frozen=True, slots=True)
class Answer:
    """One prefetch value, read. ``entries`` are (fullUrl, resource) pairs.

    ``partial`` says that there are more pages or matches than came, ``failure`` how a part of the search failed beside
    data. ``query`` is the search the Bundle's own self link shows, ``unresolved`` that this link still holds a template
    token (then an empty Bundle proves nothing).
    """

    state: KeyState
    entries: tuple[tuple[str, Json], ...] = ()
    partial: bool = False
    query: str = ""
    unresolved: bool = False
    notes: tuple[str, ...] = ()
    failure: KeyState | None = None


def read_value(value: object, named: str) -> Answer:
    """Read the value of one key. ``named`` is how notes call it (``prefetch key weight``)."""
    if value is None:
        return Answer(_NOTHING)
    if not isinstance(value, dict):
        return Answer(KeyState.UNUSABLE, notes=(f"{named} is no FHIR resource and was set aside",))
    kind = value.get("resourceType")
    if kind == "OperationOutcome":
        return Answer(_outcome(value))
    if kind == "Bundle" or ("entry" in value and kind != "List"):  # a Bundle, whatever its type says
        return _bundle(value, named)
    if not isinstance(kind, str) or not kind:
        return Answer(KeyState.UNUSABLE, notes=(f"{named} has no resourceType and was set aside",))
    return Answer(_DATA, (("", value),))


def _outcome(outcome: Json) -> KeyState:
    codes = {text(issue.get("code")) for issue in objects(outcome.get("issue"))}
    return KeyState.REFUSED if codes & _REFUSED else KeyState.FAILED


def _is_failure(outcome: Json) -> bool:
    """An OperationOutcome inside a searchset: only an error means that the search failed."""
    return any(text(issue.get("severity")) in _FAILED for issue in objects(outcome.get("issue")))


def _bundle(bundle: Json, named: str) -> Answer:
    entries: list[tuple[str, Json]] = []
    notes: list[str] = []
    failures: list[KeyState] = []
    if "entry" in bundle:
        _collect(bundle, named, entries, notes, failures, 0)
    query, partial = "", False
    if "link" in bundle:
        for link in as_list(bundle["link"]):
            if type(link) is dict:
                relation = link.get("relation")
                if relation == "self":
                    query = text(link.get("url"))
                elif relation == "next":
                    partial = True
    if partial:
        notes.append(f"{named}: only the first page was sent")
    elif type(total := bundle.get("total")) is int and total > len(entries):
        partial = True
    unresolved = False
    if "%" in query or "{" in query:
        query = unquote(query)
        unresolved = "{{" in query
    if not failures:
        state = _DATA if entries else _NOTHING
        return Answer(state, tuple(entries), partial, query, unresolved, tuple(notes) if notes else ())
    if not entries:
        return Answer(failures[0], (), partial, query, unresolved, tuple(notes))
    notes.append(f"{named}: part of the search failed")
    return Answer(_DATA, tuple(entries), partial, query, unresolved, tuple(notes), failures[0])


def _collect(
    bundle: Json,
    named: str,
    entries: list[tuple[str, Json]],
    notes: list[str],
    failures: list[KeyState],
    depth: int,
) -> None:
    for entry in as_list(bundle.get("entry")):
        if type(entry) is not dict:
            notes.append(f"{named}: an entry that is no object was set aside")
            continue
        resource = entry.get("resource")
        if type(resource) is dict and type(kind := resource.get("resourceType")) is str and kind not in _WRAPPED:
            url = entry.get("fullUrl")
            entries.append((url.strip() if type(url) is str else "", resource))
            continue
        if resource is None and isinstance(entry.get("resourceType"), str):
            resource = entry
            notes.append(f"{named}: a resource that stood in place of its entry was read")
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            if resource is not None:
                notes.append(f"{named}: an entry without a resource type was set aside")
            continue
        kind = resource["resourceType"]
        if kind == "OperationOutcome":
            if _is_failure(resource):
                failures.append(_outcome(resource))
        elif kind == "Bundle":
            if depth < _DEPTH:
                _collect(resource, named, entries, notes, failures, depth + 1)
        else:
            entries.append((text(entry.get("fullUrl")), resource))


def keys_shown_by(query: str, patient_id: str) -> frozenset[str]:
    """The contract keys that a Bundle's self link answers, whatever key the Bundle came under.

    The link must search the right type for this patient, and all of it: a search by date or status finds nothing where
    the chart has something. An Observation search counts for the codes it names.
    """
    if not query or "{{" in query:
        return frozenset()
    try:
        parts = urlsplit(query)
        parameters = dict(parse_qsl(parts.query))
    except ValueError:
        return frozenset()
    kind = parts.path.rstrip("/").removesuffix("/_search").rpartition("/")[2]
    owner = parameters.get("patient") or parameters.get("subject") or parameters.get("beneficiary") or ""
    if kind not in {"PractitionerRole"} and owner.rpartition("/")[2] != patient_id:
        return frozenset()
    if any(_narrows(kind, name, value) for name, value in parameters.items()):
        return frozenset()
    if kind == "Observation":
        return _observations_of(parameters.get("code", ""), parameters.get("category", ""))
    return frozenset(key for key, kinds in RESOURCE_TYPES.items() if kind in kinds)


def _narrows(kind: str, name: str, value: str) -> bool:
    """Whether a search parameter leaves out records that a key of ours asks for."""
    if name.startswith("_"):
        return name.startswith("_has:") or name in _NARROWING
    if kind == "Observation" and name == "category":
        return False
    if kind == "Coverage" and name == "status":
        return value != "active"
    return name not in _WHOLE or (name == "code" and kind != "Observation")


def _observations_of(code: str, category: str) -> frozenset[str]:
    if not code and not category:
        return frozenset({"weight", "oncologyObservations"})
    if not code:
        return frozenset({"weight"}) if "vital-signs" in category else frozenset()
    found: set[str] = set()
    for one in code.split(","):
        system, _, bare = one.rpartition("|")
        sets = {entry.value_set for each in ([system] if system else _SYSTEMS) for entry in lookup(each, bare)}
        if bare in _WEIGHT_CODES:
            found.add("weight")
        if sets - _WEIGHTS:
            found.add("oncologyObservations")
    return frozenset(found)


def searches_another_patient(query: str, patient_id: str) -> bool:
    """Whether an answer's own link searches for another patient: then it says nothing of this one."""
    if "?" not in query:
        return False
    ended = query + "&"
    if f"={patient_id}&" in ended or f"/{patient_id}&" in ended:
        return False
    try:
        parameters = dict(parse_qsl(urlsplit(query).query))
    except ValueError:
        return False
    owner = parameters.get("patient") or parameters.get("subject") or ""
    return bool(owner) and owner.rpartition("/")[2] != patient_id
