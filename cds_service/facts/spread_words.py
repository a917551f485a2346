"""What a record says of a tumour's extent in words: resectable, locally advanced, confined, metastatic, recurrent.

A mention counts with its denials, as far as the words around it leave it certain (:mod:`cds_service.terminology.doubt`)
and are of this tumour. A mention that cannot be used is kept beside the claims: what is newer than everything clear
keeps that open.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cds_service.evidence import Absence, Unknown
from cds_service.facts.claims import Claim, settle
from cds_service.facts.records import evidence
from cds_service.fhir.read import clinical_date, concept_text, objects, text
from cds_service.terminology.doubt import clause_after, clause_before, doubt, plain
from cds_service.terminology.organs import OTHER_TUMOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.evidence import AnyFact, Evidence
    from cds_service.facts.subject import Subject

WORDS = "the words of the diagnosis, its notes and the order's reason"

_BEFORE = doubt(
    *("unsure", "leaning", "softened", "choice", "alternative", "condition", "open", "past", "person", "hearsay"),
    *("qualified", "twice", "foreign"),
    # "plan" is left out: it names the disease that it is for ("plan: durvalumab for unresectable disease").
    also=r"\b(?:no|not|nor|never|without|lack\w*|absen\w+|negative|free|unable)\b(?! (?:\w+ ){0,2}progress\w*(?! of))|"
    r"\b(?:resolution of|risk|prevent\w*|screening|surveillance|monitor\w*|look(?:ing)? for|fear of)(?!\w)|"
    r"\b(?:was|were|been) (?:surgically )?\Z|/ ?\Z",
)
"""Before a mention in its clause: it is not said for certain, not now, of somebody else, or denied after all."""
_AFTER = doubt(
    *("unsure", "choice", "alternative", "condition", "open"),
    # Of these words "past", "person" and the rest speak of something else when they follow ("unresectable after prior
    # chemotherapy").
    also=r"\b(?:excluded|ruled out|absent|resolved|resected|negative|none|no longer|gone|denied)\b|\A ?/|"
    r"\bnever\b(?![- ](?:smok\w*|drink\w*|treat\w*|received|previously treated)\b)|"
    # "Not seen", "not appreciated", "not there": whatever is not said to be so. What is not treated is there.
    r"\bnot\b(?! (?:an?|previously|amenable|resectable|operable|surgical\w*|eligible|suitable|appropriate|fit|"
    r"(?:yet )?(?:treat\w*|biops\w*)|respon\w*|controlled|curable|curative|improv\w*|progress\w*|chang\w*|candidates?|"
    r"metastatic|involving)\b)|"
    r"\A ?: ?0\b|\A(?: ?:| -) ?no\b(?! (?:prior|previous|chemo\w*|systemic|therapy|treatment)\b)|\A ?\(-|"
    # Something else that cannot be operated on.
    r"\A(?: \w+){0,2} (?:hernia|aneurysm|\w*stones?|stenosis|ascites|coronary|valve|cataracts?|\w*fractures?|"
    r"meningioma|polyps?|goit(?:er|re)|fistula|cysts?|abscess)\b",
)
"""Within four words after a mention: it is asked, or taken back."""
_UNVERIFIED = re.compile(r"\b(?:unverified|not (?:yet )?verified|(?:copied|copy|carried)[- ]forward|second opinion)\b")
"""Anywhere in a note: what it says was taken over from elsewhere, or somebody is asked once more."""
_TREATED = re.compile(r"\bpreviously (?:un)?treated\b")
"""Says which line of therapy it is, and nothing of when the disease was so."""
_FOLLOWING = re.compile(r"(?:\W*[\w'/-]+){0,4}")
_EXCEPTION = doubt("exception")
_UHCC = re.compile(r"\buhcc\b")
_SOFTENED = r"(?:potentially|borderline|possibly|initially|previously|formerly|likely|marginally|conditionally)"

_OF_A_TUMOUR = (
    r"(?=\W*\Z|[,;.:)/]| /| (?:and|or|in|to|at|after|since|within|with|on|following|as|now|despite|per|shortly)\b|"
    # When it came back: "2 months after", "(> 6 months after", "2026-05-01".
    r" \(?(?:(?:about|approximately|almost|more than|less than|over|under|at least) |[<>~≥≤]=? ?)?\d+(?:\.\d+)? ?"
    r"(?:days?|weeks?|months?|mos?|years?|yrs?)"
    r"(?= (?:after|from|post|since|following|later|ago|out)\b|\W*\Z|[,;.)])| \(?\d{4}-\d\d\b|"
    r" (?:unresectable|inoperable|metastatic)(?=\W*\Z|[,;.])|"
    r"[- ](?:(?:advanced|metastatic|unresectable|inoperable|locally|stage|[iv\d]+[a-d]?|non|small|large|cell|squamous|"
    r"extensive|limited|lung|liver|biliary|tract|bile|duct|gallbladder|hepatic|pulmonary|intrahepatic|extrahepatic|"
    r"perihilar|hilar|distal|malignant|primary|nonsquamous|hepatocellular|klatskin|bronchogenic|ampullary|nodal|high|low|"
    r"grade|poorly|moderately|well|differentiated)[- ])*"
    r"(?:\w*carcinoma|adenoca|cancer|ca|tumou?r|neoplasm|malignan\w+|disease|nsclc|sclc|es-?sclc|hcc|btc|icc|cca|"
    r"metasta\w+|(?<=liver )lesions?|(?<=hepatic )lesions?)\b)"
)
"""What follows "recurrent" where it is said of a tumour; effusions, infections and much else recur too."""


class _Word(NamedTuple):
    """A fact that words can say: a hint of it, what says yes, what says no, what makes a mention unusable."""

    name: str
    hint: str
    yes: re.Pattern[str]
    no: re.Pattern[str]
    unusable: re.Pattern[str]
    partly: re.Pattern[str] | None = None
    """What makes a denial one of a part only, so that it denies nothing of the rest."""


_SAYING = (
    _Word(
        "resectable",
        "ble",
        re.compile(
            r"(?<!un)(?<!non)(?<!non-)(?<!non )(?<!not )(?<!not surgically )(?<!\w)(?:surgically )?resectable\b"
        ),
        re.compile(
            r"\bun-?resectable\b|\bin-?operable\b|\bnon-?\s?(?:resectable|operable)\b|"
            r"\bnot (?:surgically )?(?:resectable|operable|a (?:surgical|resection) candidate)\b"
        ),
        re.compile(rf"\b{_SOFTENED}\s+(?:un-?)?resectable\b|\bnot unresectable\b|\bresectability\b"),
    ),
    _Word(
        "locally_advanced",
        "advanced",
        re.compile(r"(?<!not )(?<!no )(?<!non-)\blocally[-\s]advanced\b"),
        re.compile(r"\b(?:not|no|non-)\s?locally[-\s]advanced\b"),
        re.compile(rf"\b{_SOFTENED}\s+locally[-\s]advanced\b"),
    ),
    _Word(
        "liver_confined",
        "liver",
        re.compile(
            r"(?<!not )\b(?:liver[-\s](?:confined|limited|only)|(?:confined|limited|restricted) to (?:the )?liver)\b"
        ),
        re.compile(r"\b(?:not|no longer) (?:liver[-\s]confined|(?:confined|limited|restricted) to (?:the )?liver)\b"),
        re.compile(r"\b(?:was|were|initially|previously|formerly) (?:liver|confined|limited|restricted)\b"),
    ),
    _Word(
        "metastatic",
        "metasta",
        re.compile(
            r"(?<!non-)(?<!non )(?<!not )(?<!oligo)\bmetasta(?:tic|ses|sis)\b"
            r"(?![- ](?:work|screen|survey|free|potential|status|risk))"
        ),
        re.compile(
            r"\bnon-?\s?metastatic\b|\bnot metastatic\b|\b(?:no|without)(?: \w+){0,4} metasta(?:tic|ses|sis)\b|"
            r"\bnegative for metasta(?:tic|ses|sis)\b"
        ),
        re.compile(
            r"\b(?:possibl[ey]|suspected|suspicious for|suspicion of|concern(?:ing)? for|probabl[ey]|"
            r"likely|presumed|questionable|evaluat\w+ for|cannot exclude|rule out|r/o|risk of|nodal|nodes?|lymph)\b"
            r"[^,.;]*\bmetasta|"
            r"\bmetasta\w+(?: \w+){0,2} (?:suspected|possible|probable|unlikely|excluded|not confirmed)\b|"
            r"\bmetasta\w+ (?:to|in|of|involving)(?: \w+){0,3} (?:lymph )?nodes?\b|"
            r"\bmetastatic (?:calcification|abscess|infection|infective|pulmonary calcification)|"
            r"\b(?:loco-?)?regional metasta|\b(?:satellite|in-transit|intrapulmonary|intrahepatic) metasta"
        ),
        # "No brain metastases", "no new metastases", "CT chest: no metastases", "no metastases in the liver".
        re.compile(
            r"\b(?:no|without)(?! (?:(?:any|evidence of|signs? of|distant|visceral or|systemic|overt|clinical|"
            r"radiographic\w*|radiologic\w*|evidence for) ){0,4}metasta)(?: \w+){0,4} metasta|"
            r"\A(?!.*\bpet\b).*\b(?:mri|ct|brain|head|cranial|bone scan|ultrasound|x-ray)\b|"
            r"\bmetasta\w+(?: \w+){0,2} (?:to|in|of|within|at|on) (?!(?:re-?)?(?:staging )?pet\b)"
        ),
    ),
    _Word(
        "recurrent",
        "re",
        re.compile(rf"(?<!not )(?<!non-)\b(?:recurrent|(?<!no )relapsed)\b{_OF_A_TUMOUR}|(?<!no )\blocal recurrence\b"),
        re.compile(r"\b(?:no|without)(?: \w+){0,4} recurrence\b|\bnon-?recurrent\b"),
        re.compile(r"\b(?:risk of|prevent\w*|possible|suspected)\b[^,.;]*\b(?:recurren|relaps)"),
    ),
)
_WORDS = {word.name: word for word in _SAYING}
_HINTS = tuple(word.hint for word in _SAYING)


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
                said.append((words, evidence(cancer.resource, "stage.summary", words, day)))
    return [(_UHCC.sub("unresectable hcc", plain(words)), item) for words, item in dict.fromkeys(said)]


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
    """What the words say of one fact, and the mentions that cannot be used."""
    word = _WORDS[name]
    claims, unread = [], []
    for said, item in words:
        if word.hint not in said:
            continue
        if word.unusable.search(said):
            unread.append(item)
            continue
        denied = word.no.search(said)
        rest = word.no.sub(" ", said)
        affirmed = word.yes.search(rest)
        if (denied and _denied_in_doubt(word, said, denied)) or (affirmed and _in_doubt(rest, affirmed)):
            unread.append(item)
            continue
        if denied:
            claims.append(Claim(False, item, inferred=True))
        if affirmed:
            claims.append(Claim(True, item, inferred=True))
    return claims, unread


def _in_doubt(said: str, mention: re.Match[str]) -> bool:
    """Whether the clause around a mention hedges, asks, takes it back or speaks of another tumour."""
    before, after = clause_before(said, mention.start()), clause_after(said, mention.end())
    following = _FOLLOWING.match(after)
    return bool(
        _BEFORE.search(_TREATED.sub(" ", before))
        or "?" in after
        or (following and any(found.end() <= following.end() for found in _AFTER.finditer(after)))
        or OTHER_TUMOUR.search(before + mention[0] + after)
        or _UNVERIFIED.search(said)
    )


def _denied_in_doubt(word: _Word, said: str, denied: re.Match[str]) -> bool:
    """Whether a denial is in doubt, of a part only, or has an exception."""
    after = clause_after(said, denied.end())
    clause = clause_before(said, denied.start()) + denied[0] + after
    partly = word.partly is not None and word.partly.search(clause) is not None
    return partly or _EXCEPTION.search(after) is not None or _in_doubt(said, denied)
