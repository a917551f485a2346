"""Log lines that cannot carry patient data: named events with fields of a closed list, never free text.

An exception is logged by its type and the places it passed, not by its message, which may quote a chart.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from pathlib import Path

FIELDS = (
    *("request_id", "method", "endpoint", "status", "ms", "service", "orders", "cards", "accepted", "overridden"),
    *("outcome", "error", "where", "policies", "address", "mode"),
)
"""Every field that a log line may have."""

_ATTRIBUTE = "cds_fields"
_ROOT = Path(__file__).resolve().parents[1]


def event(log: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log one event. Fields outside the closed list are dropped."""
    kept = {field: fields[field] for field in FIELDS if field in fields}
    log.log(level, name, extra={_ATTRIBUTE: kept})


def crash(log: logging.Logger, name: str, error: BaseException, **fields: object) -> None:
    """Log an unexpected exception by its type and where it came from."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{_place(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
    event(log, logging.ERROR, f"{name} crashed", error=type(error).__name__, where=where, **fields)


def _place(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else path.name


class Line(logging.Formatter):
    """``2026-11-02T09:30:01Z info cds_service.access request status=200 ms=1.9``."""

    default_time_format = "%Y-%m-%dT%H:%M:%SZ"
    default_msec_format = None
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """One line. The message of a foreign record is kept (servers log their own life), its exception is not."""
        fields = getattr(record, _ATTRIBUTE, {})
        pairs = "".join(f" {name}={_quoted(value)}" for name, value in fields.items())
        return f"{self.formatTime(record)} {record.levelname.lower()} {record.name} {record.getMessage()}{pairs}"


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text else text


def configure(level: str) -> None:
    """Send the service's and the server's log lines to standard error in this form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Line())
    for name in ("cds_service", "hooks", "uvicorn"):
        log = logging.getLogger(name)
        log.handlers = [handler]
        log.setLevel(level.upper())
        log.propagate = False
