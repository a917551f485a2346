"""What the words of a gene test's result say, by a closed vocabulary that must hold every one of them.

A text is taken apart into known phrases, each with a letter, and the letters have to spell statements, or it is not
understood. "EGFR gene not found in report", "Biopsy negative" and "No mutation testing" deny something that is no
mutation: a reader that only looks for denials takes them for a negative test.

The letters (a capital is a result)::

    N negative     P positive     D not detected  T detected   A absent, not found   S seen   O no, none   Y yes
    f mutation     r rearrangement    k fusion by its name     c one change          d kind of change
    g gene by name x "gene"       e exons         m material   s disease
    h heading      t test         v how much      z none of it    u, w method

So "EGFR: no mutation detected" is ``gOfT``: a gene, a denial, what is denied and seen. "T790M negative; L858R positive"
is ``cN;cP``, two statements. "No mutation testing" is ``Oft``: the test is denied with it, and nothing is said.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cds_service.facts.changes import CHANGE, EXONS, KIND, named_in, only_about
from cds_service.fhir.read import runs_on
from cds_service.terminology.doubt import doubt, plain
from cds_service.values import remembered

GENE = re.compile(
    r"\b(?:alk|egfr|[knh]?ras|ros-?1|braf|met|ret|ntrk(?:[1-3](?:/[1-3])*)?|her-?2|erbb2|pd-?l1|tp53|stk11|keap1|"
    r"pik3ca|fgfr\d?|nrg1)\b"
)
_FOUND_IN = (
    r"(?:(?:the|this|submitted|provided|liquid) )*(?:(?:circulating |cell-free )?(?:tumou?r )?"
    r"(?:(?:ct|cf)?[dr]na|tissue|specimens?|samples?)|tumou?r(?: cells)?|biopsy|plasma|blood)"
    r"(?: (?:provided|submitted))?"
)
_METHOD = (
    r"(?:dna |rna |targeted )*(?:ngs|next[- ]generation sequencing|sequencing)|sanger(?: sequencing)?|pyrosequencing|"
    r"(?:rt-|real[- ]time |droplet )*(?:dd|digital )?pcr"
)
_ALK_METHOD = (
    r"(?:vysis )?(?:alk )?break[- ]apart(?: probe)?(?: fish)?|fish|ihc|immuno(?:histochemistry|stain)|d5f3(?: cdx)?|"
    r"ventana"
)
_ASSAY = (
    r"foundation(?: ?one| medicine)?(?: liquid)?(?: cdx)?|guardant ?360(?: cdx)?|caris(?: molecular intelligence)?|"
    r"tempus(?: x[tf])?|oncomine(?: dx)?(?: target test)?|idylla|cobas(?: egfr mutation test)?(?: v2)?|"
    r"therascreen(?: egfr)?(?: rgq)?"
)
_QUALITY = (
    r"pathogenic(?: or likely pathogenic)?|(?:clinically )?(?:significant|relevant)|sensiti[sz]ing|activating|"
    r"reportable|actionable|targetable|detectable|driver|hotspots?|somatic|oncogenic|genomic|type"
)
_DAY = r"(?:on |in )?(?:\d{4}-\d\d-\d\d|\d{1,2}/\d{1,2}/\d{2,4}|\d{1,2}/20\d\d)|at this time"
_CELLS = r"(?: (?:cf|ct)dna| of (?:the )?(?:tumou?r )?(?:cells|nuclei))"
_PERCENT = r"(?:[1-9]\d*(?:\.\d+)?|0\.\d*[1-9]\d*) ?%"

# The first phrase that fits is taken. A capital is a result; a phrase without a letter changes nothing.
_PHRASES = (
    # Said of a gene, of what is looked for, or of the test.
    ("N", r"negative|neg|wild[- ]?type|wt|(?:not |non-?|un-?)mutated|(?:not |non-?|un-?)rearranged"),
    ("P", r"(?:weakly |weak |strongly )?positive|pos|mutated|mutant|rearranged"),
    # Said of a gene or of what is looked for.
    ("D", r"not[- ]detect(?:ed|able)|undetected|none detected"),
    ("T", r"detected"),
    # Said of what is looked for, and often of a report or a specimen.
    ("A", r"absent|(?:not|none) (?:found|identified|present|seen)"),
    ("S", r"present|found|identified|seen"),
    ("O", r"no(?: evidence of)?|absence of|none"),
    ("Y", r"yes"),
    # What is looked for: any mutation, a rearrangement, a fusion by its name, one change, a kind of change.
    ("f", r"(?:mutation|variant|alteration|aberration)s?(?:\(s\))?"),
    ("r", r"(?:rearrangement|fusion|translocation)s?(?:\(s\))?"),
    ("k", r"(?:eml4|kif5b|klc1|tfg|hip1|strn)[-:/ ]{1,3}alk(?:(?: fusion)?,? variant v?\d\w?)?"),
    ("c", CHANGE),
    ("d", rf"{KIND}|point|missense|in-?frame"),
    # Where it is looked for: genes, exons, the patient's material, the disease.
    ("e", EXONS),
    ("", r"pd-?l1(?: (?:22c3|sp263))?(?: ihc)?(?: tps| expression)?:? ?[<>]?\d+ ?%"),
    ("g", GENE.pattern),
    ("x", r"(?:onco)?genes?"),
    ("", rf"(?:in|on|from|using|by) {_FOUND_IN}"),
    ("m", r"(?:tumou?r )?(?:tissue|specimen|sample)|plasma|blood"),
    ("s", r"(?<!for )(?:nsclc|lung (?:cancer|adenocarcinoma))"),
    # The test: before a colon it heads a result, elsewhere it may be all that is denied.
    (
        "h",
        r"(?:final |overall )?(?:interpretation|impression|conclusion|tests?|testing|analysis|status|results?)(?= ?:)",
    ),
    ("t", r"(?:mutational )?(?:tests?|testing|analysis|status|assay|results?)"),
    # How much there is of it.
    ("v", rf"{_PERCENT}{_CELLS}?|low(?:[- ]level)?|abnormal|3\+"),
    ("v", r"vaf|maf|(?:(?:variant|mutant) )?(?:allele|allelic) (?:frequency|fraction)"),
    # How it was looked for ("by NGS", or the name of the test), and where more is said of it.
    ("u", rf"(?:by|on|with|using|via) (?:{_METHOD}|{_ASSAY})"),
    ("w", rf"{_METHOD}|{_ASSAY}"),
    ("u", r"see (?:the |full |separate )*(?:report|notes?|comments?|below)|per (?:the |outside )*report"),
    ("", r"(?:limit of detection|lod|cut-?off):? ?\d+(?:\.\d+)? ?%"),
    ("", r"tumou?r (?:content|cellularity):? ?(?:[2-9]\d|100) ?%"),
    ("", r"(?:interpreted|read|reported) as|final|(?:the )?(?:final |test )?result is|tier i{1,2}[abcd]?|normal(?=:)"),
    ("", r"tmb:? ?\d+(?: mut/mb)?|ms[si][- ]stable|mss|nm_[\d.]+"),
    ("", _DAY),
    ("", _QUALITY),
    ("", r"the|an?|any|also|of|for|in|at|with|within|is|was|were|are"),
)
_FOR_ALK = (
    ("f", r"(?:protein )?expression"),
    ("z", r"(?:ihc )?(?:score:? )?0(?:(?: ?/ ?| of )[1-9]\d*)?(?: ?%)?(?: (?:of )?(?:(?:tumou?r )?cells|nuclei))?"),
    ("u", rf"(?:by|on|with|using|via) (?:{_ALK_METHOD})"),
    ("w", _ALK_METHOD),
    ("", "2p23"),
    ("", r"(?:polysomy|amplification|copy number gain)(?=[,;] (?:no |not rearr))"),
)
"""ALK is tested in the protein and in the cell too; what is found of EGFR by these methods is no mutation."""


def _scanner(*phrases: tuple[str, str]) -> re.Pattern[str]:
    named = (rf"(?P<{letter or '_'}{place}>{words})(?!\w)" for place, (letter, words) in enumerate(phrases))
    joints = (
        r"(?P<break>[.;]|but\b|\s*\((?=no(?:ne)?\b))",
        r"(?P<comma>,)",
        r"(?P<and>and\b|&)",
        r"(?P<or>or\b|nor\b)",
    )
    return re.compile(
        "|".join((*named, *joints, r"(?P<_>[\s:()/=\"]+|- (?=\w)|(?<=\w)-(?=neg|pos|wild|wt|mut|rearr))"))
    )


_SCANNERS = {"egfr": _scanner(*_PHRASES), "alk": _scanner(*_FOR_ALK, *_PHRASES)}
_JOINTS = {"break": ";", "comma": ",", "and": "&", "or": "|"}

_JOINED = re.compile(r"[^,&|]+")
"""The statements of a clause that commas and "and" part: "L858R detected, T790M not detected"."""
_RESULT_LAST = re.compile(r"[^A-Z]*(?:O[^A-Z]*[TS]|[TS],?[OY]|[A-Z])")
"""... that each end with their result: "EGFR L858R positive T790M negative"."""
_RESULT_FIRST = re.compile(r"[NPDT][^A-Za-z]*[a-z][^A-Z]*")
"""... that each begin with it: "negative for L858R, T790M; positive for exon 19 deletion"."""
_TWO_THINGS = re.compile(r"O[^A-Z]*w|O[^A-Z|]*[,&][^A-Z|]*[TS]|[cd][^A-Z]*[A-Z][^A-Z]*[,&|][^A-Z]*[cd]")
""""No mutation NGS", "no T790M, L858R detected" and "T790M negative, L858R": what is denied is not clear."""
_DENIAL = re.compile(r"[gxfethm]*O(?P<of>[gxfrkcde]+)[TS]?[gxem]*|(?P<none>[gxfrcde]+)[TS]?O")
""""EGFR: no mutation detected in exons 18-21", and "EGFR mutations: none"."""
_LISTED = re.compile(r"([ge])[,&|]+(?=\1)")
"""Genes, or exons, of one list."""
_FINDINGS = frozenset("frkcd")
"""What can be found; the rest is where, or how, it is looked for."""
_AFFIRMED = frozenset({"", "P", "T", "S", "Y", "TY", "SY"})
_DENIED = frozenset({"N", "D"})

_UNTESTED = re.compile(
    r"\b(?:qns|tnp|quantity not sufficient|insufficient|inadequate|pending|cancell?ed|in progress|to follow|failed|"
    r"no call|unable to|not (?:tested|performed|done|evaluable|assessed|ordered))\b"
)
_NAMES = re.compile(
    r"\b(?:l858r|t790m|g719\w|l861q|s768i|eml4[-:/ ]+alk|(?:exon|ex)[- ]?(?:18|19|20|21))\b|\b[cp]\.\(?[a-z]{0,3}\d"
)
_AFFIRMS = re.compile(
    r".*\b(?:positive|pos|detected|present|found|identified|seen|mutated|mutant|rearranged|amplified)\b"
)
_DENIES = re.compile(
    r"\b(?:no|not|never|none|nor|neither|without|ruled out|exclu\w+|absen\w+|lack\w*|undetected|negative|neg|wild|wt|"
    r"see|tested for|analy[sz]ed|panel|germline|controls?|vus|significance)\b"
)
_CONTRARY = re.compile(r"\b(?:negative|neg|wild|wt|undetected|absen\w+)\b")
_BARE = re.compile(rf"true|yes|y|[1-4]?\++|>? ?{_PERCENT}")
"""Half a sentence that says yes, or how much there is."""
_IN_LETTERS = {"epidermal growth factor receptor": "egfr", "anaplastic lymphoma kinase": "alk"}
_SPELLED_OUT = re.compile("|".join(_IN_LETTERS))
_SAYS_POSITIVE = re.compile(
    r"(?<!not )\b(?:positive|pos|(?<!un)mutated|mutant|rearranged|detected)\b|\b(?:egfr|alk) ?\+|"
    r"\bwith (?:an? )?(?:\w+ )?(?:mutation|rearrangement|fusion)"
)
_SAYS_NEGATIVE = re.compile(
    r"\b(?:negative|neg|wild|wt|unmutated|without|no|not|none|absen\w+|undetected)\b|\b(?:egfr|alk) ?-(?!\w)"
)
UNSURE = doubt(
    *("unsure", "leaning", "softened", "choice", "condition", "plan", "past", "person", "hearsay", "qualified"),
    *("twice", "foreign", "open"),
)
_CLAUSES = re.compile(r"[;,.\n]|\band\b|\bbut\b")


class Said(NamedTuple):
    """What a text says of a gene, and the changes that were found, or that alone are said to be absent."""

    result: str | None
    about: str = ""


class _Statement(NamedTuple):
    """One statement: its letters, its words and the genes it is about."""

    kinds: str
    positive: bool
    words: str
    genes: frozenset[str]


@remembered
def read_result(words: str, gene: str) -> Said:
    """What a text says of a gene; no result where it says none, several, or anything that is not known here.

    >>> read_result("EGFR: no mutation detected", "egfr"), read_result("L858R: detected, T790M: not detected", "egfr")
    (Said(result='negative', about=''), Said(result='positive', about='L858R'))
    """
    said = plain(words)
    if runs_on(said):
        return Said(None)
    found = _statements(said, gene)
    if found is None:
        return Said("not-tested" if _UNTESTED.search(said) else None)
    mine = [one for one in found if gene in one.genes and _is_of(gene, one)]
    if not mine or _differ(mine, found, gene):
        return Said(None)
    affirmed = [one for one in mine if one.positive]
    denied = [one for one in mine if not one.positive]
    absent = _all_absent(denied)
    if not affirmed:
        return Said("negative", absent)
    changes = named_in(_words(affirmed))
    if denied and not (absent and all("c" in one.kinds for one in affirmed)):
        return Said(None)
    if set(changes) & set(named_in(_words(denied))):
        return Said(None)  # both found and not
    return Said("positive", ", ".join(changes))


def _differ(mine: list[_Statement], found: list[_Statement], gene: str) -> bool:
    """Whether another statement says the contrary, and not plainly of another gene ("EGFR negative, KRAS positive")."""
    signs = {one.positive for one in mine}
    contrary = [one for one in found if one.positive not in signs]
    named = [GENE.findall(one.words) for one in contrary]
    plainly = all(genes and gene not in genes for genes in named)
    return bool(contrary) and not (plainly and all(gene in GENE.findall(one.words) for one in mine))


def _all_absent(denied: list[_Statement]) -> str:
    """What is absent, where that is less than every mutation; else empty."""
    kinds = [one.kinds.replace("df", "d") for one in denied]  # "no insertion mutations"
    if any("f" in one or "d" not in one for one in kinds if not set("ce") & set(one)):
        return ""
    return only_about(_words(denied)) if any(set("ce") & set(one) for one in kinds) else _words(denied)


def _words(statements: list[_Statement]) -> str:
    return " ; ".join(one.words for one in statements)


def _is_of(gene: str, one: _Statement) -> bool:
    """Whether a statement is of what is looked for: a fusion is no mutation of EGFR, one change no fusion of ALK."""
    kinds = set(one.kinds)
    if gene == "egfr":
        return not kinds & set("rk") or bool(kinds & set("fcd"))
    return not kinds & set("cde") or (one.positive and bool(kinds & set("gkr")))


def _statements(said: str, gene: str) -> list[_Statement] | None:
    """The statements of a text; None where a word is not known, or the words make none."""
    kinds, places = _spelled(said, gene)
    statements: list[_Statement] = []
    genes = frozenset({gene})
    for clause in re.finditer(r"[^;]+", kinds):
        parts = _parts(clause[0])
        if parts is None:
            return None
        for first, last, positive in parts:
            words = said[places[clause.start() + first][0] : places[clause.start() + last - 1][1]]
            genes = frozenset(GENE.findall(words)) or genes  # what names no gene is of the one named before
            statements.append(_Statement(clause[0][first:last], positive, words, genes))
    return statements


def _spelled(said: str, gene: str) -> tuple[str, list[tuple[int, int]]]:
    """A text as the letters of its phrases, with the place of each; "?" where a word is not known."""
    kinds: list[str] = []
    places: list[tuple[int, int]] = []
    position = 0
    while position < len(said):
        match = _SCANNERS[gene].match(said, position)
        if match is None:
            return "?", [(0, len(said))]
        name, position = match.lastgroup or "_", match.end()
        kind = _JOINTS.get(name) or name[0]
        if kind != "_":
            kinds.append(kind)
            places.append(match.span())
    return "".join(kinds), places


def _parts(clause: str) -> list[tuple[int, int, bool]] | None:
    """The statements of a clause: one; several that are joined; or several with their results last, or first."""
    if not clause.strip(",&|wu"):
        return []
    if (sign := _sign(clause)) is not None:
        return [(0, len(clause), sign)]
    for form in (_JOINED, _RESULT_LAST, _RESULT_FIRST):
        if form.sub("", clause).strip(",&|wu"):
            continue
        parts = [(part.start(), part.end(), _sign(part[0])) for part in form.finditer(clause)]
        if all(sign is not None and not clause[first:last].islower() for first, last, sign in parts):
            return [(first, last, bool(sign)) for first, last, sign in parts]
    return None


def _sign(clause: str) -> bool | None:
    """Whether one statement affirms (or only names a change, which is to affirm it) or denies; None if it is none."""
    listed = _LISTED.sub(r"\1", clause)
    if _TWO_THINGS.search(listed):
        return None
    kinds = re.sub("[,&|wu]", "", listed)
    result = "".join(filter(str.isupper, kinds))
    nouns = set(kinds) - set(result)
    if "g" in nouns:
        nouns.discard("s")  # "EGFR-negative NSCLC" is of the gene, "negative, NSCLC" perhaps of another place
    found = bool(nouns & _FINDINGS)
    if "s" in nouns or ("v" in nouns and result not in _AFFIRMED) or ("z" in nouns and result not in _DENIED):
        return None
    if not result:
        return True if nouns & set("ck") and not nouns & set("tm") and not set("wu") & set(listed) else None
    if "O" in result:
        denial = _DENIAL.fullmatch(kinds.replace("s", ""))
        return False if denial and _FINDINGS & set(denial["of"] or denial["none"]) else None
    # Whether each result says something of a mutation, beside what it stands with: "biopsy positive" does not.
    stated = {
        "N": True,
        "P": found or "m" not in nouns,
        "D": found or not nouns & set("xtm"),
        "A": (found and not nouns & set("thm")) or not nouns,
        "Y": found,
    }
    stated |= {"T": stated["D"], "S": (found and not nouns & set("th")) or not nouns, "TY": found, "SY": found}
    return result in _AFFIRMED if stated.get(result) else None


@remembered
def may_be_found(words: str, gene: str) -> bool:
    """Whether a part of a text that is not understood affirms something of a gene, and neither denies nor doubts it.

    To name a change, or a share of cells, is to affirm it.
    """
    return _BARE.fullmatch(plain(words)) is not None or _is_affirmed(words, gene, named=True)


@remembered
def is_said_to_be_found(words: str, gene: str) -> bool:
    """The same for lists of what was looked for, in which a change by its name alone says nothing."""
    return _is_affirmed(words, gene, named=False)


def _is_affirmed(words: str, gene: str, *, named: bool) -> bool:
    for part in map(plain, _CLAUSES.split(words.lower())):
        genes = GENE.findall(part)
        affirmed = _AFFIRMS.match(part)
        if (gene in genes or not genes) and (affirmed or (named and _NAMES.search(part))):
            said = affirmed[0] if affirmed else part  # what follows a plain word may be of something else
            if not (_DENIES.search(said) or _CONTRARY.search(part) or UNSURE.search(part) or _UNTESTED.search(part)):
                return True
    return False


def is_of_others(said: str, gene: str) -> bool:
    """Whether a text (made plain) names genes, and not this one."""
    genes = GENE.findall(said)
    return bool(genes) and gene not in genes


def says_the_opposite(words: str, gene: str, result: str) -> bool:
    """Whether the name of a diagnosis says of a gene the opposite of what its code does, and nowhere the same."""
    against = with_it = False
    for part in _CLAUSES.split(_SPELLED_OUT.sub(lambda name: _IN_LETTERS[name[0]], plain(words))):
        if gene in GENE.findall(part):
            signs = {"positive": _SAYS_POSITIVE.search(part), "negative": _SAYS_NEGATIVE.search(part)}
            with_it = with_it or signs.pop(result) is not None
            against = against or any(signs.values())
    return against and not with_it
