"""Which disease a diagnosis is: words, codes, histology, and what none of them settles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.facts.catalogue import STAGES
from cds_service.terminology import (
    Coding,
    diagnosis_from_codings,
    diagnosis_from_text,
    entries,
    histology_kind,
    histology_of,
    is_oncology_specialty,
    specialty_display,
    stage_from_codings,
    stage_from_text,
    stage_in_text,
)
from cds_service.terminology.codes import ICD10, ICDO3, SNOMED

NUCC = "http://nucc.org/provider-taxonomy"


def short(diagnosis):
    """A diagnosis in a word: the disease, "?" if it is open, its extent; "other" and "withdrawn" are other diseases."""
    if diagnosis is None:
        return None
    name = "withdrawn" if diagnosis.withdrawn else diagnosis.disease or "other"
    return name + ("" if diagnosis.settled else "?") + (f" {diagnosis.extent}" if diagnosis.extent else "")


RISK_MARKS = (
    *("(CMS-HCC)", "(CMS/HHS-HCC)", "(CMS-HCC, HHS-HCC)", "(CMS/HCC) (HHS/HCC)", "(HCC Code)", "(HCC/CMS)", "(HCC-9)"),
    *(
        "[HCC 9]",
        "{HCC}",
        "(HCC V24 9)",
        "(HCC category 85)",
        "(RAF/HCC)",
        "(*HCC*)",
        "(HCC risk)",
        "(MULTI)",
        "HCC 85",
    ),
)
"""Of risk adjustment, as sites print them behind a diagnosis."""


@pytest.mark.parametrize(
    ("text", "disease"),
    [
        ("NSCLC", "nsclc"),
        ("Non-small cell lung cancer", "nsclc"),
        ("Non small cell carcinoma of lung, TNM stage 3", "nsclc"),
        ("nonsmall cell lung carcinoma", "nsclc"),
        ("Non\u2011small\u2011cell lung cancer, right upper lobe", "nsclc"),
        ("Adenocarcinoma of lung", "nsclc"),
        ("Squamous cell carcinoma of the left lung", "nsclc"),
        ("SCC of lung", "nsclc"),
        ("Large cell carcinoma of lung", "nsclc"),
        ("adenosquamous carcinoma of lung", "nsclc"),
        ("Bronchioloalveolar carcinoma", "nsclc"),
        ("Metastatic non-small cell lung cancer to brain", "nsclc"),
        ("NSCLC, not small cell", "nsclc"),
        ("squamous carcinoma of lung, small cell non-keratinizing", "nsclc"),
        ("Lung adenocarcinoma (HCC)", "nsclc"),
        ("SCLC", "es-sclc"),
        ("small cell lung cancer", "es-sclc"),
        ("Oat cell carcinoma of lung", "es-sclc"),
        ("ES-SCLC", "es-sclc extensive"),
        ("Extensive-stage small cell lung cancer", "es-sclc extensive"),
        ("small cell carcinoma of lung, extensive disease", "es-sclc extensive"),
        ("LS-SCLC", "es-sclc limited"),
        ("Limited stage SCLC", "es-sclc limited"),
        ("Lung cancer", "nsclc?"),
        ("Malignant neoplasm of upper lobe, right bronchus or lung", "nsclc?"),
        ("Malignant neoplasm of unspecified part of lung (CMS/HCC)", "nsclc?"),
        ("carcinoma NOS of lung", "nsclc?"),
        ("bronchogenic carcinoma", "nsclc?"),
        ("Large cell neuroendocrine carcinoma of lung", "nsclc?"),
        ("LCNEC", "nsclc?"),
        ("combined small cell and non-small cell lung cancer", "nsclc?"),
        ("NSCLC vs SCLC", "nsclc?"),
        ("adenocarcinoma", "nsclc?"),
        ("small cell carcinoma", "es-sclc?"),
        ("BTC", "btc"),
        ("biliary tract cancer", "btc"),
        ("Cholangiocarcinoma", "btc"),
        ("intrahepatic cholangiocarcinoma", "btc"),
        ("Gallbladder carcinoma", "btc"),
        ("cancer of the gall bladder", "btc"),
        ("bile duct cancer", "btc"),
        ("Klatskin tumor", "btc"),
        ("carcinoma of the ampulla of Vater", "btc?"),
        ("periampullary adenocarcinoma", "btc?"),
        ("HCC", "hcc"),
        ("uHCC", "hcc"),
        ("Hepatocellular carcinoma (HCC)", "hcc"),
        ("fibrolamellar carcinoma", "hcc"),
        ("liver cancer", "hcc?"),
        ("Malignant neoplasm of liver", "hcc?"),
        ("mixed hepatocellular-cholangiocarcinoma", "hcc?"),
        ("Bladder cancer", "withdrawn"),
        ("urothelial carcinoma", "withdrawn"),
        ("transitional cell carcinoma of renal pelvis", "withdrawn"),
        ("Breast cancer", "other"),
        ("melanoma", "other"),
        ("squamous cell carcinoma of tongue", "other"),
        ("malignant pleural mesothelioma", "other"),
        ("carcinoid tumor of lung", "other"),
        ("metastatic breast cancer to the lung", "other"),
        ("Metastatic colon cancer to liver", "other"),
        ("metastatic adenocarcinoma to the right lung", None),
        ("adenocarcinoma of the lung metastatic to brain", "nsclc"),
        ("squamous cell carcinoma of lung metastatic to liver", "nsclc"),
        ("mother had NSCLC", None),
        ("NSCLC in remission", "nsclc?"),
        ("NSCLC, not in remission", "nsclc"),
        ("colon cancer metastatic to lung", "other"),
        ("colon cancer with liver metastases", "other"),
        ("hepatoblastoma", "other"),
        ("carcinoma in situ of bronchus", "other"),
        ("Hypertension", None),
        ("Type 2 diabetes mellitus (HCC)", None),
        *((f"Type 2 diabetes mellitus {mark}", None) for mark in RISK_MARKS),
        *((f"Malignant neoplasm of right lung {mark}", "nsclc?") for mark in RISK_MARKS),
        *((f"Hepatocellular carcinoma {mark}", "hcc") for mark in RISK_MARKS),
        *((words, "hcc") for words in ("Liver mass (HCC, 4 cm)", "Cirrhosis (HCC on biopsy)", "HCC (child-pugh A)")),
        ("COPD", None),
        ("lung nodule", None),
        ("gallbladder polyp", None),
        ("Pleural effusion, malignant", None),
        ("primary biliary cholangitis", None),
        *(
            (words, None)
            for words in ("Hepatocellular injury", "Hepatocellular adenoma", "Benign hepatocellular tumor")
        ),
        *((words, None) for words in ("Drug-induced liver injury, hepatocellular", "Hepatocellular jaundice")),
        *((words, None) for words in ("CCA stenosis", "Left CCA occlusion", "Common carotid artery (CCA) disease")),
        *((words, None) for words in ("Hx NSCLC", "Inactive HCC", "Mimic of NSCLC", "HCC prophylaxis", "HCC work-up")),
        *(
            (words, None)
            for words in ("Prevention of cholangiocarcinoma", "Erroneously documented NSCLC", "HCC coding")
        ),
        *((words, None) for words in ("Secondary adenocarcinoma of lung", "Secondary squamous cell carcinoma of lung")),
        ("NSCLC; drug-induced hepatocellular injury", "nsclc"),
        ("Lung cancer with hepatocellular injury", "nsclc?"),
        *((f"{words} carcinoma", "hcc") for words in ("Hepatocellular", "Hepato-cellular", "Hepatocellular (liver)")),
        *((words, "hcc") for words in ("Carcinoma, hepatocellular", "Primary liver cancer, hepatocellular type")),
        *((words, "hcc") for words in ("Inactive hepatitis B carrier with HCC", "Malignant hepatocellular neoplasm")),
        *((words, "btc") for words in ("Metastatic CCA", "iCCA", "CCA s/p Whipple", "Perihilar CCA, stage IV")),
        *(
            (words, "other")
            for words in ("Lymphoma of bile duct", "Carcinoid of gallbladder", "Sarcoma of gallbladder")
        ),
        *(
            (words, "btc?")
            for words in ("Small cell carcinoma of bile duct", "Neuroendocrine carcinoma of gallbladder")
        ),
        *((words, "btc") for words in ("Squamous cell carcinoma of gallbladder", "Cystadenocarcinoma of bile duct")),
        ("cHCC-CCA", "hcc?"),
        ("ED-SCLC", "es-sclc extensive"),
        ("LD-SCLC", "es-sclc limited"),
        *((words, "nsclc") for words in ("Lung SqCC, stage IIIA", "Bronchoalveolar carcinoma", "NSCLC, hx of COPD")),
        *((words, "nsclc") for words in ("NSCLC on PJP prophylaxis", "Onc Hx: NSCLC", "Consider durvalumab for NSCLC")),
        ("pulmonary embolism", None),
        ("history of lung cancer", None),
        ("family history of lung cancer", None),
        ("no evidence of lung cancer", None),
        ("lung cancer screening", None),
        ("lung cancer ruled out", None),
        ("rule out lung cancer", None),
        ("liver metastases", None),
        ("Secondary malignant neoplasm of lung", None),
        ("cancer", None),
        ("", None),
    ],
)
def test_words(text, disease):
    assert short(diagnosis_from_text(text)) == disease


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("C25.0", "Pancreatic adenocarcinoma with biliary obstruction"),
        ("C25.0", "Pancreatic cancer involving the common bile duct"),
        ("C25.0", "Adenocarcinoma of head of pancreas with biliary stent"),
        ("C18.9", "Colon adenocarcinoma with lung and liver mets"),
        ("C15.9", "Squamous cell carcinoma of esophagus invading bronchus"),
        ("C17.0", "Duodenal cancer, biliary stent"),
    ],
)
def test_an_organ_that_a_tumour_of_another_grows_into_has_none_of_its_own(code, text):
    assert short(diagnosis_from_text(text)) == "other"
    assert short(diagnosis_from_codings([Coding(ICD10, code)], text)) == "other"


@pytest.mark.parametrize(
    "text", ["Lung adenocarcinoma and breast cancer", "Breast cancer, adenocarcinoma of lung", "NSCLC; prostate cancer"]
)
def test_a_tumour_of_another_organ_beside_one_of_the_lung_hides_it_not(text):
    assert short(diagnosis_from_text(text)) == "nsclc"


@pytest.mark.parametrize(("code", "text"), [("C50.911", "NSCLC"), ("C43.59", "Hepatocellular carcinoma")])
def test_words_and_a_code_of_different_cancers_leave_the_diagnosis_open(code, text):
    found = diagnosis_from_codings([Coding(ICD10, code)], text)
    assert (found.settled, found.why) == (False, "its code names another disease than its words")


@pytest.mark.parametrize(
    ("text", "disease"),
    [
        ("NSCLC resected 2018, disease-free", "nsclc?"),
        ("NSCLC, no active disease", "nsclc?"),
        ("NSCLC (inactive)", "nsclc?"),
        ("Historical NSCLC", "nsclc?"),
        ("NSCLC misdiagnosis", "nsclc?"),
        ("NSCLC reclassified as mesothelioma", "nsclc?"),
        ("NSCLC, diagnosis revised to sarcoma", "nsclc?"),
        ("Mesothelioma (initially read as NSCLC)", "nsclc?"),
        ("NSCLC, inactive hepatitis B", "nsclc"),
        ("NSCLC, disease-free interval 2 years", "nsclc"),
        ("NSCLC, initially diagnosed as stage II", "nsclc"),
        ("NSCLC, wrong dose given", "nsclc"),
    ],
)
def test_words_that_say_a_diagnosis_is_over_or_was_corrected_leave_it_open(text, disease):
    assert short(diagnosis_from_text(text)) == disease


@pytest.mark.parametrize(
    "text", ["NSCLC?", "questionable NSCLC", "Consider NSCLC", "Pending: HCC", "NSCLC or lymphoma"]
)
def test_doubted_words_are_provisional(text):
    found = diagnosis_from_text(text)
    assert found is not None
    assert found.status == "provisional"


def test_words_carry_stage_histology_and_doubt():
    found = diagnosis_from_text("suspected lung adenocarcinoma, stage IIIB")
    assert found is not None
    assert (found.stage, found.histology, found.status) == ("IIIB", "non-squamous", "provisional")


@pytest.mark.parametrize(
    ("text", "disease"),
    [
        ("NSCLC, r/o brain mets", "nsclc"),
        ("NSCLC r/o brain mets", "nsclc"),
        ("NSCLC (rule out brain mets and bone mets)", "nsclc"),
        ("NSCLC, possible liver lesion", "nsclc"),
        ("NSCLC, possible liver lesion, r/o brain mets", "nsclc"),
        ("NSCLC, liver lesion suspicious for metastasis", "nsclc"),
        ("NSCLC with suspected brain metastases", "nsclc"),
        ("NSCLC, suspected brain mets", "nsclc"),
        ("NSCLC, stage IIIB - evaluate for progression", "nsclc"),
        ("NSCLC, concern for pneumonitis", "nsclc"),
        ("NSCLC, likely unresectable", "nsclc"),
        ("Lung adenocarcinoma, evaluate for resection", "nsclc"),
        ("ES-SCLC, possible leptomeningeal disease", "es-sclc"),
        ("HCC, rule out PVT", "hcc"),
        ("HCC, possible lung nodules", "hcc"),
        ("HCC with suspected lung mets", "hcc"),
        ("Gallbladder cancer, suspected liver invasion", "btc"),
    ],
)
def test_a_doubt_of_something_else_leaves_a_diagnosis_certain(text, disease):
    found = diagnosis_from_text(text)
    assert (found.disease, found.settled, found.status, found.shown) == (disease, True, "confirmed", text)
    code = Coding(
        SNOMED, {"nsclc": "254637007", "es-sclc": "254632001", "hcc": "109841003", "btc": "312104005"}[disease]
    )
    assert diagnosis_from_codings([code], text).status == "confirmed"


@pytest.mark.parametrize(
    "text",
    [
        "R/O brain mets, NSCLC",  # a list of what is looked for
        "Possible NSCLC, r/o brain mets",
        "NSCLC?, brain mets",
        "NSCLC, suspected, brain mets",
        "NSCLC likely with brain mets",
        "NSCLC, pending biopsy of a node",
        "NSCLC, r/o lymphoma",
        "NSCLC, possible SCLC transformation",
        "NSCLC, suspicious lung nodule",  # perhaps the tumour itself, here and below
        "NSCLC, indeterminate nodule",
        "Lung adenocarcinoma, possible metastasis",
        "Lung adenocarcinoma, possible lung metastases",
        "HCC, suspicious liver mass",
        "Lung adenocarcinoma, possible metastasis from colon",
        "NSCLC, possible recurrence",
        "NSCLC, suspected progression",  # read nowhere else
        "NSCLC, possible stage IV",
        "NSCLC, possible EGFR mutation",
    ],
)
def test_a_doubt_that_may_be_of_the_diagnosis_is_one(text):
    assert diagnosis_from_text(text).status == "provisional"


def test_what_an_open_diagnosis_asks_for():
    lung, neuroendocrine = diagnosis_from_text("lung cancer"), diagnosis_from_text("LCNEC")
    assert lung is not None
    assert lung.ask == ("histology", "indication")
    assert neuroendocrine is not None
    assert neuroendocrine.ask == ("indication",)
    assert lung.why


@pytest.mark.parametrize(
    ("codes", "text", "disease"),
    [
        ([(SNOMED, "254637007")], "", "nsclc"),
        ([(ICD10, "C34.11")], "", "nsclc?"),
        ([(ICD10, "C3411")], "", "nsclc?"),
        ([(ICD10, "C34.119")], "", "nsclc?"),
        ([(ICD10, "C34.11"), (SNOMED, "254637007")], "Non-small cell lung cancer, right upper lobe", "nsclc"),
        ([(ICD10, "C34.90")], "Adenocarcinoma of lung (HCC)", "nsclc"),
        ([(ICD10, "C34.90", "Small cell lung cancer")], "", "es-sclc"),
        ([(ICD10, "C34.90")], "Malignant neoplasm of lung", "nsclc?"),
        ([(SNOMED, "254632001")], "", "es-sclc"),
        ([(SNOMED, "683991000119103")], "", "es-sclc extensive"),
        ([(SNOMED, "254632001")], "limited stage small cell lung cancer", "es-sclc limited"),
        ([(SNOMED, "707408006")], "", "nsclc"),
        ([(ICD10, "C34.10"), (ICDO3, "8140/3")], "", "nsclc"),
        ([(ICD10, "C34.10"), (ICDO3, "80463/3")], "", "nsclc"),
        ([(ICD10, "C34.10"), (ICDO3, "8041/3")], "", "es-sclc"),
        ([(ICD10, "C34.10"), (ICDO3, "8013/3")], "", "nsclc?"),
        ([(ICDO3, "8070/3")], "", "nsclc?"),
        ([(SNOMED, "254637007"), (SNOMED, "254632001")], "", "nsclc?"),
        ([(SNOMED, "254637007")], "Small cell lung cancer", "nsclc?"),
        ([(SNOMED, "457721000124104")], "", "nsclc?"),
        ([(SNOMED, "457721000124104")], "Metastatic NSCLC", "nsclc"),
        ([(ICD10, "C22.0")], "", "hcc"),
        ([(ICD10, "C22.1")], "", "btc"),
        ([(ICD10, "C22.9")], "", "hcc?"),
        ([(ICD10, "C22.9")], "Hepatocellular carcinoma", "hcc"),
        ([(ICD10, "C23")], "", "btc"),
        ([(ICD10, "C24.0")], "", "btc"),
        ([(ICD10, "C24.1")], "", "btc?"),
        ([(ICD10, "C24.9")], "", "btc"),
        ([(ICD10, "C67.9")], "", "withdrawn"),
        ([(ICD10, "C67")], "", "withdrawn"),
        ([(SNOMED, "399326009")], "", "withdrawn"),
        ([(ICD10, "C50.911")], "", "other"),
        ([(ICD10, "C7A.090")], "", "other"),
        ([(ICD10, "C22.2")], "", "other"),
        ([("http://local.example", "1", "Breast cancer")], "", "other"),
        ([(ICD10, "C78.01")], "Secondary malignant neoplasm of right lung", None),
        ([(ICD10, "C79.31", "Secondary malignant neoplasm of brain")], "", None),
        ([(SNOMED, "94225005")], "Metastasis to brain", None),
        ([(ICD10, "Z85.118")], "Personal history of lung cancer", None),
        ([(ICD10, "Z51.11")], "Encounter for antineoplastic chemotherapy", None),
        ([(ICD10, "E11.9")], "Type 2 diabetes mellitus (HCC)", None),
        ([(SNOMED, "38341003")], "Hypertension", None),
        ([(ICD10, "D3A.090")], "", None),
        ([(SNOMED, "314954002")], "", "nsclc?"),
        ([], "", None),
    ],
)
def test_codes(codes, text, disease):
    assert short(diagnosis_from_codings([Coding(*code) for code in codes], text)) == disease


@pytest.mark.parametrize(
    ("code", "histology", "disease", "kind"),
    [
        ((ICD10, "C34.11"), (ICDO3, "8140/3"), "nsclc", "non-squamous"),
        ((ICD10, "C34.11"), (ICDO3, "8070/3"), "nsclc", "squamous"),
        ((ICD10, "C34.11"), (ICDO3, "8046/3"), "nsclc", None),
        ((ICD10, "C34.11"), (ICDO3, "8041/3"), "es-sclc", None),
        ((ICD10, "C34.11"), (ICDO3, "8013/3"), "nsclc?", None),
        ((ICD10, "C34.11"), (ICDO3, "8010/3"), "nsclc?", None),
        ((ICD10, "C34.11"), (SNOMED, "1187332001"), "nsclc", "non-squamous"),
        ((SNOMED, "254637007"), (ICDO3, "8070/3"), "nsclc", "squamous"),
        ((SNOMED, "254637007"), (ICDO3, "8041/3"), "nsclc?", None),
        ((ICD10, "C22.9"), (ICDO3, "8170/3"), "hcc", None),
        ((ICD10, "C22.9"), (ICDO3, "8160/3"), "btc", None),
        ((ICD10, "C23"), (ICDO3, "8140/3"), "btc", "non-squamous"),
        ((ICD10, "C22.0"), (ICDO3, "8160/3"), "hcc?", None),
        ((ICD10, "C50.911"), (ICDO3, "8140/3"), "other", "non-squamous"),
    ],
)
def test_histology_settles_what_a_site_leaves_open(code, histology, disease, kind):
    found = diagnosis_from_codings([Coding(*code)], "", histology_of([Coding(*histology)]))
    assert short(found) == disease
    assert found is not None
    assert found.histology == kind


@pytest.mark.parametrize(
    ("text", "group", "kind"),
    [
        ("Adenocarcinoma", "nsclc", "non-squamous"),
        ("Squamous cell carcinoma, keratinizing", "nsclc", "squamous"),
        ("Small cell carcinoma", "sclc", None),
        ("Non-small cell carcinoma", "nsclc", None),
        ("Large cell neuroendocrine carcinoma", "neuroendocrine", None),
        ("Hepatocellular carcinoma", "hcc", None),
    ],
)
def test_histology_text(text, group, kind):
    found = histology_of([], text)
    assert found is not None
    assert (found.group, found.kind) == (group, kind)


def test_histology_that_says_nothing():
    assert histology_of([], "awaited") is None
    assert histology_of([Coding(ICDO3, "8070/3"), Coding(ICDO3, "8041/3")]) is None
    assert histology_of([], "not squamous") is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Squamous", "squamous"),
        ("non-squamous", "non-squamous"),
        ("nonsquamous", "non-squamous"),
        ("Adenocarcinoma", "non-squamous"),
        ("adenosquamous", "adenosquamous"),
        ("Sarcoma", "sarcoma"),
    ],
)
def test_histology_as_the_fact_carries_it(text, kind):
    assert histology_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("IIIB", "IIIB"),
        ("3B", "IIIB"),
        ("3b", "IIIB"),
        ("Stage IV", "IV"),
        ("stage 4", "IV"),
        ("Stage IIIA (cT2 cN2 cM0)", "IIIA"),
        ("cT2N2M0, stage IIIA", "IIIA"),
        ("cT2 N2 M0 stage IIIA", "IIIA"),
        ("AJCC 8th edition stage IIIC", "IIIC"),
        ("AJCC stage IIB", "IIB"),
        ("Clinical stage IIB", "IIB"),
        ("pathologic stage IA3", "IA3"),
        ("American Joint Committee on Cancer stage IIIA (qualifier value)", "IIIA"),
        ("Stage IVB (cT2a, cN0, cM1c2)", "IVB"),
        ("Stage IIIA (cT1c, cN2b, cM0)", "IIIA"),
        ("Stage IA1 (pT1mi, pN0, cM0)", "IA1"),
        ("Stage IIIA (pT4, pN0, cM0, G3)", "IIIA"),
        ("Stage IVA (M1a)", "IVA"),
        ("Stage IIIA (M1a)", None),
        ("Stage IIIA, M0, 4", None),
        ("pT2a pN1 cM0, Stage IIB, AJCC 8", "IIB"),
        ("Clin Stage Group 3B", "IIIB"),
        ("3 N2 M0", None),
        ("cIIIA", "IIIA"),
        ("Stage group IVA", "IVA"),
        ("Stage: IVB", "IVB"),
        ("Stage 3C (qualifier value)", "IIIC"),
        ("0", "0"),
        ("extensive", "extensive"),
        ("Extensive stage", "extensive"),
        ("limited disease", "limited"),
        ("IIIE", None),
        ("V", None),
        ("IB1", None),
        ("II-III", None),
        ("IIIA/B", None),
        ("IIIA or IIIB", None),
        ("not stage IV", None),
        ("stage unknown", None),
        ("T2N2M0", None),
        ("grade 3", None),
        ("", None),
    ],
)
def test_stage_text_must_parse_completely(text, stage):
    assert stage_from_text(text) == stage


def test_every_parsed_stage_is_in_the_catalogue():
    for form in STAGES:
        assert stage_from_text(form) == form
    for number in ("I", "II", "III", "IV", "1", "2", "3", "4"):
        for letter in ("", "A", "B", "C", "D"):
            for digit in ("", "1", "2", "3"):
                found = stage_from_text(number + letter + digit)
                assert found is None or found in STAGES


def test_stage_of_codes():
    assert stage_from_codings([Coding(SNOMED, "1222806003")]) == "IIIC"
    assert stage_from_codings([Coding("http://cancerstaging.org", "3C")]) == "IIIC"
    assert stage_from_codings([Coding(SNOMED, "422968005")]) == "III"
    assert stage_from_codings([Coding("http://local.example", "77", "Stage IIIA")]) == "IIIA"
    assert stage_from_codings([], "Stage IV") == "IV"
    assert stage_from_codings([Coding(SNOMED, "1222806003"), Coding(SNOMED, "1222769001")]) is None
    assert stage_from_codings([Coding(SNOMED, "1222593007")]) is None


def test_stage_in_a_longer_text():
    assert stage_in_text("NSCLC, stage IIIB, unresectable") == "IIIB"
    assert stage_in_text("stage II-III NSCLC") is None
    assert stage_in_text("stage IIIA, now stage IV") is None
    assert stage_in_text("NSCLC with CKD stage 3") is None
    assert stage_in_text("NSCLC stage IIIB, stage 2 pressure ulcer") == "IIIB"


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("Medical Oncology", True),
        ("Internal Medicine, Medical Oncology", True),
        ("Internal Medicine, Hematology & Oncology", True),
        ("Haematology and Oncology", True),
        ("Hem/Onc", True),
        ("Radiation Oncology", True),
        ("Surgical oncology", True),
        ("Gynecologic Oncology", True),
        ("Gynaecological oncology", True),
        ("Pediatric oncologist", True),
        ("Pediatrics, Hematology-Oncology", True),
        ("Thoracic oncologist", True),
        ("oncologist", True),
        ("Hematology", False),
        ("Clinical hematology", False),
        ("Pulmonology", False),
        ("Internal Medicine", False),
        ("Nurse practitioner, oncology", False),
        ("Oncology nurse", False),
        ("Clinical nurse specialist, oncology", False),
        ("Physician Assistant - Oncology", False),
        ("Oncology pharmacist", False),
        ("Clinic/Center, Oncology", False),
        ("Diagnostic radiology", False),
        ("not an oncologist", False),
        ("non-oncology", False),
        ("", False),
    ],
)
def test_who_is_an_oncologist(text, counts):
    assert is_oncology_specialty(text) is counts


def test_known_specialty_codes_speak_for_themselves():
    assert is_oncology_specialty(specialty_display([Coding(NUCC, "207RX0202X")]))
    mislabelled = Coding(NUCC, "2085R0202X", "Radiation Oncology")
    assert not is_oncology_specialty(specialty_display([mislabelled]))
    assert specialty_display([], "Cardiology") == "Cardiology"


@given(st.text(max_size=60))
def test_no_text_raises(text):
    diagnosis_from_text(text)
    histology_of([], text)
    histology_kind(text)
    stage_from_text(text)
    stage_in_text(text)
    is_oncology_specialty(text)


@pytest.mark.parametrize("entry", entries("liver_cancer_ambiguous"), ids=lambda entry: entry.code)
@pytest.mark.parametrize("displayed", [True, False])
def test_what_settles_no_liver_tumour_does_not_by_its_own_name(entry, displayed):
    coding = Coding(entry.system, entry.code, entry.display if displayed else "")
    found = diagnosis_from_codings((coding,))
    assert found.disease == "hcc"
    assert not found.settled
    assert found.ask == ("indication",)


@pytest.mark.parametrize(
    ("coding", "text", "group"),
    [
        ((ICDO3, "8240/3"), "", "neuroendocrine"),
        ((ICDO3, "8249/3"), "", "neuroendocrine"),
        ((ICDO3, "9050/3"), "", "foreign"),
        ((ICDO3, "9680/3"), "", "foreign"),
        ((ICDO3, "8720/3"), "", "foreign"),
        ((SNOMED, "1187332001"), "Small cell carcinoma", "contradictory"),
        ((SNOMED, "1187332001"), "Mesothelioma, epithelioid", "contradictory"),
        ((SNOMED, "1187332001"), "Adenocarcinoma", "nsclc"),
        ((SNOMED, "1187332001"), "Adenocarcinoma, not small cell", "nsclc"),
        ((SNOMED, "1187332001"), "Adenocarcinoma, no evidence of mesothelioma", "nsclc"),
        ((SNOMED, "1187332001"), "Adenocarcinoma with neuroendocrine differentiation", "nsclc"),
        ((ICDO3, "8041/3"), "Small cell neuroendocrine carcinoma", "sclc"),
        ((ICDO3, "8073/3"), "Squamous cell carcinoma, small cell, nonkeratinizing", "nsclc"),
        ((ICDO3, "8141/3"), "Scirrhous adenocarcinoma", "nsclc"),
        (("", ""), "Typical carcinoid tumor", "neuroendocrine"),
        (("", ""), "Malignant mesothelioma", "foreign"),
        (("", ""), "Diffuse large B-cell lymphoma", "foreign"),
    ],
)
def test_a_histology_of_no_cancer_here_and_one_that_contradicts_itself(coding, text, group):
    assert histology_of([Coding(*coding)] if coding[1] else [], text).group == group


@pytest.mark.parametrize("code", ["8240/3", "8249/3", "9050/3"])
@pytest.mark.parametrize("tumour", [(SNOMED, "254637007"), (ICD10, "C34.11"), (SNOMED, "109841003"), (ICD10, "C22.9")])
def test_a_histology_of_another_tumour_leaves_a_diagnosis_open(code, tumour):
    found = diagnosis_from_codings([Coding(*tumour)], "", histology_of([Coding(ICDO3, code)]))
    assert not found.settled
    assert "indication" in found.ask


@pytest.mark.parametrize(
    ("code", "text", "settled"),
    [
        ("254637007", "Mesothelioma", False),
        ("254637007", "Carcinoid tumor of lung", False),
        ("254637007", "Metastatic breast cancer to lung", False),
        ("254626006", "Lymphoma of lung", False),
        ("109841003", "Hepatoblastoma", False),
        ("109841003", "Angiosarcoma of liver", False),
        ("254637007", "Lung cancer, history of breast cancer", True),
        ("254637007", "NSCLC; mother with melanoma", True),
        ("254637007", "Malignant tumor of lung with bone and brain lesions", True),
        ("254637007", "Adenocarcinoma with bone lesions", True),
        ("254637007", "Non-small cell carcinoma, not mesothelioma", True),
        ("254637007", "Sarcomatoid carcinoma of lung", True),
        ("109841003", "Liver cancer", True),
        ("109841003", "Hepatoma", True),
    ],
)
def test_words_that_name_another_tumour_than_their_code_leave_it_open(code, text, settled):
    assert diagnosis_from_codings([Coding(SNOMED, code)], text).settled is settled
    assert diagnosis_from_codings([Coding(SNOMED, code, text)]).settled is settled


OF_A_SITE = "http://local.example/diagnoses"


@pytest.mark.parametrize(
    ("text", "display", "expected"),
    [
        ("Malignant neoplasm of right lung (HCC)", "Squamous cell carcinoma of right lung", "nsclc"),
        ("Lung cancer", "Small cell carcinoma of lung, extensive stage", "es-sclc extensive"),
        ("", "Adenocarcinoma of right lung", "nsclc"),
        ("Non-small cell lung cancer", "Small cell carcinoma of right lung", "nsclc?"),
        ("Liver cancer", "Hepatocellular carcinoma", "hcc"),
        ("Breast cancer metastatic to lung", "Non-small cell lung cancer", "other"),
        ("Non-small cell lung cancer", "Breast cancer", "nsclc?"),
        ("History of non-small cell lung cancer", "Non-small cell lung cancer", "nsclc?"),
        ("Mother with NSCLC", "Non-small cell lung cancer", "nsclc?"),
        ("NSCLC, stage IV ruled out", "Non-small cell lung cancer", "nsclc"),
    ],
)
def test_the_words_and_the_displays_of_a_concept_are_read_together(text, display, expected):
    vague = Coding(ICD10, "C22.9" if "iver" in text else "C34.91", "")
    codings = [Coding(OF_A_SITE, "77", display)]
    assert short(diagnosis_from_codings(codings, text)) == expected
    if expected != "other":
        assert short(diagnosis_from_codings([vague, *codings], text)) == expected


def test_types_of_which_words_and_display_differ_are_no_histology():
    codings = [Coding(OF_A_SITE, "77", "Squamous cell carcinoma of right lung")]
    assert diagnosis_from_codings(codings, "Adenocarcinoma of right lung").histology is None


def test_words_that_say_that_a_coded_disease_is_over_leave_it_open():
    assert short(diagnosis_from_codings([Coding(SNOMED, "254637007")], "NSCLC, in remission")) == "nsclc?"
