"""What a call sent and the service fetched, gathered for a chart: whose each resource is, and what each key answered.

Resources of other patients are set aside before anybody reads them. Every contract key comes to the cause for which a
fact that it feeds may still be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cds_service.evidence import Absence, Origin
from cds_service.fhir.prefetch import (
    RESOURCE_TYPES,
    Answer,
    KeyState,
    keys_shown_by,
    read_value,
    searches_another_patient,
)
from cds_service.fhir.read import as_object, code_of, moment, objects, text, whole
from cds_service.fhir.resource import Resource, contained, resource_of, short_reference
from cds_service.fhir.somebody_else import is_about_somebody_else

if TYPE_CHECKING:
    from collections.abc import Mapping


_WITHOUT_PATIENT = frozenset(
    {
        "Medication",
        "Practitioner",
        "PractitionerRole",
        "Organization",
        "Location",
        "HealthcareService",
        "Questionnaire",
        "InsurancePlan",
        "Substance",
        "MedicationKnowledge",
    }
)
"""Types whose resources are of no patient: they belong to every call."""
_CORRECTED = frozenset({"corrected", "amended", "entered-in-error"})
"""Statuses of a record that somebody changed after it was there."""
_PRECEDENCE = (
    Absence.NOT_PERMITTED,
    Absence.UNREACHABLE,
    Absence.NOT_UNDERSTOOD,
    Absence.NOT_SENT,
    Absence.NOT_RECORDED,
)
RANK = {cause: rank for rank, cause in enumerate(_PRECEDENCE)}
"""Of several causes for which something is missing, the one with the lowest rank is told."""
_OPEN = (Absence.NOT_SENT, Absence.NOT_UNDERSTOOD)
"""What prefetch left open, so that the service's own reading counts."""
_MOST_NAMED = 20
"""How many resources of other patients are named one by one."""
_PREFETCH = Origin.PREFETCH
_MEDICATION = frozenset({"medicationCodeableConcept", "medicationReference", "medication"})
"""What a draft order has only if it is one of a medication."""
_ABSENCE_OF = {
    KeyState.ABSENT: Absence.NOT_SENT,
    KeyState.NOTHING: Absence.NOT_RECORDED,
    KeyState.DATA: Absence.NOT_RECORDED,
    KeyState.FAILED: Absence.UNREACHABLE,
    KeyState.REFUSED: Absence.NOT_PERMITTED,
    KeyState.UNUSABLE: Absence.NOT_UNDERSTOOD,
}
"""Why what a key feeds is missing, where the answer under it is whole."""


