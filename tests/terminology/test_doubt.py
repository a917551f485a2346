"""Words that take a statement back: one vocabulary, and every reader that asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cds_service.evidence import Absence, Unknown
from cds_service.facts.result_words import read_result
from cds_service.terminology import diagnosis_from_text, is_oncology_specialty, stage_in_text
from cds_service.terminology.codes import entries
from cds_service.terminology.diseases import histology_of
from cds_service.terminology.doubt import GROUPS, clause_after, clause_before, doubt, plain
from tests.facts.charts import administered, cause, concept, condition, disease_status, dx, facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from cds_service.evidence import AnyFact

LIKELY_ALL = ("unsure", "leaning", "choice", "condition", "past", "person", "foreign")
GIVEN = administered("Imfinzi", "2026-05-04", "d1", 1500)


def spelled(word: str) -> str:
    return word.removesuffix("*")


def words_of(*groups: str) -> list[str]:
    return [spelled(word) for group in groups for word in GROUPS[group].words]


def test_every_group_says_why_and_no_word_stands_twice() -> None:
    assert all(len(group.why.split()) >= 3 for group in GROUPS.values())
    words = [word for group in GROUPS.values() for word in group.words]
    assert len(words) == len(set(words))
    assert all(word == plain(word) for word in words)


@pytest.mark.parametrize("group", GROUPS)
def test_a_word_is_found_as_a_whole_word_with_blank_or_hyphen(group: str) -> None:
    pattern = doubt(group)
    for word in words_of(group):
        assert pattern.search(f"a {word} b"), word
        assert pattern.search(f"a {word.replace(' ', '-')} b"), word
        if word.isalpha():
            assert not pattern.search(f"a x{word}x b"), word


def test_only_the_groups_named_are_asked() -> None:
    assert doubt("past").search("previously")
    assert not doubt("unsure").search("previously")
    assert doubt("past", also=r"\bonce\b").search("once")


def test_plain_has_one_kind_of_hyphen_blank_and_apostrophe() -> None:
    assert plain("  Not\u00a0 DETECTED\u2013by non\u2011small\u200b \u2019 ") == "not detected-by non-small '"


def test_a_clause_ends_at_stops_but_not_at_the_point_of_a_number() -> None:
    said = "no nodes; no 1.2 cm liver metastases seen, bones free"
    place = said.index("metastases")
    assert clause_before(said, place) == " no 1.2 cm liver "
    assert clause_after(said, place) == "metastases seen"
    versus = "dr. smith: locally advanced vs. metastatic"
    assert clause_before(versus, versus.index("metastatic")) == "dr. smith: locally advanced vs. "


def test_no_name_of_a_code_is_in_doubt() -> None:
    """Names of codes are read as words too; "alternative" is in many of them ("bronchus or lung")."""
    pattern = doubt(*LIKELY_ALL, "hearsay", "softened", "plan", "exception", "qualified", "twice")
    sets = ("dx_nsclc", "dx_sclc", "dx_es_sclc", "dx_hcc", "dx_btc", "dx_btc_ampulla", "stage_group_value")
    sets += ("lung_cancer_histology_unspecified", "histology_morphology_snomed", "metastatic_secondary_condition")
    doubted = [entry.display for name in sets for entry in entries(name) if pattern.search(plain(entry.display))]
    assert doubted == []


# --- readers -------------------------------------------------------------------------------------------------------


def _is_open(fact: AnyFact) -> bool:
    return isinstance(fact, Unknown) and fact.absence is Absence.NOT_UNDERSTOOD


def _biomarker(word: str) -> bool:
    return {
        read_result(f"{word} mutation detected", "egfr").result,
        read_result(f"{word} negative", "egfr").result,
    } <= {None, "not-tested"}


def _disease_status(word: str) -> bool:
    status = disease_status({"text": f"{word} partial response"}, "2026-10-01")
    return _is_open(facts(dx(), GIVEN, status)["responding"])


def _denied_progression(word: str) -> bool:
    status = disease_status({"text": f"no progression {word} seen"}, "2026-10-01")
    return _is_open(facts(dx(), GIVEN, status)["responding"])


def _line(word: str) -> bool:
    found = facts(dx(), note=[{"text": f"{word} first-line"}])
    return not found.knows("line_of_therapy")


def _resectable(word: str) -> bool:
    found = facts(dx(note=[{"text": f"{word} unresectable"}]))
    return _is_open(found["resectable"])


def _metastatic(word: str) -> bool:
    return not facts(dx(note=[{"text": f"{word} metastases"}])).knows("metastatic")


def _after_metastases(word: str) -> bool:
    return not facts(dx(note=[{"text": f"metastases {word} in liver"}])).knows("metastatic")


def _denied_metastases(word: str) -> bool:
    found = facts(dx(note=[{"text": f"no metastases {word} on PET"}]))
    return _is_open(found["metastatic"])


def _diagnosis(word: str) -> bool:
    found = diagnosis_from_text(f"{word} NSCLC")
    return found is None or found.status == "provisional"


def _histology(word: str) -> bool:
    return histology_of((), f"{word} adenocarcinoma") is None


def _stage(word: str) -> bool:
    return stage_in_text(f"NSCLC, {word} stage IV") is None


def _specialty(word: str) -> bool:
    return not is_oncology_specialty(f"{word} Medical Oncology")


def _plan(word: str) -> bool:
    plan = {"type": {"coding": [{"code": "plan"}]}, "value": "1", "name": f"{word} Medicaid"}
    coverage = {"resourceType": "Coverage", "id": "c1", "status": "active", "class": [plan]}
    found = facts({**coverage, "beneficiary": {"reference": "Patient/p1"}})
    return _is_open(found["line_of_business"])


READERS: dict[str, tuple[Callable[[str], bool], tuple[str, ...]]] = {
    "a laboratory result": (
        _biomarker,
        (*LIKELY_ALL, "softened", "open", "plan", "hearsay", "qualified", "twice"),
    ),
    "a disease status": (
        _disease_status,
        (*LIKELY_ALL, "softened", "open", "plan", "hearsay", "exception", "qualified", "twice"),
    ),
    "a denied progression": (_denied_progression, ("unsure", "choice", "condition", "open", "plan", "exception")),
    "a line of therapy": (_line, (*LIKELY_ALL, "alternative", "hearsay")),
    "resectability": (
        _resectable,
        (*LIKELY_ALL, "softened", "alternative", "open", "hearsay", "qualified", "twice"),
    ),
    "metastases": (
        _metastatic,
        (*LIKELY_ALL, "softened", "alternative", "open", "hearsay", "qualified", "twice"),
    ),
    "words after metastases": (_after_metastases, ("unsure", "choice", "alternative", "condition", "open")),
    "an exception to a denial": (_denied_metastases, ("exception",)),
    "a diagnosis": (_diagnosis, ("unsure", "leaning", "choice", "condition", "person", "hearsay", "foreign")),
    "a histology": (_histology, (*LIKELY_ALL, "open")),
    "a stage in words": (_stage, (*LIKELY_ALL, "open", "qualified")),
    "a specialty": (_specialty, ("unsure", "past", "foreign")),
    "the name of a plan": (_plan, ("unsure", "choice", "alternative", "open", "foreign")),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_takes_no_statement_with_a_word_of_its_groups_for_certain(reader: str) -> None:
    uncertain, groups = READERS[reader]
    assert [word for word in words_of(*groups) if not uncertain(word)] == []


@pytest.mark.parametrize("reader", READERS)
def test_the_same_statement_without_such_a_word_is_read(reader: str) -> None:
    uncertain, _ = READERS[reader]
    assert not uncertain("also")


@pytest.mark.parametrize(
    ("words", "disease"),
    [
        ("Malignant neoplasm of unspecified part of bronchus or lung", "nsclc"),
        ("Borderline resectable NSCLC", "nsclc"),
        ("NSCLC, EGFR pending", "nsclc"),
        ("Durvalumab plan for NSCLC", "nsclc"),
        ("Previously untreated NSCLC", "nsclc"),
        ("Primary adenocarcinoma of ampulla of Vater", "btc"),
    ],
)
def test_words_that_mean_something_else_beside_a_diagnosis_leave_it_confirmed(words: str, disease: str) -> None:
    found = diagnosis_from_text(words)
    assert found is not None
    assert (found.disease, found.status) == (disease, "confirmed")


def test_a_list_of_denied_mutations_is_joined_with_or() -> None:
    assert read_result("No exon 19 deletion or L858R mutation detected", "egfr").result == "negative"
    assert read_result("L858R positive but T790M negative", "egfr").result == "positive"


def test_the_plan_and_what_follows_do_not_put_resectability_in_doubt() -> None:
    for words in ("Plan: durvalumab for unresectable disease", "Unresectable after prior chemotherapy"):
        assert facts(dx(note=[{"text": words}])).value("resectable") is False


def test_a_comparison_with_an_earlier_scan_is_of_the_day() -> None:
    status = disease_status({"text": "Stable compared to prior"}, "2026-10-01")
    assert facts(dx(), GIVEN, status).value("responding") == "stable"


def test_a_secondary_tumour_that_is_not_certain() -> None:
    for words in ("Brain metastases consistent with imaging", "Worrisome for bone metastasis"):
        assert cause(facts(dx(), condition(words, "sec-1"))["metastatic"]) is Absence.NOT_UNDERSTOOD
    assert facts(dx(), condition("Bone metastasis", "sec-1")).value("metastatic") is True


def test_a_coded_diagnosis_with_doubtful_words_is_provisional() -> None:
    code = concept("http://snomed.info/sct", "254637007", text="Consistent with NSCLC")
    assert facts(condition(code)).value("diagnosis_status") == "provisional"
