"""Everything that can go wrong on the way to an answer.

* ServiceError
  + RequestError          the client sent something that cannot be read at all   -> 4xx
    - NotFoundError       unknown service, policy or revision                    -> 404
    - MediaTypeError      the body is not application/json                       -> 415
    - BodyTooLargeError   the body is over the limit                             -> 413
    - UnprocessableError  valid FHIR that breaks a rule of CRD                   -> 422
    - UnobtainableError   required data is missing and the site asks for 412     -> 412
    - TokenError          a missing or bad token                                 -> 401, no reason given
    - OperatorError       a page outside demo mode, without an operator's password -> 401, the browser asks for it
    - SlowBodyError       the body took too long                                 -> 408
    - TooManyCallsError   the client is over its rate                            -> 429
    - HeadersTooLargeError the headers are too many or too large                 -> 431
    - BusyError           too many calls at once, or a store that cannot tell    -> 503
  + DocumentError         a document that people write is wrong; names file and line
    - PolicyError         a policy file is wrong; the service does not start
    - RegistryError       the client registry is wrong; the service does not start
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


class UnprocessableError(RequestError):
    """The request is valid CDS Hooks and FHIR, but breaks a rule of Da Vinci CRD."""

    status = 422
    code = "business-rule"


class TokenError(RequestError):
    """A token is missing or not to be trusted. Every refusal reads the same; ``reason`` is for the log only."""

    status = 401
    code = "login"

    def __init__(self, reason: str) -> None:
        super().__init__("A valid token is required.")
        self.reason = reason


class OperatorError(TokenError):
    """A page for operators was asked for without the password of one."""


class SlowBodyError(RequestError):
    """The body took longer than it may."""

    status = 408
    code = "timeout"


class HeadersTooLargeError(RequestError):
    """The headers are too many or too large."""

    status = 431
    code = "too-long"


class BusyError(RequestError):
    """The service has no room for this request just now; ``retry_after`` says in how many seconds it may have."""

    status = 503
    code = "transient"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyCallsError(BusyError):
    """This client is over its rate."""

    status = 429
    code = "throttled"


class UnobtainableError(RequestError):
    """Required data could not be had and the site asks for 412 (CDS Hooks, prefetch). Names the prefetch keys."""

    status = 412
    code = "incomplete"

    def __init__(self, keys: list[str]) -> None:
        super().__init__(f"Nothing was checked: required data could not be obtained ({', '.join(keys)}).")


class DocumentError(ServiceError):
    """A document does not load; every problem names file and line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PolicyError(DocumentError):
    """A policy file does not load."""


class RegistryError(DocumentError):
    """The client registry does not load."""


class SettingsError(ServiceError):
    """The configuration cannot be used."""
