"""Every line of the threat model names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_defence_names_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text()
    written = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"def (test_\w+)", written))
    lines = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(lines) > 20
    for line in lines:
        last = line.rstrip(" |").rpartition("|")[2]
        named = re.findall(r"`(test_\w+)`", last)
        files = re.findall(r"`(tests/[\w/.]+)`", last)
        assert named or files or "same" in last, line
        assert set(named) <= known, line
        assert all((ROOT / file).exists() for file in files), line
