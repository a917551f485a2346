"""The policy as the page a pharmacist reviews: dose tables, criteria in plain words, readings, what is left out.

Made from the loaded revision alone. Each dose row leads into the workbench, at its limit and just above it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cds_service.criteria.criterion import COMBINATION
from cds_service.criteria.quantity import in_weeks, plain
from cds_service.policies.describe import KNOWN_LIMITS, source_attributes
from cds_service.policies.diff import diff
from cds_service.policies.render import approval, lines_of_business, outline, partner_of, routes, titles_of
from cds_service.web.pages import frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from cds_service.criteria.criterion import Band, DoseRow
    from cds_service.policies.revision import Pathway, Revision
    from cds_service.terminology.drug import Drug

_STORIES = {
    ("I.A", "stage II-III"): "nsclc-unresectable-within-limit",
    ("I.A", "metastatic"): "nsclc-metastatic-combination",
    ("I.B", None): "es-sclc-overdose",
    ("I.C", None): "btc-metastatic-combination",
    ("I.D", None): "hcc-cycle-1",
}
"""The story that a row of a table is tried on, for a policy of the stories' drug."""
_STORIES_OF = "drug_durvalumab"


def policy_page(request: Request, revisions: Sequence[Revision]) -> Response:
    """The page of the newest revision, or the one that the query names; compared with another where it asks for one."""
    named = {revision.revision.isoformat(): revision for revision in revisions}
    revision = named.get(request.query_params.get("revision", ""), revisions[-1])
    against = named.get(request.query_params.get("against", ""))
    asked = [request.query_params.get(name, "") for name in ("revision", "against")]
    document = revision.document
    return frame.page(
        "policy.html",
        revision=revision,
        unknown=[day for day in asked if day and day not in named],
        document=document,
        others=[day for day, other in named.items() if other is not revision],
        against=against,
        changes=diff(against, revision) if against else [],
        vials=", ".join(f"{plain(vial.mg)} mg / {plain(vial.ml)} mL" for vial in revision.drug.vials),
        unit=plain(revision.drug.billing_unit_mg) if revision.drug.billing_unit_mg else "",
        pathways=[_pathway(pathway, revision) for pathway in revision.pathways],
        lines=lines_of_business(revision),
        strength=plain(revision.drug.mg_per_ml) if revision.drug.mg_per_ml is not None else "",
        referrals=[(referral, routes(referral)) for referral in document.referrals],
        attributes=source_attributes(revision),
        limits=KNOWN_LIMITS,
        settings=[(name, outline(criterion, revision).words) for name, criterion in revision.settings.items()],
    )


def _pathway(pathway: Pathway, revision: Revision) -> dict[str, Any]:
    tables = [
        (setting, _rows(pathway, setting, rows, revision.drug), pathway.table_notes[setting])
        for setting, rows in pathway.tables.items()
        if rows
    ]
    named = ("phase", "cycles", "partner")  # a column of which no table of the section has anything is left out
    return {
        "section": pathway.section,
        "label": pathway.label,
        "approval": approval(pathway, titles_of(revision)),
        "tables": tables,
        "columns": {name: any(row[name] for _, rows, _ in tables for row in rows) for name in named},
        "criteria": [outline(criterion, revision) for criterion in pathway.criteria],
    }


def _rows(pathway: Pathway, setting: str | None, rows: Sequence[DoseRow], drug: Drug) -> list[dict[str, Any]]:
    """The rows of a table. Cards link to the section of a row: the first row of a section is where that leads."""
    sections: set[str] = set()
    found = []
    for row in rows:
        tries = _tries(pathway, setting, row) if drug.value_set == _STORIES_OF else []
        found.append({**_row(row), "tries": tries, "is_first": row.cite not in sections})
        sections.add(row.cite)
    return found


def _row(row: DoseRow) -> dict[str, Any]:
    return {
        "cite": row.cite,
        "band": str(row.band),
        "phase": row.phase or "",
        "cap": str(row.cap),
        "every": in_weeks(row.every_days),
        "cycles": row.cycles or "",
        "partner": partner_of(row),
    }


def _weight_in(band: Band) -> Decimal:
    """A body weight for which the row is meant."""
    usual = next((kg for kg in (Decimal(70), Decimal(25)) if band.holds(kg)), None)
    return usual or band.at_least or (band.below or Decimal(0)) / 2


def _tries(pathway: Pathway, setting: str | None, row: DoseRow) -> list[tuple[str, str]]:
    """Links into the workbench for one row: an order exactly at the limit, and one above it."""
    story = _STORIES.get((pathway.section, setting)) or _STORIES.get((pathway.section, None))
    if story is None:
        return []
    knobs = {"story": story, "weight": plain(_weight_in(row.band)), "every_unit": "d", "every": plain(row.every_days)}
    if row.phase:
        knobs["phase"] = row.phase
        knobs["cycles"] = str(row.cycles) if row.phase == COMBINATION and row.cycles else ""
    # The maintenance rows name no partner, and its last dose has the same cap.
    band = (other.partner for other in pathway.tables[setting] if other.band == row.band)
    partner = row.partner or next((one for one in band if one is not None), None)
    if partner is not None and partner.drug == "tremelimumab" and partner.cap is not None:
        knobs["tremelimumab"] = plain(partner.cap.at(_weight_in(row.band)))
    per_kg = bool(row.cap.mg_per_kg)
    amount = row.cap.mg_per_kg if per_kg else row.cap.mg
    found = []
    for words, value in (("at the limit", amount), ("above it", amount + (1 if per_kg else 100))):
        state = {**knobs, "dose": plain(value), "dose_unit": "mg/kg" if per_kg else "mg"}
        found.append((words, urlencode(state)))
    return found
