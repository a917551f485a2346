"""The words in which charts plainly say how far a cancer of the lung, the liver or the bile ducts has spread.

A clause made of these words alone is understood as a whole (docs/adr/0010). To read more, add words that neither doubt
nor deny, and that name no other tumour and nobody else.
"""

from __future__ import annotations

import re

from cds_service.terminology.doubt import plain
from cds_service.terminology.risk import without_risk_marks


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NOUNS = _listed(
    "cancer cancers ca tumor tumour tumors tumours neoplasm malignancy disease dz nsclc sclc hcc uhcc btc cca icca "
    "ecca icc hepatoma adenoca carcinoma carcinomas adenocarcinoma cholangiocarcinoma mass lesion lesions"
)
_OF_A_TUMOUR = _listed(
    "lung lungs bronchus bronchogenic pulmonary liver hepatic hepatocellular cell biliary tract gallbladder bile "
    "duct ducts ampulla ampullary vater klatskin hilar perihilar distal intrahepatic extrahepatic nonsmall small "
    "large squamous nonsquamous malignant primary secondary main right left upper middle lower lobe rul rml rll lul "
    "lll bilobar multifocal mediastinal thoracic bulky nodal poorly moderately well differentiated undifferentiated "
    "grade high low advanced extensive limited stage clinical pathologic pathological edition ajcc uicc bclc es "
    "hypermetabolic invasive infiltrating mucinous acinar lepidic papillary solid pleomorphic sarcomatoid pancoast "
    "superior sulcus of the medically locally metastatic recurrent relapsed resectable unresectable inoperable"
)
_BETWEEN = _listed(
    "an and with for on by per from is are has have whose who that this his her their she he they after since "
    "following despite plus due as via over more less than about almost approximately shortly days weeks months "
    "month mo mos years year yrs s post currently also yes present in"
)
_BESIDE_IT = _listed(
    # how it is
    "disorder finding cms neoplastic gy histology nos child pugh albi bismuth class afp cirrhosis cirrhotic nash "
    "mash masld hepatitis b c hbv hcv alcohol etoh portal vein vascular macrovascular microvascular vessels "
    "mediastinum invasion spread involvement involves involving node nodes lymph obstruction thrombosis thrombus "
    "copd poor new newly known confirmed proven biopsy fna pathology histologically stable progressive progressing "
    "progressed progression increasing enlarging active symptomatic asymptomatic treated untreated naive "
    "synchronous metachronous multiple widely widespread diffuse solitary single bilateral contralateral "
    "innumerable numerous several two three four refractory largest deemed considered judged found declared "
    "determined remains remain became become seen evaluated reviewed identified noted shows show showed "
    "demonstrates surgically a all rapidly disseminated pathologically cytologically cytology adenopathy "
    "lymphadenopathy "
    # who says it, and where
    "diagnosis diagnosed established dx encounter indication impression assessment reason case patients tumor board "
    "consensus multidisciplinary mdt mdc conference surgical surgeon surgeons team oncology oncologist ct mri pet scan "
    "imaging problem visit restaging staging complete exploratory laparotomy exploration intraoperatively "
    # what is done
    "chemoradiation chemoradiotherapy chemort chemo chemotherapy radiation radiotherapy crt ccrt rt wbrt srs sbrt "
    "gamma knife stereotactic radiosurgery craniotomy cisplatin carboplatin platinum doublet etoposide pemetrexed "
    "paclitaxel nab gemcitabine cis gem gemcis capecitabine durvalumab durva imfinzi tremelimumab treme imjudo "
    "stride poseidon topaz himalaya pacific immunotherapy io consolidation maintenance adjuvant surgery resection "
    "hepatectomy lobectomy cholecystectomy stent stents stenting drain drains "
    "ercp tace tare y90 ablation rfa sorafenib lenvatinib atezolizumab "
    "bevacizumab pembrolizumab nivolumab denosumab concurrent sequential definitive palliative systemic regimen "
    "cycle cycles therapy treatment line first second third 1l 2l completed completing starting started start "
    "chemoimmunotherapy docetaxel vinorelbine imrt proton osimertinib cabozantinib folfox oxaliplatin weekly "
    "receiving received initiate initiating plan proceed continue based here day p to tolerating "
    # when
    "january february march april may june july august september october november december jan feb mar apr jun jul "
    "aug sep sept oct nov dec"
)
_KNOWN = (_NOUNS | _OF_A_TUMOUR | _BETWEEN | _BESIDE_IT) - {"in"}  # "in remission", "in 2015", "in her mother"
_NUMBER = re.compile(
    r"\d*[1-9]\d*(?:st|nd|rd|th|mm|cm|mo|gy|m|f)?|(?:i{1,3}|[1-3])[a-d]?[1-3]?|[a-d]|iv[abc]?|4[abc]|[abclst]\d{1,2}|"
    r"c\d+d\d+|q\d+w|(?:[cpyr]{0,2}(?:t(?:is|[0-4x])[a-d]?|n[0-3x][a-c]?|m[01x][a-c]?\d?))+"
)
_LONG = 20
_WORD_OR_MARK = re.compile(r"[^\W_]+|(?<![^\W_])/|/(?![^\W_])|\(-|\[ ?\]|[?¿_\u2610-\u2612\u25a1]")

