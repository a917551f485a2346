"""The chart of one call: every resource of this patient, found by type, and what is known of those not found.

Nothing of another patient's resources is kept: they are set aside before anybody reads them, and named.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import field
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
from cds_service.fhir.read import as_list, as_object, concept_of, moment, objects, reference_of, text
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cds_service.fhir.read import Concept, Json

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
_PRECEDENCE = (
    Absence.NOT_PERMITTED,
    Absence.UNREACHABLE,
    Absence.NOT_UNDERSTOOD,
    Absence.NOT_SENT,
    Absence.NOT_RECORDED,
)
_OPEN = (Absence.NOT_SENT, Absence.NOT_UNDERSTOOD)
_MOST_NAMED = 20
_RANK = {cause: rank for rank, cause in enumerate(_PRECEDENCE)}
_NOT_SENT = Absence.NOT_SENT
_PREFETCH = Origin.PREFETCH
_ABSENCE_OF = {
    KeyState.ABSENT: Absence.NOT_SENT,
    KeyState.NOTHING: Absence.NOT_RECORDED,
    KeyState.DATA: Absence.NOT_RECORDED,
    KeyState.FAILED: Absence.UNREACHABLE,
    KeyState.REFUSED: Absence.NOT_PERMITTED,
    KeyState.UNUSABLE: Absence.NOT_UNDERSTOOD,
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as it came. ``reference`` is ``Type/id``, or the type alone for a resource without id.

    ``key`` is the prefetch key it came under (empty for draft orders), ``position`` its place among the draft
    orders counted from 0 (-1 elsewhere), ``full_url`` the entry's fullUrl.
    """

    raw: Json
    type: str
    id: str | None
    reference: str
    origin: Origin
    key: str = ""
    position: int = -1
    full_url: str = ""
    _code: Concept | None = field(default=None, compare=False, repr=False)

    @property
    def code(self) -> Concept:
        """What the resource is about: its ``code``, read once."""
        code = self._code
        if code is None:
            code = concept_of(self.raw.get("code"))
            object.__setattr__(self, "_code", code)
        return code


