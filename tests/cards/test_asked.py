"""What is asked for on a card: grouped, and sorted by whose trouble it is."""

from cds_service.cards.asked import asked_for
from cds_service.criteria.finding import Missing
from cds_service.evidence import Absence


def test_parts_belong_to_the_request_of_their_own_group():
    facts = ("prior_therapy", "weight_kg", "prior_therapy.progressed", "biomarkers", "biomarkers.alk", "dose.value")
    asked = asked_for([Missing(fact, Absence.NOT_RECORDED) for fact in facts])
    assert [(facts[place], parts) for place, parts, _ in asked.document] == [
        ("prior_therapy", ("prior_therapy.progressed",)),
        ("weight_kg", ()),
        ("biomarkers", ("biomarkers.alk",)),
        ("dose.value", ()),
    ]
    assert asked.ours == ()


def test_what_was_not_obtained_is_no_omission_of_the_clinician():
    asked = asked_for([Missing(absence.value, absence) for absence in Absence])
    ours = {list(Absence)[place] for place, _, _ in asked.ours}
    assert ours == {Absence.NOT_SENT, Absence.NOT_PERMITTED, Absence.UNREACHABLE}
    assert {list(Absence)[place] for place, _, _ in asked.document} == set(Absence) - ours
