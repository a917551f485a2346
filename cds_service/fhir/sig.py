"""Free-text sigs by a closed grammar that must consume the whole text, or says nothing at all.

Used only where the structure is silent. Words with two meanings ("biweekly", "C5D1") are understood as such: they
give no interval, unless the text also says which is meant ("biweekly (every 2 weeks)").
"""

from __future__ import annotations

import re
from dataclasses import field
from decimal import Decimal
from typing import TYPE_CHECKING

from cds_service.criteria.finding import Missing
from cds_service.criteria.quantity import Interval
from cds_service.fhir.quantities import DILUENTS, NUMBER, number_said, unit_of
from cds_service.fhir.timing import interval, length, period_unit
from cds_service.terminology.doubt import plain
from cds_service.values import dataclass, remembered

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[["Sig", re.Match[str]], None]

_LONGEST_SIG = 300


@dataclass(slots=True)
class Sig:
    """What a whole text says. ``amounts`` are (lower, upper, unit) views of one dose: 10 mg/kg (700 mg).

    ``bound`` is the length of the course in days, ``ambiguous`` a schedule with two meanings, ``windowed`` the interval
    around which there is a window, whose shorter end ``interval`` is.
    """

    amounts: list[tuple[Decimal | None, Decimal, str]] = field(default_factory=list)
    ceiling: tuple[Decimal, str] | None = None
    interval: Interval | None = None
    once: bool = False
    count: int | None = None
    cycles: int | None = None
    cycle_number: int | None = None
    bound: Decimal | None = None
    as_needed: bool = False
    ambiguous: bool = False
    windowed: Interval | None = None
    phase: str | None = None


class _NotReadError(Exception):
    """The text is outside the grammar, or says two things at once."""


# --- words ---------------------------------------------------------------------------------------------------------

_NUMBER_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_COUNTED = {word: Decimal(number) for number, word in enumerate(_NUMBER_WORDS, 1)}
_ORDINAL = {"other": 2, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "sixth": 6, "6th": 6}
_TIMES = {"once": 1, "a": 1, "twice": 2, "thrice": 3}
_ADVERB = {
    **dict.fromkeys(("daily", "qd"), (1, "d")),
    "weekly": (1, "wk"),
    **dict.fromkeys(("fortnightly", "every fortnight"), (2, "wk")),
    "monthly": (1, "mo"),
    "quarterly": (3, "mo"),
    **dict.fromkeys(("yearly", "annually"), (1, "a")),
}


def _any(*alternatives: str) -> str:
    return "(?:" + "|".join(alternatives) + ")"


_END = r"(?![a-z0-9])"
_NUM = NUMBER
_INT = _any(r"\d+", *_NUMBER_WORDS)
_TO = r" ?(?:-|\u2013|to|or) ?"
_TIME = _any(
    "hours?", "hrs?", "h", "days?", "d", "weeks?", "wks?", "w", "months?", "mos?", "mon", "years?", "yrs?", "y"
)
_UNIT = (
    _any(
        r"mg ?/ ?kg(?: ?/ ?dose| per dose| (?:of )?(?:actual )?(?:body )?weight| bw)?",
        r"(?:mg|milligrams?) per (?:kg|kilogram)",
        r"mg ?/ ?m(?:2|\u00b2|\^2)",
        r"mg/dose|mgs?|milligrams?|grams?|gms?|g|mcgs?|ug|\u00b5g|\u03bcg|micrograms?",
        r"mls?|cc|millilit(?:er|re)s?|vials?",
        r"(?:billing )?units? (?:of )?[a-z]\d{4}|[a-z]\d{4} (?:billing )?units?",
        r"iu|international units?|units?|tablets?|tabs?|capsules?|pills?|drops?",
    )
    + r"(?![a-z0-9/])"
)
_WINDOW = rf"(?: ?\(?(?:\u00b1|\+ ?/ ?-|\+-|plus or minus) ?(?P<window>{_INT}) ?(?P<window_unit>{_TIME}){_END}\)?)?"
_DILUENT = _any(*DILUENTS)
_LESS_THAN = _any(
    r"max(?:imum)?(?: (?:of|single|per|dose))*:?", "not to exceed", "nte", "up to", "no more than", "capped at", "cap"
)


