"""Words that keep what a chart says from being certain: one vocabulary for every reader of words.

"Possible", "versus", "if", "previously", "mother", "kein": whoever reads a finding in words asks here whether the words
around it take it back. Each reader names the groups that speak of what it reads and says why it leaves one out; where a
reader looks (all of a text, or the clause around a mention) is its own matter. Adding a word here makes every reader of
its group more careful at once.

A word stands for itself, a blank in it for a blank or a hyphen, an asterisk at its end for any ending.
"""

from __future__ import annotations

import re
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from cds_service.values import remembered


class Group(NamedTuple):
    """Words that take a statement back in the same way."""

    why: str
    words: tuple[str, ...]


GROUPS: MappingProxyType[str, Group] = MappingProxyType(
    {
        "unsure": Group(
            "Said to be less than certain, or asked. Coding rules for outpatients name the same words (probable, "
            "suspected, consistent with, compatible with, rule out, working diagnosis) as no established diagnosis.",
            (
                *(
                    "possible",
                    "possibly",
                    "possibility",
                    "poss",
                    "probable",
                    "probably",
                    "probability",
                    "prob",
                    "presum*",
                ),
                *(
                    "likely",
                    "unlikely",
                    "likelihood",
                    "suspect*",
                    "suspicio*",
                    "susp",
                    "question*",
                    "query",
                    "queried",
                    "uncertain*",
                ),
                *("unsure", "unclear*", "equivocal*", "indeterminate", "inconclusive", "doubt*", "dubious"),
                *("apparent", "apparently", "appear", "appears", "appeared", "appearing", "seem*", "suggest*"),
                *("thought", "believed", "felt to", "consistent with", "c/w", "compatible with", "concern*", "worr*"),
                *("cannot", "can not", "can't", "could", "couldn't", "might", "may be", "may have", "may represent"),
                *("may reflect", "may indicate", "may harbor", "maybe", "perhaps", "would", "provisional*"),
                *("tentative*", "differential", "ddx", "working diagnosis", "rule out", "r/o", "to exclude"),
                *("not excluded", "not yet excluded", "not ruled out", "not yet ruled out", "unconfirmed"),
                *("not confirmed", "not yet confirmed", "to be confirmed", "evaluate for", "evaluated for"),
                *("evaluating for", "evaluation for", "work up for", "workup for", "assess for", "assessment for"),
                *("is it", "is this", "whether", "unproven", "until proven otherwise", "?", "\u00bf"),
                *("unverified", "not verified", "not yet verified"),
            ),
        ),
        "leaning": Group(
            "Leans to one of several: pathologists and radiologists say it where they cannot say more.",
            ("favor", "favors", "favored", "favoring", "favour", "favours", "favoured", "favouring"),
        ),
        "softened": Group(
            "Half way between two findings.",
            ("borderline", "potential", "potentially", "marginal", "marginally", "conditional*", "technically"),
        ),
        "choice": Group("One of several, and which is open.", ("vs", "versus", "either", "alternatively")),
        "alternative": Group("Joins two findings of which one may be meant.", ("or", "and/or")),
        "condition": Group(
            "Says what happens in a case that has not happened.",
            ("if", "unless", "should", "in case", "in the event"),
        ),
        "open": Group(
            "Not known yet, or not known.",
            (
                *("pending", "await*", "to be determined", "tbd", "to follow", "unknown", "not known", "undetermined"),
                *("not determined", "unavailable", "not available", "not evaluated", "not assessed", "not covered"),
                *("not established", "scheduled", "under evaluation", "to be assessed", "to be evaluated"),
            ),
        ),
        "plan": Group(
            "Said of what is wanted, expected or ordered, not of what is.",
            (
                *("plan", "plans", "planned", "planning", "goal", "expect*", "anticipat*", "consider", "considering"),
                *("until", "intend*", "intent", "hope*", "hoping", "discuss*", "will be"),
            ),
        ),
        "past": Group(
            "Said of another time. What was, may be so no longer.",
            (
                *("prior", "previous*", "former*", "initial", "initially", "original", "originally", "history of"),
                *("by history", "hx of", "h/o", "s/p", "status post", "pmh", "pmhx", "remote", "historical*"),
                *("no longer", "earlier", "used to be", "retired", "copied forward", "copy forward", "carried forward"),
            ),
        ),
        "person": Group(
            "Said of somebody else.",
            (
                *("mother*", "father*", "sister*", "brother*", "sibling*", "parent", "parents", "parental", "aunt*"),
                *("uncle*", "grandmother*", "grandfather*", "grandparent*", "cousin*", "son", "daughter", "wife*"),
                *("husband*", "spouse*", "maternal", "paternal", "family", "familial", "fhx", "fh", "fam hx"),
                *("donor with", "donor had", "organ donor*", "living donor*", "deceased donor*", "test patient*"),
            ),
        ),
        "hearsay": Group(
            "Told and not established.",
            (
                *("reportedly", "allegedly", "patient reports", "patient states", "per patient", "patient feels"),
                *("patient asks", "denies", "deny", "denied"),
            ),
        ),
        "exception": Group(
            "Takes something out of what is said, often the very finding.",
            (
                *("except*", "other than", "apart from", "aside from", "besides", "with the exception", "however"),
                *("although", "though", "but"),
            ),
        ),
        "qualified": Group(
            "Denies less than all: what is not definite, or not new, may be there.",
            tuple(
                f"{denial} {quality}"
                for denial in ("no", "not", "without")
                for quality in (
                    *("definite", "definitely", "definitive", "definitively", "clear", "clearly", "obvious", "gross"),
                    *("convincing", "conclusive", "other", "additional", "further", "fully", "entirely", "yet"),
                )
            ),
        ),
        "twice": Group(
            "Denies a denial; whoever wrote it meant something, but not surely the opposite.",
            (
                *("not without", "not negative", "not positive", "not absent", "not undetected", "not free of"),
                *("no absence", "no lack", "not wild", "no wild", "not unresectable", "not inoperable", "neither"),
                *("non negative", "nonnegative", "no evidence of wild"),
            ),
        ),
        "foreign": Group(
            'Another language: its denials and doubts are not known here, so nothing beside them is read. "Vater" is '
            "left out: the ampulla has that name.",
            (
                *("kein*", "nicht", "ohne", "verdacht", "v.a.", "v. a.", "z.n.", "z. n.", "zustand nach", "ausschluss"),
                *("anhalt", "fraglich*", "vermutlich*", "wahrscheinlich*", "mutter", "bruder", "schwester"),
                *(
                    "m\u00f6glich*",
                    "moeglich*",
                    "sin",
                    "no hay",
                    "no se",
                    "ning\u00fan",
                    "ninguna",
                    "sospech*",
                    "posible",
                ),
                *("posiblemente", "probablemente", "descart*", "antecedente*", "madre", "padre", "hermano", "hermana"),
                *("sans", "pas de", "aucun*", "suspicion de", "sem", "senza", "sospett*"),
            ),
        ),
    }
)