@dataclass(slots=True)
class Chart:
    """What the client sent about one patient. Build it with :meth:`from_call`."""

    patient_id: str
    user_id: str
    drafts: tuple[Resource, ...] = ()
    """The entries of ``draftOrders`` in their order, companions and other patients' included (see ``is_foreign``)."""
    notes: tuple[str, ...] = ()
    _by_type: dict[str, tuple[Resource, ...]] = field(default_factory=dict)
    _by_reference: dict[str, Resource] = field(default_factory=dict)
    _answers: dict[str, Answer] = field(default_factory=dict)
    _causes: dict[str, Absence] = field(default_factory=dict)
    _others: frozenset[int] = frozenset()
    _set_aside: dict[str, Resource] = field(default_factory=dict)
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What readers work out of this chart once and share (an index by code, the cancers)."""

    @classmethod
    def from_call(
        cls,
        context: Mapping[str, Any],
        prefetch: Mapping[str, Any] | None,
        *,
        key_names: Mapping[str, str] | None = None,
        fetched: Mapping[str, Any] | None = None,
    ) -> Chart:
        """Read context and prefetch of a call.

        ``key_names`` maps a site's own prefetch keys to the contract's. ``fetched`` holds what the service itself
        read from the FHIR server, by contract key: what prefetch left open, or further pages of it. Its answer is then
        the cause for whatever is still not found.
        """
        return _Builder(context, key_names or {}).build(prefetch, fetched or {})

    def of(self, *types: str) -> tuple[Resource, ...]:
        """This patient's resources of these types, draft orders first, each type and id once."""
        if len(types) == 1:
            return self._by_type.get(types[0], ())
        found: tuple[Resource, ...] = ()
        for kind in types:
            if kind in self._by_type:
                found += self._by_type[kind]
        return found

    def is_foreign(self, draft: Resource) -> bool:
        """Whether a draft order belongs to another patient than that of the call."""
        return id(draft.raw) in self._others

    def set_aside(self, reference: str) -> Resource | None:
        """The resource of another patient that a reference names: to say so, never to read it."""
        return self._set_aside.get(reference) or self._set_aside.get(short_reference(reference))

    def resolve(self, reference: object, within: Mapping[str, Any] | None = None) -> Resource | None:
        """The resource a Reference (or its string) points to; None if it did not come with the call.

        Contained, by fullUrl, relative, absolute or versioned, else by its identifier.
        """
        target = reference if isinstance(reference, str) else text(as_object(reference).get("reference"))
        if target.startswith("#"):
            return self._contained_in(within).get(target[1:]) if within is not None else None
        if target:
            return self._by_reference.get(target) or self._by_reference.get(short_reference(target))
        return self._by_identifier(as_object(reference)) if isinstance(reference, dict) else None

    def _by_identifier(self, reference: Json) -> Resource | None:
        wanted = as_object(reference.get("identifier"))
        value, system = wanted.get("value"), wanted.get("system")
        if not isinstance(value, str) or not value:
            return None
        known: dict[tuple[str, str, str], dict[int, Resource]] | None = self.memo.get("identifiers")
        if known is None:  # once for all references of the chart
            known = self.memo["identifiers"] = self._identifiers()
        matches = known.get((text(reference.get("type")), value, repr(system)), {})
        return next(iter(matches.values())) if len(matches) == 1 else None

    def _identifiers(self) -> dict[tuple[str, str, str], dict[int, Resource]]:
        """The resources that bear an identifier, each once, by type (and under no type), value and system."""
        found: dict[tuple[str, str, str], dict[int, Resource]] = defaultdict(dict)
        for kind, resources in self._by_type.items():
            for resource in resources:
                for borne in objects(resource.raw.get("identifier")):
                    if isinstance(value := borne.get("value"), str):
                        for name in (kind, ""):
                            found[name, value, repr(borne.get("system"))][id(resource)] = resource
        return found

    def _contained_in(self, within: Mapping[str, Any]) -> dict[str, Resource]:
        """What a resource contains, by its id; of several with one id the first counts."""
        known: dict[int, tuple[Mapping[str, Any], dict[str, Resource]]] = self.memo.setdefault("contained", {})
        kept = known.get(id(within))
        if kept is None:
            kept = known[id(within)] = within, _contained(within)
        return kept[1]

    def state(self, key: str) -> KeyState:
        """What the client answered under a contract key (or a name the site configured for it)."""
        answer = self._answers.get(key)
        return answer.state if answer is not None else KeyState.ABSENT

    def answered(self, key: str) -> bool:
        """Whether the client looked.

        Data, null or an empty Bundle under the key, or a Bundle anywhere whose self link shows the search. A failed
        or unresolved query is no answer.
        """
        return self.absence(key) is Absence.NOT_RECORDED

    def absence(self, *keys: str) -> Absence:
        """Why nothing was found for a fact that these contract keys feed.

        The first cause that leaves it open, else not recorded. One page of several is not enough for "not recorded".
        """
        if len(keys) == 1:
            return self._causes.get(keys[0], _NOT_SENT)
        causes = self._causes
        return min([causes.get(key, _NOT_SENT) for key in keys], key=_RANK.__getitem__)


def _cause(answer: Answer) -> Absence:
    if not (answer.unresolved or answer.partial or answer.failure):
        return _ABSENCE_OF[answer.state]
    if answer.failure is not None:
        return _ABSENCE_OF[answer.failure]
    if answer.state is KeyState.NOTHING and answer.unresolved:
        return Absence.NOT_SENT
    if answer.partial and answer.state in {KeyState.NOTHING, KeyState.DATA}:
        return Absence.NOT_SENT
    return _ABSENCE_OF[answer.state]


def short_reference(reference: str) -> str:
    """``Type/id`` of a relative, absolute or versioned reference; the text itself where it has no such form."""
    if reference.count("/") == 1 and "|" not in reference:
        return reference
    bare = reference.partition("/_history/")[0].partition("|")[0]
    parts = bare.rsplit("/", 2)
    return "/".join(parts[-2:]) if len(parts) >= 2 else bare


def _contained(within: Mapping[str, Any]) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for raw in objects(within.get("contained")):
        identity = text(raw.get("id")).lstrip("#")
        if identity not in found:
            found[identity] = Resource(raw, text(raw.get("resourceType")), identity, f"#{identity}", Origin.CONTEXT)
    return found


