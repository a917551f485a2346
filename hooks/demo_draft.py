"""``order-select`` for demonstrations: offers durvalumab for any draft, since no sandbox has it in its list of drugs.

Listed in demo mode only, under an id of its own: the real order-select service never answers a foreign draft.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cds_service.cards.frame import drug_name, make_card
from cds_service.cdshooks import CdsResponse, OrderSelectContext
from cds_service.fhir.read import as_object, objects, text
from cds_service.result import CardKind, PolicyRef
from cds_service.service import CdsService
from cds_service.terminology.codes import RXNORM, entries
from hooks.review import card_options, scan

if TYPE_CHECKING:
    from cds_service.fhir.chart import Chart
    from cds_service.policies.revision import Revision
    from cds_service.service import HookCall

Json = dict[str, Any]

_OF_A_DRUG = frozenset({"MedicationRequest", "MedicationOrder"})


async def handle(call: HookCall) -> CdsResponse:
    """Offer the drug of each policy that the drafts do not hold yet."""
    context = call.request.context
    assert isinstance(context, OrderSelectContext)  # noqa: S101  (read as the context of this hook)
    seen = scan(call)
    present = {item.newest.policy for item in seen.orders}
    missing = [revision for revision in call.library.newest if revision.policy not in present]
    return CdsResponse(cards=[_offer(call, seen.chart, revision) for revision in missing])


def _offer(call: HookCall, chart: Chart, revision: Revision) -> Json:
    drug = revision.drug
    policy = PolicyRef.of(revision)
    card = make_card(
        policy,
        card_options(call),
        kind=CardKind.DEMO,
        indicator="info",
        summary=f"Demonstration: put {drug.name} into this draft to see what the plan's policy says when it is signed",
        detail=(
            f"{drug_name(policy)} is not in the sandbox's list of drugs. Taking the suggestion changes the drug of the "
            "draft; its dose stays as it is, and a dose in pills cannot be checked. For sandboxes only."
        ),
        section=None,
    )
    order = _draft(call, chart, revision)
    kind = "update" if order.get("id") else "create"
    action = {"type": kind, "description": f"Use {drug.name} in this draft order", "resource": order}
    suggestion = {"label": f"Use {drug.name} in this draft", "uuid": str(uuid4()), "actions": [action]}
    return {**card, "suggestions": [suggestion], "selectionBehavior": "at-most-one"}


def _draft(call: HookCall, chart: Chart, revision: Revision) -> Json:
    """The first draft of a drug as it came with another drug in it; a plain one where there is none."""
    drafts = [as_object(entry.get("resource")) for entry in objects((call.request.draft_orders or {}).get("entry"))]
    came = next((draft for draft in drafts if text(draft.get("resourceType")) in _OF_A_DRUG), {})
    drug = revision.drug
    codes = entries(drug.value_set) if drug.value_set else ()
    ingredient = next((one for one in codes if one.system == RXNORM and one.verified), None)
    concept: Json = {"text": drug.name}
    if ingredient is not None:
        concept["coding"] = [{"system": RXNORM, "code": ingredient.code, "display": ingredient.display}]
    kept = {name: value for name, value in came.items() if name not in {"medicationReference", "medication"}}
    plain = {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": f"Patient/{chart.patient_id}"},
    }
    return {**plain, **kept, "medicationCodeableConcept": concept}


service = CdsService(
    id="durvalumab-demo-draft",
    hook="order-select",
    title="Durvalumab demonstration: bring it into a draft",
    description="For sandboxes only: offers durvalumab for any draft, so that signing it can be tried.",
    usage_requirements="Demo mode only.",
    facts=(),
    handle=handle,
    demo_only=True,
)
