"""The register of authorizations: read strictly, read again when it changes, never half."""

import logging
import os
from datetime import date

import pytest

from cds_service.app import create_app
from cds_service.crd.authorizations import Register, RegisterFile, read_register
from cds_service.errors import DocumentError
from cds_service.settings import Settings

DAY = date(2026, 11, 22)
YAML = """\
authorizations:
  - {member: M-1, drug: durvalumab, number: PA-1, from: 2026-11-01, until: 2027-05-21}
  - {member: M-1, drug: durvalumab, number: PA-2, until: 2027-09-01}
  - {member: M-2, drug: Durvalumab, number: PA-3}
  - {member: M-1, drug: pembrolizumab, number: PA-4}
"""
CSV = "member,drug,number,from,until\nM-1,durvalumab,PA-1,2026-11-01,2027-05-21\nM-2,durvalumab,PA-3,,\n"


@pytest.fixture
def written(tmp_path):
    def write(text, name="register.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def number(register, member, drug="durvalumab", day=DAY):
    found = register.find([member], drug, day)
    return found.number if found else None


def test_a_member_a_drug_and_a_day_find_the_number(written):
    register = read_register(written(YAML))
    assert number(register, "M-1") == "PA-2", "the one that ends last"
    assert number(register, "M-2") == "PA-3"
    assert number(register, "M-1", "pembrolizumab") == "PA-4"
    assert number(register, "M-3") is None
    assert number(register, "M-2", "tremelimumab") is None


@pytest.mark.parametrize(
    ("day", "found"),
    [("2026-10-31", None), ("2026-11-01", "PA-1"), ("2027-05-21", "PA-1"), ("2027-05-22", None)],
)
def test_both_days_of_the_period_count(written, day, found):
    assert number(read_register(written(CSV, "register.csv")), "M-1", day=date.fromisoformat(day)) == found


def test_an_authorization_without_an_end_ends_last(written):
    text = YAML + "  - {member: M-1, drug: durvalumab, number: PA-0, from: 2026-11-22}\n"
    register = read_register(written(text))
    assert number(register, "M-1") == "PA-0"
    assert number(register, "M-1", day=date(2026, 11, 21)) == "PA-2", "it has not begun"


def test_a_period_may_be_a_single_day(written):
    one_day = (
        "authorizations:\n  - {member: M-1, drug: durvalumab, number: PA-1, from: 2026-11-22, until: 2026-11-22}\n"
    )
    assert number(read_register(written(one_day)), "M-1") == "PA-1"


def test_a_table_says_the_same_as_a_document(written):
    register = read_register(written(CSV, "register.csv"))
    assert number(register, "M-2") == "PA-3"
    assert register.members is None, "a table does not list the members of the plan"


def test_the_members_of_the_plan_may_be_listed(written):
    register = read_register(written(YAML + "members: [M-7]\n"))
    assert register.members == {"M-7", "M-1", "M-2"}


@pytest.mark.parametrize(
    ("text", "name", "complaint"),
    [
        ("authorizations:\n  - {member: M-1, drug: durvalumab}\n", "r.yaml", "r.yaml:2"),
        ("authorizations:\n  - {member: M-1, drug: d, number: N, until: tomorrow}\n", "r.yaml", "r.yaml:2"),
        (
            "authorizations:\n  - {member: M, drug: d, number: N, from: 2026-02-01, until: 2026-01-01}\n",
            "r.yaml",
            "before",
        ),
        ("authorisations: []\n", "r.yaml", "r.yaml:1"),
        ("a: [", "r.yaml", "r.yaml:"),
        ("member,number\nM-1,PA-1\n", "r.csv", "columns are member, drug, number, from, until"),
        ("member,drug,number,from,until\nM-1,durvalumab,,,\n", "r.csv", "r.csv:2"),
        ("member,drug,number,from,until\nM-1,durvalumab,PA-1,soon,\n", "r.csv", "r.csv:2"),
    ],
)
def test_a_wrong_register_is_refused_with_file_and_line(written, text, name, complaint):
    with pytest.raises(DocumentError, match=complaint):
        read_register(written(text, name))


def test_a_register_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DocumentError, match="cannot be read"):
        RegisterFile(tmp_path / "none.yaml")


def test_without_a_register_nothing_is_authorized():
    assert RegisterFile(None)() == Register()


async def test_a_changed_register_is_read_again_and_a_broken_change_is_not(written):
    path = written(YAML)
    register = RegisterFile(path)
    assert number(register(), "M-2") == "PA-3"
    path.write_text(YAML.replace("PA-3", "PA-30"))
    os.utime(path, ns=(1, 1))
    await register.refresh()
    assert number(register(), "M-2") == "PA-30"
    path.write_text("authorizations: no list\n")
    os.utime(path, ns=(2, 2))
    await register.refresh()
    assert number(register(), "M-2") == "PA-30"
    assert register.alarm == "authorizations: 1 problem"
    path.write_text(YAML)
    os.utime(path, ns=(3, 3))
    await register.refresh()
    assert number(register(), "M-2") == "PA-3"
    assert register.alarm == ""


@pytest.mark.parametrize(
    ("text", "name", "place"),
    [
        ("authorizations:\n  - {member: M-SECRET, drug: d, number: N, M-SECRET: x}\n", "r.yaml", "r.yaml:2"),
        ("members: [*M-SECRET]", "r.yaml", "r.yaml:1"),
        (
            "member,drug,number,from,until\nM-SECRET,durvalumab,PA-1,2026-02-01,2026-01-01\n",
            "r.csv",
            "r.csv:2",
        ),
    ],
)
async def test_a_broken_register_is_logged_by_place_and_without_a_member(written, caplog, text, name, place):
    path = written("authorizations: []" if name == "r.yaml" else CSV, name)
    register = RegisterFile(path)
    path.write_text(text)
    with caplog.at_level(logging.ERROR):
        assert await register.refresh(force=True) is False
    (line,) = [one.cds_fields for one in caplog.records if one.message == "reload refused"]
    assert (line["what"], line["reason"]) == ("authorizations", place)


def test_no_problem_of_a_register_in_csv_shows_the_row(written):
    with pytest.raises(DocumentError) as refused:
        read_register(
            written("member,drug,number,from,until\nM-SECRET,durvalumab,PA-1,2026-02-01,2026-01-01\n", "r.csv")
        )
    assert refused.value.problems == ["r.csv:2: until is before from"]


async def test_a_broken_register_shows_in_readiness(written, client_of):
    path = written(YAML)
    edge = create_app(Settings(demo_mode=True, authorizations=path, record=False))
    async with client_of(edge) as client:
        before = (await client.get("/ready")).json()
        path.write_text("authorizations: no list\n")
        await edge.life.refresh()
        broken = (await client.get("/ready")).json()
        path.write_text(YAML)
        await edge.life.refresh()
        after = (await client.get("/ready")).json()
    assert broken["alarms"] == ["authorizations: 1 problem"]
    assert "alarms" not in before
    assert "alarms" not in after