def _number(text: str, unit: str = "") -> Decimal:
    """A number of the text, if it can be only one."""
    found = _COUNTED.get(text) or number_said(text, unit)
    if found is None:
        raise _NotReadError
    return found


def _whole(text: str) -> int:
    number = int(_number(text))
    if number <= 0:
        raise _NotReadError
    return number


# --- what a rule does ----------------------------------------------------------------------------------------------


def _set(sig: Sig, name: str, value: object) -> None:
    """Set a part once; a second, different value means that the text is about more than one instruction."""
    if getattr(sig, name) not in (None, False, value):
        raise _NotReadError
    setattr(sig, name, value)


def _set_interval(sig: Sig, value: Decimal, unit: str | None, value_max: Decimal | None = None, times: int = 1) -> None:
    found = interval(value, unit, value_max, times)
    if isinstance(found, Missing) or (sig.interval is not None and not sig.interval.same_rhythm(found)):
        raise _NotReadError
    sig.interval = sig.interval or found


def _skip(_: Sig, __: re.Match[str]) -> None:
    return


def _amount(sig: Sig, m: re.Match[str]) -> None:
    unit = re.sub(r" ?/ ?", "/", m["unit"])
    low, value = _number(m["low"], unit) if m["low"] else None, _number(m["value"], unit)
    known = unit_of(unit)
    for _, seen, seen_unit in sig.amounts:
        if unit_of(seen_unit) == known and (seen != value or known is None):
            raise _NotReadError  # 500 mg + 1000 mg, or two doses in a row
    sig.amounts.append((low, value, unit))


def _by_weight(sig: Sig, _: re.Match[str]) -> None:
    """700 mg (10 mg/kg x 70 kg): the weight that the amount before it was worked out with."""
    if {unit_of(unit) for _, _, unit in sig.amounts} != {unit_of("mg"), unit_of("mg/kg")}:
        raise _NotReadError


def _worked_out(sig: Sig, _: re.Match[str]) -> None:
    """10 mg/kg x 70 kg = 700 mg: the amount is worked out in the same words."""
    if {unit_of(unit) for _, _, unit in sig.amounts} != {unit_of("mg/kg")}:
        raise _NotReadError


def _rounded(sig: Sig, m: re.Match[str]) -> None:
    """700 mg (rounded from 702 mg = 10 mg/kg x 70.2 kg): what the amount before it came to before it was rounded."""
    unit = re.sub(r" ?/ ?", "/", m["unit"])
    if _number(m["value"], unit) <= 0 or unit_of(unit) not in {unit_of(seen) for _, _, seen in sig.amounts} - {None}:
        raise _NotReadError


def _ceiling(sig: Sig, m: re.Match[str]) -> None:
    unit = re.sub(r" ?/ ?", "/", m["unit"])
    _set(sig, "ceiling", (_number(m["value"], unit), unit))


def _strength(sig: Sig, m: re.Match[str]) -> None:
    """700 mg (14 mL of 50 mg/mL): the strength by which the volume is the mass before it, or nothing is understood."""
    said = {kind[0]: value * kind[1] for _, value, unit in sig.amounts if (kind := unit_of(unit)) is not None}
    if "mg" not in said or said["mg"] != said.get("mL", Decimal(0)) * _number(m["value"], "mg/mL"):
        raise _NotReadError


def _every(sig: Sig, m: re.Match[str]) -> None:
    low, high = _number(m["low"]), _number(m["high"]) if m["high"] else None
    times = 1 if not m["times"] else _TIMES.get(m["times"]) or _whole(m["times"])
    unit = period_unit(m["time"])
    if not m["window"]:
        _set_interval(sig, low, unit, high, times)
        return
    whole, part = (
        length(_number(m[v]), period_unit(m[u]) or "d") for v, u in (("low", "time"), ("window", "window_unit"))
    )
    if high or times != 1 or whole is None or part is None or (whole[1], part[1]) != (1, 1) or whole[0] <= part[0]:
        raise _NotReadError
    sig.windowed = Interval(whole[0])
    _set_interval(sig, whole[0] - part[0], "d")


def _every_nth(sig: Sig, m: re.Match[str]) -> None:
    _set_interval(sig, Decimal(_ORDINAL[m["nth"]] if m["nth"] else 1), period_unit(m["time"]))


