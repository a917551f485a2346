"""What a client says of CRD in a call, and what discovery tells clients: versions and configuration options."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cds_service import logs
from cds_service.crd.decision import Version
from cds_service.errors import RequestError
from cds_service.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

MEMBER = "davinci-crd."
REQUESTED_VERSION = "davinci-crd.requestedVersion"
CONFIGURATION = "davinci-crd.configuration"
DEFAULT_VERSION = Version.STU_2_0

COVERAGE_INFO = "coverage-info"
MAX_CARDS = "max-cards"
MOST_CARDS = 10

_OPTIONS: tuple[dict[str, Any], ...] = (
    {
        "code": COVERAGE_INFO,
        "type": "boolean",
        "name": "Coverage information",
        "description": "Put coverage, prior authorization and documentation requirements on the order as extensions.",
        "default": True,
    },
    {
        "code": "therapy-alternatives-opt",
        "type": "boolean",
        "name": "Dose within the plan",
        "description": "Show a card that proposes the order with a dose and interval the policy allows.",
        "default": True,
    },
    {
        "code": "off-guideline",
        "type": "boolean",
        "name": "Order against the policy",
        "description": "Show a card where the dose or recorded facts do not fit the policy's criteria.",
        "default": True,
    },
    {
        "code": "guideline",
        "type": "boolean",
        "name": "Policy",
        "description": "Show a card that links to the section of the policy that applies.",
        "default": True,
    },
    {
        "code": "claim",
        "type": "boolean",
        "name": "Documentation",
        "description": "Show a card that lists missing documentation where no coverage information is sent.",
        "default": True,
    },
    {
        "code": MAX_CARDS,
        "type": "integer",
        "name": "Maximum number of cards",
        "description": "Return at most this many cards, the most urgent first.",
        "default": MOST_CARDS,
    },
)
CARD_TYPES = frozenset(option["code"] for option in _OPTIONS if option["type"] == "boolean") - {COVERAGE_INFO}
PRIMARY_HOOKS = frozenset({"order-sign", "order-dispatch"})
"""The hooks that answer with coverage-information."""


def discovery_extension(hook: str) -> dict[str, Any]:
    """What discovery says of CRD for one service: the versions, and an option for each type of answer."""
    options = [dict(option) for option in _OPTIONS if option["code"] != COVERAGE_INFO or hook in PRIMARY_HOOKS]
    return {"davinci-crd.version": [version.value for version in Version], "davinci-crd.configuration-options": options}


@dataclass(frozen=True, slots=True)
class CrdRequest:
    """A CRD call: the version to answer in, and what the client configured.

    ``silenced`` are the types of cards it does not want. Without ``max_cards`` all cards are returned.
    """

    version: Version = DEFAULT_VERSION
    coverage_info: bool = True
    silenced: frozenset[str] = frozenset()
    max_cards: int | None = None


def is_crd_call(extension: Mapping[str, Any]) -> bool:
    """Whether a call says anything of CRD."""
    return bool(extension) and any(name.startswith(MEMBER) for name in extension)


def read_request(extension: Mapping[str, Any]) -> CrdRequest:
    """Read what a call says of CRD. Raises RequestError (400) for a version that is not supported.

    Configuration is never required and never refused: unknown codes and values of the wrong type are ignored, and
    logged by their number (and code, where the code is one of ours).
    """
    configuration = extension.get(CONFIGURATION)
    if configuration is None:
        return CrdRequest(_version(extension.get(REQUESTED_VERSION)))
    chosen = configuration if isinstance(configuration, dict) else {}
    usable = {code: value for code, value in chosen.items() if _fits(code, value)}
    if len(usable) < len(chosen) or not isinstance(configuration, dict):
        ours = sorted(code for code in chosen.keys() - usable.keys() if code in {o["code"] for o in _OPTIONS})
        ignored = f"{len(chosen) - len(usable)} ignored" + (f": {' '.join(ours)}" if ours else "")
        logs.event(log, logging.INFO, "crd configuration", outcome=ignored)
    return CrdRequest(
        version=_version(extension.get(REQUESTED_VERSION)),
        coverage_info=usable.get(COVERAGE_INFO, True),
        silenced=frozenset(code for code in CARD_TYPES if usable.get(code) is False),
        max_cards=usable.get(MAX_CARDS),
    )


def _fits(code: str, value: object) -> bool:
    if code == MAX_CARDS:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return (code == COVERAGE_INFO or code in CARD_TYPES) and isinstance(value, bool)


_VERSIONS = {version.value: version for version in Version}


def _version(named: object) -> Version:
    """The version named as major.minor; a patch number beside it makes no difference."""
    if named is None:
        return DEFAULT_VERSION
    if isinstance(named, str):
        for number, version in _VERSIONS.items():
            if named == number or named.startswith(f"{number}."):
                return version
    supported = " and ".join(_VERSIONS)
    raise RequestError(f"This version of CRD is not supported; {supported} are.", expression=REQUESTED_VERSION)
