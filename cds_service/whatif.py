"""Facts judged without FHIR: what ``POST /policies/{policy}/assess`` and the command line answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cds_service.assessment import assess
from cds_service.cdshooks import refuse_deep
from cds_service.errors import RequestError
from cds_service.explanation import to_json
from cds_service.facts.given import read_given

if TYPE_CHECKING:
    from datetime import date

    from cds_service.policies.library import Library
    from cds_service.service import Site


def assess_given(body: object, policy: str, library: Library, site: Site, today: date) -> dict[str, Any]:
    """The assessment of the ``facts`` of an assess body, by the revision it names or the one in force.

    What a site has configured holds where the facts are silent. Raises RequestError (400) where the body has no object
    ``facts`` or a revision that is no text, NotFoundError (404) for an unknown policy or revision.
    """
    library.of(policy)
    if not isinstance(body, dict):
        raise RequestError("The body is not a JSON object.")
    given_facts, named = body.get("facts"), body.get("revision")
    if not isinstance(given_facts, dict):
        raise RequestError("facts is required and is an object.", expression="facts")
    refuse_deep(given_facts)
    if named is not None and not isinstance(named, str):
        raise RequestError("revision is a string.", expression="revision")
    given = read_given(given_facts, today)
    configured = {name: fact for name, fact in site.configured.items() if not given.facts.knows(name)}
    on = site.policy_date or given.facts.value("order_date") or today
    revision, notes = library.revision(policy, on, named)
    assessment = assess(given.facts.including(configured), revision, notes=(*given.notes, *notes))
    return to_json(assessment, drug=revision.drug)
