"""What README and docs claim: links lead somewhere, every guide is found, no address of a registry.

Their commands are run by test_commands_in_documents.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            found = (page.parent / target).resolve()
            if "://" not in target and found.suffix == ".md":
                ahead.append(found)
            elif "://" not in target and found.is_dir():
                ahead += found.glob("*.md")
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def test_the_readme_leads_to_the_guide_of_every_reader() -> None:
    text = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| .* \| (.*) \|$", text, re.M)
    for guide in ("integrate-ehr", "integrate-crd", "sandbox", "operate", "review-the-policy", "terminal", "workbench"):
        assert any(f"(docs/{guide}.md)" in row for row in rows), guide
    assert any("(CONTRIBUTING.md)" in row for row in rows)


def test_each_decision_record_is_one_page_of_four_parts() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    for record in records:
        parts = re.findall(r"^## (.*)$", record.read_text(), re.M)
        assert parts == ["Context", "Decision", "Consequences", "Alternatives"], record.name
        assert len(record.read_text().splitlines()) <= 50, record.name


def test_constraints_pin_what_is_installed_and_hold_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "/" not in text
    assert all(re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9A-Za-z.]+", line) for line in text.splitlines() if line)
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in text.splitlines()}
    listed = re.findall(r'^  "([A-Za-z0-9._-]+)', (ROOT / "pyproject.toml").read_text(), re.M)
    wanted = {name.lower().replace("_", "-") for name in listed} & {
        "fastapi", "fhir.resources", "httpx", "markdown-it-py", "orjson", "pydantic", "pydantic-settings", "pyyaml",
        "rich", "typer", "uvicorn", "hypothesis", "import-linter", "mypy", "pytest", "ruff", "syrupy",
    }  # fmt: skip
    assert len(wanted) == 17
    assert wanted <= pinned


def test_help_and_version_are_quick() -> None:
    """Half a second at rest; only what the command line itself needs may be imported before a command is chosen."""
    code = (
        "import sys; from cds_service.__main__ import app\n"
        "heavy = {'fastapi', 'starlette', 'pydantic', 'fhir', 'uvicorn', 'yaml', 'orjson'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_imports_point_down() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
