"""Loading policies: what is right loads, what is wrong is named with file and line."""

# ruff: noqa: E501  # passages of a policy file stand here as they are written there

import re
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from cds_service.assessment import assess
from cds_service.cards import CardOptions, cards
from cds_service.criteria.verdict import Verdict
from cds_service.errors import NotFoundError, PolicyError
from cds_service.facts.given import read_given
from cds_service.policies.check import check
from cds_service.policies.diff import diff
from cds_service.policies.library import SHIPPED, load_library
from cds_service.policies.load import load_revision
from cds_service.policies.render import render
from cds_service.reload import Reloadable
from cds_service.result import OrderOutcome

GOOD = Path(__file__).parent / "good"
SHIPPED_FILE = SHIPPED / "cp_phar_339" / "2022-12-02.yaml"
TODAY = date(2026, 11, 22)


def edited(tmp_path: Path, old: str, new: str, source: Path = SHIPPED_FILE) -> Path:
    """A copy of a policy with one passage replaced, which has to be there exactly once."""
    text = source.read_text()
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    folder = tmp_path / source.parent.name
    folder.mkdir(exist_ok=True)
    path = folder / source.name
    path.write_text(text.replace(old, new))
    return path


def line_of(path: Path, text: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_the_shipped_policies_have_no_problems() -> None:
    assert check() == []


def test_every_problem_names_file_and_line(tmp_path: Path) -> None:
    path = edited(
        tmp_path,
        "{cite: I.A.3, label: Adult, fact: age, at_least: 18}",
        "{cite: I.A.3, label: Adult, fact: agee, at_least: 18}",
    )
    assert check(path) == [
        f"cp_phar_339/2022-12-02.yaml:{line_of(path, 'agee')}: unknown fact 'agee'; did you mean age?"
    ]


ROWS = [
    line.strip()
    for line in SHIPPED_FILE.read_text().splitlines()
    if line.strip().startswith("- {cite:") and "limit:" in line
]


@pytest.mark.parametrize("row", ROWS)
def test_without_the_only_row_of_a_band_and_phase_the_policy_does_not_load(row: str, tmp_path: Path) -> None:
    band, phase = re.search(r'weight: "([^"]+)"', row), re.search(r"phase: (\w+)", row)
    cite = re.search(r"cite: ([\w.]+)", row)
    assert band
    assert cite
    alone = [
        r
        for r in ROWS
        if f"cite: {cite[1]}," in r and f'"{band[1]}"' in r and (phase is None or f"phase: {phase[1]}" in r)
    ]
    path = edited(
        tmp_path, "\n" + next(x for x in SHIPPED_FILE.read_text().splitlines() if x.strip() == row) + "\n", "\n"
    )
    problems = check(path)
    if len(alone) > 1:
        assert problems == []
    else:
        assert problems
        assert all(re.match(r"cp_phar_339/2022-12-02\.yaml:\d+: ", p) for p in problems)
        assert any("has no row for weights" in p for p in problems)


@pytest.mark.parametrize(
    ("old", "new", "trouble"),
    [
        ("cite: I.B.3, label: Adult", "cite: I.A.3, label: Adult", "I.A.3 is cited twice"),
        ('{cite: I.A.5.a.i,  weight: "< 30 kg",', '{cite: I.A.5.a.i,  weight: "< 35 kg",', "overlapping weight bands at 30 kg"),
        ('{cite: I.A.5.a.i,  weight: "< 30 kg",', '{cite: I.A.5.a.i,  weight: "< 25 kg",', "no row for weights from 25 kg to 30 kg"),
        ("{fact: resectable, is: no}\n              - {fact: metastatic, is: no}", "{fact: resectable, is: maybe}\n              - {fact: metastatic, is: no}", "resectable is never 'maybe'"),
        ("      - {cite: I.B.3, label: Adult, fact: age, at_least: 18}\n", "", "section I.B.3 is neither encoded nor listed"),
        ("  - {section: Appendix C, why: No contraindications are listed.}\n", "", "section Appendix C is neither encoded"),
        ("payer: Centene", "payer: Centene\npayer: Other", "'payer' is given twice"),
        ("payer: Centene", "payer: Centene\ncolour: blue", "'colour' is no word of this place"),
        ("revision: 2022-12-02\n", "revision: soon\n", "revision"),
        ("at_most: 12}\n            - all:\n                - {fact: months_less_holds, at_most: 12}", "at_most: twelve}\n            - all:\n                - {fact: months_less_holds, at_most: 12}", "at_most"),
        ("limit: 10 mg/kg, every: 2 weeks}\n              - {cite: I.A.5.a.ii, weight: \">= 30 kg\", limit: 1500 mg,", "limit: 10 mg/m2, every: 2 weeks}\n              - {cite: I.A.5.a.ii, weight: \">= 30 kg\", limit: 1500 mg,", "is no amount"),
        ("            setting: stage II-III\n            table_note:", "            setting: stage V\n            table_note:", "unknown setting 'stage V'"),
        ("- {cite: I.A.3, label: Adult,", "- {cite: I.A.3, label: Adult, table_note: Adults,", "a table_note goes with dose_within"),
        ("- cite: I.A.2\n        label: An oncologist prescribes or was consulted\n", "- cite: I.A.2\n        label: An oncologist prescribes or was consulted\n        unclear: too\n", "exactly one clause"),
        ("- {cite: I.A.3, label: Adult, fact: age, at_least: 18}", "- {label: Adult, fact: age, at_least: 18}", "a criterion of I.A has no citation"),
        ("- {cite: I.A.3, label: Adult,", "- {cite: I.A.3,", "I.A.3 has no label"),
        ("  CP.CPA.09: off-label use, commercial\n", "", "does not say what CP.CPA.09 is for"),
        ("  CP.CPA.09: off-label", "  CP.CPA.10: off-label", "nothing is referred to CP.CPA.10"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(old: str, new: str, trouble: str, tmp_path: Path) -> None:
    problems = check(edited(tmp_path, old, new))
    assert any(trouble in p for p in problems), problems
    assert all(re.match(r"cp_phar_339/2022-12-02\.yaml:\d+: ", p) for p in problems)


ROW = '{cite: I.A.5.a.ii, weight: ">= 30 kg", limit: 1500 mg,  every: 4 weeks}'
AGE = "{cite: I.A.3, label: Adult, fact: age, at_least: 18}"


@pytest.mark.parametrize(
    ("right", "wrong", "remedy"),
    [
        (ROW, ROW.replace("1500 mg", "1,500 mg"), "without a comma, 1500 and not 1,500"),
        (ROW, ROW.replace("1500 mg", '"1,500 mg"'), "in digits without a comma"),
        (ROW, ROW.replace("1500 mg", "1.500 mg"), "write 1500 or 1.5"),
        (ROW, ROW.replace("1500 mg", "1.125 mg"), "write 1125 or 1.1250"),
        (ROW, ROW.replace("1500 mg", "0 mg"), "more than 0"),
        (ROW, ROW.replace("4 weeks", "0 weeks"), "more than 0"),
        (ROW, ROW.replace("limit:", "limt:"), "did you mean limit?"),
        (ROW, ROW.replace("limit: ", "limit:"), "write 'limit', a colon and a blank"),
        (ROW, ROW.replace(",  every: 4 weeks", ""), "every: is missing"),
        (ROW, ROW.replace("a.ii", "a.iii"), "did you mean I.A.5.a.ii?"),
        (ROW, ROW.replace('">= 30 kg"', ">= 30 kg"), "is quoted"),
        (ROW, ROW[:-1], "a bracket or a quotation mark is missing, here or just above"),
        (AGE, AGE.replace("age,", "agee,"), "did you mean age?"),
        (AGE, AGE.replace("18", "18 years"), "in digits and without a unit"),
        (AGE, AGE.replace("at_least: 18", "is: adult"), "test it by at_least"),
        (AGE, AGE.replace("Adult", "Adult: 18"), "is quoted"),
        (AGE, AGE.replace("Adult", "[Adult]"), "is to be text"),
        ("cycles: 4, limit: 20 mg/kg, every: 3 weeks, with: tremelimumab 1 mg/kg", "cycles: four, limit: 20 mg/kg, every: 3 weeks, with: tremelimumab 1 mg/kg", "a whole number, written in digits"),
        ("with: tremelimumab 1 mg/kg", "with: tremelimumb 1 mg/kg", "did you mean tremelimumab?"),
        ("given_with: [gemcitabine, cisplatin]", "given_with: [gemcitabine, cisplatine]", "did you mean cisplatin?"),
        ("not_instead: {carboplatin:", "not_instead: {carbo:", "unknown drug 'carbo'"),
        ("not_instead: {carboplatin: cisplatin}", "not_instead: {carboplatin: etoposide}", "etoposide is not among the drugs of given_with"),
        ("carboplatin + pemetrexed, cisplatin", "carboplatin + pemetrexd, cisplatin", "did you mean pemetrexed?"),
        ("{fact: sclc_extent, is: extensive}", "{fact: sclc_extent, is: extensiv}", "it may be extensive, limited"),
        ("{fact: indication, is: btc}", "{fact: indication, is: bct}", "it may be nsclc, es-sclc, btc, hcc"),
        ("open_if: [stable]", "open_if: [stabel]", "it may be true, false, stable"),
        ("{fact: liver_confined, is: yes}", "{fact: liver_confined, at_least: 1}", "test it by is"),
        ("vials: [120 mg/2.4 mL,", "vials: [120 mg/24 mL,", "not the strength of 50 mg/mL"),
        ("value_set: drug_durvalumab", "value_set: drug_durvalumb", "did you mean drug_durvalumab?"),
        ("{from: 2022-12-02}", "{from: 2022-12-02, to: 2023-01-01}", "its words are from, until"),
        ("{from: 2022-12-02}", "{from: 2022-12-02, until: 2021-01-01}", "before the first"),
        ("{from: 2022-12-02}", "2022-12-02", "a group of words in braces; its words are from, until"),
        ("revision: 2022-12-02\n", "revision: 12/02/2022\n", "written as 2022-12-02"),
        ("commercial: CP.CPA.09, him: HIM.PA.154, medicaid: CP.PMN.53}}\n  - section: II.B", "commercial: CP.CPA.9, him: HIM.PA.154, medicaid: CP.PMN.53}}\n  - section: II.B", "did you mean CP.CPA.09?"),
        ("{disease: nsclc, months: 12, less: months_on_therapy}", "{disease: nsclc, months: -12, less: months_on_therapy}", "greater than 0"),
        ('reviewed_by: ""', "reviewed_by: R. Example: PharmD", "a colon and a blank in it is quoted"),
        (AGE, AGE.replace("18", "1_8"), "in digits and without a unit"),
        (AGE, AGE.replace("18", "1e1"), "in digits and without a unit"),
        (AGE, AGE.replace("18", "-18"), "greater than or equal to 0"),
        (AGE, AGE.replace("age,", "pd_l1,"), "docs/what-we-read.md lists them"),
        (AGE, AGE.replace("Adult", "Adult, 18 and over"), "'18 and over' stands alone after a comma"),
        ('I.B.5.b, weight: ">= 30 kg", phase: combination, cycles: 4,', 'I.B.5.b, weight: ">= 30 kg", phase: combination, cycles: 1_0,', "a whole number, written in digits"),
        ("{from: 2022-12-02}", "{from: 1669939200}", "written as 2022-12-02"),
        ("{from: 2022-12-02}", "{from: 20221202}", "written as 2022-12-02"),
        ("{from: 2022-12-02}", "{from: 2022-12-02T00:00:00}", "written as 2022-12-02"),
        ("revision: 2022-12-02\n", "revision: 2022\n", "written as 2022-12-02"),
        ("{code: J9173, unit: 10 mg}", "{code: J9173, unit: 10 mg/kg}", "write it as '10 mg'"),
        ("policy: CP.PHAR.339", "policy: CP/PHAR 339", "letters, digits, points and hyphens"),
        ("payer: Centene", "payer:", "payer: is empty"),
        ("btc: {title: biliary tract cancer, pathway: I.C}", "btc: {title: biliary tract cancer, pathway: I.D}", "the pathway I.D, which is for hcc"),
        ("open_if: [stable]", "open_if: [yes]", "it cannot leave it open too"),
        ("less: months_on_therapy", "less: stage", "stage is no number"),
    ],
)  # fmt: skip
def test_a_slip_is_named_with_its_line_and_what_would_be_right(
    right: str, wrong: str, remedy: str, tmp_path: Path
) -> None:
    path = edited(tmp_path, right, wrong)
    problems = check(path)
    assert any(remedy in problem for problem in problems), problems
    at = next(
        n
        for n, (a, b) in enumerate(
            zip(SHIPPED_FILE.read_text().splitlines(), path.read_text().splitlines(), strict=True), 1
        )
        if a != b
    )
    after = at + 1 if wrong == ROW[:-1] else at  # a bracket is missed where the next line begins
    assert all(re.match(rf"cp_phar_339/2022-12-02\.yaml:({at}|{after}): ", problem) for problem in problems), (
        at,
        problems,
    )
    assert not any(jargon in problem for problem in problems for jargon in ("Input", "permitted", "required", "valid"))


def test_an_approval_and_a_pathway_that_would_never_be_used_are_named(tmp_path: Path) -> None:
    """The first one that fits counts: in the other order twelve months in total would be twelve months each time."""
    of_nsclc, of_others = "      - {disease: nsclc, months: 12, less: months_on_therapy}\n", "      - {months: 12}\n"
    (problem,) = check(edited(tmp_path, of_nsclc + of_others, of_others + of_nsclc))
    assert problem.endswith("this approval is never used: one above it counts; the one without a disease comes last")
    problems = check(edited(tmp_path, "    disease: btc\n", "    disease: hcc\n"))
    assert any("I.D is never used: I.C is for the same requests" in problem for problem in problems)
    assert any("btc names the pathway I.C, which is for hcc" in problem for problem in problems)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder with a file's name, or a link that leads nowhere, is no traceback."""
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "link.yaml").symlink_to("nowhere")
    problems = check(tmp_path)
    assert [problem.partition(" (")[0] for problem in problems] == [
        f"{tmp_path.name}/{name}.yaml:1: cannot be read" for name in ("folder", "link")
    ]


@pytest.mark.parametrize("name", ["2023-06-01.yml", "2023-06-01.YAML", "2023-06-01.yaml.txt"])
def test_a_policy_file_under_a_name_that_is_not_read_is_named(name: str, tmp_path: Path) -> None:
    """Left out in silence, the older revision would go on judging."""
    for file in ("2022-12-02.yaml", name):
        (tmp_path / file).write_bytes(SHIPPED_FILE.read_bytes())
    assert check(tmp_path) == [f"{tmp_path.name}/{name}:1: is not read; the name of a policy file ends in .yaml"]


@pytest.mark.parametrize(
    ("old_ends", "new_begins", "shared"),
    [
        ("", "2023-06-01", None),
        ("", "2022-12-02", "2022-12-02"),
        (", until: 2023-06-01", "2023-06-01", "2023-06-01"),
        (", until: 2023-05-31", "2023-06-01", None),
    ],
)
def test_two_revisions_are_never_in_force_on_one_day(
    old_ends: str, new_begins: str, shared: str | None, tmp_path: Path
) -> None:
    text = SHIPPED_FILE.read_text()
    in_force = "{from: 2022-12-02}"
    (tmp_path / "old.yaml").write_text(text.replace(in_force, f"{{from: 2022-12-02{old_ends}}}"))
    newer = text.replace("revision: 2022-12-02\n", "revision: 2023-06-01\n")
    (tmp_path / "new.yaml").write_text(newer.replace(in_force, f"{{from: {new_begins}}}"))
    problems = check(tmp_path)
    if shared is None:
        assert problems == []
        library = load_library(tmp_path)
        for day, revision in ((date(2023, 5, 31), "2022-12-02"), (date(2023, 6, 1), "2023-06-01")):
            assert library.revision("CP.PHAR.339", day)[0].revision.isoformat() == revision
        # What says no last day is told to hold until the day before, wherever revisions are listed.
        assert [r.in_force.end for r in library.revisions] == [date(2023, 5, 31), None]
        assert library.revision("CP.PHAR.339", date(2022, 12, 1))[1]
    else:
        (problem,) = problems
        assert problem.startswith(f"{tmp_path.name}/new.yaml:1: ")
        assert f"both in force on {shared}; correct the last day (until) of the earlier one" in problem


def test_two_policies_do_not_judge_one_drug(tmp_path: Path) -> None:
    """An order would be answered twice, with two limits and two pieces of coverage-information."""
    (tmp_path / "one.yaml").write_bytes(SHIPPED_FILE.read_bytes())
    other = SHIPPED_FILE.read_text().replace("policy: CP.PHAR.339", "policy: XX.PHAR.002")
    (tmp_path / "other.yaml").write_text(other)
    (problem,) = check(tmp_path)
    assert problem.startswith(f"{tmp_path.name}/other.yaml:1: durvalumab is judged by CP.PHAR.339 too")
    text = other.replace("  value_set: drug_durvalumab", "  # codes").replace("[durvalumab, imfinzi]", "[other]")
    (tmp_path / "other.yaml").write_text(text)
    assert check(tmp_path) == []


def test_approval_months_are_told_with_the_disease_they_are_for(tmp_path: Path) -> None:
    path = edited(tmp_path, "nsclc, months: 12, less: months_on_therapy}", "nsclc, months: 6}")
    assert "Approval: non-small cell lung cancer: 6 months; others: 12 months." in render(load_revision(path))


def test_a_disease_is_known_by_its_key_and_by_its_title() -> None:
    revision = load_revision(GOOD / "melanoma.yaml")
    for words in ("melanoma", "Malignant melanoma"):
        assert assess(read_given({"indication": words}, TODAY).facts, revision).section == "1"


def test_another_disease_is_outside_a_policy_that_refers_to_no_other_one() -> None:
    """It is neither covered nor a matter of missing documents."""
    result = assess(read_given({"indication": "thymoma"}, TODAY).facts, load_revision(GOOD / "melanoma.yaml"))
    assert (result.outcome, result.referred, result.refer_to) == (OrderOutcome.NEEDS_DOCUMENTATION, True, ())
    (card,) = cards(result, None, CardOptions())
    assert card["summary"].startswith("Examplumab: this use is outside XX.PHAR.001, and it names no policy")


def test_a_section_more_or_less_is_one_line_of_the_difference(tmp_path: Path) -> None:
    path = edited(tmp_path, "      - {cite: I.B.3, label: Adult, fact: age, at_least: 18}\n", "")
    path.write_text(path.read_text().replace("[I.B.1, I.B.2, I.B.3, ", "[I.B.1, I.B.2, "))
    assert diff(load_revision(SHIPPED_FILE), load_revision(path)) == [
        "- pathways > I.B > criteria > I.B.3: {cite: I.B.3, label: Adult, fact: age, at_least: 18}",
        "- outline > I.B.3: listed",
    ]


def test_a_file_in_another_encoding_is_told_with_the_line(tmp_path: Path) -> None:
    path = edited(
        tmp_path,
        "label: Adult, fact: age, at_least: 18}\n      - cite: I.A.4",
        "label: Grün, fact: age, at_least: 18}\n      - cite: I.A.4",
    )
    line = line_of(path, "Grün")
    path.write_bytes(path.read_text().encode("latin-1"))
    assert check(path) == [f"cp_phar_339/2022-12-02.yaml:{line}: a character that is not UTF-8; save the file as UTF-8"]


@pytest.mark.parametrize("content", ["", "# nothing but a remark\n"])
def test_an_empty_file_is_told_as_one(content: str, tmp_path: Path) -> None:
    path = tmp_path / "2022-12-02.yaml"
    path.write_text(content)
    assert check(path) == [f"{tmp_path.name}/2022-12-02.yaml:1: the file is empty"]


def test_a_mark_left_open_is_told_with_the_line_it_began_in(tmp_path: Path) -> None:
    path = edited(tmp_path, "label: Response to therapy", "label: 'Response to therapy")
    assert f"in what began in line {line_of(path, 'Response to therapy')})" in check(path)[0]


def test_broken_yaml_is_a_problem_with_a_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("policy: [unclosed\nrevision: x\n")
    assert re.match(r".*broken\.yaml:\d+: ", check(path)[0])


def test_an_empty_folder_is_no_library(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="holds no policy file"):
        load_library(tmp_path)


def test_one_revision_twice_is_a_problem(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "2022-12-02.yaml").write_bytes(SHIPPED_FILE.read_bytes())
    with pytest.raises(PolicyError, match="is also in"):
        load_library(tmp_path)


def test_the_revision_in_force_on_a_day() -> None:
    library = load_library(GOOD)
    revision, notes = library.revision("XX.PHAR.001", date(2025, 6, 1))
    assert (revision.revision, notes) == (date(2025, 3, 1), ())


@pytest.mark.parametrize(
    ("limit", "dose", "unit", "said"),
    [
        ("200 mg", 200, "mg", "P.3.a: 200 mg every 3 weeks; ordered 200 mg every 3 wk; within the limit"),
        ("200 mg", 201, "mg", "P.3.a: 200 mg every 3 weeks; ordered 201 mg every 3 wk; above the limit"),
        ("200 mg", 3, "mg/kg", "Ordered 3 mg/kg every 3 wk; open rows: P.3.a; open: body weight (not recorded)"),
        ("5 mg/kg", 5, "mg/kg", "P.3.a: 5 mg/kg every 3 weeks; ordered 5 mg/kg every 3 wk; within the limit"),
        ("5 mg/kg", 6, "mg/kg", "P.3.a: 5 mg/kg every 3 weeks; ordered 6 mg/kg every 3 wk; above the limit"),
        ("5 mg/kg", 200, "mg", "Ordered 200 mg every 3 wk; open rows: P.3.a; open: body weight (not recorded)"),
    ],
)
def test_a_table_without_weight_bands_asks_for_a_weight_only_to_compare_units(tmp_path, limit, dose, unit, said):
    bands = re.search(r"(?m)^ *- \{cite: P.3.a.*\n.*P.3.b.*\n.*P.3.c.*\n", (GOOD / "melanoma.yaml").read_text())[0]
    one = f"{' ' * 14}- {{cite: P.3.a, limit: {limit}, every: 3 weeks}}\n"
    path = edited(tmp_path, bands, one, GOOD / "melanoma.yaml")
    path.write_text(path.read_text().replace("P.3.a, P.3.b, P.3.c", "P.3.a"))
    day = date(2025, 6, 1)
    facts = {"indication": "malignant melanoma", "age": 60}
    facts["dose"] = {"value": dose, "unit": unit, "interval_value": 3, "interval_unit": "wk"}
    result = assess(read_given(facts, day).facts, load_revision(path))
    value, in_unit = limit.split()
    limits = {"mg": result.dose.limit_mg, "mg/kg": result.dose.limit_mg_per_kg}
    assert (limits.pop(in_unit), limits.popitem()[1]) == (Decimal(value), None)
    assert result.findings[-1].because == said
    assert [missing.fact for missing in result.missing] == ([] if unit == in_unit else ["weight_kg"])


def test_before_the_first_revision_the_earliest_is_used_with_a_note() -> None:
    revision, notes = load_library().revision("CP.PHAR.339", date(2020, 1, 1))
    assert revision.revision == date(2022, 12, 2)
    assert len(notes) == 1
    assert "2020-01-01" in notes[0]


@pytest.mark.parametrize(("policy", "named"), [("CP.PHAR.000", None), ("CP.PHAR.339", "1999-01-01")])
def test_unknown_policies_and_revisions_are_not_found(policy: str, named: str | None) -> None:
    with pytest.raises(NotFoundError):
        load_library().revision(policy, named=named)


def test_a_named_revision_is_used_whatever_the_day() -> None:
    revision, notes = load_library().revision("CP.PHAR.339", date(1999, 1, 1), "2022-12-02")
    assert (str(revision.revision), notes) == ("2022-12-02", ())


@pytest.mark.parametrize(
    ("weight", "dose", "verdict", "limit", "row"),
    [
        (Decimal("39.9"), 200, Verdict.EXCEEDS, Decimal("199.5"), "P.3.a"),
        (40, 200, Verdict.OK, 200, "P.3.b"),
        (79, 201, Verdict.EXCEEDS, 200, "P.3.b"),
        (80, 300, Verdict.OK, 300, "P.3.c"),
    ],
)
def test_another_drug_needs_no_code(weight: object, dose: int, verdict: Verdict, limit: object, row: str) -> None:
    revision = load_revision(GOOD / "melanoma.yaml")
    facts = {
        "indication": "malignant melanoma",
        "request_type": "initial",
        "age": 40,
        "weight_kg": weight,
        "dose": {"value": dose, "unit": "mg", "interval_value": 3, "interval_unit": "wk"},
    }
    result = assess(read_given(facts, TODAY).facts, revision)
    assert (result.dose.verdict, result.dose.limit_mg, result.dose.row) == (verdict, limit, row)
    assert result.section == "1"
    assert result.outcome is (OrderOutcome.MEETS if verdict is Verdict.OK else OrderOutcome.DOES_NOT_MEET)


def test_a_difference_names_section_old_and_new(tmp_path: Path) -> None:
    row = '{cite: I.B.5.a, weight: "< 30 kg",  phase: maintenance,            limit: 10 mg/kg, every: 2 weeks}'
    changed = load_revision(edited(tmp_path, row, row.replace("10 mg/kg", "20 mg/kg").replace("2 weeks", "4 weeks")))
    lines = diff(load_revision(SHIPPED_FILE), changed)
    assert len(lines) == 2
    assert all("I.B.5.a maintenance" in line and "->" in line for line in lines)
    assert diff(changed, changed) == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (ROW, ROW.replace("1500 mg", "150 mg"), "I.A.5.a.ii (2) > limit: 1500 mg -> 150 mg"),
        ("limit: 10 mg/kg, every: 2 weeks}\n              - {cite: I.A.5.a.ii, weight: \">= 30 kg\", limit: 1500", "limit: 10 mg/kg, every: 20 days}\n              - {cite: I.A.5.a.ii, weight: \">= 30 kg\", limit: 1500", "every: 2 weeks -> 20 days"),
        ("with: tremelimumab 75 mg", "with: tremelimumab 7.5 mg", "with: tremelimumab 75 mg -> tremelimumab 7.5 mg"),
        ("vials: [120 mg/2.4 mL, 500", "vials: [240 mg/4.8 mL, 500", "drug > vials > 1: 120 mg/2.4 mL -> 240 mg/4.8 mL"),
        ("open_if: [not-tested, absent]", "open_if: [absent]", "open_if: not-tested, absent -> absent"),
    ],
)  # fmt: skip
def test_a_difference_is_written_as_the_file_has_it(old: str, new: str, line: str, tmp_path: Path) -> None:
    found = diff(load_revision(SHIPPED_FILE), load_revision(edited(tmp_path, old, new)))
    assert len(found) == 1
    assert found[0].endswith(line)


def test_the_rendered_page_is_fresh() -> None:
    page = Path(__file__).parents[2] / "docs" / "policies" / "CP.PHAR.339.md"
    assert page.read_text() == render(load_revision(SHIPPED_FILE)), "run: make docs"


def test_every_dose_row_is_on_the_rendered_page() -> None:
    revision = load_revision(SHIPPED_FILE)
    page = render(revision)
    for pathway in revision.pathways:
        for rows in pathway.tables.values():
            for row in rows:
                assert any(
                    row.cite in line and str(row.cap) in line and str(row.band) in line for line in page.splitlines()
                )
    assert "stage II-III: At most 12 months of therapy in total (II.A.2)." in page


def test_a_mounted_config_map_holds_every_policy_once(tmp_path: Path) -> None:
    (tmp_path / "..2026_11_22").mkdir()
    (tmp_path / "..2026_11_22" / SHIPPED_FILE.name).write_bytes(SHIPPED_FILE.read_bytes())
    (tmp_path / "..data").symlink_to("..2026_11_22")
    (tmp_path / SHIPPED_FILE.name).symlink_to(f"..data/{SHIPPED_FILE.name}")
    assert [revision.sha256 for revision in load_library(tmp_path).revisions] == [
        revision.sha256 for revision in load_library().revisions
    ]


def test_a_folder_that_is_only_linked_is_named_and_not_left_out(tmp_path: Path) -> None:
    top, elsewhere = tmp_path / "policies", tmp_path / "elsewhere"
    for folder in (top, elsewhere):
        folder.mkdir()
        shutil.copy(SHIPPED_FILE, folder)
    (top / "newer").symlink_to(elsewhere)
    with pytest.raises(PolicyError, match=r"newer:1: is not read; it is a link to a folder"):
        load_library(top)


async def test_a_mounted_config_map_that_is_switched_takes_over_whole(tmp_path: Path) -> None:
    def switch(text: str) -> None:
        version = tmp_path / f"..{len(list(tmp_path.iterdir()))}"
        version.mkdir()
        (version / SHIPPED_FILE.name).write_text(text)
        (tmp_path / "..data_tmp").symlink_to(version.name)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    good = SHIPPED_FILE.read_text()
    switch(good)
    (tmp_path / SHIPPED_FILE.name).symlink_to(f"..data/{SHIPPED_FILE.name}")
    policies = Reloadable("policies", lambda: load_library(tmp_path), tmp_path, load_library(tmp_path))
    first = policies()
    switch(good.replace("cite:", "sight:"))
    assert not await policies.refresh()
    assert policies() is first
    assert policies.alarm
    switch(f"{good}\n# reviewed\n")
    assert await policies.refresh()
    assert policies().newest[0].sha256 != first.newest[0].sha256
    assert policies.alarm == ""
