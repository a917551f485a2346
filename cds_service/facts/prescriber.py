"""Who prescribes: the specialty of the prescriber, and whether an oncologist was consulted.

The prescriber is the order's requester, else its recorder, else the user of the call. A specialty is worth what its
code means (senders mislabel some). Nothing recorded is never "no oncologist": consultations happen off the chart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.evidence import Absence, Evidence, Known, Unknown
from cds_service.facts.read import FactSource
from cds_service.facts.records import entered_in_error, evidence, references, status_of
from cds_service.facts.subject import Whose, is_of_earlier_tumour, names_no_tumour, whose
from cds_service.fhir.queries import readable
from cds_service.fhir.read import (
    as_list,
    as_object,
    by_content,
    codings,
    concept_text,
    holds,
    objects,
    partial_date,
    reference_of,
)
from cds_service.fhir.resource import short_reference
from cds_service.terminology import is_oncology_specialty, is_open_specialty, specialty_display

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from cds_service.criteria.quantity import PartialDate
    from cds_service.evidence import AnyFact
    from cds_service.facts.read import Reading
    from cds_service.fhir.chart import Chart
    from cds_service.fhir.read import Json
    from cds_service.fhir.resource import Resource

SPECIALTY = "the prescriber's specialty (PractitionerRole.specialty, Practitioner.qualification)"
_KEY = "practitionerRole"
CONSULT = "an oncologist in the care team, an encounter or a completed referral"


def read(reading: Reading) -> dict[str, AnyFact]:
    """The prescriber's specialty, and an oncologist's part in the care where one is recorded."""
    people = _prescriber(reading)
    day = reading.order_day
    found = [(said, item) for person in people for said, item in _specialties(person, day)]
    consult = next(_oncologists(reading), None)
    absence = reading.chart.absence("practitionerRole")
    facts: dict[str, AnyFact] = {"consult": Unknown(absence, CONSULT) if consult is None else Known(True, (consult,))}
    if found:
        # One oncology specialty makes an oncologist, whatever other specialties are listed beside it; one that may be
        # oncology leaves that open.
        said, item = min(found, key=lambda pair: (not is_oncology_specialty(pair[0]), not is_open_specialty(pair[0])))
        facts["prescriber_specialty"] = Known(said, (item,))
    else:
        unread = tuple(_unread(people))
        absence = reading.chart.absence(_answered_under(_reference(reading.chart, reading.order.raw), reading.chart))
        facts["prescriber_specialty"] = Unknown(Absence.NOT_UNDERSTOOD if unread else absence, SPECIALTY, unread)
    return facts


def _unread(people: list[Resource]) -> Iterator[Evidence]:
    """Specialties that are codes we do not know, without any words."""
    for person in people:
        for concept in as_list(person.raw.get("specialty")):
            for coding in codings(concept):
                yield evidence(person, "specialty", coding.code)


def _prescriber(reading: Reading) -> list[Resource]:
    """The roles and the practitioner of whoever prescribes. Empty if they did not come with the call."""
    chart, raw = reading.chart, reading.order.raw
    reference = _reference(chart, raw)
    return _person(chart, reference, raw, reading.order_day) if reference else []


def _reference(chart: Chart, raw: Json) -> str:
    for candidate in (raw.get("requester"), raw.get("prescriber"), raw.get("recorder"), chart.user_id):
        reference = reference_of(candidate)
        if isinstance(candidate, dict) and not reference:
            reference = reference_of(candidate.get("agent"))  # STU3
        if reference:
            return reference
    return ""


def role_query(raw: Json, chart: Chart, server: str | None) -> dict[str, str]:
    """The query for the roles of an order's prescriber who is not the user: prefetch only asks about the user.

    Empty where the prescriber's specialty came, and where this server cannot be asked for the prescriber.
    """
    reference = _reference(chart, raw)
    key = _answered_under(reference, chart)
    local = readable(reference, server, "Practitioner", "PractitionerRole")
    if key == _KEY or local is None:
        return {}
    people = _person(chart, reference, raw, None)
    if any(person.type == "PractitionerRole" or any(_specialties(person, None)) for person in people):
        return {}
    kind, _, identity = local.partition("/")
    return {key: local if kind == "PractitionerRole" else f"PractitionerRole?practitioner={identity}&_count=20"}


def _answered_under(reference: str, chart: Chart) -> str:
    """The key that answers for a prescriber: the contract's speaks of the user alone."""
    short = short_reference(reference)
    return _KEY if short in {"", short_reference(chart.user_id)} else f"{_KEY} {short}"