def _times_per(sig: Sig, m: re.Match[str]) -> None:
    """Twice a month, 13 times per year, once weekly."""
    unit = _ADVERB[m["time"]][1] if m["time"] in _ADVERB else period_unit(m["time"])
    _set_interval(sig, Decimal(1), unit, None, _TIMES[m["times"]] if m["times"] else _whole(m["number"]))


def _adverb(sig: Sig, m: re.Match[str]) -> None:
    value, unit = _ADVERB[m[0]]
    _set_interval(sig, Decimal(value), unit)


def _numbered_adverb(sig: Sig, m: re.Match[str]) -> None:
    """4-weekly; without the hyphen it may also be four times a week."""
    _set_interval(sig, _number(m["number"]), _ADVERB[m["time"]][1])


def _stretch(sig: Sig, m: re.Match[str]) -> None:
    """An interval said as a length: day 1 of a 28-day cycle, every 4 weeks (28 days)."""
    _set_interval(sig, _number(m["number"]), period_unit(m["time"]))


def _days_of_cycle(sig: Sig, m: re.Match[str]) -> None:
    """Days 1 and 15 of a 28-day cycle: an interval where both lie as far apart."""
    apart = _number(m["second"]) - _number(m["first"])
    cycle = length(_number(m["number"]), period_unit(m["time"]) or "d")
    if cycle is None or apart <= 0 or cycle != (2 * apart, 1):
        raise _NotReadError
    _set_interval(sig, apart, "d")


def _day_of_it(sig: Sig, m: re.Match[str]) -> None:
    """The day of a single dose. Several days are several doses."""
    if not sig.once or len(_ON_A_DAY.findall(m.string)) > 1:
        raise _NotReadError


def _count(sig: Sig, m: re.Match[str]) -> None:
    number = _whole(m["number"])
    in_all = m[0].startswith("for") or any(word in m[0] for word in ("total", "cycle", "duration"))
    if not in_all and _HOW_OFTEN_NEXT.match(m.string, m.end()):
        raise _NotReadError  # x 2 doses every 4 weeks: two in all, or two each time
    if not in_all and sig.interval is None and _AMOUNT_NEXT.match(m.string, m.end()):
        raise _NotReadError  # 2 doses of 500 mg every 4 weeks
    if not m["what"] and number > 1 and sig.amounts and sig.interval is None:
        raise _NotReadError  # 500 mg x 3: three of them at once, or one after the other
    if (m["what"] or "").startswith("cycle"):
        _set(sig, "cycles", number)
    elif number == 1:
        sig.once = True
    else:
        _set(sig, "count", number)


def _course(sig: Sig, m: re.Match[str]) -> None:
    stretch = length(_number(m["number"]), period_unit(m["time"]) or "d")
    if stretch is None or stretch[0] <= 0:
        raise _NotReadError
    if stretch[0] < stretch[1]:
        return  # for 1 hour: that is how long an infusion takes
    _set(sig, "bound", stretch[0] / stretch[1])


def _cycle(sig: Sig, m: re.Match[str]) -> None:
    """Cycle 5; cycles 1-4, which are the combination; cycles 5 to 13."""
    first, last = _whole(m["first"]), _whole(m["last"]) if m["last"] else None
    if last is None or first > 1:
        _set(sig, "cycle_number", max(first, last or 0))
    else:
        _set(sig, "cycles", last)
        _set(sig, "phase", "combination")


def _cycle_onwards(sig: Sig, m: re.Match[str]) -> None:
    """Cycle 5 onwards: what follows the combination."""
    _set(sig, "cycle_number", _whole(m["first"]))
    if _whole(m["first"]) > 1:
        _set(sig, "phase", "maintenance")


def _combined(sig: Sig, m: re.Match[str]) -> None:
    """With chemotherapy, with carboplatin and etoposide. What is said of an amount after a partner may be its own."""
    if m["partner"] and _AMOUNT.search(m.string, m.end()):
        raise _NotReadError
    _set(sig, "phase", "combination")


def _flag(name: str, value: object = True) -> Handler:
    def handle(sig: Sig, _: re.Match[str]) -> None:
        _set(sig, name, value)

    return handle


# --- the rules; the longest that fits is taken ------------------------------------------------------------------------