class Gathering:
    """Collects resources in the order draft orders, prefetch, fetched.

    The first of a type and id counts, unless a later one says of itself that it was updated since.
    """

    def __init__(self, context: Mapping[str, Any], key_names: Mapping[str, str]) -> None:
        self.context = context
        self.key_names = key_names
        self.notes: list[str] = []
        self.patient_id = text(context.get("patientId")).rpartition("/")[2]
        self.own = f"Patient/{self.patient_id}"
        self.drafts: tuple[Resource, ...] = ()
        self.by_type: dict[str, list[Resource]] = {}
        self.by_reference: dict[str, Resource] = {}
        self.others: set[int] = set()
        """Resources of other patients, by the ``id()`` of what came."""
        self.set_aside: dict[str, Resource] = {}
        """What of theirs was named, for :meth:`~cds_service.fhir.chart.Chart.set_aside`."""
        self.unnamed = 0
        """How many resources of the patient's types name no patient."""
        self.answers: dict[str, Answer] = {}
        self.causes: dict[str, Absence] = {}
        """By contract key: why a fact that it feeds may be missing."""

    def take(self, prefetch: Mapping[str, Any] | None, fetched: Mapping[str, Any]) -> None:
        """Take all that came."""
        self.drafts = self._drafts()
        collected = list(self.drafts)
        if isinstance(prefetch, dict):
            self._take_prefetch(prefetch, fetched, collected)
        elif prefetch is not None:
            self.notes.append("prefetch is no object and was set aside")
        if fetched:
            self._take_fetched(fetched, collected)
        self._file(collected)
        if self.unnamed:
            self.notes.append(
                f"{self.unnamed} resource(s) name no patient; they were taken for the patient's of the call"
            )

    # --- what was answered

    def _take_prefetch(
        self, prefetch: Mapping[str, Any], fetched: Mapping[str, Any], collected: list[Resource]
    ) -> None:
        names, answers, causes, notes = self.key_names, self.answers, self.causes, self.notes
        for key, value in prefetch.items():
            contract_key = names.get(key, key) if names else key
            answer = read_value(value, f"prefetch key {key}")
            if answer.notes and (contract_key not in fetched or not answer.entries):
                notes += answer.notes
            if answer.entries:
                collected += [resource_of(raw, _PREFETCH, key, -1, url) for url, raw in answer.entries]
            if contract_key in RESOURCE_TYPES:
                answer = self._fitting(contract_key, answer)
                cause = _cause(answer)
                before = causes.get(contract_key)
                if before is None or RANK[cause] >= RANK[before]:  # two keys for one: the better answer
                    answers[contract_key], causes[contract_key] = answer, cause
            elif answer.query and answer.state in {KeyState.NOTHING, KeyState.DATA} and not answer.partial:
                for shown in keys_shown_by(answer.query, self.patient_id):
                    causes.setdefault(shown, Absence.NOT_RECORDED)

    def _take_fetched(self, fetched: Mapping[str, Any], collected: list[Resource]) -> None:
        """What we read ourselves: for keys that prefetch left open, or further pages of them."""
        answers, causes = self.answers, self.causes
        for key, value in fetched.items():
            if causes.get(key, Absence.NOT_SENT) not in _OPEN:
                continue
            answer = read_value(value, f"fetched {key}")
            self.notes += answer.notes
            for url, raw in answer.entries:
                collected.append(resource_of(raw, Origin.FETCHED, key, -1, url))
            if key in RESOURCE_TYPES:
                answer = self._fitting(key, answer)
                causes[key] = _cause(answer)
                if key not in answers or answers[key].state is not KeyState.DATA:  # further pages may be empty
                    answers[key] = answer
            else:
                causes[key] = _cause(answer)

    def _fitting(self, key: str, answer: Answer) -> Answer:
        """An answer that holds nothing of the type its key asks for, or is about another patient, answers nothing."""
        if answer.state is KeyState.DATA:
            wanted = RESOURCE_TYPES[key]
            for _, raw in answer.entries:
                if raw["resourceType"] in wanted:
                    break
            else:
                return self._unfit(key)
        if answer.query and searches_another_patient(answer.query, self.patient_id):
            return self._unfit(key)
        return answer

    def _unfit(self, key: str) -> Answer:
        self.notes.append(f"{key} does not hold what it asks for")
        return Answer(KeyState.UNUSABLE)

    def _drafts(self) -> tuple[Resource, ...]:
        bundle = self.context.get("draftOrders")
        if bundle is None:
            return ()
        answer = read_value(self._with_types(bundle), "draftOrders")
        self.notes += answer.notes
        return tuple(
            resource_of(raw, Origin.CONTEXT, "", position, url) for position, (url, raw) in enumerate(answer.entries)
        )

    def _with_types(self, bundle: Any) -> Any:
        """The drafts, with the type of those that lack one and that only an order of a medication can be."""
        entries = bundle.get("entry") if isinstance(bundle, dict) else None
        if not isinstance(entries, list) or all(_has_type(entry) for entry in entries):
            return bundle
        return {**bundle, "entry": [self._with_type(place, entry) for place, entry in enumerate(entries)]}

    def _with_type(self, place: int, entry: Any) -> Any:
        if _has_type(entry) or not entry["resource"].keys() & _MEDICATION:
            return entry
        self.notes.append(f"draftOrders entry {place} has no resourceType and is read as a MedicationRequest")
        return {**entry, "resource": {"resourceType": "MedicationRequest", **entry["resource"]}}

    # --- whose it is

    def _file(self, collected: list[Resource]) -> None:
        """Index everything by reference first (a subject may be a urn:uuid of the Bundle), then sort by patient."""
        own, by_reference, by_type = self.own, self.by_reference, self.by_type
        for resource in collected:  # of several with one name the first counts
            if resource.id is not None:
                by_reference.setdefault(resource.reference, resource)
            if url := resource.full_url:
                by_reference.setdefault(url, resource)
        foreign: list[Resource] = []
        filed: dict[str, Resource] = {}
        renewed: set[str] = set()
        for resource in collected:
            raw, kind = resource.raw, resource.type
            owner = raw.get("subject")
            if not (type(owner) is dict and owner.get("reference") == own) and not self._is_ours(resource):
                foreign.append(resource)
                continue
            if kind == "Observation" and is_about_somebody_else(raw, self.patient_id):
                foreign.append(resource)
                continue
            if resource.id is not None:
                name = resource.reference
                if (before := filed.get(name)) is not None:
                    if _supersedes(resource, before):
                        self._refer_to(resource, before)
                        filed[name] = resource
                        renewed.add(kind)
                    continue
                filed[name] = resource
            if kind in by_type:
                by_type[kind].append(resource)
            else:
                by_type[kind] = [resource]
        for kind in renewed:  # once, however many were sent in two versions
            by_type[kind] = [one if one.id is None else filed[one.reference] for one in by_type[kind]]
        if foreign:
            self._put_aside(foreign)

    def _refer_to(self, resource: Resource, before: Resource) -> None:
        """Let what pointed to one version of a resource point to a newer one."""
        for name in (before.reference, before.full_url):
            if self.by_reference.get(name) is before:
                self.by_reference[name] = resource

    def _put_aside(self, foreign: list[Resource]) -> None:
        for resource in foreign:
            self.others.add(id(resource.raw))
            for name in (resource.reference, resource.full_url):
                if self.by_reference.get(name) is resource:
                    self.set_aside[name] = self.by_reference.pop(name)
        named = [resource.reference for resource in foreign[:_MOST_NAMED]]
        self.notes += [f"{name} belongs to another patient and was set aside" for name in named]
        if len(foreign) > len(named):
            self.notes.append(f"{len(foreign) - len(named)} more resources belong to other patients")

    def _is_ours(self, resource: Resource) -> bool:
        """Whether it is this patient's, or nobody's; what names no patient counts as this one's and is remarked."""
        raw = resource.raw
        owner = raw.get("subject")
        if resource.type == "Patient":
            if resource.id is None:
                self.unnamed += 1
            return resource.id is None or resource.id == self.patient_id
        if resource.type in _WITHOUT_PATIENT:
            return True
        owner = owner or raw.get("patient") or raw.get("beneficiary") or raw.get("for")
        target = owner if isinstance(owner, str) else text(as_object(owner).get("reference"))
        if not target:
            if self._is_anothers(as_object(owner).get("identifier")):
                return False
            self.unnamed += 1
            return True
        if target.startswith("#"):
            inner = contained(raw).get(target[1:])
            return inner is not None and inner.type == "Patient" and not self._is_anothers(inner.raw.get("identifier"))
        if target.startswith("urn:"):
            known = self.by_reference.get(target)
            return known is not None and known.type == "Patient" and known.id == self.patient_id
        kind, _, found = short_reference(target).rpartition("/")
        return found == self.patient_id and kind in {"", "Patient"}

    def _is_anothers(self, identifiers: object) -> bool:
        """Whether one of these identifiers is a number that the patient of the call has otherwise."""
        patient = self.by_reference.get(self.own)
        if patient is None:
            return False
        own = _numbers(patient.raw.get("identifier"))
        return any(system in own and not values & own[system] for system, values in _numbers(identifiers).items())


