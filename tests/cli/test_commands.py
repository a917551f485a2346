"""The command line, as a person uses it: output, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cds_service import __main__ as cli
from cds_service.policies.library import SHIPPED
from cds_service.record.opening import store_in
from tests.bodies import call, order
from tests.cli.running import run
from tests.record.cases import decision

SHIPPED_POLICY = SHIPPED / "cp_phar_339" / "2022-12-02.yaml"
OVERDOSE = Path(__file__).parents[2] / "fixtures" / "fhir" / "nsclc-unresectable-overdose"
FACTS: dict[str, Any] = {
    "indication": "nsclc",
    "stage": "IIIB",
    "weight_kg": 29,
    "order_date": "2026-11-02",
    "dose": {"value": 600, "unit": "mg", "interval_value": 2, "interval_unit": "wk"},
}


def answered(*words: str | Path) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.fixture
def body_file(tmp_path: Path) -> Path:
    file = tmp_path / "body.json"
    file.write_text(json.dumps(call()))
    return file


@pytest.fixture
def facts_file(tmp_path: Path) -> Path:
    file = tmp_path / "facts.yaml"
    file.write_text(yaml.safe_dump(FACTS))
    return file


def test_the_version_is_that_of_the_package() -> None:
    from cds_service import __version__

    assert run("--version").output.strip() == __version__


def test_explain_shows_cards_and_the_tree_behind_them(body_file: Path) -> None:
    shown = run("explain", body_file).output
    for words in ("warning", "1,500 mg", "700 mg", "✗ I.A.5.a", "? I.A.4", "missing:", "Observation/wt-1"):
        assert words in shown


def test_explain_takes_a_story_and_prints_json() -> None:
    answer = answered("explain", OVERDOSE)
    assert answer["cards"][0]["indicator"] == "warning"
    assert answer["extension"]["org.durvalumab-cds.assessments"][0]["dose"]["verdict"] == "exceeds"


def test_the_demonstration_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """tests/cli/test_serving.py runs it as a process; here its own lines are seen by coverage."""
    monkeypatch.setattr("cds_service.logs.configure", lambda level, **_: None)
    shown = run("demo", OVERDOSE, "--once")
    assert shown.exit_code == 0, shown.output
    for words in ("POST http://127.0.0.1:", "1,500 mg", "I.A.5.a.ii"):
        assert words in shown.output


def test_explain_says_so_when_there_is_no_card(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps(call(order(status="cancelled"))))
    assert "No card" in run("explain", tmp_path).output


def test_assess_judges_a_file_of_facts(facts_file: Path) -> None:
    assert answered("assess", facts_file)["dose"] == {
        **answered("assess", facts_file)["dose"],
        "verdict": "exceeds",
        "limit_mg": 290,
        "row": "I.A.5.a.i",
    }
    assert "limit 290 mg" in run("assess", facts_file).output


def test_assess_takes_a_whole_body_and_a_revision(tmp_path: Path) -> None:
    file = tmp_path / "body.yaml"
    file.write_text(yaml.safe_dump({"facts": FACTS}))
    assert answered("assess", file, "--revision", "2022-12-02")["policy"]["revision"] == "2022-12-02"


def test_check_accepts_a_valid_request_and_names_what_a_strict_reader_rejects(tmp_path: Path) -> None:
    good = run("check", OVERDOSE)
    assert (good.exit_code, good.output.strip()) == (0, "The request is valid.")
    sloppy = call(order(category={"text": "community"}))
    del sloppy["context"]["draftOrders"]["type"]
    sloppy["prefetch"]["odd"] = {"resourceType": "Potion"}
    sloppy["prefetch"]["patient"]["gender"] = ["female"]
    file = tmp_path / "sloppy.json"
    file.write_text(json.dumps(sloppy))
    bad = run("check", file)
    assert bad.exit_code == 1
    for words in ("draftOrders: Bundle: type", "MedicationRequest/rx-1: category", "Potion", "Patient/pt-1: gender"):
        assert words in bad.output


@pytest.mark.parametrize(("body", "words"), [({"hook": "nothing"}, "hook"), ({"hook": "order-sign"}, "hookInstance")])
def test_check_names_what_the_hook_lacks(tmp_path: Path, body: Any, words: str) -> None:
    file = tmp_path / "body.json"
    file.write_text(json.dumps(body))
    result = run("check", file)
    assert (result.exit_code, words in result.output) == (1, True)


# Policies


def test_policies_are_listed_and_shown() -> None:
    assert answered("policy", "list") == [
        {"id": "CP.PHAR.339", "revision": "2022-12-02", "from": "2022-12-02", "title": "Durvalumab (Imfinzi)"}
    ]
    assert "CP.PHAR.339" in run("policy", "list").output


def test_the_policies_of_the_configured_folder_are_listed_shown_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SHIPPED_POLICY.read_text().replace("policy: CP.PHAR.339", "policy: XX.1")
    (tmp_path / "one.yaml").write_text(text)
    monkeypatch.setenv("DURVALUMAB_CDS_POLICY_FOLDER", str(tmp_path))
    assert [one["id"] for one in answered("policy", "list")] == ["XX.1"]
    assert run("policy", "show", "XX.1").output.startswith("# XX.1")
    (tmp_path / "one.yaml").write_text(text.replace("payer: Centene", "payer:"))
    assert "payer: is empty" in run("policy", "check").output


def test_a_policy_is_shown_as_a_page() -> None:
    page = run("policy", "show", "CP.PHAR.339").output
    assert page.startswith("# CP.PHAR.339")
    assert "| I.A.5.a.ii |" in page


def test_policy_check_names_file_and_line(tmp_path: Path) -> None:
    assert run("policy", "check").exit_code == 0
    assert run("policy", "check", SHIPPED_POLICY).exit_code == 0
    broken = tmp_path / "broken.yaml"
    broken.write_text(SHIPPED_POLICY.read_text().replace("fact: age,", "fact: height,", 1))
    for target in (broken, tmp_path):
        result = run("policy", "check", target)
        assert result.exit_code == 1
        assert "broken.yaml:" in result.output
        assert "'height'" in result.output
    assert answered_problems("policy", "check", broken)


def answered_problems(*words: str | Path) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 1
    return json.loads(result.output)


def test_a_database_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DURVALUMAB_CDS_RECORD_URL", "postgresql://127.0.0.1:1/none")
    monkeypatch.setenv("DURVALUMAB_CDS_RECORD_SECRET", "x" * 32)
    for words in (["record", "verify"], ["stats"], ["record", "upgrade"]):
        monkeypatch.setattr("sys.argv", ["durvalumab-cds", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == cli.UNUSABLE
        assert "database" in capsys.readouterr().err


def test_a_record_without_its_secret_is_not_read_with_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DURVALUMAB_CDS_DATA_FOLDER", str(tmp_path))
    upgraded = run("record", "upgrade")
    assert (upgraded.exit_code, upgraded.stdout) == (0, "")
    assert "has the schema of this program" in upgraded.stderr
    (tmp_path / "record.secret").unlink()
    monkeypatch.setattr("sys.argv", ["durvalumab-cds", "record", "verify"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == cli.UNUSABLE
    assert "put record.secret back" in capsys.readouterr().err
    assert not (tmp_path / "record.secret").exists()


def test_a_seal_that_does_not_open_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DURVALUMAB_CDS_DATA_FOLDER", str(tmp_path))
    store, _ = store_in(tmp_path, None, None)
    store.prepare()
    shown = decision()
    store.append([shown])
    store.close()
    monkeypatch.setattr("sys.argv", ["durvalumab-cds", "record", "show", shown.id])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == cli.UNUSABLE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The seal does not open")


def test_a_policy_file_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong.yaml").write_text("title: [")
    monkeypatch.chdir(tmp_path)
    assert run("policy", "check", "wrong.yaml").output.startswith("wrong.yaml:")


def test_policy_diff_names_what_changed(tmp_path: Path) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text(SHIPPED_POLICY.read_text().replace("at_least: 18", "at_least: 16", 1))
    assert run("policy", "diff", SHIPPED_POLICY, SHIPPED_POLICY).output.strip() == "No difference."
    (line,) = answered("policy", "diff", SHIPPED_POLICY, changed)
    assert "I.A.3" in line
    assert "18 -> 16" in line


# What the user can mend is told in one line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["explain", "{no-json}"], "not JSON"),
        (["explain", "{list}"], "not a hook request"),
        (["explain", "{empty-folder}"], "request.json"),
        (["explain", "{unknown-hook}"], "No service"),
        (["explain", "{no-context}"], "context"),
        (["assess", "{list}"], "no facts"),
        (["assess", "{no-yaml}"], "no-yaml:1: what stands here cannot be read"),
        (["assess", "{utf-16}"], "utf-16: is no text in UTF-8"),
        (["assess", "{bell}"], "bell: unacceptable character"),
        (["assess", "{empty-folder}"], "empty-folder: Is a directory"),
        (["demo", "{no-context}", "--once"], "no-context: HTTP 400, context"),
        (["assess", "{deep}"], "nested too deep"),
        (["policy", "show", "CP.X"], "no such policy"),
        (["policy", "diff", "{empty-folder}", "{empty-folder}"], "is a directory"),
        (["record", "verify", "--anchor", "2:"], "an anchor is a row and its link"),
        (["record", "purge", "--days", "0"], "Invalid value for '--days'"),
        (["record", "purge", "--days", "-30"], "Invalid value for '--days'"),
        (["jwt", "keys", "{list}"], "list: "),
        (["serve", "--host", "0.0.0.0"], "demo mode"),
    ],
)
def test_unusable_input_ends_with_two_and_one_line(
    tmp_path: Path, words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no-json").write_text("{")
    (tmp_path / "no-yaml").write_text("a: [")
    (tmp_path / "list").write_text("[]")
    (tmp_path / "deep").write_text("[" * 5000)
    (tmp_path / "empty-folder").mkdir()
    (tmp_path / "unknown-hook").write_text('{"hook": "x"}')
    (tmp_path / "no-context").write_text('{"hook": "order-sign", "hookInstance": "1"}')
    (tmp_path / "utf-16").write_bytes("stage: IV".encode("utf-16"))
    (tmp_path / "bell").write_text("stage: \x07")
    monkeypatch.setattr("cds_service.server.logs.configure", lambda level, **_: None)
    arguments = [str(tmp_path / word[1:-1]) if word.startswith("{") else word for word in words]
    monkeypatch.setattr("sys.argv", ["durvalumab-cds", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    written = capsys.readouterr()
    assert ended.value.code == cli.UNUSABLE
    assert told in written.err
    assert "Traceback" not in written.err
