"""Every statement of Da Vinci CRD on servers, in both versions, and what is made of it here.

Ids such as ``resp-26`` are those of the narrative of STU 2.2 (2.2.1), ``@226`` those of the public test kit for
STU 2.0.1. The words are this project's. A row without ``instead`` is shown to hold by at least one test that carries
its ids; ``instead`` says why there is none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """One statement, the same in both versions or in one of them."""

    ids: tuple[str, ...]
    words: str
    instead: str = ""


NOT_SENT = "Not offered: this kind of answer is not useful for an infused drug (docs/integrate-crd.md)."
NO_HOOK = "Not offered: the hook carries no order (docs/integrate-crd.md)."
OPERATOR = "A matter of whoever runs the service (docs/integrate-crd.md)."
RECORD = "The decision record keeps it; its own tests show so."
TRUST = "Tokens and fetching have tests of their own."
FREE = "A permission; nothing to show."


def row(ids: str, words: str, instead: str = "") -> Requirement:
    """A row from ids in one string."""
    return Requirement(tuple(ids.split()), words, instead)


REQUIREMENTS = (
    # --- data ---
    row("conf-2", "Input of US Core 3.1.1, 6.1.0 and 7.0.0 is understood"),
    row("conf-4 @3", "Elements marked must-support are used for the decision"),
    row("conf-5", "Must-support parts of coverage-information are filled where there is a value"),
    row("conf-7 conf-8 conf-9 hook-22", "An answer depends on no resource and no element beyond the mandatory ones"),
    row("conf-12", "An optional element that is left out is no error"),
    row("conf-11 found-1 @1", "More may be agreed between client and server", FREE),
    row(
        "conf-13 conf-14",
        "Standard elements are used, and no guide asks for others",
        "A matter of guides; ours asks for none.",
    ),
    row("billopt-2", "No answer depends on the billing-options extension"),
    row(
        "billopt-3",
        "Codes in billing-options are considered",
        "The drug has one billing code; the answer names it and holds for it alone.",
    ),
    row("found-33 hook-23 @169", "Unknown elements, context and top-level members are ignored"),
    row("found-34 @63", "An answer is given from whatever was sent"),
    row("found-40", "Answers carry no insignificant white space"),
    # --- versions and configuration ---
    row("dev-1 dev-2", "Discovery declares every version that is supported, for each hook"),
    row("crd-version", "A version that is asked for is answered in; one that is not supported is an error"),
    row("dev-4 @108 @110 @111 @112 @113 @114", "Each option has code, type, name, description and default"),
    row("dev-5 dev-10 @115 @116 @124", "There is an option for every type of answer, which turns it off"),
    row("dev-6 @117 @118 @119", "Nonsensical configuration is handled and logged"),
    row("dev-7 @120 @121", "Option codes are JSON names of the card types"),
    row("dev-8 @122", "Codes, names and descriptions are unique in a service"),
    row("dev-9 @123", "Options are the same across services"),
    row("dev-14 @128", "Configuration is honoured"),
    row("dev-15 @129", "Configuration is never required"),
    row("dev-17 @131", "Unsupported configuration is ignored"),
    row("dev-24 @140", "A card says in words which order it is about"),
    row("dev-25 @141", "A card names its order in an extension"),
    row("dev-19 dev-20 @134 @135 @136", "A Questionnaire is created only where there is none", NOT_SENT),
    # --- hooks ---
    row("hook-4 @4 @152 @153 @168 @217 @204 @208", "The hooks that are useful for the coverage are served"),
    row("hook-5 hook-6 @155 @157", "Other hooks may be served by the same rules", FREE),
    row("hook-9 hook-10 @158 @159", "An error has a status of 4xx or 5xx and an OperationOutcome"),
    row(
        "hook-13 hook-14 @162 @163",
        "400 for what is not valid, for no, several or another payer's Coverage; 422 for a breach of CRD",
    ),
    row(
        "hook-16 resp-14 resp-26 resp-28 hook-33 hook-39 @164 @207 @226 @247",
        "Primary hooks are answered with coverage-information",
    ),
    row("hook-19 @165 @167", "Secondary hooks ask for no clinical or administrative documents"),
    row("hook-26 @170 @173 @174 @175 @176 @181 @182 @184", "appointment-book", NO_HOOK),
    row(
        "hook-25 hook-28 hook-32 hook-38 @195 @206 @224",
        "A hook may be used to attribute patients",
        "Not done: data is used for the answer only.",
    ),
    row("@185 @188 @189 @190 @191 @196 @198", "encounter-start and encounter-discharge", NO_HOOK),
    row(
        "ops-1", "encounter-start and order-select are supported", "order-select is; encounter-start carries no order."
    ),
    row("hook-30", "order-dispatch is about the dispatched orders only"),
    row("hook-34 @210 @211", "order-select is about the selections only"),
    row("resp-27 @160 @161 @219", "More may be answered", FREE),
    # --- coverage-information ---
    row("resp-25", "Coverage-information is never a card"),
    row("resp-29", "Every order in scope is answered, unless it says the same already"),
    row("resp-30 @262", "What limits an answer is part of it"),
    row("resp-32 @264", "Different coverages have different trace identifiers"),
    row("resp-33 @265", "One coverage has one trace identifier on an order"),
    row("resp-35 @267", "Nothing is sent where nothing is new"),
    row("resp-36 @268", "An earlier answer is taken into account"),
    row("resp-37", "Nothing but coverage-information changes on the order"),
    row("resp-38 @269 @270 @271", "Where documents are asked for, the form is named"),
    row("resp-43 indeterminate", "A technical trouble is indeterminate with the reason technical (2.0.1: conditional)"),
    row("resp-44", "A member that is not found is not covered, with that reason"),
    row("resp-45 resp-42", "A coverage that is not in force is not covered, with that reason"),
    row(
        "resp-47 resp-48 resp-52 @272 @273 @274 @275 @276 @277 @279",
        "The answer is an update of the order by a system action, in the profile's shape",
    ),
    row("covinfo-1 covinfo-2", "There is one answer, with one reason, for one order and coverage"),
    row("invariants", "crd-ci-q1 … q9 hold in both versions, and the checker catches breaches of each"),
    row("resp-51 found-10 @309 @310", "Codes and words of drugs are understood in more than one form"),
    row(
        "found-9 @23 @24",
        "Answers are as accurate as the policy",
        "The stories and the dose table hold the policy; see tests/stories and tests/assessment.",
    ),
    row("impl-5", "Assumptions beyond the call are stated"),
    row("prof-15", "Reasons are sent in the new code system as well", "Not yet: the codes are not published there."),
    # --- cards ---
    row("resp-1 resp-2 @227 @228 @229", "Indicators are a clinician's: info, at most warning"),
    row("resp-3 @77", "Suggestions have a uuid"),
    row("resp-4 @230 @231", "The label is the insurer's name"),
    row("resp-5 @232", "Topics are those of CRD, in the code system of the version"),
    row(
        "resp-6 resp-7 resp-8 resp-9 @233 @234 @235 @236 @240",
        "Summaries say what to do, details begin with what matters",
    ),
    row("resp-11 resp-10 @239", "A card can be followed by hand; no detail relies on a link"),
    row("@237", "Few cards"),
    row("resp-12 @241", "No card repeats what a system action says"),
    row("resp-13", "Answers have the shape all CRD answers have"),
    row("resp-15 @248 @249", "External references and instructions are sent too"),
    row(
        "resp-16 @250 @252 @253",
        "Advice beyond coverage is not given twice",
        "Only coverage and its documents are spoken of.",
    ),
    row("resp-17 resp-23", "No card leads to a portal to begin prior authorization"),
    row(
        "resp-18 resp-19 resp-22 resp-20 @258 @259 @260",
        "An external reference has absolute links, and says what is behind them",
    ),
    row("resp-21 @238 @261", "Links lead to the section that applies"),
    row("resp-24", "Instructions have a detail, and neither links nor suggestions"),
    row("resp-53 resp-54 resp-55 resp-56 @282 @283", "A proposal is one update of the order, without links"),
    row("found-13 @26", "Nothing is said that is of no use to the user"),
    row("resp-57 resp-58", "Additional orders", NOT_SENT),
    row("resp-59 resp-60 resp-62 resp-63 resp-65 @296 @298 @299 @300", "Form completion", "Not sent: DTR does it."),
    row("resp-66 resp-69 resp-70 resp-71 @302 @305 @306", "Updates of coverage records", NOT_SENT),
    row("resp-72", "Launches of SMART apps", "Not sent: DTR is launched from coverage-information."),
    # --- prefetch and errors ---
    row("found-24", "Prefetch is supported, under its standard keys as well"),
    row(
        "found-26 found-27 @41 @62",
        "Prefetch asks for what every call may need",
        "The union of what the policy's facts need; every key may be left out.",
    ),
    row(
        "found-28 @42",
        "What few calls need is queried",
        "Keys beyond the standard set are optional; see docs/integrate-crd.md.",
    ),
    row("found-29", "Standard data is asked for by the standard query (that for coverage adds a page size)"),
    row("found-32", "412 is not answered because a record lacks data"),
    row("found-5 resp-39 @56 @57 @60", "What prefetch lacks is queried", TRUST),
    row("found-4 @13 @14 @16 @17 @18 @19", "Documents that are asked for can be gathered by DTR"),
    # --- running it ---
    row(
        "found-2 @5 @6 @7 @8 @9 @10 @11 @12 @15",
        "Nine of ten answers within five seconds",
        "docs/benchmarks.md has the figures.",
    ),
    row("found-11 found-37 found-38 @76 @78 @79 @80", "Calls and answers are kept for disputes", RECORD),
    row("metric-1", "Measures are kept in the shape of CRDMetricData"),
    row("found-14 found-15 found-18 @27 @34 @35 @36", "One endpoint for all coverages, announced to clients", OPERATOR),
    row("impl-2 impl-3", "The service is available, and answers where a part of it is not", OPERATOR),
    row("sec-1 sec-2 sec-3 @83 @84 @85 @86 @87 @88 @89 @90 @91 @100", "Transport and privacy rules", OPERATOR),
    row("sec-5 sec-6 @93 @94", "Data serves the answer, the audit and DTR only", RECORD),
)
