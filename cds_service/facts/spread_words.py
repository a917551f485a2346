"""What a record says of a tumour's extent in words: resectable, locally advanced, confined, metastatic, recurrent.

Words count as a whole or not at all (docs/adr/0010): a statement decides only where every word of its clause is known
(:mod:`cds_service.terminology.extent`). One with other words contradicts what says the opposite, and decides nothing.
One in doubt, of lymph nodes, of a part or of another tumour is kept beside the claims: newer than everything clear, it
keeps that open.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Unknown
from cds_service.facts.claims import Claim, settle
from cds_service.facts.records import evidence
from cds_service.fhir.read import clinical_date, concept_text, objects, text
from cds_service.terminology import extent, metastatic_by_category
from cds_service.terminology.doubt import LOOK_BACK, SENTENCE, doubt
from cds_service.terminology.organs import OTHER_PRIMARY, OTHER_TUMOUR, is_nodal
from cds_service.values import remembered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cds_service.evidence import AnyFact, Evidence
    from cds_service.facts.subject import Subject

WORDS = "the words of the diagnosis, its notes and the order's reason"


class _Word(NamedTuple):
    """A fact that words can say: what mentions it, what says no, and what says yes where that is taken out."""

    mention: re.Pattern[str]
    no: re.Pattern[str]
    yes: re.Pattern[str]


_NO = r"(?:no|without|negative for)(?: (?:any|evidence (?:of|for)|signs? of|overt|clinical|radiograph\w+|radiolog\w+))*"
_SEEN = r"(?: (?:is |are )?(?:seen|found|identified|noted|detected|present)\b)?"
_SAYING = {
    "resectable": _Word(
        re.compile(r"resectab|operable"),
        re.compile(
            r"\b(?:un-?|in-?|(?<!not )(?<!non)non-? ?|not (?:surgically )?)(?:resectable|operable)\b"
            rf"(?! (?:{extent.SITES} )?metastas)"
        ),
        re.compile(r"(?<![\w-])resectable\b"),
    ),
    "locally_advanced": _Word(
        re.compile(r"locally[- ]advanced"),
        re.compile(rf"\b(?:not |non-? ?|{_NO} )locally[- ]advanced\b"),
        re.compile(r"\blocally[- ]advanced\b"),
    ),
    "liver_confined": _Word(
        re.compile(r"liver[- ](?:confined|limited|only)|(?:confined|limited|restricted) to (?:the )?liver"),
        re.compile(r"\b(?:not|no longer) (?:liver[- ]confined|(?:confined|limited|restricted) to (?:the )?liver)\b"),
        re.compile(r"\bliver[- ](?:confined|limited|only)\b|\b(?:confined|limited|restricted) to (?:the )?liver\b"),
    ),
    "metastatic": _Word(
        re.compile(r"metasta"),
        re.compile(
            r"\b(?:non-? ?|not )metastatic\b|"
            rf"\b{_NO}(?: (?:\w*adenopathy|nodal|visceral|pleural effusions?) (?:or|and))?(?: (?:distant|systemic))*"
            rf" metasta(?:tic|s[ei]s)(?: (?:disease|lesions?|spread))?{_SEEN}"
        ),
        re.compile(
            r"(?<!intrahepatic )(?<!intrapulmonary )(?<!regional )(?<!local )(?<!satellite )(?<!transit )(?<!skip )"
            r"\bmetasta(?:tic|s[ei]s)\b"
        ),
    ),
    "recurrent": _Word(
        re.compile(r"\brecurren(?:t|ce)|\brelapsed?\b"),
        re.compile(
            rf"\bnon-?recurrent\b|\b{_NO} (?:disease )?(?:progression or )?(?:recurrence|relapse|recurrent disease)\b"
            rf"{_SEEN}"
        ),
        re.compile(r"\b(?:locally )?(?:recurrent|relapsed)\b(?! (?:lesions?|mass)\b)|(?<!no )\blocal recurrence\b"),
    ),
}
_PARTLY = re.compile(
    r"\A(?!.*\bpet\b).*\b(?:mri|ct|brain|head|bone scan|lesions?|nodules?)\b(?! metasta)|"
    r"\bmetasta\w+(?: \w+){0,2} (?:to|in|of|within|at|on) (?!(?:re-?)?(?:staging )?pet\b)"
)
"""A denial of metastases in one part, or from looking at one. A PET shows the body."""

_REVERSED = (
    r"(?:ruled out|excluded|resolved|resected|removed|gone|none|absent|refuted|denied|downstaged|converted|in error|"
    r"no longer)\b"
)
_DOUBT = ("unsure", "leaning", "softened", "choice", "condition", "open", "person", "hearsay", "foreign")
_HEDGED = doubt(
    *(*_DOUBT, "alternative", "plan", "past", "exception", "qualified", "twice"),
    also=r"\b(?:no|not|nor|never|without|lack\w*|negative|free|risk|prevent\w*|prophyl\w+|screening|surveillance|"
    rf"monitor\w*|look(?:ing)? for|fear\w*|was|were)\b|\b{_REVERSED}|/ |\(-|\[ ?\]|\b0\b",
)
"""A clause with such a word and with others not known is in doubt; with others alone, it contradicts."""
_UNSURE = doubt(
    *_DOUBT,
    also=rf"\b(?:s/p|status[- ]post) {extent.STATED}|\b(?:treat\w*|manag\w*|durva\w*) as (?:for )?{extent.STATED}|"
    rf"\b{extent.EXAMINED}(?: \w+){{0,3}} (?:(?<!negative )(?<!positive )for|to \w+) (?:\w+ ){{0,2}}{extent.STATED}",
)
"""Whatever else stands beside it: "may have" and "evaluated for" are made of known words."""
_DENIED = re.compile(r"\b(?:no|without|negative for|free of)\b")
"""In a clause before: the list may go on where no tumour is named ("no liver, bone metastases")."""
_TAKEN_BACK = doubt(
    *("unsure", "leaning", "condition", "open", "hearsay", "exception"),
    also=rf"(?:(?:was|were|has been|have been|now|since|all) )?{_REVERSED}|"
    r"not (?:yet )?(?:seen|visible|proven|present|found|identified)\b|(?:initially|previously|formerly|originally)\Z",
)
"""At the beginning of the clause after."""
_UNVERIFIED = re.compile(r"\b(?:unverified|not (?:yet )?verified|(?:copied|copy|carried)[- ]forward|second opinion)\b")
"""Anywhere in a text: what it says was taken over from elsewhere, or somebody is asked once more."""
_REASON = re.compile(r"\b(?:due to|because of|given|owing to|secondary to|based on)\b")
_IN_THE_LIVER = re.compile(
    r"(?<!and )(?<!/)(?<!/ )(?<!& )(?<!no )\b(?:liver|hepatic) metasta(?:tic disease|s[ei]s)\b(?! (?:and|to|in)\b)|"
    r"\bmetasta(?:tic|s[ei]s) (?:in|to|of|within|involving) (?:the )?liver\b(?! and\b)"
)
_HINTS = ("metasta", "resectab", "operable", "advanced", "liver", "recurren", "relapse")
_NAMED = re.compile(r"carcinoma\b|\b(?:cancer|n?sclc|u?hcc|btc|i?cca|icc)\b")


class _Mention(NamedTuple):
    """What a clause says of a fact: None where it is in doubt."""

    value: bool | None
    understood: bool
    """Whether every word is known. What is in doubt is understood where it is of nodes or a part, or denied."""


_FEARED = _Mention(None, understood=False)


def hints_in(said: str) -> bool:
    """Whether words may mention anything of a tumour's extent."""
    return any(hint in said for hint in _HINTS)


