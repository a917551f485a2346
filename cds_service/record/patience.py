"""A PostgreSQL connection that waits for no answer for ever.

The server's own limits (``statement_timeout``) and the network's (``tcp_user_timeout``) do nothing about a server that
takes a statement and stands still, on a disk that hangs for instance: whoever asked would wait until it goes on.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def connecting(patience: float) -> Callable[..., psycopg.Connection[Any]]:
    """How SQLAlchemy connects (its event ``do_connect``): each statement has so many seconds."""

    class Patient(psycopg.Connection[Any]):
        def wait(self, gen: Generator[Any, Any, Any], *args: Any, **more: Any) -> Any:
            """The result of a statement. Raises OperationalError, and gives the connection up, where none comes."""
            return super().wait(_in_time(gen, self, patience), *args, **more)

    def connect(_: object, __: object, arguments: Any, parameters: Any) -> psycopg.Connection[Any]:
        return Patient.connect(*arguments, **parameters)

    return connect


def _in_time(
    gen: Generator[Any, Any, Any], connection: psycopg.Connection[Any], patience: float
) -> Generator[Any, Any, Any]:
    """The driver's own steps; it is told now and then (0.1 s) that nothing has come."""
    until = monotonic() + patience
    try:
        wanted = next(gen)
        while True:
            came = yield wanted
            if not came and monotonic() > until:
                connection.pgconn.finish()
                raise psycopg.OperationalError("no answer in time")
            wanted = gen.send(came)
    except StopIteration as end:
        return end.value