_GIVEN = "(?:doses?|infusions?|administrations?|treatments?)"
_EVERY = (
    rf"(?:(?P<times>once|twice|thrice|{_INT}(?= (?:times?|{_GIVEN}))|a(?= dose))(?: times?| {_GIVEN})? )?"
    rf"(?:every|each|per|q\.?) ?(?P<low>{_INT})(?:{_TO}(?P<high>{_INT}))?[ -]?(?P<time>{_TIME}){_END}{_WINDOW}"
)
_TIMES_PER = (
    rf"(?:(?P<times>once|twice|thrice)|(?P<number>{_INT}) (?:times|{_GIVEN})) (?:every |each |per |an? |/ ?)?"
    rf"(?P<time>daily|weekly|monthly|yearly|annually|day|week|month|year){_END}"
)
_CYCLE_LENGTH = (
    r"(?:(?:on )?days? ?1 )?(?:of )?(?:each |every |an? )?"
    rf"(?P<number>{_INT})[ -](?P<time>day|week)[ -]cycles?{_END}"
)
_DAYS_OF_CYCLE = (
    r"(?:on )?(?:days? ?|d)(?P<first>\d+) ?(?:,|and|&) ?(?:days? ?|d)?(?P<second>\d+),? "
    rf"(?:of )?(?:each |every |an? |q ?)?(?P<number>{_INT})[ -]?(?P<time>days?|d|weeks?|wks?)(?:[ -]cycles?)?{_END}"
)
_TWO_MEANINGS = _any(rf"(?:(?:bi|semi)-?|{_INT} )(?:weekly|monthly)", "bi-?annual(?:ly)?", "biw", r"c\d+ ?d\d+") + _END
_ONCE = (
    _any(
        *("once(?: only)?", "one[- ]time(?: only| dose)?", "1 time(?: only)?", "(?:as )?(?:a )?single[- ]dose"),
        *("(?:one|1) dose(?: only)?", "stat", "today only"),
    )
    + r"(?![a-z])"
)
_DURATION = r"(?:order )?duration:?"
_FOR_DOSES = (
    rf"(?:x|for|\u00d7|{_DURATION}|up to|max(?:imum)?) ?(?:a total of |a maximum of |of |up to |total )?"
    rf"(?P<number>{_INT}) "
    rf"(?P<what>doses/times|doses?|cycles?|infusions?|treatments?|administrations?|times)(?: total)?{_END}"
)
_FOR_TIME = (
    rf"(?:or )?(?:x|for|\u00d7|{_DURATION}|(?:a )?max(?:imum)?(?: of)?|up to|not to exceed) "
    "?(?:a total of |a maximum of |up to )?"
    rf"(?P<number>{_INT})[ -]?(?P<time>{_TIME}){_END}(?: total| max)?"
)
_OPEN_END = _any(
    "until (?:disease )?progression(?:(?:,| or) (?:unacceptable |intolerable )?toxicity)?",
    "until (?:unacceptable )?toxicity",
    *("until discontinued", "until further notice", "indefinitely", "ongoing"),
)
_ONWARDS = (
    r"(?:for |from |starting (?:with |at )?)?cycles? (?P<first>\d+) ?"
    r"(?:\+|(?:and )?(?:beyond|onwards?|subsequent|after|later))(?![a-z])"
)
_SINGLE = r"(?:as )?(?:a )?(?:single[- ]agent|monotherapy|consolidation(?: (?:phase|therapy|treatment))?)(?![a-z])"
_PARTNER = _any("tremelimumab", "carboplatin", "cisplatin", "etoposide", "gemcitabine")
_COMBINED = (
    r"(?:combination|induction)(?: (?:phase|therapy|treatment))?(?![a-z])|"
    r"(?:in combination )?with (?:chemotherapy|chemo|platinum[a-z -]{0,20}chemotherapy|"
    rf"(?P<partner>{_PARTNER}(?:(?:, and|,| and| ?[/+&]) ?(?:{_PARTNER}|pemetrexed))*))(?![a-z])"
)
_INFUSED_OVER = (
    rf"(?:infused |run )?over:? (?:approximately |about )?(?:an?|{_INT})(?:{_TO}{_INT})? ?"
    r"(?:minutes?|mins?|hours?|hrs?|hr|h)(?![a-z])|"
    rf"(?:for|{_DURATION}) {_INT} ?(?:minutes?|mins?)(?![a-z])|{_INT}[ -](?:minute|min|hour|hr) infusion(?![a-z])"
)
_RATE = rf"(?:(?:run )?at |rate:? )?{_NUM} ?mls? ?/ ?(?:hours?|hrs?|h)(?![a-z])"
_FILTER = (
    r"(?:through|via|using|use|with) (?:an? )?(?:sterile,? )?(?:low[- ]protein[- ]binding )?"
    r"0\.2(?:2|(?: or | to |-)0\.22)? ?-?(?:micron|micrometer|\u00b5m|um) ?"
    r"(?:low[- ]protein[- ]binding )?(?:in-?line )?filter"
)
_DAY = (
    r"(?:(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]* )?\d{1,2}/\d{1,2}/\d{2,4}|\d{4}-\d{2}-\d{2})"
    r"(?:(?: at)? \d{1,2}:?\d{2}(?::\d{2})?(?: (?:[ecmp][sd]t|utc|gmt))?)?(?![a-z0-9/:-])"
)
_STARTING = (
    r"(?:start(?:ing)?(?: date)?:?(?: on)?|first dose(?: \(after last (?:modification|reorder)\))?(?: on)?) "
    rf"(?:(?<!on )(?:now|today|tomorrow|when released)(?![a-z])|{_DAY})"
)
_ON_A_DAY = re.compile(rf"(?<![a-z])on {_DAY}")
_WHICH_WEIGHT = (
    r"(?<=kg) ?\(?(?:treatment plan(?: recorded| actual| weight)*|order-specific(?: weight)?|dosing weight)(?![a-z])\)?"
)
_FILLERS = (
    _any(
        "durvalumab|imfinzi|infuse|give|administer|inject|take|start|starting",
        "dose|doses|flat dose|fixed dose|weight[- ]based|total|total dose|per dose|each dose|frequency|interval",
        r"iv|i\.v\.|ivpb|intravenously|intravenous|infusions?|piggyback|drip|injection|injectable|slowly|route",
        r"solution|soln(?:-iv)?|diluted?|\*\*high alert\*\*",
        "of|an?|the|by|via|through|as|on|at|for|per protocol|and repeat|then repeat|repeat",
    )
    + _END
)

