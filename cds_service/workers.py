"""Several workers behind one listening socket, each a copy of a process that has everything loaded.

The parent only watches: a worker that dies is replaced within milliseconds, and because the socket stays open no
connection is refused meanwhile. It keeps the newest good version of every file, for a worker that starts while one is
broken has nothing else to begin with. SIGTERM drains every worker, SIGHUP makes them look for changed files, SIGUSR2
replaces them one after the other. Workers whose parent is gone (killed at once, or for want of memory) end as if it had
told them to: left to themselves they would hold the address, and nobody could stop or replace them.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

from cds_service import logs, telemetry
from cds_service.reload import WATCHED_EVERY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

_WATCHED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD})
_TOO_SOON = 2.0
"""A worker that ends within so many seconds did not start properly."""
_GIVE_UP = 10
"""So many of those in a row end the service: something is wrong that starting again does not mend."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that can be handed to workers. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(2048)
    listening.set_inheritable(True)
    return listening


class Workers:
    """Workers that each run ``work`` with the listening socket until it returns.

    ``look`` is called in the parent about once a second, to see what changed for workers that are still to come.
    """

    def __init__(
        self,
        count: int,
        listening: socket.socket,
        work: Callable[[socket.socket], None],
        patience: float,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self._count = count
        self._listening = listening
        self._work = work
        self._patience = patience
        self._look = look
        self._started: dict[int, float] = {}
        self._leaving: set[int] = set()
        self._failures = 0
        self._parents_end, self._alive = os.pipe()  # the second is open in the parent alone

    def run(self) -> int:
        """Run until told to stop; the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        # What is loaded now is shared by all workers; the collector would copy it page by page.
        gc.collect()
        gc.freeze()
        for _ in range(self._count):
            self._start()
        while True:
            told = signal.sigtimedwait(_WATCHED, WATCHED_EVERY)
            received = told.si_signo if told else None
            if received in {signal.SIGTERM, signal.SIGINT}:
                return self._stop()
            self._look_at_files()
            if received == signal.SIGHUP:
                self._tell(self._started, signal.SIGHUP)
            elif received == signal.SIGUSR2:
                self._replace()
            self._reap()
            if self._failures >= _GIVE_UP:
                logs.event(log, logging.ERROR, "workers do not start")
                self._stop()
                return 1

    def _look_at_files(self) -> None:
        """What changed since the service began is what a worker that starts later begins with."""
        try:
            self._look()
        except Exception as error:
            logs.crash(log, "reload", error)

    def _start(self) -> int:
        pid = os.fork()
        if pid:
            self._started[pid] = time.monotonic()
            return pid
        code = 1
        try:
            for number in _WATCHED:
                # One that is starting reads the files anyway; told to look for changes, it must not end. And whoever
                # signals all processes of a service means the parent when he wants them replaced.
                ignored = number in {signal.SIGHUP, signal.SIGUSR2}
                signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            os.close(self._alive)
            threading.Thread(target=self._end_with_the_parent, name="parent", daemon=True).start()
            self._work(self._listening)
            code = 0
        except BaseException as error:
            logs.crash(log, "worker", error)
        finally:
            os._exit(code)

    def _end_with_the_parent(self) -> None:
        """In a worker: wait until the parent is gone, and then do what it would have done."""
        os.read(self._parents_end, 1)
        logs.event(log, logging.ERROR, "parent ended; worker ends")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._patience)
        os._exit(1)

    def _reap(self) -> None:
        # New ones may end while this one is at work: it must not go on for ever.
        while self._started and self._failures < _GIVE_UP:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            started = self._started.pop(pid, 0.0)
            telemetry.worker_ended(pid)
            if pid in self._leaving:
                self._leaving.discard(pid)
                continue
            logs.event(log, logging.WARNING, "worker ended; another one starts")
            if time.monotonic() - started < _TOO_SOON:
                self._failures += 1
                time.sleep(min(0.05 * self._failures, 1.0))
            else:
                self._failures = 0
            self._start()

    def _replace(self) -> None:
        """A new worker for every one there is; the old ones drain and go."""
        for pid in list(self._started):
            self._start()
            self._leaving.add(pid)
            self._tell([pid], signal.SIGTERM)

    def _stop(self) -> int:
        # Workers hold the socket too: it closes when the last of them has taken what waits there.
        self._listening.close()
        self._tell(self._started, signal.SIGTERM)
        until = time.monotonic() + self._patience
        while self._started and time.monotonic() < until:
            signal.sigtimedwait(_WATCHED, 0.2)
            self._collect()
        self._tell(self._started, signal.SIGKILL)
        while self._started:
            time.sleep(0.01)
            self._collect()
        return 0

    def _collect(self) -> None:
        for pid in list(self._started):
            with contextlib.suppress(ChildProcessError):
                if not os.waitpid(pid, os.WNOHANG)[0]:
                    continue
            del self._started[pid]

    @staticmethod
    def _tell(pids: Iterable[int], number: signal.Signals) -> None:
        for pid in list(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
