"""Everything that can go wrong on the way to an answer.

* ServiceError
  + RequestError          the client sent something that cannot be read at all   -> 4xx
    - NotFoundError       unknown service, policy or revision                    -> 404
    - MediaTypeError      the body is not application/json                       -> 415
    - BodyTooLargeError   the body is over the limit                             -> 413
  + UnobtainableError     required data is missing and the site asks for 412     -> 412
  + PolicyError           a policy file is wrong; the service does not start
  + SettingsError         the configuration is wrong; the service does not start

Sloppy chart data is no error: it becomes an :class:`~cds_service.evidence.Unknown` with a cause.
No message carries patient data: messages of RequestError go to the client as they are.
"""

from __future__ import annotations


class ServiceError(Exception):
    """Base of all errors raised on purpose."""


class RequestError(ServiceError):
    """The request cannot be read (contract, section 7). ``status`` is the HTTP status, ``code`` the FHIR issue code."""

    status = 400
    code = "invalid"

    def __init__(self, message: str, *, expression: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.expression = expression


class NotFoundError(RequestError):
    """Unknown service, policy or revision."""

    status = 404
    code = "not-found"


class MediaTypeError(RequestError):
    """The body is not ``application/json``."""

    status = 415
    code = "not-supported"


class BodyTooLargeError(RequestError):
    """The body is over the configured limit."""

    status = 413
    code = "too-long"


class UnobtainableError(ServiceError):
    """Required data could not be had and the site asks for 412 (CDS Hooks, prefetch)."""


class PolicyError(ServiceError):
    """A policy file does not load; every problem names file and line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SettingsError(ServiceError):
    """The configuration cannot be used."""