def words_of(about: Subject) -> list[tuple[str, Evidence]]:
    """What the record says of the tumour in words, in lower case."""
    said = [(cancer.diagnosis.shown, cancer.evidence) for cancer in about.standing]
    said += [(diagnosis.shown, item) for diagnosis, item in about.reasons]
    for cancer in about.standing:
        raw = cancer.resource.raw
        day = cancer.diagnosis.recorded
        for note in objects(raw["note"]) if "note" in raw else ():
            if words := text(note.get("text")):
                said.append(
                    (words, evidence(cancer.resource, "note", words[:200], clinical_date(note.get("time")) or day))
                )
        for item in objects(raw["stage"]) if "stage" in raw else ():
            if words := concept_text(item.get("summary")):
                staged = evidence(cancer.resource, "stage.summary", words, day)
                said.append((_of_category(words) or words, staged))
    return [(extent.spelled_out(words), item) for words, item in dict.fromkeys(said)]


def _of_category(stage: str) -> str:
    """What a stage that is made of TNM categories alone says of metastases; empty for any other."""
    metastatic = metastatic_by_category(stage)
    return "" if metastatic is None else "metastatic disease" if metastatic else "no distant metastases"


def beyond_the_liver(about: Subject, words: Sequence[tuple[str, Evidence]]) -> Sequence[tuple[str, Evidence]]:
    """The words with the metastases of a hepatocellular carcinoma in the liver as what they are: more of it there.

    Other records of them are no metastasis either (C78.7 without a link to the primary).
    """
    if not any(diagnosis.disease == "hcc" for diagnosis in about.diagnoses):
        return words
    return [(_IN_THE_LIVER.sub("intrahepatic metastases", said), item) for said, item in words]


def fact_of_words(name: str, words: Sequence[tuple[str, Evidence]], nothing: Unknown) -> AnyFact:
    """What the words say of one fact; ``nothing`` where they are silent."""
    claims, unread = claims_of_words(name, words)
    newer = unclear_since(claims, unread) if claims else unread
    if newer:
        return Unknown(Absence.NOT_UNDERSTOOD, WORDS, tuple(newer))
    return settle(claims, nothing)