STATED = r"(?:an? )?(?:metasta|un-?resect|resectab|inoper|locally|recurr|relaps)"
"""How a statement of the extent begins."""
EXAMINED = r"(?:ct|mri|pet|scans?|imaging|(?:re)?staging|biops\w+|fna|evaluat\w+|surgical oncology)"
"""What is done for metastases that nobody has found yet: "CT for metastases"."""

_GENE = r"(?:egfr|alk|ros-?1|kras|braf|met|ret|her-?2|ntrk|pd-?l1|tmb|msi|mss|fgfr2|idh1|actionable mutations)"
_CARE = r"(?:therapy|treatment|chemo(?:therapy)?|surgery|surgical \w+|resection|transplant\w*|ablation|tace)"
_ASIDE = re.compile(
    "|".join(
        (
            # other findings, also denied ones
            (
                r"\b(?:(?:no|without|negative for) )?(?:sensitizing )?"
                rf"{_GENE}(?:(?:[/ ]|, )(?:(?:and|n?or) )?{_GENE})*\b"
                r"(?: ?(?:genomic|tumor|gene|fusions?|rearrangements?|mutations?|aberrations?|alterations?|tps|cps)\b)*"
                r"(?:[: -]+(?:negative|neg|positive|wild[- ]?type|wt|mutated|mutant|g12c|not detected|pending|unknown|"
                r"(?:[<>≥=] ?){0,3}\d+ ?%?))?"
            ),
            r"\b(?:no|without|not)(?: evidence of)?(?: disease| further)? progress(?:ion|ed|ing)\b(?! (?:of|or)\b)",
            r"\bprogression[- ]free\b|\bpartial response\b",
            r"\b(?:no|without)(?: evidence of)? (?:local|regional|locoregional) recurrence\b",
            r"\b(?:no|without) (?:extrahepatic|vascular|macrovascular) (?:spread|disease|invasion|metastas[ei]s)\b",
            (
                r"\bmetasta\w+[- ](?:work-?up|screen\w*|survey|free|potential|status|risk|(?:re)?staging|evaluation|"
                r"imaging|regimen|protocol|dos(?:e|ing)|disease (?:re)?staging|trial)\b(?: (?:negative|unknown))?"
            ),
            r"\b(?:kein\w*|ohne)(?: \w+){0,3} \w*metastasen\b",
            r"\becog(?: ps)?:? ?[0-4](?:-[0-4])?\b|\bps ?[0-4]\b|\balcoholic cirrhosis\b",
            # treatment that was, was not, or cannot be given
            rf"\bno (?:prior|previous)(?: systemic)? {_CARE}\b|\bprevious(?:ly)? (?:un)?treated\b",
            rf"\bafter (?:prior|previous) (?={_CARE}|radio|radiation)",
            r"\b(?:not|never) (?:(?:previously|yet|currently) )?(?:treated|biopsied|responding|controlled|curable)\b",
            r"\bnot an? (?:surgical|transplant|resection) candidate\b|\bnot involving nodes\b",
            (
                r"\bnot (?:an? )?(?:good )?(?:candidate for|amenable to|eligible for|suitable for|fit for) "
                rf"(?:(?:an?|further|curative|liver|local|locoregional|definitive)[ -])*{_CARE}(?: or {_CARE})?\b"
            ),
            # who the patient is, and who says so
            r"\b\d+[- ]?(?:years?|yrs?)[- ]old(?: (?:man|woman|male|female|gentleman|lady|patient))?",
            r"\b\d+ ?(?:yo|y/o|y\.o\.)(?: (?:man|woman|male|female|m|f|patient))?\b",
            r"\A ?(?:the |this |here is an? )?(?:patient|pt)\b|\A ?(?:mr|mrs|ms)\.? [\w'-]+ (?:is|has)\b",
            r"\b(?:patient|pt) (?:has|with|is)\b|\bin (?:an? )?patients? with\b",
            r"\b(?:never|former|current|ex)[- ]smok\w+|\bin a (?=never|former|current)",
            r"\b(?:(?:reviewed|discussed|presented) )?at (?=(?:\w+ ){0,3}(?:tumou?r board|mdt|conference))",
            r"\bper (?=(?:\w+ )?(?:surg\w+|oncolog\w+|tumou?r board|mdt|mdc)\b)|\bw/(?!o\b)|\(dr\.? [\w'-]+\)",
            r"\bwas (?=(?:deemed|considered|judged|declared|diagnosed)\b)",
            r"\b(?:was )?(?:found|determined|judged|deemed) to (?:be|have)\b",
            # when, and small words that alone would say more
            r"(?<!metastatic )(?<!liver )\bat (?:initial )?(?:diagnosis|presentation)\b",
            r"\bat (?:laparotomy|thoracotomy|(?:surgical )?exploration|surgery)\b",
            r"\bdiagnosed (?:in (?=[a-z]{3,9} \d{4})|(?:in |about )?\d+(?: (?:weeks|months|years) ago)?)",
            r"\bin (?:combination with|(?:the )?setting of|size|place)\b|\bbackground of\b",
            r"\A ?(?:oncolog(?:y|ic) )?history:|\bin (?:the )?(?:right|left) (?:lung|lobe|hilum)\b",
            r"\bin (?=unresectable|metastatic|recurrent|locally|stage|maintenance|\d\d?/\d{4})",
            r"\bnow (?=unresectable|inoperable|metastatic|recurrent|locally)|\bde novo\b",
            rf"\bstatus[- ]post\b(?! {STATED})",
            r"\bnon(?=[- ]?(?:small|squamous))|\bpositive for\b|\(us extension\)|\bc[2347]\d\.\d+\b",
        )
    )
)
"""What may stand beside a statement and takes nothing of it back, though single words of it might elsewhere."""