_RULES: tuple[tuple[str, Handler], ...] = (
    (r"(?:[ ,;:()\[\]]|\.(?!\d))+|[-\u2013](?= )|/(?= )", _skip),  # the point of ".7 g" belongs to its number
    # amounts
    (rf"(?:(?P<low>{_NUM}){_TO})?(?P<value>{_NUM}) ?(?P<unit>{_UNIT})", _amount),
    (rf"\(?(?:of |at |@ ?)?(?P<value>{_NUM}) ?mg ?/ ?ml{_END}", _strength),
    (rf"{_LESS_THAN} (?P<value>{_NUM}) ?(?P<unit>{_UNIT})(?: ?(?:per|/) ?dose)?(?: max(?:imum)?)?", _ceiling),
    (rf"(?P<value>{_NUM}) ?(?P<unit>{_UNIT}) (?:max(?:imum)?|cap)(?: dose)?(?![a-z]| ?[0-9:]| of| dose)", _ceiling),
    # how often
    (_EVERY, _every),
    (rf"(?:once )?(?:every|each|q) ?(?P<nth>{_any(*_ORDINAL)}) (?P<time>{_TIME}){_END}", _every_nth),
    (rf"(?:every|each|per|a)(?P<nth>) (?P<time>day|week|wk|month|year){_END}", _every_nth),
    (_TIMES_PER, _times_per),
    (rf"(?P<number>{_INT})-(?P<time>weekly|monthly){_END}", _numbered_adverb),
    (_any(*_ADVERB) + _END, _adverb),
    (rf"q ?(?P<nth>)(?P<time>day|week|wk|month|mo|year){_END}", _every_nth),
    (_CYCLE_LENGTH, _stretch),
    (_DAYS_OF_CYCLE, _days_of_cycle),
    (rf" ?\((?P<number>{_INT})[ -](?P<time>days?|weeks?)\)", _stretch),
    (
        r"(?:on )?days? ?1(?: (?:of )?(?:each|every|the) cycle| of cycle(?! ?#?\d))?(?![0-9-])|(?:on )?d1(?![0-9])",
        _skip,
    ),
    (_TWO_MEANINGS, _flag("ambiguous")),
    (_any("prn", r"p\.r\.n\.?", "(?:as|when|if) needed") + r"(?![a-z])", _flag("as_needed")),
    (_ONCE, _flag("once")),
    # how long
    (_FOR_DOSES, _count),
    (rf"(?P<number>{_INT}) (?P<what>cycles|doses|infusions)(?: total)?{_END}", _count),
    (rf"(?:x|\u00d7) ?(?P<number>{_INT})(?P<what>)(?![a-z0-9/]|[.,]\d)", _count),
    (_FOR_TIME, _course),
    (_OPEN_END, _skip),
    # which phase
    (rf"(?:for )?cycles? (?P<first>\d+)(?:-|\u2013| to | through | thru | - )(?P<last>\d+){_END}", _cycle),
    (rf"cycle ?#? ?(?P<first>\d+)(?P<last>)(?: of \d+)?{_END}", _cycle),
    (_ONWARDS, _cycle_onwards),
    (r"(?:as |for )?maintenance(?: (?:phase|therapy|treatment|dose))?(?![a-z])", _flag("phase", "maintenance")),
    (_SINGLE, _flag("phase", "single")),
    (_COMBINED, _combined),
    # what says nothing of dose or schedule
    (rf"in (?:an? )?{_NUM} ?mls?(?: (?:of )?{_DILUENT})?(?: bag)?(?![a-z])", _skip),
    (rf"in {_DILUENT} {_NUM} ?mls?(?: bag)?(?![a-z])", _skip),
    (rf"(?:{_DILUENT} )?ivpb(?![a-z])", _skip),
    (_INFUSED_OVER, _skip),
    (_RATE, _skip),
    (rf"= ?(?={_NUM} ?{_UNIT})", _skip),  # 1500 mg = 30 mL, 10 mg/kg = 700 mg: two views of one dose
    (rf"rounded (?:up |down )?from (?P<value>{_NUM}) ?(?P<unit>{_UNIT})", _rounded),
    (rf"[x\u00d7] ?{_NUM} ?kg{_END}", _by_weight),
    (rf"[x\u00d7] ?{_NUM} ?kg ?= ?(?={_NUM} ?mg{_END})", _worked_out),
    (_WHICH_WEIGHT, _skip),
    (_FILTER, _skip),
    (_STARTING, _skip),
    (rf"on {_DAY}", _day_of_it),
    (r"into (?:an? |the )?(?:venous catheter|vein|(?:central )?(?:venous )?(?:line|port))(?![a-z])", _skip),
    (_FILLERS, _skip),
)
_HOW_OFTEN = {_every, _every_nth, _times_per, _numbered_adverb, _adverb, _stretch, _days_of_cycle}
_COMPILED = tuple((re.compile(pattern), handle) for pattern, handle in _RULES)
_HOW_OFTEN_NEXT = re.compile(
    rf" ?(?:every|each|per(?! protocol| dose)|q|/|an? (?:day|week|month|year)|{'|'.join(_ADVERB)})"
)
_AMOUNT = re.compile(rf"{_NUM} ?{_UNIT}")
_AMOUNT_NEXT = re.compile(rf"[ ,:(]*(?:of )?{_NUM} ?{_UNIT}")
_THEN = re.compile(r"[,;.]? (?:and then|then|followed by) (?!repeat)")
_SPELLED_INTERVAL = re.compile(rf"\b(?:every|q) ?(?P<low>{_INT})[ -]?(?P<time>{_TIME}){_END}")


