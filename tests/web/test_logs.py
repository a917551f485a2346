"""Log lines: one form, a closed list of fields."""

from __future__ import annotations

import logging

from cds_service import logs


def line(record: logging.LogRecord) -> str:
    return logs.Line().format(record)


def recorded(caplog_records: list[logging.LogRecord]) -> str:
    return line(caplog_records[-1])


def test_an_event_is_one_line_of_known_fields(caplog) -> None:
    log = logging.getLogger("cds_service.test")
    caplog.set_level(logging.INFO)
    logs.event(log, logging.INFO, "request", status=200, outcome="two words", patient="canary")
    written = recorded(caplog.records)
    assert written.endswith('info cds_service.test request status=200 outcome="two words"')
    assert written[10:11] == "T"
    assert "canary" not in written


def test_a_crash_is_told_by_type_and_place_only(caplog) -> None:
    log = logging.getLogger("cds_service.test")
    try:
        raise ValueError("canary")
    except ValueError as error:
        logs.crash(log, "order", error)
    written = recorded(caplog.records)
    assert "error=ValueError" in written
    assert "tests/web/test_logs.py" in written
    assert "canary" not in written


def test_foreign_records_keep_their_message_and_lose_their_exception() -> None:
    try:
        raise ValueError("canary")
    except ValueError:
        import sys

        record = logging.LogRecord("uvicorn.error", logging.ERROR, "x", 1, "Exception in %s", ("app",), sys.exc_info())
    assert line(record).endswith("error uvicorn.error Exception in app")


def test_configuring_twice_writes_once(capsys) -> None:
    saved = {
        name: (logging.getLogger(name).handlers, logging.getLogger(name).propagate, logging.getLogger(name).level)
        for name in ("cds_service", "hooks", "uvicorn", "opentelemetry")
    }
    try:
        logs.configure("info")
        logs.configure("warning")
        log = logging.getLogger("cds_service.test")
        logs.event(log, logging.WARNING, "twice")
        logs.event(log, logging.INFO, "quiet")
    finally:
        for name, (handlers, propagate, level) in saved.items():
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
    written = capsys.readouterr().err.splitlines()
    assert len(written) == 1
    assert "twice" in written[0]
