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
    r"abdom\w+|total body)\b",
    re.IGNORECASE,
)
"""Where else radiotherapy goes, as the name of a course says it that gives no body site."""

OTHER_TUMOUR = re.compile(
    r"\b(?:breast|prostat\w*|colon|colorectal|rectal|gastric|stomach|pancrea\w*|ovarian|uterine|endometrial|cervical|"
    r"thyroid|renal cell|kidney|bladder|testicular|esophageal|skin|head and neck)"
    r" (?:cancer|ca|(?:adeno)?carcinoma|tumou?r|malignancy|neoplasm|polyp|lesion)s?\b|"
    r"\b(?:melanoma|lymphoma|sarcoma|myeloma)s?\b"
)
"""A tumour that no policy here is about, in a text made plain: what its clause says is not of the one treated."""
