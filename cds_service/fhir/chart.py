"""The chart of one call: every resource of this patient, found by type, and what is known of those not found.

Nothing of another patient's resources is kept: they are set aside before anybody reads them, and named.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import field
from typing import TYPE_CHECKING, Any

from cds_service.evidence import Absence
from cds_service.fhir.gather import RANK, Gathering
from cds_service.fhir.prefetch import Answer, KeyState
from cds_service.fhir.read import as_object, objects, text
from cds_service.fhir.resource import Resource, contained, short_reference
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cds_service.fhir.read import Json


_NOT_SENT = Absence.NOT_SENT


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
        found = Gathering(context, key_names or {})
        found.take(prefetch, fetched or {})
        return cls(
            found.patient_id,
            text(context.get("userId")),
            found.drafts,
            tuple(dict.fromkeys(found.notes)),
            {kind: tuple(resources) for kind, resources in found.by_type.items()},
            found.by_reference,
            found.answers,
            found.causes,
            frozenset(found.others),
            found.set_aside,
        )

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
            kept = known[id(within)] = within, contained(within)
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
        return min([causes.get(key, _NOT_SENT) for key in keys], key=RANK.__getitem__)
