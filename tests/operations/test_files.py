"""Paths that lead to no file worth reading: told at once, at the start as in the middle of the service."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.crd.authorizations import read_register
from cds_service.crd.metrics import MetricsFile
from cds_service.errors import ServiceError
from cds_service.files import LARGEST, read_file
from cds_service.policies.load import load_revision
from cds_service.record.pseudonyms import keys_from
from cds_service.reload import Reloadable
from cds_service.settings import Settings
from cds_service.trust.operators import load_operators
from cds_service.trust.registry import load_registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as one:
        one.bind(str(path))


def endless(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 << 30)  # takes no room on the disk


ODD = [pipe, folder, loop, device, listening, endless]
READERS: dict[str, Callable[[Path], object]] = {
    "registry": load_registry,
    "authorizations": read_register,
    "operators": load_operators,
    "policy": load_revision,
    "record.secret": lambda path: keys_from(None, path),
    "any": read_file,
}


def in_time(work: Callable[[], object]) -> BaseException | None:
    """What a piece of work raises; it may wait for nobody."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert raised, "it waits for something that does not come"
    return raised[0]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("what", READERS)
def test_what_is_no_file_to_read_is_told_in_one_line(
    tmp_path: Path, odd: Callable[[Path], None], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    odd(path := tmp_path / "odd.yaml")
    error = in_time(lambda: READERS[what](path))
    assert isinstance(error, ServiceError if what != "any" else OSError)
    assert len(str(error).splitlines()) == 1


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(LARGEST)
    assert len(read_file(path)) == LARGEST


async def test_a_file_that_becomes_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "register.yaml"
    path.write_text("members: [m-1]\n")
    register = Reloadable("authorizations", lambda: read_register(path), path)
    before = register()
    path.unlink()
    os.mkfifo(path)
    assert in_time(register.look) is None
    assert register() is before
    assert register.alarm == "authorizations: 1 problem"
    path.unlink()
    path.write_text("members: [m-2]\n")
    assert await asyncio.wait_for(register.refresh(), 30)
    assert register().members == frozenset({"m-2"})
    assert register.alarm == ""


async def test_what_changes_while_it_is_read_for_the_first_time_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def load() -> str:
        said = path.read_text()
        path.write_text("newer")
        return said

    watched = Reloadable("file", load, path)
    assert watched() == "old"
    assert await watched.refresh()
    assert watched() == "newer"


def test_a_pipe_that_nobody_reads_takes_no_measures(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "measures")
    error = in_time(lambda: MetricsFile(path))
    assert isinstance(error, OSError)


@pytest.mark.parametrize("odd", [*ODD, "outside", "binary"])
def test_a_secret_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service would make a secret of its own instead, and write its rows under it."""
    (secrets := tmp_path / "s").mkdir()
    monkeypatch.chdir(secrets)
    path = secrets / "record_secret"
    match odd:
        case "outside":
            (tmp_path / "elsewhere").write_text("s" * 40)
            path.symlink_to(tmp_path / "elsewhere")
        case "binary":
            path.write_bytes(b"\xff" * 40)
        case _:
            odd(path)
    monkeypatch.setenv("DURVALUMAB_CDS_SECRETS_FOLDER", str(secrets))
    error = in_time(Settings.load)
    assert isinstance(error, ServiceError)
    assert str(error).startswith(f"DURVALUMAB_CDS_SECRETS_FOLDER: {path}: ")
    assert len(str(error).splitlines()) == 1


def test_secrets_of_a_mounted_folder_are_read_through_its_own_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (version := tmp_path / "..2026_11_23").mkdir()
    (version / "record_secret").write_text("s" * 40 + "\r\n")
    (tmp_path / "..data").symlink_to(version.name)
    (tmp_path / "record_secret").symlink_to("..data/record_secret")
    monkeypatch.setenv("DURVALUMAB_CDS_SECRETS_FOLDER", str(tmp_path))
    secret = Settings.load().record_secret
    assert secret is not None
    assert secret.get_secret_value() == "s" * 40