_SITE = (
    r"(?:(?:left|right|bilateral|multiple|multifocal|solitary|single|diffuse|widespread|numerous|innumerable|several|"
    r"extensive|limited|small|large|contralateral|distant|two|three|four|the) )*"
    r"(?:brain|cerebr(?:al|um)|cerebell(?:ar|um)|cns|intracranial|leptomening(?:eal|es)|dural?|bones?|bony|osseous|"
    r"skelet(?:al|on)|spin(?:e|al)|vertebra[le]?|ribs?|sternum|pelvi[cs]|femur|humerus|skull|liver|hepatic|lungs?|"
    r"pulmonary|adrenals?(?: glands?)?|peritone(?:um|al)|oment(?:um|al)|pleural?|pericardi(?:um|al)|skin|cutaneous|"
    r"subcutaneous|soft tissues?|muscles?|kidneys?|renal|spleen|splenic|extrahepatic|extrathoracic|visceral|distant|"
    r"(?:an)?(?:other|distant|multiple) sites?|(?:lymph )?nodes?|nodal)"
)
SITES = rf"{_SITE}(?:(?:/| and | & ){_SITE})*"
"""Organs as places of metastases: beside anything else they are those of other tumours."""
_LESIONS = r"(?:disease|deposits?|spread|foci|involvement|carcinomatosis|caking|nodules?|lesions?|effusions?|mets)"
_SPREAD = re.compile(
    rf"(?:\b{SITES} )?\bmetasta(?:tic|s[ei]s)\b(?: (?:{SITES} )?{_LESIONS}\b)?"
    rf"(?:(?: (?:in|involving|at|of(?! (?:the )?(?:skin|kidney))|within|on)|(?: sites?)?:) {SITES}\b)?"
    r"(?! (?:cancer|carcinoma|tumou?r))|\bsites? of(?= metasta)|(?<=metastatic) at (?:diagnosis|presentation)\b|"
    rf"\bto {SITES}\b|\b{SITES} {_LESIONS}\b|\bat [ctls]\d\d?\b|"
    rf"\b(?:mri|ct|biopsy|fna)(?: of)? {SITES}\b|\b{SITES} (?:mri|ct|biopsy|fna)\b|"
    r"\bin (?:the )?(?:liver|lung|mediastinum|hilum|(?:liver )?remnant|remnant liver)\b"
)