_TEENS = ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDED = _any(_any(*_TENS) + f"(?:[- ]{_any(*_NUMBER_WORDS[:9])})?", *_TEENS, *_NUMBER_WORDS)
_SAID_TWICE = re.compile(
    r"\b(?:(?P<number>[1-9]\d?) \((?P<words>[a-z]+(?:[- ][a-z]+)?)\)|"
    rf"(?P<words_first>{_WORDED}) \((?P<number_last>[1-9]\d?)\))"
)


_PLURAL = re.compile(r"(?<=[a-z])\(s\)")


def _plain(text: str) -> str:
    """The words as the rules expect them: ``28 (twenty-eight) day(s)`` as ``28 days``."""
    return _SAID_TWICE.sub(_said_once, _PLURAL.sub("s", plain(text)))


def _said_once(m: re.Match[str]) -> str:
    """``28 (twenty-eight)`` as ``28``, and so the other way round.

    A number and words that disagree stay as they are, and are not understood.
    """
    digits, said = m["number"] or m["number_last"], m["words"] or m["words_first"]
    number = int(digits)
    tens, ones = divmod(number, 10)
    if number < 20:
        words = [*_NUMBER_WORDS, *_TEENS][number - 1]
    else:
        words = _TENS[tens - 2] + (f"-{_NUMBER_WORDS[ones - 1]}" if ones else "")
    return digits if said.replace(" ", "-") == words else m[0]


