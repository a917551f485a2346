"""Numbers for whoever runs the service: counted in the process, shared between workers, never about a patient.

Counting is a dictionary entry, so that it costs the hot path next to nothing; once a second :func:`flush` hands the
counts to Prometheus, whose files in ``folder`` add up the workers, also those that have died. Labels come from closed
lists only: service ids, policy sections, causes, statuses. Until :func:`enable` is called counting does nothing.
"""

from __future__ import annotations

import os
from collections import Counter as Counts
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["counter", "histogram", "gauge"]

SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the buckets of durations; 5 s is the time that a client should have an answer in."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Gauges of several workers are combined as ``mode`` says."""

    kind: Kind
    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    mode: Literal["livesum", "livemax"] = "livesum"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("counter", "cds_calls", "Hook calls answered", ("service", "status")),
        Metric("counter", "cds_calls_within_5s", "Hook calls answered within 5 s", ("service",)),
        Metric("histogram", "cds_call_seconds", "Time to answer a hook call", ("service",)),
        Metric("counter", "cds_requests", "Other requests answered", ("endpoint", "status")),
        Metric("counter", "cds_orders", "In-scope orders judged", ("policy", "revision", "outcome")),
        Metric("counter", "cds_verdicts", "Dose verdicts", ("policy", "verdict")),
        Metric("counter", "cds_findings", "Criteria not met or undocumented", ("policy", "section", "outcome")),
        Metric("counter", "cds_missing", "Missing facts that could change an outcome", ("fact", "absence")),
        Metric("counter", "cds_cards", "Cards made", ("topic", "indicator")),
        Metric("counter", "cds_cards_quieted", "Cards softened because they were acknowledged before", ("mode",)),
        Metric("counter", "cds_silent_calls", "Calls that were judged and recorded, and shown nothing", ("service",)),
        Metric("counter", "cds_calls_without_drafts", "Order calls without draft orders (stripped by the EHR)", ()),
        Metric("counter", "cds_fetches", "FHIR reads at the client's server", ("key", "outcome")),
        Metric("histogram", "cds_fetch_seconds", "Time of a FHIR read", ("outcome",)),
        Metric("counter", "cds_tokens_refused", "Calls whose token was refused", ("cause",)),
        Metric("counter", "cds_key_readings", "Readings of the clients' key sets", ("outcome",)),
        Metric("counter", "cds_feedback", "Feedback entries taken", ("outcome",)),
        Metric("counter", "cds_record_rows", "Rows written to the record"),
        Metric("counter", "cds_record_groups", "Commits to the record"),
        Metric("counter", "cds_record_spooled", "Rows kept in the local spool because the store was away"),
        Metric("counter", "cds_record_replayed", "Rows moved from the spool to the store"),
        Metric("counter", "cds_record_refused", "Groups that could be kept nowhere; their calls were refused"),
        Metric("gauge", "cds_record_backlog", "Calls that wait for their rows"),
        Metric("gauge", "cds_record_away", "Workers for which the store is away"),
        Metric("gauge", "cds_record_spool_bytes", "Bytes that wait in the local spool", mode="livemax"),
        Metric("counter", "cds_reloads", "Reloads of policies and other files", ("what", "outcome")),
        Metric("gauge", "cds_reload_alarm", "A changed file was refused; the old one serves", ("what",), "livemax"),
        Metric("gauge", "cds_in_flight", "Requests being answered"),
        Metric("counter", "cds_crashes", "Unexpected errors", ("where",)),
    )
}

_counts: Counts[tuple[str, tuple[str, ...]]] = Counts()
_durations: list[tuple[str, tuple[str, ...], float]] = []
_gauges: dict[tuple[str, tuple[str, ...]], float] = {}
_enabled = False
_made: dict[str, Any] = {}
_registry: Any = None
_shared = False
_LONGEST_WAIT = 20_000
"""Most durations that wait for a flush; beyond it they are handed over at once."""


def enabled() -> bool:
    """Whether anything is counted at all."""
    return _enabled


def count(name: str, *labels: str, by: float = 1) -> None:
    """Add to a counter. Labels come in the order of the metric's definition."""
    if _enabled:
        _counts[name, labels] += by  # type: ignore[assignment]


def observe(name: str, seconds: float, *labels: str) -> None:
    """Add a duration to a histogram."""
    if _enabled:
        _durations.append((name, labels, seconds))
        if len(_durations) > _LONGEST_WAIT:
            flush()


def gauge(name: str, value: float, *labels: str) -> None:
    """Set a gauge of this process."""
    if _enabled:
        _gauges[name, labels] = value


def enable(folder: Path | None = None) -> None:
    """Begin to count. With a folder, all processes that name it count together; call it before they part."""
    global _enabled, _registry, _shared  # noqa: PLW0603  (one set of numbers per process, as Prometheus has it)
    if _enabled:
        return
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        # Read by the library when it is imported, and only then.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    import prometheus_client  # noqa: PLC0415
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: PLC0415

    _shared = folder is not None and "Mmap" in prometheus_client.values.ValueClass.__name__
    _registry = CollectorRegistry()
    for metric in METRICS.values():
        made: Any
        if metric.kind == "counter":
            made = Counter(metric.name, metric.meaning, metric.labels, registry=_registry)
        elif metric.kind == "histogram":
            made = Histogram(metric.name, metric.meaning, metric.labels, registry=_registry, buckets=SECONDS)
        else:
            made = Gauge(
                metric.name,
                metric.meaning,
                metric.labels,
                registry=_registry,
                multiprocess_mode=metric.mode,
            )
        _made[metric.name] = made
    _enabled = True


def flush() -> None:
    """Hand over what was counted since the last time. For the thread that counts."""
    if not _enabled:
        return
    counts, durations, gauges = _counts.copy(), _durations[:], dict(_gauges)
    _counts.subtract(counts)
    for key in [key for key in counts if not _counts[key]]:
        del _counts[key]
    del _durations[: len(durations)]
    for (name, labels), number in counts.items():
        _child(name, labels).inc(number)
    for name, labels, seconds in durations:
        _child(name, labels).observe(seconds)
    for (name, labels), value in gauges.items():
        _child(name, labels).set(value)


def _child(name: str, labels: tuple[str, ...]) -> Any:
    made = _made[name]
    return made.labels(*labels) if labels else made


def exposition() -> tuple[bytes, str]:
    """All numbers of all workers in Prometheus' text format, and its media type.

    They are those of the last :func:`flush`, which belongs to the thread that counts: two at once would count twice.
    """
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess  # noqa: PLC0415

    if not _enabled:
        return b"", CONTENT_TYPE_LATEST
    if not _shared:
        return generate_latest(_registry), CONTENT_TYPE_LATEST

    class Begun(multiprocess.MultiProcessCollector):
        """Leaves out the file that a worker has just made and not yet written, which the library cannot read."""

        def collect(self) -> Any:
            files = [file for file in Path(self._path).glob("*.db") if _size(file)]
            return self.merge([str(file) for file in files], accumulate=True)  # type: ignore[no-untyped-call]

    registry = CollectorRegistry()
    Begun(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # of a worker that has just ended
        return 0


def worker_ended(pid: int) -> None:
    """Forget the gauges of a worker that is gone; its counts stay."""
    if _shared:
        from prometheus_client import multiprocess  # noqa: PLC0415

        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
