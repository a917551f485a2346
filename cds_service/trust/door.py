"""Who comes in: the registered client whose token is good, or, in demo mode, anybody."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cds_service import logs, telemetry
from cds_service.errors import BusyError, TokenError

if TYPE_CHECKING:
    from cds_service.trust.registry import Client, LiveRegistry
    from cds_service.trust.tokens import Verifier

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Door:
    """Decides about every request. ``base`` is the public base address; without it (demo mode) that of the request.

    In demo mode a token is looked at, and its client's settings are used if it is good, but none is needed.
    """

    registry: LiveRegistry
    verifier: Verifier
    base: str | None = None
    demo: bool = False

    async def admit(self, authorization: str | None, path: str, address: str) -> Client | None:
        """The client that calls; None for anybody, in demo mode.

        ``address`` is the base address the request itself names. Raises TokenError, or BusyError where nobody can tell
        whether the token was used before.
        """
        if self.demo and authorization is None:
            return None
        try:
            return await self.verifier.verify(
                authorization, _spellings(self.base or address, path), await self.registry.fresh()
            )
        except TokenError as refused:
            telemetry.count("cds_tokens_refused", refused.reason)
            logs.event(log, logging.INFO if self.demo else logging.WARNING, "token refused", reason=refused.reason)
            if self.demo:
                return None
            raise
        except OSError as error:
            logs.crash(log, "replay store", error)
            raise BusyError("The service cannot check tokens just now.", retry_after=5) from None


def _spellings(base: str, path: str) -> frozenset[str]:
    """The addresses that mean this path: as called, without a doubled slash, without one at its end."""
    single = path.replace("//", "/")
    return frozenset({f"{base}{path}", f"{base}{single}", f"{base}{single.rstrip('/')}"})
