"""Marks of risk adjustment that charts print behind a diagnosis, and whose letters are those of a tumour too.

"Type 2 diabetes mellitus (HCC)" is of a hierarchical condition category. Each site writes the mark in its own way:
"(CMS/HCC)", "(CMS/HHS-HCC)", "(HCC Code)", "[HCC 9]". What stands in brackets with the letters and is made of such
words alone is a mark, also behind a tumour of the liver, whose name stands before it.
"""

from __future__ import annotations

import re

_WORD = (
    r"(?:cms|hhs|rx|rxhcc|hcc|hc|cmd|multi|raf|ma|aco|esrd|mcc|cc|code[ds]?|coding|category|categories|cat|condition|"
    r"diagnosis|dx|risk|adjust\w*|v ?\d\d|\d+(?:\.\d+)?)\b"
)
_MARK = re.compile(
    rf"[(\[{{][ *]?(?=[^)\]}}]{{0,60}}\b(?:rx)?hcc\b|(?:multi|cmd|hc code)\b)(?:{_WORD}[ ,/:;#*&+-]*){{1,8}}[)\]}}]|"
    r"\bhcc \(?hierarchical[^,;.]*|\bhcc ?\d{1,3}\b(?! ?(?:[x/.]|[cm]m\b|nodul|lesion|foc|tumou?r))|"
    r"\bhcc (?:coding|code|category)\b"
)


def without_risk_marks(words: str) -> str:
    """Words in lower case without marks of risk adjustment.

    >>> without_risk_marks("cancer of left lung (cms/hhs-hcc)"), without_risk_marks("hcc (hepatocellular carcinoma)")
    ('cancer of left lung  ', 'hcc (hepatocellular carcinoma)')
    """
    return _MARK.sub(" ", words) if "hcc" in words or "(" in words else words
