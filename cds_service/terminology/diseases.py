"""Which disease a diagnosis means to the policies: by codes, by words, and by a histology that goes with it.

A code says more than the words beside it, unless it only comes near (lung cancer without histology). Codes, words
and histology that name different diseases leave the diagnosis open; nothing is picked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cds_service.evidence import Absence
from cds_service.terminology.codes import ICD10, ICDO3, Coding, canonical_code, lookup
from cds_service.terminology.diagnosis import Diagnosis
from cds_service.terminology.doubt import doubt, plain
from cds_service.terminology.organs import OTHER_ORGAN
from cds_service.terminology.risk import without_risk_marks
from cds_service.terminology.stages import stage_in_text
from cds_service.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterable

_ASK_HISTOLOGY = ("histology", "indication")
_ASK_DIAGNOSIS = ("indication",)


@dataclass(frozen=True, slots=True)
class Histology:
    """What a morphology says.

    ``group`` is nsclc, sclc, hcc, btc, urothelial, neuroendocrine, unspecified, other, foreign (a tumour that no policy
    is about) or contradictory (its code names one, its words another); ``kind`` is ``squamous``, ``non-squamous``,
    another text, or None.
    """

    group: str
    kind: str | None
    shown: str


@dataclass(frozen=True, slots=True)
class _Mark:
    """One reading of one code or text, before readings are joined.

    Kinds are nsclc sclc btc hcc urothelial other: the disease itself; lung liver ampulla neuroendocrine: only near one;
    morphology: a histology without a site.
    """

    kind: str
    extent: str | None = None
    stage: str | None = None
    histology: str | None = None
    group: str = ""


_DEFINITE = ("nsclc", "sclc", "btc", "hcc", "urothelial", "other")
_KIND_OF_VALUE_SET = {
    "dx_nsclc": "nsclc",
    "dx_sclc": "sclc",
    "dx_es_sclc": "sclc",
    "dx_btc": "btc",
    "dx_btc_ampulla": "ampulla",
    "dx_hcc": "hcc",
    "liver_cancer_ambiguous": "liver",
    "liver_other_not_hcc_btc": "other",
    "dx_urothelial_withdrawn": "urothelial",
    "lung_cancer_histology_unspecified": "lung",
}
NO_TUMOUR_OF_ITS_OWN = frozenset(
    {"metastatic_secondary_condition", "nodal_secondary_not_m1", "history_of", "encounter_for_treatment"}
)
"""Value sets whose codes stand where a diagnosis does and name none: a metastasis, a node, a history, an encounter."""

_NEUROENDOCRINE = ("8013/3", "8240/3", "8246/3", "8249/3")  # near NSCLC and SCLC, neither: a person has to look
_UNSPECIFIED = ("8000/3", "8010/3", "8020/3")
_FOREIGN = re.compile(r"(?:858|86[89]|87|88|89[0-3]|899|90[4-9]|91|9[2-9])\d*/3")
"""ICD-O-3 beyond the carcinomas: of the thymus, melanoma, sarcoma, mesothelioma, germ cells, nerves, blood."""
_MORPHOLOGY = re.compile(r" *(?:M-?)?\d{4}/\d *", re.IGNORECASE)
"""A morphology of ICD-O-3, by the form of its code, which no other system has."""
HISTOLOGY_KINDS = {"squamous": "squamous", "nonsquamous": "non-squamous", "mixed": "adenosquamous"}
"""The ``histology`` attribute of codes, as the fact carries it."""


def _marks_of(coding: Coding) -> tuple[list[_Mark], bool]:
    """The readings of one code, and whether they come from confirmed entries."""
    marks: list[_Mark] = []
    confirmed = True
    for entry in lookup(coding.system, coding.code):
        found = entry.value_set
        histology = HISTOLOGY_KINDS.get(entry.attributes.get("histology", ""))
        if found == "histology_morphology_snomed":
            mark = _Mark("morphology", histology=histology, group=entry.attributes["group"])
        elif found == "lung_other_not_nsclc_sclc":
            mark = _other_lung(entry.code, entry.system)
        elif found in _KIND_OF_VALUE_SET:
            kind = _KIND_OF_VALUE_SET[found]
            if "needs_site" in entry.attributes:
                mark = _Mark("morphology", histology=histology, group=kind)
            else:
                extent = "extensive" if found == "dx_es_sclc" else None
                mark = _Mark(kind, extent, entry.attributes.get("stage"), histology)
        elif found == "stage_in_nsclc_dx_code":
            mark = _Mark("nsclc", stage=entry.attributes["stage"])
        else:
            continue
        confirmed = confirmed and entry.verified
        marks.append(mark)
    if not marks and coding.system == ICD10:
        marks = _icd10(canonical_code(ICD10, coding.code))
    return marks, confirmed


def _other_lung(code: str, system: str) -> _Mark:
    if system != ICDO3:
        return _Mark("neuroendocrine") if code == "C7A.1" else _Mark("other")
    if code in _NEUROENDOCRINE:
        return _Mark("morphology", group="neuroendocrine")
    return _Mark("morphology", group="unspecified" if code in _UNSPECIFIED else "other")


def _icd10(code: str) -> list[_Mark]:
    """ICD-10 by chapter, for codes the tables do not list: extensions of ours, and other cancers."""
    for length in (len(code) - 1, 3):  # national extensions and category level
        for entry in lookup(ICD10, code[:length]) if length >= 3 else ():
            if kind := _KIND_OF_VALUE_SET.get(entry.value_set):
                return [_Mark(kind)]
    if len(code) >= 3 and code[0] == "C" and code[1].isdigit() and not "C77" <= code[:3] <= "C80":
        return [_Mark("other")]
    return [_Mark("other")] if code[:3] in {"C7A", "C7B", "C4A"} else []


# --- words ---------------------------------------------------------------------------------------------------------

_NAME_NEXT = (
    r"(?=[: ]+(?:nsclc|sclc|[el][sd] ?sclc|hcc|btc|lung|non|small|squamous|adeno|hepato|cholangio|gall|bil|liver))"
)
_DENIED = re.compile(
    r"\b(?:no (?:evidence|history|signs?|diagnosis) of|no|not|negative for|denies|without|ruled? out|r/o|excluded?|"
    r"unlikely|(?:(?:family|personal|past|prior) )?(?:history of|hx(?! ?:))|h/o|fh of|s/p|"
    rf"screening for|risk (?:of|for)|(?:inactive|prophylaxis for|prevention of){_NAME_NEXT}|mimic\w*|"
    r"resembl\w*|simulating|fear of|rather than|instead of|other than|pmhx?|past medical history|status post|remote|"
    r"(?:prior|previous|former)(?= (?!(?:chemo|immuno|radio)?(?:therap|radiat|treat|line|regimen|surg|resect))\w)|"
    r"erroneous(?: diagnosis of|ly)|(?<!year )(?<!years )(?<!yr )(?<!yo )old(?= )|"
    r"(?:predisposition to|testing for|counsel\w+ for|trial for|misdiagnos\w+)|"
    r"(?:mother|father|sister|brother|sibling|parent|aunt|uncle)s? (?:has|had|with))\b[^,;.]*|"
    r"(?:^|(?<=[,;.]))[^,;.]*\b(?:ruled out|excluded|screening|surveillance|entered in error|wrong patient|"
    r"hcc risk|(?:nsclc|sclc|hcc|btc|cancer|carcinoma) (?:prophylaxis|work ?up))\b(?: (?:for|of)\b[^,;.]*)?"
)
_ANOTHERS = doubt("person")
_CLAUSE = re.compile(r"[^,;.]+")
_SPREAD = re.compile(
    r"\b(?:secondary (?:malignant |squamous (?:cell )?)?(?:neoplasm|tumou?r|cancer|malignancy|(?:adeno)?carcinoma)s?|"
    r"metastas[ie]s|mets?|"
    r"metastatic (?:disease|lesions?|malignan\w+|cancer|carcinoma|neoplasm|tumou?r)s?)\b"
    r"[^,;.]{0,200}?\b(?:of|to|in|involving)\b (?:the )?[^,;.]*?(?=$|[,;.]|\bfrom\b)|"
    r"\bmetastatic (?:to|in) [^,;.]*|"
    r"\bmetastatic (?:\w+ differentiated )?(?:adeno ?|squamous (?:cell )?)carcinomas? (?:to|in|involving) "
    r"(?:the )?(?:(?:right|left|both|upper|middle|lower|lobe|of) )*(?:lungs?|liver|bile ducts?)\b|"
    r"\b(?:limited )?(?:lung|liver|hepatic|pulmonary|brain|bone|adrenal|nodal|bladder) "
    r"(?:metastas[ie]s|mets?|metastatic(?! (?:to|in)\b))\b"
)
_COMPLICATION = re.compile(
    r"\bmalignant (?:(?:pleural|pericardial|peritoneal|biliary|bile duct|bronchial|airway|bowel|spinal|cord) )*"
    r"(?:effusions?|ascites|obstructions?|obstructive jaundice|strictures?|compression)\b|"
    r"\b(?:(?:pleural|pericardial) effusions?|ascites), malignant\b"
)
"""What a tumour does, whichever it is: malignant pleural effusion."""
_SPREAD_TO = re.compile(
    r"(\bmetastatic\b[^,;.]{0,200}?) (?:to|involving) (?:the )?"
    r"(?:(?:right|left|both) )?(?:lungs?|liver|bile ducts?|bladder)\b"
)


def _word(*alternatives: str) -> re.Pattern[str]:
    """Any of these as whole words."""
    return re.compile(rf"\b(?:{'|'.join(alternatives)})\b")


_BLOOD = "lymphomas?|leuk[ae]e?mias?|myelomas?"
_CANCER = _word(
    r"cancers?|carcinomas?|ca|sq?cc|malignan(?:t|cy|cies)|neoplasms?|tumou?rs?|adenocarcinomas?|metastatic",
    r"sarcomas?|melanomas?|gliomas?|glioblastomas?|mesotheliomas?|carcinoids?|thymomas?|seminomas?|hepatomas?",
    r"\w+(?:carcinomas?|sarcomas?|blastomas?|lymphomas?|leuk[ae]e?mias?)",
    _BLOOD,
)
_BENIGN = _word("benign|adenoma|hemangioma|hamartoma|polyps?|cysts?|nodules?|in situ|dysplasia|premalignant")
_LUNG = _word(r"lungs?|pulmonary|bronch\w*")
_LUNG_ACRONYM = _word("nsclc", "(?:[el][sd] ?)?sclc")
_NON_SMALL = _word("non ?small(?: ?cell)?", "nsclc")
_SMALL = _word("small ?cell", "(?:[el][sd])?sclc", "oat ?cell")
_SMALL_SQUAMOUS = _word("small cell,? non ?keratini[sz]ing", "non ?keratini[sz]ing,? small cell")
_LARGE_NEUROENDOCRINE = _word("large ?cell neuroendocrine", "lcnec")
_NEUROENDOCRINE_WORD = _word("neuroendocrine")
_OTHER_LUNG = _word(
    "carcinoids?|mesothelioma|thym(?:oma|ic)|sarcoma|carcinosarcoma|adenoid cystic|mucoepidermoid|salivary|melanoma",
    "neuroendocrine tumou?r",
    _BLOOD,
)
_CARCINOID = _word("carcinoids?")
_SQUAMOUS = _word("squamous|sq?cc|epidermoid")
_NON_SQUAMOUS = _word(
    "non ?squamous|adeno ?carcinomas?|cystadenocarcinomas?|adenoca|large ?cell|bronch(?:i?ol)?o ?alveolar|lepidic",
    "pleomorphic|sarcomatoid|spindle cell|giant cell",
)
_ADENOSQUAMOUS = _word("adeno ?squamous")
_MALIGNANT = r"(?:carcinoma|cancer|ca\b|malignan|neoplas|tumou?r|cholangio)"
_HCC = _word(
    "[uc]?hcc|hepatomas?|liver cell carcinoma|fibrolamellar|hepato ?carcinoma",
    # Injury, jaundice and adenoma are hepatocellular too.
    rf"(?<!benign )hepato ?cellular(?=[ /(]+(?:\w+\)? )?{_MALIGNANT})",
    rf"{_MALIGNANT}\w*[^;.]{{0,40}} \(?hepato ?cellular(?= type| variant| histology|[),]|$)",
)
_BTC_NAMED = _word(
    "cholangio ?carcinomas?|cholangioca|klatskin|btc|[ie]cca",
    r"(?<!artery )(?<!artery \()cca(?!\)? (?:stenos|occlu|dissect|plaque|aneurysm|thromb|athero|disease|bypass|stent))",
)
_BTC_SITE = _word(r"gall ?bladder|bile ducts?|biliary|choledoch\w*|perihilar|hepatic ducts?")
_LIVER_OR_BILE = re.compile(
    r"\b(?:liver|hepato ?cellular)(?: ?(?:/|&|\b(?:and|or|plus)\b) ?)+(?:(?:the|of|intra ?hepatic|extra ?hepatic) )*"
    r"(?:bile ducts?|biliary(?: (?:tract|system|tree))?|gall ?bladder|ducts?\b)|"
    r"\b(?:bile ducts?|biliary(?: (?:tract|system|tree))?)(?: ?(?:/|&|\b(?:and|or|plus)\b) ?)+(?:(?:the|of) )*"
    r"(?:liver|hepato ?cellular)\b"
)
"""Both organs in one name, which settles neither: "malignant neoplasm of liver and intrahepatic bile ducts"."""
_AMPULLA = _word(r"(?:peri)?ampull\w*|papilla of vater|vaters?")
_LIVER = _word("liver|hepatic|intrahepatic")
_OTHER_LIVER = _word("hepatoblastoma|angiosarcoma|sarcoma", _BLOOD)
_OTHER_BILE = _word("sarcoma|carcinoids?|melanoma|neuroendocrine tumou?r", _BLOOD)
_UROTHELIAL = _word(r"urothelial|transitional cell|bladder|ureter\w*|renal pelvis|urethra\w*|n?mibc")
_TRANSITIONAL = _word("urothelial|transitional cell")
_OF_THE_DISEASE = (
    r"stage|disease|small|sclc|lung|nodal|mediastinal|tumou?r|at|with|and|or|by|per|on|in|to|is|from|vs|versus"
)
_OF_ITS_SPREAD = (
    r"metasta\w*|mets?|spread|hepatic|liver|bone|bony|osseous|brain|intracranial|leptomeningeal|adrenal|pleural|pulmonary|"
    r"hilar|lymph\w*|intrathoracic|extrathoracic|thoracic|bilateral|systemic|visceral|distant"
)
"""What "extensive" and "limited" are said of: nothing else, as "extensive smoking history" and "limited mobility"."""
# "limited metastases" are no limited stage
_LIMITED = _word(rf"limited(?! (?!(?:{_OF_THE_DISEASE})\b)\w)", "l[sd] ?sclc")
_EXTENSIVE = _word(rf"extensive(?! (?!(?:{_OF_THE_DISEASE}|{_OF_ITS_SPREAD})\b)\w)", "e[sd] ?sclc")
_OTHER_SITE = _word(
    r"\w*(?:blastoma|sarcoma)s?",
    r"breast|mamma\w*|prostat\w*|colo\w*|rect\w*|anal|anus|gastr\w*|stomach|o?esophag\w*|pancrea\w*|small intestine",
    r"duoden\w*|appendi\w*|peritone\w*|kidney|renal|adrenal|ovar\w*|uter\w*|endometri\w*|cervi\w*|vulva\w*|vagina\w*",
    r"testic\w*|testis|penis|penile|thyroid|head|neck|oral|tongue|tonsil\w*|\w*pharyn\w*|laryn\w*|parotid|salivary|nasal",
    r"sinus|lip|mouth|skin|cutaneous|basal cell|merkel|melanoma|eye|uveal|brain|cerebr\w*|glio\w*|spinal|bones?",
    r"soft tissue|mesothelioma|pleura\w*|thymoma|thymus|seminoma|germ cell|wilms",
    r"blood|marrow|unknown primary|cup|rcc|crc|hnscc|gist|tnbc|aml|cll|cml|all|dlbcl|gbm",
    _BLOOD,
)
_DOUBTS = ("unsure", "leaning", "choice", "condition", "hearsay", "foreign")
_GROWTH = r"(?:cancer|ca|carcinoma|adenocarcinoma|scc|malignancy|neoplasm|tumou?r)s?"
_ELSEWHERE = re.compile(
    rf"\b{OTHER_ORGAN} (?:(?:clear|squamous|small) cell )?{_GROWTH}\b|"
    rf"\b(?:squamous cell |small cell )?{_GROWTH} of (?:(?!lung|bronch|liver|hepat|bil|gall)\w+ ){{0,3}}?"
    rf"{OTHER_ORGAN}\b"
)
"""A tumour with its organ, that no policy here is about."""
_PROVISIONAL = doubt(
    *_DOUBTS,
    # Groups that mean something else beside a diagnosis. "alternative": names of codes say "bronchus or lung".
    # "softened": "borderline resectable" doubts the surgery, not the tumour. "open": what is pending is mostly a
    # test of its genes; a pending biopsy is said below. "plan": a reason names the plan that the disease is treated
    # by. "past" and "person": such mentions are left out as a whole. "exception", "qualified" and "twice" speak of
    # findings.
    also=rf"\Aro\b|\A(?:consider|pending){_NAME_NEXT}|"
    r"\b(?:nsclc|sclc|hcc|btc|cancer|carcinoma) ?(?:or|v\.?|/) ?(?:lymphoma|carcinoid|mesothelioma|sarcoma|tb)\b|"
    r"\b(?:pending|awaiting) (?:\w+ ){0,2}(?:confirm\w*|biops\w*|path\w*|histolog\w*|diagnos\w*)|"
    r"\b(?:confirmation|biopsy|pathology|histology|diagnosis) (?:is )?(?:pending|awaited|unknown)\b",
)
_DOUBTED = re.compile(rf"(?:{doubt(*_DOUBTS).pattern})\w*")
_SOUGHT = re.compile(r"\b(?:r/o|rule out|to exclude|(?:evaluat(?:e|ion)|assess(?:ment)?|work[- ]?up) for)\b")
"""Said of what somebody looks for, whether or not there is any sign of it."""
_BESIDE = re.compile(rf"[,;.(:]|(?<=\s)-(?=\s)|\b(?:with|and|plus)\b|(?={_SOUGHT.pattern})")
"""What may begin that is said beside a diagnosis."""
_MOST_BESIDE = 10
_PHRASE = re.compile(r"[^\s,;.()][^,;.()]*")
_ELSE = re.compile(
    r"(?:with |plus )?(?:[\s/:&-]|(?:"
    r"(?P<thing>metastases|mets|metastatic (?:disease|lesions)|nodal disease|n[0-3] disease|(?:lymph)?adenopathy|"
    r"nodes?|effusions?|ascites|thromb(?:osis|us)|embol(?:ism|us|i)|pvt|dvt|pe|compression|fractures?|pneumonitis|"
    r"pneumonia|infection|colitis|toxicity|(?:un)?resectab(?:le|ility)|durvalumab|immunotherapy|surgery|resection|"
    r"transplant)|(?P<course>spread|involvement|invasion|progression|leptomeningeal disease|carcinomatosis)|"
    r"(?P<growth>lesions?|nodules?|mass(?:es)?|metastasis|met)|"
    r"(?P<lung>lungs?|pulmonary)|(?P<liver>liver|hepatic|biliary)|"
    r"(?P<elsewhere>brain|cns|adrenal|bones?|bony|osseous|spine|spinal|kidney|renal|splenic|skull|rib)|"
    r"extrahepatic|extrathoracic|intracranial|pleural|pericardial|peritoneal|mediastinal|hilar|supraclavicular|lymph|"
    r"cord|portal|vein|vascular|distant|contralateral|ipsilateral|left|right|bilateral|small|new|the|a|an|of|or|and|to|"
    r"for)(?!\w))*"
)
"""What a doubt beside a diagnosis may be of, so that the diagnosis itself is as certain as before.

