"""``/fhir``: the forms of the policies, their packages for DTR, and the answers that come back (contract, section 1).

This is no FHIR server: it reads and writes what the hand-off from coverage-information needs, and says so in its
capability statement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.routing import BaseRoute, Route

from cds_service import __version__
from cds_service.cdshooks import refuse_deep
from cds_service.crd.actions import assertion_id
from cds_service.crd.decision import Version
from cds_service.crd.evaluations import InMemory, ResponsesInMemory
from cds_service.crd.render import COVERAGE_INFORMATION
from cds_service.errors import BusyError, NotFoundError, RequestError, UnprocessableError
from cds_service.facts.order import names_drug
from cds_service.fhir.read import extensions, objects, reference_of, text
from cds_service.fhir.resource import short_reference
from cds_service.questionnaire import form_url, package, questionnaire
from cds_service.web.http import FHIR_JSON, JSON, base_of, json_answer, json_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from datetime import date

    from starlette.requests import Request
    from starlette.responses import Response

    from cds_service.crd.evaluations import Evaluation, Evaluations, Responses
    from cds_service.policies.library import Library
    from cds_service.policies.revision import Revision
    from cds_service.terminology.drug import Drug

Json = dict[str, Any]

STATUSES = frozenset({"in-progress", "completed", "amended", "entered-in-error", "stopped"})
LARGEST_RESPONSE = 512 * 1024
"""Bytes of answers to a form that are taken at most: they are kept."""
_MOST_LOOKED_UP = 500
"""Evaluations that a package looks up at most: orders times coverages times revisions may be any number."""
_OPERATION = "http://hl7.org/fhir/us/davinci-dtr/OperationDefinition/questionnaire-package"


@dataclass(frozen=True, slots=True)
class Fhir:
    """The FHIR endpoints. ``public_base`` is the public address, where the service has one.

    ``owner`` tells the client that sent a request: no client sees what was kept for another.
    """

    library: Callable[[], Library]
    today: Callable[[], date]
    public_base: str | None
    evaluations: Evaluations = field(default_factory=InMemory)
    responses: Responses = field(default_factory=ResponsesInMemory)
    body_limit: int = 8 * 1024 * 1024
    owner: Callable[[Request], str] = lambda request: ""  # noqa: ARG005

    def base(self, request: Request) -> str:
        """The address under which a client reaches the service."""
        return base_of(request, self.public_base)

    def routes(self) -> list[BaseRoute]:
        """The routes below ``/fhir``."""
        return [
            Route("/fhir/metadata", self.metadata, methods=["GET"]),
            Route("/fhir/Questionnaire/$questionnaire-package", self.questionnaire_package, methods=["POST"]),
            Route("/fhir/Questionnaire/{id}", self.form, methods=["GET"]),
            Route("/fhir/QuestionnaireResponse", self.answered, methods=["POST"]),
            Route("/fhir/QuestionnaireResponse/{id}", self.response, methods=["GET"]),
        ]

    async def metadata(self, request: Request) -> Response:
        """``GET /fhir/metadata``: what this part of the service can do."""
        operations = [{"name": "questionnaire-package", "definition": _OPERATION}]
        resources = [
            {"type": "Questionnaire", "interaction": [{"code": "read"}], "operation": operations},
            {"type": "QuestionnaireResponse", "interaction": [{"code": "create"}, {"code": "read"}]},
        ]
        newest = max(revision.revision for revision in self.library().revisions)
        return _fhir(
            {
                "resourceType": "CapabilityStatement",
                "status": "active",
                "date": newest.isoformat(),
                "kind": "instance",
                "software": {"name": "durvalumab-cds", "version": __version__},
                "implementation": {
                    "description": "Forms of the payer's policies; not a FHIR server for clinical data.",
                    "url": f"{self.base(request)}/fhir",
                },
                "fhirVersion": "4.0.1",
                "format": ["json"],
                "rest": [{"mode": "server", "resource": resources}],
            }
        )

    async def form(self, request: Request) -> Response:
        """``GET /fhir/Questionnaire/{policy}``: the whole form; ``?version=`` names a revision."""
        policy, _, named = request.path_params["id"].partition("|")
        revision, _ = self.library().revision(policy, named=named or request.query_params.get("version"))
        return _fhir(questionnaire(revision, self.base(request)))

    async def questionnaire_package(self, request: Request) -> Response:
        """``POST /fhir/Questionnaire/$questionnaire-package``: the form of an order, with what is known filled in.

        The order is known by its trace identifier (``context``, or the coverage-information on the order), or by its
        content. An order that was not judged here gets the whole form.
        """
        asked = _Parameters.read(await self._body(request))
        base, owner = self.base(request), self.owner(request)
        packages: list[Json] = []
        remarks: list[str] = []
        newer = asked.newer
        known = [one async for one in self._evaluations(asked, owner, remarks)]
        for evaluation in known:
            newer = evaluation.version is Version.STU_2_2
            revision, _ = self.library().revision(evaluation.policy, named=evaluation.revision)
            if (made := package(evaluation, revision, base, self.today())) is None:
                remarks.append("The answer to this order asks for no documentation.")
            else:
                packages.append(made)
        if not known:
            for revision in self._forms(asked, base, remarks):
                entry = {"fullUrl": form_url(base, revision.policy), "resource": questionnaire(revision, base)}
                begun = {"fullUrl": f"urn:uuid:{uuid4()}", "resource": _begun(revision, base, asked, self.today())}
                packages.append({"resourceType": "Bundle", "type": "collection", "entry": [entry, begun]})
        return _fhir(_answer(packages, remarks, newer=newer))

    async def answered(self, request: Request) -> Response:
        """``POST /fhir/QuestionnaireResponse``: answers to a form, kept for the next evaluation of the patient."""
        response = await self._body(request, LARGEST_RESPONSE)
        if response.get("resourceType") != "QuestionnaireResponse":
            raise RequestError("The body is no QuestionnaireResponse.", expression="resourceType")
        if text(response.get("status")) not in STATUSES:
            raise RequestError("QuestionnaireResponse.status is required.", expression="QuestionnaireResponse.status")
        named = text(response.get("questionnaire")).partition("|")[0]
        if named and not any(named.endswith(f"/Questionnaire/{policy}") for policy in self.library().policy_ids):
            raise UnprocessableError(
                "No policy has this questionnaire.", expression="QuestionnaireResponse.questionnaire"
            )
        kind, _, patient = short_reference(reference_of(response.get("subject"))).rpartition("/")
        if kind != "Patient" or not patient:
            raise UnprocessableError("The subject is a Patient.", expression="QuestionnaireResponse.subject")
        kept = {**response, "id": str(uuid4())}
        await self.responses.put(self.owner(request), patient, kept)
        location = f"{self.base(request)}/fhir/QuestionnaireResponse/{kept['id']}"
        return _fhir(kept, 201, {"location": location})

    async def response(self, request: Request) -> Response:
        """``GET /fhir/QuestionnaireResponse/{id}``: answers as they were sent."""
        try:
            kept = await self.responses.find(self.owner(request), request.path_params["id"])
        except OSError:
            raise BusyError("The answers cannot be read just now.", retry_after=5) from None
        if kept is None:
            raise NotFoundError("There is no QuestionnaireResponse with this id.")
        return _fhir(kept)

    async def _body(self, request: Request, most: int | None = None) -> Json:
        limit = self.body_limit if most is None else min(most, self.body_limit)
        body = await json_body(request, limit, (JSON, FHIR_JSON))
        refuse_deep(body)
        if not isinstance(body, dict):
            raise RequestError("The body is not a JSON object.")
        return body

    async def _evaluations(self, asked: _Parameters, owner: str, remarks: list[str]) -> AsyncIterator[Evaluation]:
        """What was judged of the orders asked about, each once, and only under the coverage they came with."""
        seen: set[str] = set()
        for number, trace in enumerate(asked.traces(self.library(), owner)):
            if number == _MOST_LOOKED_UP:
                remarks.append("Not all orders and coverages were looked up; ask about fewer at once.")
                break
            evaluation = None if trace in seen else await self.evaluations.get(owner, trace)
            seen.add(trace)
            if evaluation is not None and asked.covers(evaluation):
                yield evaluation

    def _forms(self, asked: _Parameters, base: str, remarks: list[str]) -> Iterator[Revision]:
        """The forms that are asked for by name, or those of the policies that may speak of the orders."""
        if asked.questionnaires:
            found: dict[tuple[str, date], Revision] = {}  # each once, however often it is named
            for canonical in dict.fromkeys(asked.questionnaires):
                url, _, version = canonical.partition("|")
                policy = next((p for p in self.library().policy_ids if url == form_url(base, p)), None)
                try:
                    revision = self.library().revision(policy or "", named=version or None)[0]
                    found[revision.policy, revision.revision] = revision
                except NotFoundError:
                    remarks.append("A questionnaire that was asked for is not one of this service.")
            yield from found.values()
        elif asked.orders:
            newest = (self.library().revision(policy)[0] for policy in self.library().policy_ids)
            speaking = [one for one in newest if any(_may_be_for(order, one.drug) for order in asked.orders)]
            whole = "The order was not evaluated here; the whole form is returned."
            remarks.append(whole if speaking else "No policy of this service speaks of this order.")
            yield from speaking
        else:
            remarks.append("Nothing is kept under this context; call the service again for the order.")


@dataclass(frozen=True, slots=True)
class _Parameters:
    """The input of the operation."""

    coverages: tuple[Json, ...]
    orders: tuple[Json, ...]
    questionnaires: tuple[str, ...]
    context: str

    @classmethod
    def read(cls, body: Json) -> _Parameters:
        """Raises RequestError (400) for another resource, or where coverage or all of the rest is missing."""
        if body.get("resourceType") != "Parameters":
            raise RequestError("The body is no Parameters resource.", expression="resourceType")
        parameters = objects(body.get("parameter"))

        def resources(name: str) -> tuple[Json, ...]:
            found = (one.get("resource") for one in parameters if one.get("name") == name)
            return tuple(one for one in found if isinstance(one, dict))

        def values(name: str, kind: str) -> tuple[str, ...]:
            return tuple(filter(None, (text(one.get(kind)) for one in parameters if one.get("name") == name)))

        read = cls(
            coverages=tuple(one for one in resources("coverage") if one.get("resourceType") == "Coverage"),
            orders=resources("order"),
            questionnaires=values("questionnaire", "valueCanonical"),
            context=next(iter(values("context", "valueString")), ""),
        )
        if not read.coverages:
            raise RequestError("The parameter coverage is required.", expression="Parameters.parameter")
        if not (read.orders or read.questionnaires or read.context):
            raise RequestError(
                "One of order, questionnaire and context is required.", expression="Parameters.parameter"
            )
        return read

    @property
    def newer(self) -> bool:
        """Whether the orders carry coverage-information that only STU 2.2 has."""
        categories = (
            part
            for order in self.orders
            for one in extensions(order, COVERAGE_INFORMATION)
            for detail in extensions(one, "detail")
            for part in extensions(detail, "category")
        )
        return next(categories, None) is not None

    def traces(self, library: Library, owner: str) -> Iterator[str]:
        """Trace identifiers of what is asked about: given, on the orders, or made from their content."""
        if self.context:
            yield self.context
        for order in self.orders:
            for one in extensions(order, COVERAGE_INFORMATION):
                for part in extensions(one, "coverage-assertion-id"):
                    yield text(part.get("valueString"))
            for coverage in self.coverages:
                reference = f"Coverage/{text(coverage.get('id'))}"
                patient = short_reference(reference_of(coverage.get("beneficiary"))).removeprefix("Patient/")
                for revision in library.revisions:
                    version = f"{revision.revision} {revision.sha256}"
                    yield assertion_id(order, reference, revision.policy, version, owner, patient)

    def covers(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation is of this patient's coverage and, where orders are given, of one of them.

        Nobody gets answers about a patient by naming an identifier alone.
        """
        coverage = next((c for c in self.coverages if evaluation.coverage.endswith(f"/{text(c.get('id'))}")), None)
        if coverage is None:
            return False
        owner = short_reference(reference_of(coverage.get("beneficiary")))
        orders = {f"{text(order.get('resourceType'))}/{text(order.get('id'))}" for order in self.orders}
        return owner in {"", f"Patient/{evaluation.patient}"} and (not orders or evaluation.order in orders)


