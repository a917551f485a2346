"""What prefetch left open, as queries to a FHIR server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cds_service.evidence import Absence
from cds_service.fhir.prefetch import KeyState
from cds_service.fhir.read import as_object, objects, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json

_OPEN = frozenset({Absence.NOT_SENT, Absence.NOT_UNDERSTOOD})
_READABLE = re.compile(r"([A-Za-z]+)/[A-Za-z0-9][A-Za-z0-9.-]{0,255}")
_TOKEN = re.compile(r"\{\{(.+?)\}\}")


def lacking(
    chart: Chart, templates: Mapping[str, str], prefetch: Mapping[str, Any], key_names: Mapping[str, str]
) -> dict[str, str]:
    """The queries, by contract key, that would complete a chart.

    For a key that was not sent, or not usable, its template; for one of which only the first page came, the address of
    the next page. null, an empty Bundle and a failed query are answers and are not asked again.
    """
    open_keys = [key for key in templates if chart.absence(key) in _OPEN]
    if not open_keys:
        return {}
    sent = {key_names.get(key, key): value for key, value in prefetch.items()}
    queries = {}
    for key in open_keys:
        template = templates[key]
        following = next_page(as_object(sent.get(key))) if chart.state(key) in {KeyState.DATA, KeyState.NOTHING} else ""
        query = following or filled(template, chart.patient_id, chart.user_id)
        if query is None and key == "practitionerRole":
            query = filled("{{context.userId}}", chart.patient_id, chart.user_id)  # the user is a role
        if query is not None:
            queries[key] = query
    return queries


def filled(template: str, patient_id: str, user_id: str) -> str | None:
    """A prefetch template with its tokens replaced; None where one has no value, or no usable one.

    >>> filled("Observation?patient={{context.patientId}}", "a/b", "")
    'Observation?patient=a%2Fb'
    """
    before, _, identity = user_id.rpartition("/")
    kind = before.rpartition("/")[2]
    values = {"context.patientId": quote(patient_id, safe="")}
    if kind in {"Practitioner", "PractitionerRole"}:
        values["context.userId"] = f"{kind}/{quote(identity, safe='')}"
    if kind == "Practitioner":
        values["userPractitionerId"] = quote(identity, safe="")
    used = [values.get(name.strip(), "") for name in _TOKEN.findall(template)]
    if any(value.rpartition("/")[2] in {"", ".", ".."} for value in used):
        return None
    return _TOKEN.sub(lambda token: values[token[1].strip()], template)


def readable(reference: str, server: str | None, *types: str) -> str | None:
    """``Type/id`` of a reference that a FHIR server can be asked for.

    None for a resource of another type or of another server, for a contained one, and for what is no reference.

    >>> readable("https://ehr.example/fhir/Medication/m-1/_history/2", "https://ehr.example/fhir/", "Medication")
    'Medication/m-1'
    """
    local = reference.removeprefix(f"{server.rstrip('/')}/") if server else reference
    local = local.partition("/_history/")[0]
    found = _READABLE.fullmatch(local)
    return local if found is not None and found[1] in types else None


def next_page(bundle: Json) -> str:
    """The address of a Bundle's next page; empty if there is none."""
    return next((text(link.get("url")) for link in objects(bundle.get("link")) if link.get("relation") == "next"), "")