A recurrence is not listed: whether the disease is there at all is then the question. Nor is what only the diagnosis
holds, as its stage.
"""
_TAKEN_BACK = re.compile(
    r"\W*(?:(?:no|without) (?:evidence|signs?|diagnosis|history) of|no longer|not|no|without|negative for|"
    r"(?:(?:family|maternal|paternal|personal|past|prior|previous|remote) )?(?:medical )?(?:history|hx) of|h/o|"
    r"(?:fhx?|fam hx)(?: of)?|(?:mother|father|sister|brother|sibling|parent|aunt|uncle)s? (?:has|had|with)|"
    r"(?:at )?(?:high |increased )?risk (?:of|for)|(?:encounter for )?screening for|fear of)[ :]+(?P<named>[^:]+?)\.?|"
    r"(?P<excluded>.+?)(?: (?:has been|was|is))? (?:ruled out|excluded)\.?"
)
"""A text that as a whole denies a disease, or speaks of a history or risk of it or of somebody else who has it."""
_NAME_ALONE = re.compile(
    r"(?:(?:an?|any|the|of|or|and|known|primary|stage|[iv]+[abc]?|right|left|upper|middle|lower|lobe|part|unspecified|"
    r"malignan(?:t|cy|cies)|neoplasms?|tumou?rs?|cancers?|(?:adeno)?carcinomas?|squamous|non|small|cell|lungs?|trachea|"
    r"bronchus|bronchogenic|nsclc|(?:es )?sclc|hepatocellular|hcc|liver|cholangiocarcinoma|biliary|tract|bile|ducts?|"
    r"gallbladder|btc|intrahepatic|extrahepatic)\b[ ,()]*)+"
)
"""Nothing but the name of a disease that a policy may cover: what else is said may be what a denial is about."""
_UNSURE_TYPE = doubt("unsure", "leaning", "choice", "condition", "open", "past", "foreign")
_OPEN_TYPE = doubt(
    *("unsure", "leaning", "choice", "condition", "open", "past", "person", "foreign"),
    also=r"\A(?!.*\binvasive).*\bin situ\b|\b(?:metaplasia|dysplasia|benign|atypical|colonic|colorectal|colon)\b",
)
"""A histology that is not certain, not now, or of something else than the invasive tumour of the organ."""
_TYPE = re.compile(rf"{_SQUAMOUS.pattern}|{_NON_SQUAMOUS.pattern}|\badeno\b")
_LEANING = doubt("leaning", "choice")
_FAVORED = re.compile(rf"(?:{doubt('leaning').pattern})[^,;.]*")
_REMISSION = re.compile(
    r"(?<!not )\bin (?:complete |full )?remission\b|\b(?:resolved|cured|survivor)\b|"
    r"\bned\b|\bno (?:evidence of (?:active )?|active )disease\b|\bdisease[- ]free\b(?! (?:interval|survival))|"
    r"(?:\A|[,;:(-] ?)(?:inactive|historical)(?= ?(?:[),;.]|\Z))|"
    r"\bhistorical(?= (?:nsclc|sclc|hcc|btc|lung|cholangio))|"
    r"\b(?:no|without)(?: (?:evidence|signs?) of)?(?: (?:disease|tumou?r|any))* (?:recurrence|relapse)\b|"
    r"\b(?:recurrence|relapse)[- ]free\b(?! (?:interval|survival))|"
    r"\b(?:no|without)(?: (?:evidence|signs?) of)?(?: any)? (?:residual|remaining|viable) (?:disease|tumou?r|cancer)\b"
)
_CORRECTED = re.compile(
    r"\bmisdiagnosis\b|\bre-?classified\b|\b(?:incorrect|wrong|mistaken) diagnosis\b|"
    r"\bdiagnosis (?:was |is |has been )?(?:changed|revised|withdrawn|retracted|wrong)\b|"
    r"\b(?:initially|originally|previously) (?:called|read as|diagnosed as)(?! stage)|"
    r"\b(?:by|in) (?:mistake|error)\b|\b(?:please )?(?:disregard|delete|ignore)d?\b|"
    r"(?:nsclc|sclc|hcc|btc|cancer|carcinoma|hepatoma)(?: (?:was|is))? (?:not|no longer) "
    r"(?:seen|found|identified|present|detected|visuali[sz]ed|demonstrated)\b"
)
"""Said of a diagnosis that was another one before, is none any more or was not found: which of them it is, is open."""


def _plain(text: str) -> str:
    """Lower case, hyphens and dashes as blanks, billing-category marks and denied or historical mentions removed."""
    words = without_risk_marks(plain(text)).replace("-", " ").replace("_", " ")
    if _ANOTHERS.search(words):
        words = _CLAUSE.sub(lambda clause: " " if _ANOTHERS.search(clause[0]) else clause[0], words)
    return " ".join(words.split())


def _marks_in(text: str) -> tuple[_Mark, ...]:
    """The readings of a text. None for a text that names no cancer."""
    words = _COMPLICATION.sub(" ", _DENIED.sub(" ", _plain(text)))
    words = _SPREAD_TO.sub(r"\1 ", _SPREAD.sub(" ", words))
    rest = _ELSEWHERE.sub(" ", words)
    if rest != words:  # the organs beside it are where it grows into or spreads to, if no tumour of theirs is named
        return _named_in(rest) or (_Mark("other"),)
    return _named_in(words)


def _named_in(words: str) -> tuple[_Mark, ...]:
    named = bool(
        _HCC.search(words)
        or _BTC_NAMED.search(words)
        or _NON_SMALL.search(words)
        or "sclc" in words
        or _SMALL.search(words)
    )
    if not named and not _CANCER.search(words) and not _LARGE_NEUROENDOCRINE.search(words):
        return ()
    if not named and _BENIGN.search(words):
        return (_Mark("other"),) if "in situ" in words else ()
    marks = [*_lung(words), *_liver_and_bile(words)]
    if not marks and _UROTHELIAL.search(words):
        marks = [_Mark("urothelial")]
    if not marks and _OTHER_SITE.search(words):
        marks = [_Mark("other")]
    if not marks:
        marks = _morphology(words)
    return tuple(marks)


def _lung(words: str) -> list[_Mark]:
    lung = bool(_LUNG.search(words))
    if not lung and not _LUNG_ACRONYM.search(words):
        return []
    histology = _kind_in(words)
    if _LARGE_NEUROENDOCRINE.search(words):
        return [_Mark("neuroendocrine")]
    rest = _SMALL_SQUAMOUS.sub(" squamous ", words)
    non_small = bool(_NON_SMALL.search(rest))
    rest = _NON_SMALL.sub(" ", rest)
    small = bool(_SMALL.search(rest))
    marks = []
    if small:
        limited, extensive = _LIMITED.search(rest), _EXTENSIVE.search(rest)
        extent = None if bool(limited) == bool(extensive) else "limited" if limited else "extensive"
        marks.append(_Mark("sclc", extent, stage_in_text(words)))
    if non_small or (not small and histology):
        marks.append(_Mark("nsclc", stage=stage_in_text(words), histology=_certain_kind_in(words)))
    if marks:
        return marks
    if _OTHER_LUNG.search(words):
        return [_Mark("other")]
    if _NEUROENDOCRINE_WORD.search(words):
        return [_Mark("neuroendocrine")]
    return [_Mark("lung", stage=stage_in_text(words))]


def _liver_and_bile(words: str) -> list[_Mark]:
    hcc, bile = bool(_HCC.search(words)), bool(_BTC_NAMED.search(words))
    stage = stage_in_text(words)
    if hcc and (bile or re.search(r"\b(?:mixed|combined)\b", words)):
        return [_Mark("liver", stage=stage)]
    if hcc:
        return [_Mark("hcc", stage=stage)]
    if _AMPULLA.search(words):
        return [_Mark("ampulla", stage=stage)]
    if bile:
        return [_Mark("btc", stage=stage)]
    if _BTC_SITE.search(words):
        if not _BTC_SITE.search(_LIVER_OR_BILE.sub(" ", words)):
            return [_Mark("liver", stage=stage)]
        if _OTHER_BILE.search(words):
            return [_Mark("other")]
        group = _histology_in(words)[0]  # of neuroendocrine and small cell carcinoma it stays open
        return [_Mark("btc", stage=stage), *([_Mark("morphology", group=group)] if group else [])]
    if _LIVER.search(words) and not _LUNG.search(words):
        return [_Mark("other" if _OTHER_LIVER.search(words) else "liver", stage=stage)]
    return []


def _certain_kind_in(words: str) -> str | None:
    """The histology that words say: what they lean to is left out, and what a clause doubts of the type alone.

    "Suspected lung adenocarcinoma" doubts the diagnosis as a whole, which its status says.
    """
    if _UNSURE_TYPE.search(words):
        words = _CLAUSE.sub(_without_doubted_type, _FAVORED.sub(" ", words))
    return _kind_in(words)


def _without_doubted_type(clause: re.Match[str]) -> str:
    said = clause[0]
    whole = _LUNG.search(said) or _LUNG_ACRONYM.search(said)
    return said if whole or not _UNSURE_TYPE.search(said) else " "


def _kind_in(words: str) -> str | None:
    if _ADENOSQUAMOUS.search(words):
        return "adenosquamous"
    squamous = bool(_SQUAMOUS.search(re.sub(r"\bnon ?squamous\b", " ", words)))
    other = bool(_NON_SQUAMOUS.search(re.sub(r"\blarge cell,? non ?keratini[sz]ing\b", " ", words)))
    if squamous and other:
        return None
    return "squamous" if squamous else "non-squamous" if other else None


def _morphology(words: str) -> list[_Mark]:
    """A tumour type without a site."""
    if _LARGE_NEUROENDOCRINE.search(words):
        return [_Mark("neuroendocrine")]
    rest = _SMALL_SQUAMOUS.sub(" squamous ", words)
    if _NON_SMALL.search(rest):
        return [_Mark("nsclc", stage=stage_in_text(words), histology=_certain_kind_in(words))]  # said of the lung only
    if _SMALL.search(rest):
        return [_Mark("morphology", group="sclc")]
    kind = _kind_in(words)
    return [_Mark("morphology", histology=kind, group="nsclc")] if kind else []


def _diagnosis_part(text: str) -> str:
    """A text without doubts at its end that are of something else than the diagnosis: "NSCLC, r/o brain mets"."""
    words = plain(text)
    if not _PROVISIONAL.search(words):
        return text
    begun = [place.start() for place in _BESIDE.finditer(words)][-_MOST_BESIDE:]
    while begun and _PROVISIONAL.search(words):
        place = begun.pop()
        beside = words[place:]
        if _PROVISIONAL.search(beside):
            kinds = {mark.kind for mark in _marks_in(words[:place])}
            if not kinds or not all(_is_of_else(phrase, kinds) for phrase in _PHRASE.findall(beside)):
                break
            words = words[:place]
    return words


def _is_of_else(phrase: str, kinds: set[str]) -> bool:
    """Whether a phrase beside a disease is of what it does to other organs, or of its treatment."""
    found = _ELSE.fullmatch(_DOUBTED.sub(" ", phrase))
    if found is None:
        return False
    own, other = ("liver", "lung") if kinds & {"hcc", "btc", "liver", "ampulla"} else ("lung", "liver")
    if found[own] and (found["growth"] or "met" in phrase):
        return False  # perhaps the tumour itself
    if found["course"] and kinds & {"nsclc", "lung"} and _PROVISIONAL.search(_SOUGHT.sub(" ", phrase)):
        return False  # a sign of it would speak against stage III without progression, and is asked about nowhere else
    return bool(found["thing"] or found["course"] or (found["growth"] and (found[other] or found["elsewhere"])))


# --- joining -------------------------------------------------------------------------------------------------------


def diagnosis_from_text(text: str) -> Diagnosis | None:
    """The diagnosis a text names; None if it names no cancer (or only denies one, or only its history).

    >>> diagnosis_from_text("Non-small cell lung cancer, stage IIIB").disease
    'nsclc'
    """
    part = _diagnosis_part(text)
    marks = _marks_in(part)
    return _asked_if_over(_joined(marks, text.strip(), _status_in(part)), text) if marks else None


def diagnosis_from_codings(
    codings: Iterable[Coding], text: str = "", histology: Histology | None = None
) -> Diagnosis | None:
    """The diagnosis of a coded concept with its text and, where the record has one, the histology of the tumour.

    None if it is no cancer, a metastasis, a history or a treatment encounter, or nothing recognisable.
    """
    seen = tuple(codings)
    marks: list[_Mark] = []
    doubtful: list[_Mark] = []
    for coding in seen:
        found, confirmed = _marks_of(coding)
        (marks if confirmed else doubtful).extend(found)
    if not marks and not doubtful and any(_is_no_primary(coding) for coding in seen):
        return None
    shown = text.strip() or next((c.display for c in seen if c.display), "") or _our_display(seen)
    texts = tuple(dict.fromkeys(filter(None, (text.strip(), *(coding.display for coding in seen)))))
    if not texts and not doubtful:
        texts = (_our_display(seen),)  # a code we know for something else still has a name
    parts = [_diagnosis_part(words) for words in texts]
    spoken = _spoken(parts)
    status = "provisional" if any(_status_in(words) == "provisional" for words in parts) else "confirmed"
    if not marks and not spoken and doubtful:
        diagnosis = _joined(tuple(doubtful), shown, status)
        return replace(diagnosis, settled=False, why="its code is not confirmed in a source", ask=_ASK_DIAGNOSIS)
    every = (*marks, *(mark for mark in spoken if _adds(mark, marks)))
    if not every:
        return None
    if histology is not None:
        every = (*every, _Mark("morphology", histology=histology.kind, group=histology.group))
    diagnosis = _asked_if_over(_joined(every, shown, status), *texts)
    name = "code" if marks else "display"
    if marks and all(mark.kind == "other" for mark in marks) and diagnosis.disease is not None and diagnosis.settled:
        return _contradictory(diagnosis, diagnosis.disease, "its code names another disease than its words")
    if diagnosis.disease is not None and diagnosis.settled and any(_names_another(words) for words in parts):
        return _contradictory(diagnosis, diagnosis.disease, f"its {name} names the disease, its words another one")
    if any(_taken_back(words, diagnosis.disease) for words in texts if not _marks_in(words)):
        why = f"its {name} names the disease, its words say otherwise"
        return replace(diagnosis, settled=False, why=why, ask=_ASK_DIAGNOSIS, cause=Absence.CONFLICTING)
    return diagnosis


def _spoken(parts: Iterable[str]) -> tuple[_Mark, ...]:
    """The readings of the words and displays of one concept: an exact one beside a vague one, or two that differ.

    Where one names a tumour that is none of ours, and another one of ours, the first of them speaks for all.
    """
    each = [marks for words in parts if (marks := _marks_in(words))]
    alike = [marks for marks in each if _is_other(marks) == _is_other(each[0])]
    return tuple(dict.fromkeys(mark for marks in alike for mark in marks))


def _is_other(marks: Iterable[_Mark]) -> bool:
    return any(mark.kind == "other" for mark in marks)


def _names_another(text: str) -> bool:
    """Whether words name nothing but a tumour of another kind or organ: a place alone may be where the disease went."""
    if {mark.kind for mark in _marks_in(text)} != {"other"}:
        return False
    words = _DENIED.sub(" ", _plain(text))
    return any(tumour.search(words) for tumour in (_OTHER_LUNG, _OTHER_LIVER, _ELSEWHERE))


def _taken_back(text: str, disease: str | None) -> bool:
    """Whether the words beside the code of a disease say as a whole that the patient does not have it, or not now.

    A denial of anything more than the bare disease, or of another one ("not small cell"), leaves the code as it is.
    """
    words = plain(text).replace("-", " ")
    begun = _TAKEN_BACK.fullmatch(words)
    if begun is None or disease is None:
        return False
    denied = begun["named"] or begun["excluded"]
    if not _NAME_ALONE.fullmatch(denied) or not _CALLED[disease].issuperset({mark.kind for mark in _marks_in(denied)}):
        return False
    return _CANCER.search(denied) is not None or bool(_marks_in(denied))


def _asked_if_over(diagnosis: Diagnosis, *texts: str) -> Diagnosis:
    """A diagnosis in words that say it is over, or was corrected, is asked about as one whose status says so."""
    if any(_REMISSION.search(words.lower()) for words in texts):
        return replace(diagnosis, settled=False, why="it is said to be over or in remission", ask=_ASK_DIAGNOSIS)
    if any(_CORRECTED.search(words.lower()) for words in texts):
        return replace(
            diagnosis, settled=False, why="it is said to have been corrected, or not to be there", ask=_ASK_DIAGNOSIS
        )
    return diagnosis


def _adds(spoken: _Mark, coded: list[_Mark]) -> bool:
    """Words beside codes count where they name a disease; a vague word beside a definite code adds nothing."""
    if spoken.kind in {"lung", "liver", "other"} and coded:
        return False
    return not (spoken.kind == "morphology" and any(mark.kind == "other" for mark in coded))


def is_secondary(code: str) -> bool:
    """Whether an ICD-10 code names a secondary or unspecified tumour (C77 to C80, C7B; C7A is a primary)."""
    return code[:3] in {"C77", "C78", "C79", "C7B", "C80"}


def _is_no_primary(coding: Coding) -> bool:
    code = canonical_code(ICD10, coding.code) if coding.system == ICD10 else ""
    if code and (is_secondary(code) or code.startswith(("Z", "D1", "D2", "D3"))):
        return True
    return any(entry.value_set in NO_TUMOUR_OF_ITS_OWN for entry in lookup(coding.system, coding.code))


def _our_display(codings: tuple[Coding, ...]) -> str:
    for coding in codings:
        for entry in lookup(coding.system, coding.code):
            return entry.display
    return next((coding.code for coding in codings), "")


def _status_in(text: str) -> str:
    words = plain(text)
    if not _PROVISIONAL.search(words):
        return "confirmed"
    if _LEANING.search(words):
        # "Non-small cell carcinoma, favor adenocarcinoma" and "NSCLC, squamous vs adeno" say the disease for certain.
        rest = _CLAUSE.sub(_without_leaning_type, words)
        if not _PROVISIONAL.search(rest) and any(mark.kind in _DEFINITE for mark in _marks_in(rest)):
            return "confirmed"
    return "provisional"


def _without_leaning_type(clause: re.Match[str]) -> str:
    """A clause without the type that it leans to."""
    said = clause[0]
    if not _LEANING.search(said):
        return said
    said = _FAVORED.sub(lambda leaning: " " if _kind_in(leaning[0]) else leaning[0], said)
    names_disease = _LUNG.search(said) or _LUNG_ACRONYM.search(said) or _marks_in(said)
    return said if names_disease or not _TYPE.search(said) else " "


def _one(values: set[str]) -> str | None:
    return values.pop() if len(values) == 1 else None


def _joined(marks: tuple[_Mark, ...], shown: str, status: str) -> Diagnosis:
    """One diagnosis from all readings of one concept."""
    kinds = {mark.kind for mark in marks}
    groups = {mark.group for mark in marks if mark.kind == "morphology"} - {"unspecified", "other"}
    definite = kinds & set(_DEFINITE)
    near = kinds - set(_DEFINITE) - {"morphology"}
    definite |= _settled_by(near, groups)
    if definite - {"other"}:
        definite.discard("other")
    stage = _one({mark.stage for mark in marks if mark.stage})
    extent = _one({mark.extent for mark in marks if mark.extent})
    kind = _one({mark.histology for mark in marks if mark.histology})
    base = Diagnosis(None, shown, status=status, stage=stage, histology=kind)
    if len(definite) > 1:
        first = next(name for name in _DEFINITE if name in definite)
        return _contradictory(base, first, "it is recorded as two different diseases")
    if definite:
        disease = definite.pop()
        if _contradicts(disease, groups):
            return _contradictory(base, disease, _histology_against(groups))
        if disease == "urothelial":
            return replace(base, withdrawn=True)
        if disease == "sclc":
            return replace(base, disease="es-sclc", extent=extent)
        return replace(base, disease=None if disease == "other" else disease)
    return _near(base, near, groups, kind)


def _settled_by(near: set[str], groups: set[str]) -> set[str]:
    """The disease that a histology makes of a diagnosis that only came near it."""
    settled: set[str] = set()
    if near & {"lung"}:
        settled |= groups & {"nsclc", "sclc"}
    if near & {"liver"}:
        settled |= groups & {"hcc", "btc"}
    return settled


_CALLED = {
    "nsclc": {"nsclc", "lung"},
    "es-sclc": {"sclc", "lung"},
    "hcc": {"hcc", "liver"},
    "btc": {"btc", "liver", "ampulla"},
}
"""What words call a disease that its code names."""
_OWN_HISTOLOGIES = {
    "nsclc": {"nsclc"},
    "sclc": {"sclc"},
    "hcc": {"hcc"},
    "btc": {"btc", "nsclc"},
}
"""Adenocarcinoma and squamous carcinoma (group nsclc) also occur in bile ducts. In the bladder any of them does: such a
cancer stays another disease."""


def _contradicts(disease: str, groups: set[str]) -> bool:
    return disease in _OWN_HISTOLOGIES and bool(groups - _OWN_HISTOLOGIES[disease])


def _histology_against(groups: set[str]) -> str:
    if "contradictory" in groups:
        return "the code of the recorded histology names one type, its words another"
    return "the recorded histology belongs to another disease"


def _open(base: Diagnosis, disease: str, why: str) -> Diagnosis:
    named = {"sclc": "es-sclc", "urothelial": "nsclc", "other": "nsclc"}.get(disease, disease)
    return replace(base, disease=named, settled=False, why=why, ask=_ASK_DIAGNOSIS)


def _contradictory(base: Diagnosis, disease: str, why: str) -> Diagnosis:
    return replace(_open(base, disease, why), cause=Absence.CONFLICTING)


def _near(base: Diagnosis, near: set[str], groups: set[str], kind: str | None) -> Diagnosis:
    if "neuroendocrine" in near | groups:
        return _open(base, "nsclc", "a neuroendocrine carcinoma of the lung settles neither NSCLC nor SCLC")
    if near and groups & {"foreign", "contradictory"}:
        disease = "nsclc" if "lung" in near else "hcc" if "liver" in near else "btc"
        return _contradictory(base, disease, _histology_against(groups))
    if "lung" in near:
        why = "lung cancer without a histology may be NSCLC or SCLC"
        return replace(base, disease="nsclc", settled=False, why=why, ask=_ASK_HISTOLOGY)
    if "ampulla" in near:
        return _open(base, "btc", "the policy does not say whether the ampulla counts as biliary tract")
    if "liver" in near:
        return _open(base, "hcc", "liver cancer without a type may be hepatocellular or biliary")
    only = _one(set(groups))
    disease = {"sclc": "sclc", "hcc": "hcc", "btc": "btc"}.get(only or "", "nsclc")
    if only in {"hcc", "btc"}:  # these morphologies occur nowhere else
        return replace(base, disease=disease)
    if not groups and kind is None:
        return base
    return replace(_open(base, disease, "its site is not recorded"), sited=False)


_EXCLUDING = (
    *({"nsclc", "sclc"}, {"hcc", "sclc"}, {"hcc", "btc"}),
    *({group, "foreign"} for group in ("nsclc", "sclc", "hcc", "btc", "urothelial")),
)
"""Groups of which a code and its words cannot both be. A neuroendocrine carcinoma may be one of small cells."""


def histology_of(codings: Iterable[Coding], text: str = "") -> Histology | None:
    """What a histology (an mCODE extension, an Observation's value, a text) says; None if nothing is understood.

    Codes that disagree say nothing.
    """
    seen = _with_morphologies(tuple(codings), text)
    found: set[tuple[str, str | None]] = set()
    for coding in seen:
        marks, confirmed = _marks_of(coding)
        for mark in marks if confirmed else ():
            group = mark.group if mark.kind == "morphology" else mark.kind
            found.add(("unspecified" if group == "lung" else group, mark.histology))
    own = text.strip() or next((coding.display for coding in seen if coding.display), "")
    shown = own or _our_display(seen)
    if not found:
        found = {("foreign", None) for coding in seen if coding.system == ICDO3 and _is_foreign(coding.code)}
    if shown and not _OPEN_TYPE.search(plain(shown)):
        told = _histology_in(_DENIED.sub(" ", _plain(shown)))
        if not found:
            found = {told} - {("", None)}
        elif own and len({group for group, _ in found}) == 1 and {next(iter(found))[0], told[0]} in _EXCLUDING:
            return Histology("contradictory", None, shown)
    groups, kinds = {group for group, _ in found}, {kind for _, kind in found if kind}
    groups -= {"unspecified"} if len(groups) > 1 else set()
    if len(groups) != 1 or len(kinds) > 1:
        return None
    return Histology(groups.pop(), kinds.pop() if kinds else None, shown)


def _with_morphologies(seen: tuple[Coding, ...], text: str) -> tuple[Coding, ...]:
    """The codes of a histology, those of ICD-O-3 also where one stands as words or without its system."""
    if not seen and _MORPHOLOGY.fullmatch(text):
        return (Coding(ICDO3, text),)
    return tuple(c._replace(system=ICDO3) if not c.system and _MORPHOLOGY.fullmatch(c.code) else c for c in seen)


def _histology_in(words: str) -> tuple[str, str | None]:
    if _LARGE_NEUROENDOCRINE.search(words) or _NEUROENDOCRINE_WORD.search(words):
        return "neuroendocrine", None
    if _HCC.search(words):
        return "hcc", None
    if _BTC_NAMED.search(words):
        return "btc", None
    if _TRANSITIONAL.search(words):
        return "urothelial", None
    rest = _SMALL_SQUAMOUS.sub(" squamous ", words)
    non_small = bool(_NON_SMALL.search(rest))
    small = bool(_SMALL.search(_NON_SMALL.sub(" ", rest)))
    kind = _kind_in(words)
    if small:
        return ("", None) if non_small or kind else ("sclc", None)
    if non_small or kind:
        return "nsclc", kind
    if _CARCINOID.search(words):
        return "neuroendocrine", None
    return ("foreign" if _OTHER_LUNG.search(words) or _OTHER_LIVER.search(words) else "", None)


def _is_foreign(code: str) -> bool:
    return _FOREIGN.fullmatch(canonical_code(ICDO3, code)) is not None


def histology_kind(text: str) -> str:
    """A histology text as the fact carries it: ``squamous``, ``non-squamous``, else the text itself in lower case."""
    return _certain_kind_in(_DENIED.sub(" ", _plain(text))) or text.strip().lower()
