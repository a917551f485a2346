"""Strong Kleene's truth tables in full."""

from itertools import product

import pytest

from cds_service.criteria.outcome import Outcome, agreed, all_of, any_of

MET, NOT_MET, OPEN = Outcome.MET, Outcome.NOT_MET, Outcome.UNDOCUMENTED


@pytest.mark.parametrize(("a", "b"), list(product(Outcome, repeat=2)))
def test_all_of_is_the_worst_and_any_of_the_best(a: Outcome, b: Outcome) -> None:
    worst_first = [NOT_MET, OPEN, MET]
    assert all_of([a, b]) is min(a, b, key=worst_first.index)
    assert any_of([a, b]) is max(a, b, key=worst_first.index)


@pytest.mark.parametrize(("a", "b"), list(product(Outcome, repeat=2)))
def test_possibilities_that_differ_are_undocumented(a: Outcome, b: Outcome) -> None:
    assert agreed([a, b]) is (a if a is b else OPEN)


def test_nothing_to_meet_is_met_and_nothing_to_choose_is_not() -> None:
    assert all_of([]) is MET
    assert any_of([]) is NOT_MET


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_outcome_refuses_to_be_a_boolean(outcome: Outcome) -> None:
    with pytest.raises(TypeError, match="three values"):
        bool(outcome)
