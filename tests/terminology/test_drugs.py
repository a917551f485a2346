"""Which drug a medication is."""

from __future__ import annotations

import pytest

from cds_service.terminology import Coding, Drug, generic_name, is_drug
from cds_service.terminology.codes import HCPCS, NDC, RXNORM
from tests.facts.orders import DURVALUMAB

OTHER = Drug(name="examplimab", brand="Exa", names=("examplimab", "exa"), codes=frozenset({("http://x.example", "9")}))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("durvalumab", "durvalumab"),
        ("IMFINZI 50 mg/mL", "durvalumab"),
        ("tremelimumab-actl (Imjudo)", "tremelimumab"),
        ("CISplatin 1 mg/mL", "cisplatin"),
        ("CARBOplatin (Paraplatin)", "carboplatin"),
        ("etoposide phosphate (Etopophos)", "etoposide"),
        ("Gemzar", "gemcitabine"),
        ("Alimta 500 mg", "pemetrexed"),
        ("pemetrexed disodium", "pemetrexed"),
        ("paclitaxel 6 MG/ML", "paclitaxel"),
        ("paclitaxel protein-bound", "nab-paclitaxel"),
        ("Paclitaxel, albumin bound", "nab-paclitaxel"),
        ("nab-paclitaxel", "nab-paclitaxel"),
        ("Nab paclitaxel (Abraxane)", "nab-paclitaxel"),
        ("Abraxane", "nab-paclitaxel"),
        ("gemcitabine 225 MG drug implant [Inlexzo]", "gemcitabine implant"),
        ("docetaxel", None),
        ("carboplatin and paclitaxel", None),
        ("not cisplatin", None),
        ("cisplatin allergy", None),
        ("", None),
    ],
)
def test_generic_name_of_text(text, name):
    assert generic_name(text) == name


@pytest.mark.parametrize(
    ("codings", "name"),
    [
        ([(RXNORM, "2619313")], "tremelimumab"),
        ([(RXNORM, "2555")], "cisplatin"),
        ([(HCPCS, "J9045")], "carboplatin"),
        ([(RXNORM, "197687")], "etoposide"),
        ([(RXNORM, "56946")], "paclitaxel"),
        ([(RXNORM, "56946", "PACLitaxel protein-bound particles")], "nab-paclitaxel"),
        ([(RXNORM, "583214")], "nab-paclitaxel"),
        ([(HCPCS, "J9264")], "nab-paclitaxel"),
        ([(RXNORM, "56946"), (RXNORM, "583218")], "nab-paclitaxel"),
        ([(NDC, "68817-0134-50")], "nab-paclitaxel"),
        ([(RXNORM, "2723386")], "gemcitabine implant"),
        ([(RXNORM, "2555"), (RXNORM, "40048")], None),
        ([(HCPCS, "J9999", "carboplatin")], "carboplatin"),
        ([(HCPCS, "J9999")], None),
        ([("http://local.example", "1", "Gemcitabine 1 g")], "gemcitabine"),
    ],
)
def test_generic_name_of_codings(codings, name):
    assert generic_name(Coding(*coding) for coding in codings) == name


def test_ingredient_with_text_tells_the_albumin_bound_form():
    assert generic_name([Coding(RXNORM, "56946")], "Abraxane") == "nab-paclitaxel"


def test_another_drug_needs_no_code_of_ours():
    assert is_drug(OTHER, [Coding("http://x.example", "9")])
    assert is_drug(OTHER, [], "Examplimab 10 mg")
    assert not is_drug(OTHER, [Coding(RXNORM, "1919503")], "examplimab")
    assert not is_drug(DURVALUMAB, [Coding("http://x.example", "9")], "examplimab")


@pytest.mark.parametrize(
    ("coding", "text", "expected"),
    [
        ((RXNORM, "3264", "dexamethasone"), "dexamethasone 10 mg IV, premedication for durvalumab", False),
        ((RXNORM, "9863", "sodium chloride"), "sodium chloride 0.9 % flush after durvalumab infusion", False),
        ((RXNORM, "6902", "methylprednisolone"), "methylprednisolone for pneumonitis after Imfinzi", False),
        ((NDC, "00000-0001-01", "Something"), "Something, rescue before Imfinzi and after durvalumab", False),
        # What may be an order of the drug stays one: no name of another, no code, a code of nothing, its own name too.
        ((RXNORM, "3264", ""), "premedication for durvalumab", True),
        ((HCPCS, "J9999", "Not otherwise classified, antineoplastic drugs"), "claim for durvalumab", True),
        (("http://local.example", "7", "Infusion"), "infusion for durvalumab", True),
        ((RXNORM, "3264", "dexamethasone"), "durvalumab 1,500 mg after dexamethasone", True),
        ((RXNORM, "3264", "dexamethasone"), "durvalumab 1,500 mg; flush after durvalumab", True),
        ((RXNORM, "9999999", "durvalumab 50 MG/ML"), "dose after durvalumab", True),
    ],
)
def test_what_is_given_beside_the_drug_is_another_drug(coding, text, expected):
    assert is_drug(DURVALUMAB, [Coding(*coding)], text) is expected


def test_unconfirmed_code_settles_nothing_alone():
    assert not is_drug(DURVALUMAB, [Coding(RXNORM, "1919505")])
    assert is_drug(DURVALUMAB, [Coding(RXNORM, "1919505", "durvalumab injection")])