def _person(chart: Chart, reference: str, within: Json, day: date | None) -> list[Resource]:
    """A practitioner with every role they hold on a day, or the role that is referred to with its practitioner.

    Without a day a role counts whenever it was held.
    """
    target = chart.resolve(reference, within=within)
    kind, _, identity = short_reference(reference).rpartition("/")
    if target is not None and target.type == "PractitionerRole":
        practitioner = chart.resolve(target.raw.get("practitioner"), within=target.raw)
        roles = [target] if day is None or _is_held(target, day) else []
        return [*roles, *([practitioner] if practitioner is not None else [])]
    if kind.endswith("PractitionerRole"):
        return []
    roles = [
        role for role in chart.of("PractitionerRole") if _is_role_of(role, reference, identity) and _is_held(role, day)
    ]
    return [*roles, *([target] if target is not None and target.type == "Practitioner" else [])]


def _is_role_of(role: Resource, reference: str, identity: str) -> bool:
    holder = reference_of(role.raw.get("practitioner"))
    return holder == reference or (bool(identity) and short_reference(holder).rpartition("/")[2] == identity)


def _is_held(role: Resource, day: date | None) -> bool:
    return role.raw.get("active") is not False and (day is None or holds(role.raw.get("period"), day))


def _specialties(person: Resource, day: date | None) -> Iterator[tuple[str, Evidence]]:
    """The specialties of a role; of a practitioner the qualifications of a day that name a specialty, not a licence."""
    if person.type == "PractitionerRole":
        for path in ("specialty", "code"):
            for concept in as_list(person.raw.get(path)):
                if said := _named(concept):
                    yield said, evidence(person, path, said)
            if path == "specialty" and as_list(person.raw.get("specialty")):
                return
    for item in objects(person.raw.get("qualification")):
        if day is not None and not holds(item.get("period"), day):
            continue
        concept = item.get("code")
        said = _named(concept)
        # A qualification is mostly a degree or licence (MD); it counts where it is a known specialty or names oncology.
        if said and (said != concept_text(concept) or is_oncology_specialty(said)):
            yield said, evidence(person, "qualification", said)


@by_content
def _named(concept: object) -> str:
    """A specialty in words."""
    return specialty_display(codings(concept), concept_text(concept))


def _oncologists(reading: Reading) -> Iterator[Evidence]:
    """Oncologists who take part in the patient's care, other than as prescriber of this order."""
    chart, day = reading.chart, reading.order_day
    for team in chart.of("CareTeam"):
        if not entered_in_error(team) and status_of(team.raw) not in {"inactive", "proposed", "suspended"}:
            found = _among(reading, team, "participant", ("member", "onBehalfOf"), ("role",))
            yield from _of_the_tumour(reading, team, found)
    for encounter in chart.of("Encounter"):
        if not entered_in_error(encounter) and status_of(encounter.raw) not in {"cancelled", "planned", "unknown"}:
            found = _among(reading, encounter, "participant", ("individual", "actor"), ("type",))
            yield from _of_the_tumour(reading, encounter, found)
    for referral in chart.of("ServiceRequest", "ReferralRequest"):
        if status_of(referral.raw) == "completed" and referral.raw.get("doNotPerform") is not True:
            yield from _of_the_tumour(reading, referral, _referred_to(chart, referral, day))
    raw = reading.order.raw
    # Without a requester the recorder is taken for the prescriber, and nobody consults himself.
    requested = any(reference_of(raw.get(name)) for name in ("requester", "prescriber"))
    for element in ("recorder", "supportingInformation") if requested else ("supportingInformation",):
        yield from _members(chart, None, element, raw, day)