def _numbers(identifiers: object) -> dict[str, set[str]]:
    """The values of identifiers by their systems; one without a system can be compared with none."""
    found: dict[str, set[str]] = {}
    for identifier in objects(identifiers):
        system, value = text(identifier.get("system")), text(identifier.get("value"))
        if system and value:
            found.setdefault(system, set()).add(value)
    return found


def _supersedes(resource: Resource, before: Resource) -> bool:
    """Whether it is a newer version of a resource: by when both were updated, else by their numbers or as a correction.

    A draft order stays as it came.
    """
    if before.origin is Origin.CONTEXT:
        return False
    metas = [as_object(one.raw.get("meta")) for one in (before, resource)]
    since, until = (moment(text(meta.get("lastUpdated"))) for meta in metas)
    if since is not None or until is not None:
        return since is not None and until is not None and until > since
    older, newer = (whole(meta.get("versionId")) for meta in metas)
    if older is not None and newer is not None:
        return newer > older
    corrected = [code_of(one.raw.get("status")).lower() in _CORRECTED for one in (before, resource)]
    return corrected == [False, True]


def _cause(answer: Answer) -> Absence:
    """Why a fact that this answer does not hold is missing."""
    if not (answer.unresolved or answer.partial or answer.failure):
        return _ABSENCE_OF[answer.state]
    if answer.failure is not None:
        return _ABSENCE_OF[answer.failure]
    if answer.state is KeyState.NOTHING and answer.unresolved:
        return Absence.NOT_SENT
    if answer.partial and answer.state in {KeyState.NOTHING, KeyState.DATA}:
        return Absence.NOT_SENT
    return _ABSENCE_OF[answer.state]


def _has_type(entry: object) -> bool:
    """Whether an entry of a Bundle needs no type of ours."""
    raw = entry.get("resource") if isinstance(entry, dict) else None
    return not isinstance(raw, dict) or "resourceType" in raw
