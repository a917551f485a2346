"""The Dockerfile without an engine: its steps, run in a folder, give a service that starts and is healthy."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Stage:
    """One FROM with its instructions, in order."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [value for name, value in self.steps if name == instruction]

    def last(self, instruction: str) -> str:
        return self.all(instruction)[-1]


def stages() -> list[Stage]:
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    found: list[Stage] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, _, value = line.partition(" ")
        if instruction == "FROM":
            base, _, name = value.partition(" AS ")
            found.append(Stage(base, name))
        else:
            found[-1].steps.append((instruction, value.strip()))
    return found


def in_context(path: str) -> bool:
    """Whether .dockerignore lets a path of the checkout through; the last matching line decides."""
    seen = True
    for line in (ROOT / ".dockerignore").read_text().split():
        pattern = line.removeprefix("!")
        if fnmatch(path, pattern) or path.partition("/")[0] == pattern:
            seen = line.startswith("!")
    return seen


def test_the_image_is_small_and_runs_without_rights() -> None:
    build, final = stages()
    assert build.name == "build"
    assert "slim" in final.base
    assert final.all("COPY") == ["--from=build /app /app"]
    assert final.last("USER").partition(":")[0] not in {"", "0", "root"}
    assert final.all("RUN") == []
    assert not any(address in (ROOT / "Dockerfile").read_text() for address in ("https://", "index-url"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the build stage leaves in /app, built by its own steps.

    Dependencies are those of this environment, so that the test needs no network.
    """
    root = tmp_path_factory.mktemp("image")
    source, app = root / "src", root / "app"
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(pytest.__file__).parents[1]),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
    }
    folder = root
    for instruction, value in stages()[0].steps:
        if instruction == "WORKDIR":
            folder = root / value.lstrip("/")
            folder.mkdir()
        elif instruction == "COPY":
            *names, target = value.split()
            for name in names:
                assert in_context(name), name
                origin, to = ROOT / name, folder / target
                if origin.is_dir():
                    shutil.copytree(origin, to, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(origin, to)
        else:
            assert instruction == "RUN"
            command = value.replace("/app", str(app)).replace("/src", str(source))
            words = shlex.split(command)
            words[0] = sys.executable if words[0] == "python" else words[0]
            ran = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stderr + ran.stdout
    return root


def test_the_distribution_is_complete(image: Path) -> None:
    (installed,) = (image / "app" / "lib").glob("python3*/site-packages")
    shipped = {
        path.relative_to(ROOT)
        for package in ("cds_service", "hooks")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix in {".py", ".yaml", ".tsv", ".typed"}
    }
    assert not [str(path) for path in shipped if not (installed / path).exists()]
    assert not (installed / "tests").exists()


def test_the_service_starts_as_the_image_starts_it_and_is_healthy(image: Path) -> None:
    final = stages()[1]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    variables = dict(pair.split("=", 1) for pair in shlex.split(final.last("ENV")))
    path = f"{image / 'app' / 'bin'}:{os.environ['PATH']}"
    environment = {
        **variables,
        "PATH": path,
        "PYTHONPATH": str(Path(pytest.__file__).parents[1]),
        "DURVALUMAB_CDS_PORT": port,
        "DURVALUMAB_CDS_REGISTRY": str(ROOT / "docs" / "registry.example.yaml"),
        "DURVALUMAB_CDS_PUBLIC_BASE_URL": "https://cds.example",
        "DURVALUMAB_CDS_DATA_FOLDER": str(image / "data"),
    }
    command = json.loads(final.last("ENTRYPOINT")) + json.loads(final.last("CMD"))
    environment["http_proxy"] = "http://127.0.0.1:9"  # of a site, and of no use for a look at oneself
    check = json.loads(final.last("HEALTHCHECK").partition("CMD ")[2])
    entry = image / "app" / "bin" / command[0]
    with subprocess.Popen([entry, *command[1:]], env=environment, cwd=image, stderr=subprocess.PIPE) as started:
        try:
            for _ in range(100):
                health = subprocess.run(
                    [image / "app" / "bin" / check[0], *check[1:]], env=environment, check=False, capture_output=True
                )
                if health.returncode == 0 or started.poll() is not None:
                    break
                time.sleep(0.1)
            assert health.returncode == 0, health.stderr.decode()
        finally:
            started.terminate()
        assert started.stderr is not None
        assert b'"mode":"production"' in started.stderr.read()