@remembered
def parse(text: str) -> Sig | None:
    """Read a whole sig; None if any part of it is outside the grammar, or if it says nothing. Do not change the result.

    >>> sig = parse("1,500 mg IV q4wk")
    >>> sig.amounts, sig.interval.days
    ([(None, Decimal('1500'), 'mg')], Decimal('28'))
    """
    if len(text) > _LONGEST_SIG:
        return None
    words = _plain(text)
    sig = Sig()
    position = 0
    try:
        while position < len(words):
            position = _step(sig, words, position)
    except _NotReadError:
        return None
    if sig.once and sig.interval is not None:
        return None  # "once every 4 weeks" is one rule; beside an interval "once" contradicts it
    return sig if sig != Sig() else None


def parse_steps(text: str) -> tuple[Sig, ...]:
    """The steps of a text that names successive doses ("... for 4 cycles, then 1500 mg every 4 weeks").

    Empty unless every step names its own amount and how often: none is taken over from the one before.
    """
    parts = _THEN.split(_plain(text)) if len(text) <= _LONGEST_SIG else []
    sigs = [parse(part) for part in parts]
    read = [sig for sig in sigs if sig is not None and sig.amounts and (sig.interval or sig.once)]
    return tuple(read) if 1 < len(read) == len(parts) else ()


def reworded(text: str, dose: str | None, every: str | None) -> str | None:
    """The text with another dose, another interval or both, and everything else as it was written.

    None where that cannot be done word by word: the text is not understood as a whole, says a part to be changed in
    two ways, or says it in a way of which the new words would lose something (a range, a maximum, a window).

    >>> reworded("1800 mg IV q3wk for 4 cycles, infuse over 60 minutes", "1,500 mg", None)
    '1,500 mg IV q3wk for 4 cycles, infuse over 60 minutes'
    """
    written, words = " ".join(text.split()), _plain(text)
    if len(text) > _LONGEST_SIG or len(written) != len(words):
        return None
    sig, position, parts = Sig(), 0, []
    try:
        while position < len(words):
            match, handle = _longest_rule(words, position)
            handle(sig, match)
            if dose is not None and handle is _rounded:
                return None
            instead = dose if handle is _amount else every if handle in _HOW_OFTEN else None
            if instead is not None and instead in parts:
                return None
            parts.append(instead or written[position : match.end()])
            position = match.end()
    except _NotReadError:
        return None
    ranged = any(low is not None for low, _, _ in sig.amounts)
    if ranged or sig.ceiling is not None or sig.windowed is not None or sig.ambiguous:
        return None
    return "".join(parts)


def _step(sig: Sig, words: str, position: int) -> int:
    """Consume the longest rule that fits here, and not part of a word."""
    match, handle = _longest_rule(words, position)
    handle(sig, match)
    return match.end()


def _longest_rule(words: str, position: int) -> tuple[re.Match[str], Handler]:
    best: re.Match[str] | None = None
    chosen: Handler = _skip
    for pattern, handle in _COMPILED:
        match = pattern.match(words, position)
        if match is not None and match.end() > position and (best is None or match.end() > best.end()):
            best, chosen = match, handle
    if best is None or (best.end() < len(words) and words[best.end() - 1].isalnum() and words[best.end()].isalnum()):
        raise _NotReadError
    return best, chosen


def spelled_intervals(text: str) -> tuple[Interval, ...]:
    """Every interval that a text spells, understood as a whole or not: good for a remark, not for a verdict."""
    found = (
        interval(_COUNTED.get(m["low"]) or Decimal(m["low"]), period_unit(m["time"]))
        for m in _SPELLED_INTERVAL.finditer(_plain(text[:_LONGEST_SIG]))
    )
    return tuple(item for item in found if not isinstance(item, Missing))