def _may_be_for(order: Json, drug: Drug) -> bool:
    """Whether an order is for a drug, or says of no other that it is for that."""
    if order.get("resourceType") != "MedicationRequest":
        return False
    return names_drug(order.get("medicationCodeableConcept"), drug) is not False


def _begun(revision: Revision, base: str, asked: _Parameters, on: date) -> Json:
    """An empty response to the whole form."""
    coverage = asked.coverages[0]
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{form_url(base, revision.policy)}|{revision.revision.isoformat()}",
        "status": "in-progress",
        "subject": {"reference": reference_of(coverage.get("beneficiary")) or "Patient/unknown"},
        "authored": on.isoformat(),
    }


def _answer(packages: list[Json], remarks: list[str], *, newer: bool) -> Json:
    """The output of the operation, its parameters named as in the version of the client."""
    bundle, outcome = ("packagebundle", "outcome") if newer else ("PackageBundle", "operationOutcome")
    parameters: list[Json] = [{"name": bundle, "resource": made} for made in packages]
    if remarks:
        issues = [
            {"severity": "information" if packages else "warning", "code": "informational", "details": {"text": remark}}
            for remark in dict.fromkeys(remarks)
        ]
        parameters.append({"name": outcome, "resource": {"resourceType": "OperationOutcome", "issue": issues}})
    return {"resourceType": "Parameters", "parameter": parameters}


def _fhir(resource: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return json_answer(resource, status, {"content-type": FHIR_JSON, **(headers or {})})
