"""Organs as charts name them: where a tumour sits, where radiotherapy goes, whose tumour a clause speaks of.

One home for the lists, so that whoever adds a word to one sees what the others say. They differ with their use: a body
site names the organ of a primary tumour, radiotherapy also goes to bones and the brain, and in a sentence an organ
counts only with the tumour that it names. The names of cancers themselves are read in
:mod:`cds_service.terminology.diseases`.
"""

from __future__ import annotations

import re

LUNG = re.compile(r"\b(?:lungs?|pulmonary|bronch(?:us|i|ial))\b", re.IGNORECASE)
"""The lung as the body site of a tumour."""

ELSEWHERE_THAN_LUNG = re.compile(
    r"\b(?:skin|face|scalp|breasts?|colon|rectum|stomach|pancreas|prostate|kidneys?|bladder|uterus|endometri\w+|"
    r"cervix|ovar(?:y|ies)|vulva|penis|an(?:us|al)|thyroid|(?:o)?esophagus|larynx|pharynx|\w+pharynx|tongue|mouth|tonsils?)\b",
    re.IGNORECASE,
)
"""Another organ as the body site of a tumour whose morphology the lung has too."""

CHEST = re.compile(r"lung|chest|thora|mediast|hil(?:ar|um)|pulmon|bronch", re.IGNORECASE)
"""Where radiotherapy goes that is given with chemotherapy of the lung."""

ELSEWHERE_THAN_CHEST = re.compile(
    r"\b(?:brain|crani\w*|cerebr\w*|wbrt|skull|gamma ?knife|spin(?:e|al)|vertebra\w*|sacr\w+|lumbar|bones?|bony|"
    r"osseous|femur|femoral|humerus|hips?|pelvi\w+|prostat\w*|breasts?|rect(?:um|al)|anal|cervi(?:x|cal)|uter\w+|"
    r"head and neck|necks?|laryn\w+|pharyn\w+|\w+pharyn\w+|liver|hepat\w+|adrenal|kidneys?|renal|bladder|skin|"
    r"abdom\w+|total body|o?esophag(?:us|eal)|ribs?|sternum|scapula|clavicle|chest wall)\b",
    re.IGNORECASE,
)
"""Where else radiotherapy goes, as a body site, a volume or the name of a course says it."""

_OF_CHEST_AND_NO_LUNG = re.compile(
    r"\bthoracic (?:spin(?:e|al)|vertebra\w*|o?esophag(?:us|eal))\b|"
    r"\b(?:skin|bones?)(?: structures?)? of (?:the )?(?:\w+ )?(?:chest|thorax|thoracic \w+)\b",
    re.IGNORECASE,
)
"""Parts of the chest where no lung is."""
_BESIDE = re.compile(r"\band\b|[;+&/]")
_OF_A_PLAN = frozenset(
    {
        *("ptv", "ctv", "gtv", "itv", "igtv", "volume", "target", "planning", "plan", "phase", "boost", "primary"),
        *("tumor", "tumour", "dose", "cgy", "gy", "total"),
    }
)
_LETTERS = re.compile(r"[^\W\d_]+")


def names_no_place(words: str) -> bool:
    """Whether words on a place are those of a plan alone: a volume by its name there ("PTV_6000")."""
    return _OF_A_PLAN.issuperset(_LETTERS.findall(words.lower()))


def is_chest(words: str) -> bool | None:
    """Whether words on where radiotherapy goes name the chest, as the place of a lung tumour; None if that is unclear.

    >>> is_chest("Mediastinum and brain"), is_chest("Thoracic spine"), is_chest("Left chest wall")
    (True, False, None)
    """
    rest = _OF_CHEST_AND_NO_LUNG.sub(" ", words)
    named = [part for part in _BESIDE.split(rest) if CHEST.search(part)]
    if any(not ELSEWHERE_THAN_CHEST.search(part) for part in named):
        return True
    return None if named else False


