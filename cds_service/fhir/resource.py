"""One resource of a call as it came, and what names it."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from cds_service.evidence import Origin
from cds_service.fhir.read import concept_of, objects, text
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cds_service.fhir.read import Concept, Json


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


def resource_of(raw: Json, origin: Origin, key: str, position: int = -1, url: str = "") -> Resource:
    """A resource with its reference; an id that is no text is none."""
    kind, identity = raw["resourceType"], raw.get("id")
    if type(identity) is str and identity:
        return Resource(raw, kind, identity, f"{kind}/{identity}", origin, key, position, url)
    return Resource(raw, kind, None, kind, origin, key, position, url)


def contained(within: Mapping[str, Any]) -> dict[str, Resource]:
    """What a resource contains, by its id; of several with one id the first counts."""
    found: dict[str, Resource] = {}
    for raw in objects(within.get("contained")):
        identity = text(raw.get("id")).lstrip("#")
        if identity not in found:
            found[identity] = Resource(raw, text(raw.get("resourceType")), identity, f"#{identity}", Origin.CONTEXT)
    return found


def short_reference(reference: str) -> str:
    """``Type/id`` of a relative, absolute or versioned reference; the text itself where it has no such form."""
    if reference.count("/") == 1 and "|" not in reference:
        return reference
    bare = reference.partition("/_history/")[0].partition("|")[0]
    parts = bare.rsplit("/", 2)
    return "/".join(parts[-2:]) if len(parts) >= 2 else bare