class _Builder:
    """Collects resources in the order draft orders, prefetch, fetched.

    The first of a type and id counts, unless a later one says of itself that it was updated since.
    """

    def __init__(self, context: Mapping[str, Any], key_names: Mapping[str, str]) -> None:
        self.context = context
        self.key_names = key_names
        self.notes: list[str] = []
        patient = text(context.get("patientId"))
        self.patient_id = patient.rpartition("/")[2]
        self.own = f"Patient/{self.patient_id}"
        self.by_type: dict[str, list[Resource]] = {}
        self.by_reference: dict[str, Resource] = {}
        self.others: set[int] = set()
        self.set_aside: dict[str, Resource] = {}
        self.unnamed = 0
        self.answers: dict[str, Answer] = {}
        self.causes: dict[str, Absence] = {}

    def build(self, prefetch: Mapping[str, Any] | None, fetched: Mapping[str, Any]) -> Chart:
        drafts = self._drafts()
        collected = list(drafts)
        if isinstance(prefetch, dict):
            self._take_prefetch(prefetch, fetched, collected)
        elif prefetch is not None:
            self.notes.append("prefetch is no object and was set aside")
        if fetched:
            self._take_fetched(fetched, collected)
        answers, causes = self.answers, self.causes
        self._file(collected)
        if self.unnamed:
            self.notes.append(
                f"{self.unnamed} resource(s) name no patient; they were taken for the patient's of the call"
            )
        return Chart(
            self.patient_id,
            text(self.context.get("userId")),
            drafts,
            tuple(dict.fromkeys(self.notes)),
            {kind: tuple(resources) for kind, resources in self.by_type.items()},
            self.by_reference,
            answers,
            causes,
            frozenset(self.others),
            self.set_aside,
        )

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
                collected += [_resource(raw, _PREFETCH, key, -1, url) for url, raw in answer.entries]
            if contract_key in RESOURCE_TYPES:
                answer = self._fitting(contract_key, answer)
                cause = _cause(answer)
                before = causes.get(contract_key)
                if before is None or _RANK[cause] >= _RANK[before]:  # two keys for one: the better answer
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
                collected.append(_resource(raw, Origin.FETCHED, key, -1, url))
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
        answer = read_value(bundle, "draftOrders")
        self.notes += answer.notes
        return tuple(
            _resource(raw, Origin.CONTEXT, "", position, url) for position, (url, raw) in enumerate(answer.entries)
        )

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
            if "focus" in raw and kind == "Observation" and self._is_of_another_person(raw):
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
            self._set_aside(foreign)

    def _refer_to(self, resource: Resource, before: Resource) -> None:
        """Let what pointed to one version of a resource point to a newer one."""
        for name in (before.reference, before.full_url):
            if self.by_reference.get(name) is before:
                self.by_reference[name] = resource

    def _is_of_another_person(self, raw: Json) -> bool:
        """Whether an Observation in the patient's record was made of a fetus, a relative or another patient."""
        for item in as_list(raw["focus"]):
            reference = reference_of(item)
            if reference.startswith("Condition/"):  # as nearly everybody sends it
                continue
            kind, _, identity = short_reference(reference).rpartition("/")
            if kind in {"RelatedPerson", "FamilyMemberHistory"} or (kind == "Patient" and identity != self.patient_id):
                return True
        return False

    def _set_aside(self, foreign: list[Resource]) -> None:
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
            self.unnamed += 1
            return True
        if target.startswith("#"):
            inner = _contained(raw).get(target[1:])
            return inner is not None and inner.type == "Patient"
        if target.startswith("urn:"):
            known = self.by_reference.get(target)
            return known is not None and known.type == "Patient" and known.id == self.patient_id
        kind, _, found = short_reference(target).rpartition("/")
        return found == self.patient_id and kind in {"", "Patient"}


def _supersedes(resource: Resource, before: Resource) -> bool:
    """Whether it is a newer version of a resource: both say when they were updated. A draft order stays as it came."""
    if before.origin is Origin.CONTEXT:
        return False
    since, until = (moment(text(as_object(one.raw.get("meta")).get("lastUpdated"))) for one in (before, resource))
    return since is not None and until is not None and until > since


def _resource(raw: Json, origin: Origin, key: str, position: int = -1, url: str = "") -> Resource:
    kind, identity = raw["resourceType"], raw.get("id")
    if type(identity) is str and identity:
        return Resource(raw, kind, identity, f"{kind}/{identity}", origin, key, position, url)
    return Resource(raw, kind, None, kind, origin, key, position, url)