RESECTION_OF_LUNG = re.compile(
    r"\b(?<!hepatic )(?<!liver )(?<!thyroid )(?<!temporal )(?<!frontal )(?<!brain )(?:bi-?)?lobectomy\b(?! of (?:the )?"
    r"(?:liver|thyroid|brain|prostate))|\bpneumonectomy\b|"
    r"\b(?:lung|pulmonary|lobe) (?:wedge |sleeve )?resection\b|\bresection of (?:the )?(?:\w+ ){0,4}lung\b|"
    r"\b(?:lung|pulmonary) segmentectomy\b|\bsegmentectomy of (?:the )?(?:\w+ )?lung\b",
    re.IGNORECASE,
)
"""Surgery that takes out a part of the lung or all of it, by its name."""

OTHER_ORGAN = (
    r"(?:breast|prostat\w*|colon|colonic|colorectal|rectum|rectal|sigmoid|c[ae]ecum|gastric|stomach|o?esophag\w*|"
    r"pancrea\w*|duoden\w*|appendi\w*|ovar\w*|uter\w*|endometri\w*|cervix|cervical|vulva\w*|anal|anus|testi\w*|"
    r"thyroid|renal cell|kidney|skin|cutaneous|head and neck|laryn\w*|\w*pharyn\w*|tongue|tonsil\w*|"
    r"oral|parotid|salivary|thym\w*|unknown primary)"
)
"""An organ of whose tumours no policy here speaks, as it stands before or after the name of one."""

_NOT_TREATED = rf"(?:{OTHER_ORGAN}|renal|(?<!gall )(?<!gall-)bladder)"
"""The bladder too, for whose tumours the drug is approved no longer."""

OTHER_TUMOUR = re.compile(
    rf"\b{_NOT_TREATED} (?:cancer|ca|(?:adeno)?carcinoma|tumou?r|malignancy|neoplasm|polyp|lesion)s?\b|"
    r"\b(?:melanoma|lymphoma|sarcoma|myeloma)s?\b"
)
"""A tumour that no policy here is about, in a text made plain: what its clause says is not of the one treated."""

OTHER_PRIMARY = re.compile(rf"(?:{_NOT_TREATED}|melanoma|sarcoma)(?: (?:primary|origin))?(?= with\b| and\b|\Z)")
"""The same where it stands for itself ("liver metastases, colorectal")."""

_NODES = re.compile(
    r"\bnod(?:es?|al)\b|\blymph|adenopathy\b|\bstations?\b|\blevels? \d|\b(?:[24]|1[01])[rl]\b|metastatic n[1-3]\b|"
    r"\bebus\b|\bmediastin\w+(?: \w+){0,2} metas|\bmetasta\w+(?: \w+){0,3} mediast|\bsubcarinal\b|\bparatracheal\b|"
    r"\bsupraclav\w+|\baxilla\w*",
    re.IGNORECASE,
)
_BEYOND_NODES = re.compile(
    r"\b(?:distant|brain|cerebral|cerebell\w+|cns|intracranial|leptomening\w+|bones?|osseous|skelet\w+|spin(?:e|al)|liver|"
    r"hepatic|adrenals?|peritone\w+|omental|pleura\w*|contralateral|kidneys?|renal|skin|cutaneous|visceral|m1[a-d]?|"
    r"(?:lungs?|pulmonary)(?= metastas))\b(?! (?:hil\w+|lymph|nod|mediast|supracl))",
    re.IGNORECASE,
)
_WITH = re.compile(
    r"\bwith (?:\w+ ){0,3}(?:\w*adenopathy|nodal (?:disease|involvement)|invasion)\b(?!.* metas)", re.IGNORECASE
)


_LONGEST = 4000
"""Nobody says what longer words speak of alone. After each node it is looked whether metastases follow."""


def is_nodal(words: str) -> bool:
    """Whether words on metastases speak of those of lymph nodes alone, and not of nodes beside them."""
    if len(words) > _LONGEST:
        return False
    rest = _WITH.sub(" ", words)
    return _NODES.search(rest) is not None and _BEYOND_NODES.search(rest) is None
