"""Who is an oncologist: by the words of a specialty, which codes are turned into by their display."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cds_service.terminology.codes import Coding, lookup
from cds_service.terminology.doubt import doubt, plain
from cds_service.values import LONGEST, remembered

if TYPE_CHECKING:
    from collections.abc import Iterable

_ONCOLOGY = re.compile(
    r"\boncolog(?:y|ist|ists|ic|ical)\b|\b(?:hem|haem|heme|haeme|med|rad|surg|gyn|peds?)[ /&-]+onc\b"
)
_SHORT = re.compile(r"(?:med(?:ical)?|rad(?:iation)?|surg(?:ical)?|gyn|thoracic)[ -]?onc|onc|radonc|hem[ /-]?onc")
_NOT_A_PHYSICIAN = re.compile(
    r"\bnurs(?:e|es|ing)\b|\brn\b|\bnp\b|\baprn\b|\bcnp\b|\bphysician[' ]?s? assistants?\b|\bpa(?:-c)?\b|\bpharmac\w*|"
    r"\bassistants?\b|\btechn\w+|\bphysicists?\b|\btherapists?\b|\bsocial\b|\bdieti\w+|\bcoordinator\b|\bnavigator\b|\bclinics?\b|"
    r"\bcent(?:er|re)s?\b|\bclerk\b|\bsecretary\b|\bveterinar\w+|\bpsycho-?\s?oncolog\w+|\bstudent\b|"
    r"\bnon[- ]oncolog\w+|\bnot\b|\bno\b|\bunder\b|\breferr\w+|"
    r"\bscheduling\b|\bcardio-?\s?oncolog\w+|\binterventional oncolog\w+|"
    r"\bpsycholog\w*|\b(?:physical|occupational|speech) therapy\b"
)
_PLACE = re.compile(r"\b(?:clinics?|cent(?:er|re)s?|department)\b")
"""Where somebody works: alone no specialty, and beside one no other."""
_DOUBTED = doubt("unsure", "past", "foreign")
_PAST = doubt("past")
_PERHAPS = re.compile(r"\bon[ck](?:\b|o)|cancer|tumou?r|krebs|neoplas|\bc[a\u00e1]ncer")
"""What may be another name of the specialty, or another language's."""
_OTHER = re.compile(
    r"\b(?:(?:family|general|internal|emergency|hospital|sleep|sports|pain|palliative|hospice|occupational|preventive|"
    r"nuclear|physical|critical care|intensive care|geriatric|addiction|transfusion|travel|laboratory)\b.*\bmedicine|"
    r"(?:family|general) (?:medicine|practi\w+)|primary care|internist|hospitalist|intensivist|critical care|"
    r"intensive care|emergency|palliat\w+|hospice|geriatric\w*|ger(?:iatr|ontol)\w*|p(?:a)?ediatric\w*|neonat\w*|"
    r"(?:cardi|pulmon|pneumon?|gastroenter|hepat|nephr|neur|endocrin|rheumat|dermat|immun|h(?:a)?emat|ur|gyn(?:a)?ec|"
    r"ophthalm|otolaryng|otorhinolaryng|anesthesi|anaesthesi|path|radi|toxic|venere|allerg)olog\w+|"
    r"cardiac|respiratory|infectious diseases?|allergy|surge\w+|orthop\w+|obstet\w+|ent|an(?:a)?esthes\w+|"
    r"psychiat\w+|physiat\w+|rehabilitation|dent(?:al|ist\w*)|podiat\w+|optomet\w+|chiropract\w+|acupunct\w+|"
    r"genetic\w*|internal)\b"
)
"""What names another specialty."""


@remembered
def is_oncology_specialty(text: str) -> bool:
    """Whether a specialty is an oncologist's: of any branch of oncology, or haematology-oncology.

    Haematology alone is not, nor is a nurse, assistant or pharmacist of oncology.

    >>> is_oncology_specialty("Internal Medicine, Hematology & Oncology"), is_oncology_specialty("Oncology nurse")
    (True, False)
    """
    words = plain(text.replace("(", " ").replace(")", " "))
    if _NOT_A_PHYSICIAN.search(words) or _DOUBTED.search(words):
        return False
    return bool(_ONCOLOGY.search(words) or _SHORT.fullmatch(words))


def is_open_specialty(text: str) -> bool:
    """Whether a specialty that is not known as an oncologist's may be one all the same, under words not known here.

    >>> is_open_specialty("Onkologie"), is_open_specialty("cardiology"), is_open_specialty("oncology nurse")
    (True, False, False)
    >>> is_open_specialty("Specialist")
    True
    """
    words = plain(text)
    if len(words) > LONGEST:
        return True  # no specialty; to look in all of it for each word of another one would take its square
    if is_oncology_specialty(text) or _NOT_A_PHYSICIAN.search(words) or _PAST.search(words):
        return False
    return _PERHAPS.search(words) is not None or _OTHER.search(words) is None


def specialty_display(codings: Iterable[Coding], text: str = "") -> str:
    """A specialty in words: our display of a code we know (senders mislabel some), else the record's own words."""
    seen = tuple(codings)
    for coding in seen:
        for entry in lookup(coding.system, coding.code):
            if entry.verified and entry.value_set.startswith("specialty_"):
                return entry.display
    displays = [coding.display for coding in seen if coding.display]
    # "Nurse Practitioner" beside "Medical Oncology" says who prescribes, and the words in which department.
    others = (said for said in displays if _NOT_A_PHYSICIAN.search(_PLACE.sub(" ", plain(said))))
    return next(others, text or next(iter(displays), ""))