LOOK_BACK = 500
"""Characters before and after a mention that are looked at; a sentence is shorter."""
SENTENCE = re.compile(r";|(?<!\bvs)(?<!\bdr)(?<!\bm[rs])(?<!\bmrs)(?<!\bposs)(?<!\bprob)(?<!\bsusp)(?<!\b[a-z])\. ")
"""What ends a sentence. The point of a number does not, nor that of an abbreviation."""
_STOP = re.compile(f",|{SENTENCE.pattern}")
"""What ends a clause."""
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_UNSEEN = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")


@remembered
def plain(text: str) -> str:
    """A text in lower case, with one kind of hyphen, apostrophe and blank, and without characters that nobody sees.

    >>> plain("Not\u00a0 Detected \u2013 non\u2011small")
    'not detected - non-small'
    """
    words = text.lower()
    if not words.isascii():
        words = _UNSEEN.sub("", _DASHES.sub("-", words)).replace("\u2019", "'")
    return " ".join(words.split())


def clause_before(words: str, place: int) -> str:
    """What stands before a mention in its clause, of long clauses the last 500 characters.

    >>> clause_before("no nodes; possible metastases", 19)
    ' possible '
    """
    before = words[max(0, place - LOOK_BACK) : place]
    begins = 0
    for stop in _STOP.finditer(before):
        begins = stop.end()
    return before[begins:]


def clause_after(words: str, place: int) -> str:
    """What stands after a mention in its clause.

    >>> clause_after("metastases cannot be excluded, no nodes", 10)
    ' cannot be excluded'
    """
    after = words[place : place + LOOK_BACK]
    stop = _STOP.search(after)
    return after[: stop.start()] if stop else after


@cache
def doubt(*groups: str, also: str = "") -> re.Pattern[str]:
    """A pattern of the words of these groups, and of a reader's own (``also``), for texts made plain."""
    words = [word for group in groups for word in GROUPS[group].words]
    whole = [_spelled(word) for word in words if word[-1].isalnum() or word[-1] == "."]
    stems = [_spelled(word[:-1]) for word in words if word.endswith("*")]
    marks = "".join(re.escape(word) for word in words if len(word) == 1 and not word.isalnum())
    parts = [
        rf"\b(?:{'|'.join(whole)})(?!\w)" if whole else "",
        rf"\b(?:{'|'.join(stems)})" if stems else "",
        f"[{marks}]" if marks else "",
        also,
    ]
    return re.compile("|".join(filter(None, parts)))


def _spelled(word: str) -> str:
    return "[- ]".join(re.escape(part) for part in word.split(" "))