def unclear_since(claims: Sequence[Claim[bool]], unread: Sequence[Evidence]) -> list[Evidence]:
    """The unclear words that are newer than everything clear: what was clear may be so no longer."""
    days = [claim.day for claim in claims if claim.day is not None]
    if len(days) < len(claims):
        return []
    return [item for item in unread if item.recorded is not None and item.recorded > max(days)]


def claims_of_words(name: str, words: Sequence[tuple[str, Evidence]]) -> tuple[list[Claim[bool]], list[Evidence]]:
    """What the words say of one fact, and the mentions that are in doubt."""
    claims, unread = [], []
    for said, item in words:
        if _SAYING[name].mention.search(said):
            for mention in _mentions(name, said):
                if mention.value is not None:
                    claims.append(Claim(mention.value, item, inferred=True, understood=mention.understood))
                else:
                    unread.append(item)
    return claims, unread


@remembered
def _mentions(name: str, said: str) -> tuple[_Mention, ...]:
    """What a text says of one fact.

    What one clause doubts, another does not settle. Metastases may be doubted in one place and be in another; only "no
    metastases" is not said beside one that is feared.
    """
    unverified = _UNVERIFIED.search(said) is not None
    found = dict.fromkeys(
        mention
        for sentence in SENTENCE.split(said)
        for mention in _of_clauses(name, sentence.split(","), in_doubt=unverified)
    )
    if name != "metastatic" and any(mention.value is None for mention in found):
        return tuple(mention for mention in found if mention.value is None)
    return tuple(mention for mention in found if mention.value is not False or _FEARED not in found)


def _of_clauses(name: str, clauses: Sequence[str], *, in_doubt: bool) -> Iterator[_Mention]:
    """What clauses say of a fact, each as its neighbours leave it."""
    for place, mentioning in enumerate(clauses):
        if _SAYING[name].mention.search(mentioning):
            clause = _without_asides(mentioning)
            before = ",".join(_without_denials(_without_asides(one)) for one in clauses[max(0, place - 3) : place])
            after = _without_asides("".join(clauses[place + 1 : place + 2])).strip(" .():;-")
            left_open = (
                in_doubt
                or _UNSURE.search(before)
                or _TAKEN_BACK.match(after)
                or OTHER_PRIMARY.match(after)
                or (not _NAMED.search(clause) and (_DENIED.search(before) or OTHER_TUMOUR.search(before)))
            )
            yield from _of_clause(name, clause, in_doubt=bool(left_open))


@remembered
def _without_asides(clause: str) -> str:
    return extent.without_asides(clause) if len(clause) < LOOK_BACK else clause


def _without_denials(clause: str, but: str = "") -> str:
    """A clause without what it denies as a whole of other facts."""
    for name, word in _SAYING.items():
        if name != but:
            clause = word.no.sub(" ", clause)
    return clause


def _of_clause(name: str, clause: str, *, in_doubt: bool) -> Iterator[_Mention]:
    """What a clause says of one fact that it mentions."""
    word = _SAYING[name]
    if len(clause) >= LOOK_BACK:
        yield _Mention(None, understood=False)
        return
    reason = _REASON.search(clause) if name == "resectable" else None
    if reason and not word.mention.search(clause, reason.end()) and not _UNSURE.search(clause, reason.end()):
        in_doubt = in_doubt or OTHER_TUMOUR.search(clause, reason.end()) is not None
        clause = clause[: reason.start()]
    clause = _without_denials(clause, but=name)
    denials, rest = list(word.no.finditer(clause)), word.no.sub(" ", clause)
    said = denials or list(word.yes.finditer(rest))
    affirmed = word.yes.search(rest)
    if not word.mention.search(clause):
        return
    if name == "metastatic" and (is_nodal(rest) or (denials and _PARTLY.search(clause))):
        yield _Mention(None, understood=True)
        return
    of_it = all(_is_of_a_tumour(name, clause if denials else rest, mention) for mention in said)
    if name == "recurrent" and not of_it and not _HEDGED.search(rest):
        return  # much else recurs
    if in_doubt or not said or OTHER_TUMOUR.search(clause):
        yield _Mention(None, understood=False)
        return
    for one in _SAYING.values():
        rest = rest if one is _SAYING["metastatic"] else one.yes.sub(" ", rest)
    understood = of_it and extent.is_plain(rest)
    if _UNSURE.search(clause) or (not understood and _HEDGED.search(rest)):
        yield _Mention(None, understood=_DENIED.search(rest) is not None)
        return
    if denials:
        yield _Mention(False, understood)
    if affirmed:
        yield _Mention(True, understood)


def _is_of_a_tumour(name: str, clause: str, mention: re.Match[str]) -> bool:
    if name == "metastatic":
        return True
    if name == "liver_confined" and mention[0].endswith("liver"):
        return extent.is_of_a_tumour_before(clause[: mention.start()])
    return extent.is_of_a_tumour(clause[mention.end() :])