_SHORT = (
    (re.compile(r"\buhcc\b"), "unresectable hcc"),
    (
        re.compile(
            r"(?<!metastases )(?<!metastasis )(?<!metastases are )\bnot (?:surgically )?amenable to "
            r"(?:surgical |curative |complete )?resection(?: or (?:liver )?transplant(?:ation)?)?\b(?! of\b)"
        ),
        "unresectable",
    ),
    (re.compile(r"\bgall[- ]bladder\b"), "gallbladder"),
    (
        re.compile(
            r"\bsecondary (?:malignant (?:neoplasm|tumou?r)|malignancy|cancer|(?:adeno|squamous cell )?carcinoma) "
            r"(?:of|to|in) "
        ),
        "metastasis to ",
    ),
    # not "walks 4 METs", the unit of effort
    (re.compile(r"(?<![\d.])(?<![\d.] )(?<!> )\bmets\b(?! ?[:=<>\d])"), "metastases"),
)
_LINE = re.compile(r"(?<=[^\W_])[ \t]*[\r\n]+")


def spelled_out(words: str) -> str:
    r"""Words in lower case, with what is said in short in full; a line is a clause of its own.

    >>> spelled_out("uHCC\nno brain mets")
    'unresectable hcc, no brain metastases'
    """
    said = without_risk_marks(plain(_LINE.sub(", ", words) if "\n" in words else words)).strip()
    for short, full in _SHORT:
        said = short.sub(full, said)
    return said


def without_asides(clause: str) -> str:
    """A clause without the phrases that say something else, their denials with them."""
    return _ASIDE.sub(" ; ", clause)


def is_plain(clause: str) -> bool:
    """Whether every word is known, those of the places of metastases beside a mention of them."""
    return all(_is_number(word) or word in _KNOWN for word in _words(_SPREAD.sub(" ", clause)))


def is_of_a_tumour(after: str) -> bool:
    """Whether what follows "unresectable", "recurrent" and the like is the name of a tumour, or no name at all."""
    if after.lstrip().startswith((";", "(", ":")):
        return True
    name = [word for word in _words(after) if word not in _OF_A_TUMOUR and not _is_number(word)]
    return not name or name[0] in _NOUNS or name[0] in _BETWEEN or name[0].startswith("metasta")


def is_of_a_tumour_before(before: str) -> bool:
    """Whether what stands before "confined to the liver" is a tumour, or nothing but small words."""
    name = [word for word in _words(before) if word not in _BETWEEN and not _is_number(word)]
    return not name or name[-1] in _NOUNS or name[-1] in {"remains", "stage"}


def _words(clause: str) -> list[str]:
    return _WORD_OR_MARK.findall(clause)


def _is_number(word: str) -> bool:
    return len(word) < _LONG and _NUMBER.fullmatch(word) is not None
