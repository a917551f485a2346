"""Log lines that cannot carry patient data: named events with fields of a closed list, never free text.

An exception is logged by its type and the places it passed, not by its message, which may quote a chart.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FIELDS = (
    *("trace_id", "rows", "what"),
    *("request_id", "method", "endpoint", "status", "ms", "service", "cards", "accepted", "overridden"),
    *("outcome", "error", "where", "address", "mode", "client", "reason", "fetched", "failed"),
)
"""Every field that a log line may have."""

_ATTRIBUTE = "cds_fields"
_ROOT = Path(__file__).resolve().parents[1]


def event(log: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log one event. Fields outside the closed list are dropped."""
    if log.isEnabledFor(level):
        kept = {field: fields[field] for field in FIELDS if field in fields}
        # Without log.log(), which would walk the stack for a place in the source that no line shows.
        log.handle(log.makeRecord(log.name, level, "", 0, name, (), None, extra={_ATTRIBUTE: kept}))


def crash(log: logging.Logger, name: str, error: BaseException, **fields: object) -> None:
    """Log an unexpected exception by its type and where it came from."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{_place(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
    event(log, logging.ERROR, f"{name} crashed", error=type(error).__name__, where=where, **fields)


def _place(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else path.name


_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


class Line(logging.Formatter):
    """``2026-11-02T09:30:01Z info cds_service.access request status=200 ms=1.9``, for a terminal in colour."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self.colour = colour

    default_time_format = "%Y-%m-%dT%H:%M:%SZ"
    default_msec_format = None
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """One line. The message of a foreign record is kept (servers log their own life), its exception is not."""
        fields = getattr(record, _ATTRIBUTE, {})
        pairs = "".join(f" {name}={_quoted(value)}" for name, value in fields.items())
        level = record.levelname.lower()
        line = f"{self.formatTime(record)} {level} {record.name} {record.getMessage()}{pairs}"
        return f"{_COLOURS[level]}{line}\x1b[0m" if self.colour and level in _COLOURS else line


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text else text


def _only_fields(_: Any, __: str, found: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The closed list again, where the line is written: whatever else found its way into a record stays out."""
    fields = getattr(found["_record"], _ATTRIBUTE, {})
    return {"event": found["event"], **{name: value for name, value in fields.items() if name in FIELDS}}


def _place_and_time(logger: Any, method: str, found: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    record = found["_record"]
    kept = _only_fields(logger, method, found)
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": at, "level": record.levelname.lower(), "logger": record.name, **kept}


def json_lines() -> logging.Formatter:
    """One JSON object per event (structlog), with the fields of the closed list and nothing else."""
    import structlog  # noqa: PLC0415  (only who writes JSON pays for it)

    return structlog.stdlib.ProcessorFormatter(
        processors=[_place_and_time, structlog.processors.JSONRenderer(serializer=_as_json)],
    )


def _as_json(value: object, **_: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def configure(level: str, *, as_json: bool = False) -> None:
    """Send the service's and the server's log lines to standard error, as JSON or as readable lines."""
    # Nobody reads which thread, process or task wrote a line, and finding out costs each line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    handler.setFormatter(json_lines() if as_json else Line(colour=colour))
    for name in ("cds_service", "hooks", "uvicorn", "opentelemetry"):
        log = logging.getLogger(name)
        log.handlers = [handler]
        log.setLevel(level.upper())
        log.propagate = False