def _referred_to(chart: Chart, referral: Resource, day: date) -> Iterator[Evidence]:
    for concept in (referral.raw.get("performerType"), *as_list(referral.raw.get("specialty"))):
        if (said := _named(concept)) and is_oncology_specialty(said):
            yield evidence(referral, "performerType", said)
    yield from _members(chart, referral, "performer", referral.raw, day)


def _of_the_tumour(reading: Reading, resource: Resource, oncologists: Iterator[Evidence]) -> Iterator[Evidence]:
    """The oncologists of a record, unless it is of another tumour, of the time of an earlier one, or yet to come."""
    first = next(oncologists, None)
    if first is None:
        return
    raw = resource.raw
    period = as_object(raw.get("period") or raw.get("occurrencePeriod"))
    start = partial_date(period.get("start"))
    last = partial_date(period.get("end") or raw.get("occurrenceDateTime") or raw.get("authoredOn")) or start
    if _is_in_time(reading, raw, start, last) and whose(reading, raw) is not Whose.ANOTHER:
        yield first
        yield from oncologists


def _is_in_time(reading: Reading, raw: Json, start: PartialDate | None, last: PartialDate | None) -> bool:
    """Whether a part in the care has begun, and did not end in the time of an earlier tumour."""
    if start is not None and start.earliest > max(reading.order_day, reading.on):
        return False
    return last is None or not (names_no_tumour(reading, raw) and is_of_earlier_tumour(reading, last.latest))


def _among(
    reading: Reading, resource: Resource, element: str, members: tuple[str, ...], roles: tuple[str, ...]
) -> Iterator[Evidence]:
    """The oncologists among those who take part. One may have left long before the others, or is yet to come."""
    for participant in objects(resource.raw.get(element)):
        ends = as_object(participant.get("period"))
        if ends and not _is_in_time(
            reading, resource.raw, partial_date(ends.get("start")), partial_date(ends.get("end"))
        ):
            continue
        for name in roles:
            for concept in as_list(participant.get(name)):
                if (said := _named(concept)) and is_oncology_specialty(said):
                    yield evidence(resource, f"{element}.{name}", said)
        for name in members:
            yield from _members(reading.chart, resource, name, participant, reading.order_day)


def _members(chart: Chart, resource: Resource | None, element: str, holder: Json, day: date) -> Iterator[Evidence]:
    """The oncologists an element refers to."""
    for reference in references(holder.get(element)):
        target = chart.resolve(reference, within=resource.raw if resource is not None else holder)
        if target is None or target.type not in {"Practitioner", "PractitionerRole"}:
            if target is None and "Practitioner" in reference:
                people = _person(chart, reference, holder, day)
            else:
                continue
        else:
            people = _person(chart, target.reference, holder, day)
        for person in people:
            for said, item in _specialties(person, day):
                if is_oncology_specialty(said):
                    yield item


SOURCE = FactSource(
    names=("prescriber_specialty", "consult"),
    meaning="specialty of the prescriber, and an oncologist consulted",
    prefetch={"practitionerRole": "PractitionerRole?practitioner={{userPractitionerId}}&_count=20"},
    read=read,
    value_sets=("specialty_oncology", "specialty_not_sufficient", "specialty_clinic"),
    reads=(
        "The order's requester, else its recorder, else the user of the call (with a token, the roles of a prescriber "
        "who is not the user are looked up too): PractitionerRole.specialty (NUCC, SNOMED), else a specialty among "
        "Practitioner.qualification. A code decides before its display. Consultation: "
        "an oncologist in CareTeam, Encounter or a completed referral (not for another tumour, nor of the time of an "
        "earlier one), or behind the order's recorder or supporting information. No record says nothing either way. "
        "Roles and qualifications count on the day of the order."
    ),
)
