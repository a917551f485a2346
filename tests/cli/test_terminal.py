"""The command line as a tool among others: JSON everywhere, exit codes, colours, shell completion."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from rich.console import Console

from cds_service import __main__ as cli
from cds_service import terminal
from cds_service.policies.library import SHIPPED
from tests.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
OVERDOSE = ROOT / "fixtures" / "fhir" / "nsclc-unresectable-overdose"
POLICY = SHIPPED / "cp_phar_339" / "2022-12-02.yaml"
WITHOUT_RESULT = {("serve",), ("record", "upgrade"), ("record", "export")}
"""They serve, change the schema, or write JSON lines anyway."""


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    def walk(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*path, name))
            else:
                yield (*path, name), command

    yield from walk(typer.main.get_command(cli.app), ())


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURVALUMAB_CDS_DATA_FOLDER", str(tmp_path / "data"))


def test_every_command_with_a_result_prints_json_when_asked() -> None:
    without = {path for path, command in commands() if "--json" not in {o for p in command.params for o in p.opts}}
    assert without == WITHOUT_RESULT


@pytest.mark.parametrize(
    "words",
    [
        ("policy", "list"),
        ("policy", "show", "CP.PHAR.339"),
        ("policy", "check"),
        ("policy", "diff", POLICY, POLICY),
        ("explain", OVERDOSE),
        ("check", OVERDOSE),
        ("config",),
        ("stats",),
        ("prefetch",),
        ("registry", "check", ROOT / "docs" / "registry.example.yaml"),
        ("authorizations", "check", ROOT / "docs" / "authorizations.example.yaml"),
        ("record", "verify"),
        ("record", "purge", "--days", "30"),
    ],
    ids=lambda words: " ".join(str(word) for word in words[:2]),
)
def test_what_is_printed_is_json_and_nothing_else(words: tuple[str | Path, ...]) -> None:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    json.loads(result.stdout)


def test_a_policy_as_json_is_what_the_service_tells_of_it() -> None:
    told = json.loads(run("policy", "show", "CP.PHAR.339", "--json").stdout)
    assert (told["id"], told["revision"]) == ("CP.PHAR.339", "2022-12-02")
    assert told["source_attributes"]["Clinical review"]


def test_keys_and_tokens_as_json(tmp_path: Path) -> None:
    made = json.loads(run("jwt", "keys", tmp_path / "keys", "--json").stdout)
    assert json.loads(Path(made["jwks"]).read_text())["keys"]
    words = ("--key", made["private_key"], "--iss", "https://ehr.example", "--aud", "https://cds.example/cds-services")
    assert json.loads(run("jwt", "mint", *words, "--json").stdout)["token"].count(".") == 2
    assert run("jwt", "mint", *words).stdout.count(".") == 2


def test_the_demonstration_as_json_is_the_answer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cds_service.logs.configure", lambda level, **_: None)
    assert json.loads(run("demo", OVERDOSE, "--once", "--json").stdout)["cards"][0]["indicator"] == "warning"


def test_settings_are_readable_and_secrets_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURVALUMAB_CDS_RECORD_SECRET", "s" * 40)
    shown = run("config").output
    assert "port 8080" in shown
    assert "record_secret (set)" in shown
    assert "registry -" in shown


# Exit codes, as docs/terminal.md has them


def process(*words: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "NO_COLOR": "1", **options.pop("env", {})}
    command = [sys.executable, "-m", "cds_service", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, **options)


def test_exit_codes_tell_a_finding_from_a_mistake(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(POLICY.read_text().replace("fact: age,", "fact: height,", 1))
    told: dict[int, Any] = {
        0: ("policy", "check", POLICY),
        cli.FAILED: ("policy", "check", broken),
        cli.UNUSABLE: ("explain", tmp_path / "nothing-here"),
    }
    for code, words in told.items():
        with process(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as started:
            output, _ = started.communicate(timeout=60)
            assert started.returncode == code, output.decode()
            assert b"Traceback" not in output
    page = (ROOT / "docs" / "terminal.md").read_text()
    for code in (0, cli.FAILED, cli.UNUSABLE, cli.INTERRUPTED):
        assert f"\n| {code} |" in page


@pytest.mark.parametrize("words", [["no-such-command"], ["explain", "--no-such-option"], ["assess"]])
def test_a_wrong_use_is_a_mistake_too(words: list[str]) -> None:
    assert run(*words).exit_code == cli.UNUSABLE


def test_an_interrupt_has_the_code_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == cli.INTERRUPTED == 128 + signal.SIGINT


# A person at a terminal


def test_at_a_terminal_the_start_says_where_to_look(tmp_path: Path) -> None:
    """On a real pseudo-terminal: the panel and the warning in colour, and an orderly end."""
    master, slave = pty.openpty()
    environment = {"DURVALUMAB_CDS_DATA_FOLDER": str(tmp_path), "TERM": "xterm-256color", "NO_COLOR": ""}
    with process("serve", "--port", "0", stdout=slave, stderr=slave, env=environment) as started:
        os.close(slave)
        seen = ""
        while "mode=demo" not in seen:
            seen += os.read(master, 4096).decode()
        started.send_signal(signal.SIGINT)
        assert started.wait(20) == 0
    os.close(master)
    for words in ("Durvalumab CDS", "DEMO MODE", "Workbench", "/cds-services", "Ctrl-C ends"):
        assert words in seen
    assert "\x1b[33m" in seen


def drawn(part: Any) -> str:
    console = Console(force_terminal=True, color_system="standard", width=160, no_color=False)
    with console.capture() as captured:
        console.print(part)
    return captured.get()


def test_outside_demo_mode_there_is_no_workbench_to_look_at() -> None:
    shown = drawn(terminal.started("http://127.0.0.1:1", "1.0", ""))
    assert "Workbench" not in shown
    assert "/policies" in shown


def test_findings_changes_and_rates_have_their_colours() -> None:
    red, green = "\x1b[31m", "\x1b[32m"
    assert red in "".join(map(drawn, terminal.problems(["a.yaml:1: wrong"], "fine")))
    assert green in "".join(map(drawn, terminal.problems([], "fine")))
    gone, new = (drawn(line) for line in terminal.changes(["- a: 1", "+ b: 2"]))
    assert red in gone
    assert green in new
    control = {"outside": ["2026-11-02"]}
    group = {
        "calls": 1,
        "orders": 1,
        "cards": 1,
        "topics": {},
        "findings": {"I.A.3": {"not-met": {"count": 1, "rate": 1.0, "control": control}, "met": {"count": 0}}},
        "missing": {"weight_kg": {"count": 0, "rate": None}},
    }
    found = {"from": "2026-11-01", "to": "2026-11-02", "all": group, "clients": {}, "revisions": {}}
    lines = [drawn(line) for line in terminal.rates(found)]
    (outside,) = (line for line in lines if "I.A.3 not-met" in line)
    assert red in outside
    assert "outside its limits on 2026-11-02" in outside
    assert any("missing weight_kg: 0, -" in line for line in lines)
    nothing = terminal.rates({**found, "from": None, "to": None})
    assert [drawn(line).strip() for line in nothing] == ["\x1b[2mNothing is recorded for this time.\x1b[0m"]


def test_a_revision_is_told_by_its_orders_for_it_counts_no_calls() -> None:
    group = {"calls": 3, "orders": 2, "cards": 1, "topics": {}, "findings": {}, "missing": {}}
    revisions = {"CP.X 2022-12-02": {**group, "calls": 0}}
    found = {"from": "2026-11-01", "to": "2026-11-02", "all": group, "clients": {}, "revisions": revisions}
    told = "".join(map(drawn, terminal.rates(found)))
    assert "3 calls, 2 orders, 1 cards" in told
    assert "0 calls" not in told


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("durvalumab-cds pol", "policy"),
        ("durvalumab-cds policy sh", "show"),
        ("durvalumab-cds assess --pol", "--policy"),
    ],
)
def test_a_shell_completes_commands_and_options(typed: str, offered: str) -> None:
    environment = {
        **os.environ,
        "_DURVALUMAB_CDS_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    code = "import sys; sys.argv[0] = 'durvalumab-cds'; from cds_service.__main__ import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert offered in ran.stdout.split(), ran.stderr
