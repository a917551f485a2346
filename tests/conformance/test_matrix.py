"""docs/conformance-crd.md is made from the requirements and the tests that name them.

``RENEW_MATRIX=1 pytest tests/conformance/test_matrix.py`` writes it anew.
"""

import ast
import os
from collections import Counter
from pathlib import Path

from tests.conformance.requirements import REQUIREMENTS

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "conformance-crd.md"
HEAD = """\
# Conformance to Da Vinci CRD

Made from `tests/conformance` (`RENEW_MATRIX=1 pytest tests/conformance/test_matrix.py`); do not edit. Ids such as
`resp-26` are statements of the narrative of STU 2.2 (2.2.1), `@226` those of the public test kit for STU 2.0.1;
`invariants`, `indeterminate` and `crd-version` are this project's names for rules of the extensions. The words are
this project's.

"""


def named_tests():
    """The tests of this folder by the requirement ids they carry."""
    found = {}
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith("requirement"):
                        for constant in ast.walk(mark):
                            if isinstance(constant, ast.Constant):
                                found.setdefault(constant.value, []).append(node.name)
    return found


def shown_by(requirement, found):
    return list(dict.fromkeys(name for id_ in requirement.ids for name in found.get(id_, [])))


def matrix():
    found = named_tests()
    shown = sum(not requirement.instead for requirement in REQUIREMENTS)
    lines = [f"{shown} of {len(REQUIREMENTS)} rows are shown by tests; the others say why not.\n"]
    lines += ["| ids | statement | shown by |", "|---|---|---|"]
    for requirement in REQUIREMENTS:
        by = requirement.instead or "<br>".join(f"`{name}`" for name in shown_by(requirement, found))
        lines.append(f"| {' '.join(requirement.ids)} | {requirement.words} | {by} |")
    return HEAD + "\n".join(lines) + "\n"


def test_every_requirement_is_shown_or_says_why_not():
    found = named_tests()
    for requirement in REQUIREMENTS:
        assert bool(shown_by(requirement, found)) is not bool(requirement.instead), requirement
        if not requirement.instead:
            assert all(found.get(id_) for id_ in requirement.ids), requirement.ids


def test_every_test_names_requirements_that_there_are():
    ids = Counter(id_ for requirement in REQUIREMENTS for id_ in requirement.ids)
    assert set(named_tests()) <= ids.keys()
    assert max(ids.values()) == 1


def test_the_page_is_fresh():
    if os.environ.get("RENEW_MATRIX"):
        PAGE.write_text(matrix())
    assert PAGE.read_text() == matrix()
