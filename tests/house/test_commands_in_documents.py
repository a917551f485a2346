"""Every command that README and docs tell a reader to run is run here, in a copy of the checkout.

Commands stand in ``sh`` blocks, one a line, or in the text between backticks. Each is run as it is written, after names
that stand for something (FILE, <id>) got something to stand for. What cannot be run inside a test suite is in HELD with
the reason, and is checked as far as it can be. A command of any other kind fails: nothing new goes untested.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from cds_service.settings import PREFIX, Settings
from tests.cli.test_terminal import commands as commands_of_the_program
from tests.house.test_dockerfile import stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
STORY = "fixtures/fhir/nsclc-unresectable-overdose"
POLICY = "cds_service/policies/cp_phar_339/2022-12-02.yaml"
ADDRESS = "http://127.0.0.1:8080"

PROGRAMS = ("durvalumab-cds", "make", "curl", "docker", "kubectl", "python", "python3", "pytest", "ruff", "mypy",
            "lint-imports", "pip", "npm", "git", "cp", "mkdir", "echo")  # fmt: skip
"""What a text between backticks begins with where it is a command."""

STANDS_FOR = (
    (r"(?<=registry check )FILE", "docs/registry.example.yaml"),
    (r"(?<=authorizations check )FILE", "docs/authorizations.example.yaml"),
    (r"\bFILE\b", STORY),
    (r"\bFOLDER\b", "cds_service/policies/cp_phar_339"),
    (r"(?<=--days )N\b", "30"),
    (r"(?<=operator )NAME", "rx-ops"),
)
"""Names in capitals, and what they stand for here. ``<…>`` is the uuid of a card that was shown and recorded."""

NEEDS = {
    "durvalumab-cds jwt mint": "--key keys/private-key.json --iss https://ehr.example --aud https://cds.example/x",
    "durvalumab-cds record purge": "--days 30",
}
"""Arguments of commands that the text names without any."""

HELD = {
    "make test": "runs this very test",
    "make bench": "two minutes of load",
    "make crash": "ten thousand calls and ten kills",
    "make soak": "half an hour of load",
    "make footprint": "measures time and memory, for which nothing else may run",
    "python -m benchmarks": "two minutes of load",
    "pytest tests/workbench": "drives a browser; the suite runs it as it is",
    "pip install": "changes the environment the tests run in, which has every extra already",
    "docker build": "needs an engine; tests/house/test_dockerfile.py runs the steps of the Dockerfile",
    "docker run": "needs an engine; the program is started with what the image and the command set",
}
"""What is not run here, by how it begins, and why."""


def commands(page: Path) -> list[str]:
    """The commands of a page in their order: lines of its ``sh`` blocks, then texts between backticks."""
    text = page.read_text()
    others = set(re.findall(r"^ *```(\w+)", text, re.M)) - {"sh", "yaml", "json", "python"}
    assert not others, f"commands belong into sh blocks: {others}"
    found: list[str] = []
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            whole = re.sub(r"(^|\s)#.*", "", line).strip()
            found += [part.strip() for part in whole.split(" && ") if part.strip()]
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    for span in re.findall(r"`([^`\n]+)`", prose):
        name, *more = plain(span).split()
        if name in PROGRAMS and more:
            found.append(span)
    return found


def plain(command: str) -> str:
    """A command without the folder of its program and the variables before it."""
    return re.sub(r"^(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?", "", command)


@dataclass
class Desk:
    """A copy of the checkout with the program installed, and a served instance that has shown one card."""

    folder: Path
    environment: dict[str, str]
    address: str = ""
    card: str = ""
    ran: dict[str, str] = field(default_factory=dict)

    def run(self, command: str) -> str:
        """Run a line in the copy, once however many pages have it; its output. It has to succeed."""
        if command not in self.ran:
            done = subprocess.run(
                # The shell stays until the command has ended: --install-completion asks what shell it was typed into.
                ["bash", "-euo", "pipefail", "-c", f"{command}\n:"],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=400,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            assert "Traceback" not in done.stderr, done.stderr
            self.ran[command] = done.stdout
        return self.ran[command]

    def serve(self, command: str, **more: str) -> subprocess.Popen[str]:
        """Start something that serves on; the process, once it says where, with that line in ``told``."""
        started = subprocess.Popen(
            ["bash", "-c", f"exec env {command}"],
            cwd=self.folder,
            env={**self.environment, "DURVALUMAB_CDS_PORT": "0", **more},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert started.stderr is not None
        said = []
        for line in started.stderr:
            said.append(line)
            if "serving" in line and "127.0.0.1:" in line:
                started.told = line  # type: ignore[attr-defined]
                return started
        started.wait(30)
        started.stderr.close()
        raise AssertionError(f"{command}\n{''.join(said)}")


def end(started: subprocess.Popen[str]) -> None:
    started.send_signal(signal.SIGTERM)
    assert started.stderr is not None
    trouble = started.stderr.read()
    started.stderr.close()
    assert started.wait(30) == 0, trouble


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    top = tmp_path_factory.mktemp("reader")
    folder = top / "durvalumab-cds"
    unwanted = shutil.ignore_patterns(".git", ".venv", ".hypothesis", "*.egg-info", "build")  # caches save minutes
    shutil.copytree(ROOT, folder, ignore=unwanted)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    here = Path(sys.executable).parent
    for name in ("python", "pytest", "ruff", "mypy", "lint-imports", "durvalumab-cds"):
        call = f'"{here / name}"'
        if not (here / name).exists():
            assert name == "durvalumab-cds", f"{name} is not installed"
            run = "import sys; sys.argv[0] = 'durvalumab-cds'; from cds_service.__main__ import main; main()"
            call = f'"{sys.executable}" -P -c "{run}"'
        (programs / name).write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        (programs / name).chmod(0o755)
    for name in ("installed", "tested"):
        (folder / ".venv" / name).touch()
    keep = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "PYTEST_", "COV_"))}
    environment = {
        **keep,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(top / "home"),
        "XDG_STATE_HOME": str(top / "state"),
        "NO_COLOR": "1",
    }
    (top / "home").mkdir()
    facts = re.search(r"`facts\.yaml`.*?```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert facts is not None
    (folder / "facts.yaml").write_text(facts[1])
    made = Desk(folder, environment)
    made.run("durvalumab-cds jwt keys keys")
    served = made.serve("durvalumab-cds serve")
    address = re.search(r"http://127\.0\.0\.1:\d+", served.told)  # type: ignore[attr-defined]
    assert address is not None
    made.address = address[0]
    body = (folder / STORY / "request.json").read_bytes()
    sent = {"content": body, "headers": {"content-type": "application/json"}, "trust_env": False}
    shown = httpx.post(f"{made.address}/cds-services/durvalumab-order-sign", **sent).json()  # type: ignore[arg-type]
    made.card = shown["cards"][0]["uuid"]
    yield made
    end(served)


def program(desk: Desk, command: str) -> None:
    """The installed program. What serves on is started, found to serve, and ended."""
    if plain(command).startswith("durvalumab-cds serve"):
        words = re.sub(r"DURVALUMAB_CDS_PORT=\d+ ", "", command)
        if words not in desk.ran:
            end(desk.serve(words))
            desk.ran[words] = ""
        return
    desk.run(command)


def ran(desk: Desk, command: str) -> None:
    """Anything that ends by itself."""
    desk.run(command)


def request(desk: Desk, command: str) -> None:
    """A request with curl, to the instance that is served here; without curl, the same request with httpx."""
    command = command.replace(ADDRESS, desk.address)
    assert ADDRESS not in command
    if shutil.which("curl"):
        assert desk.run(command.replace("curl ", "curl --fail --noproxy '*' ", 1))
        return
    words = shlex.split(command)[1:]
    headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
    (url,) = (word for word in words if word.startswith("http"))
    content = next(((desk.folder / words[i + 1][1:]).read_bytes() for i, w in enumerate(words) if w == "--data"), None)
    httpx.request(
        "POST" if content else "GET", url, content=content, headers=headers, trust_env=False
    ).raise_for_status()


def make(desk: Desk, command: str) -> None:
    """A target is made; the demonstration ends instead of serving on."""
    desk.run(f"{command} ONCE=1")


def held_make(desk: Desk, command: str) -> None:
    """What make would do is known, and what it would start is there."""
    told = desk.run(f"{command} --dry-run")
    assert told
    for module in re.findall(r"python -m (\S+)", told):
        assert find_spec(module), module
    for path in re.findall(r"\s((?:tests/|\.ci/)\S+)", told):
        assert (ROOT / path).exists(), path


def held_python(desk: Desk, command: str) -> None:
    """Its options are understood."""
    assert "usage" in desk.run(f"{command} --help")


def held_pytest(desk: Desk, command: str) -> None:
    """There is something to run."""
    assert "::" in desk.run(f"{command} --collect-only")


def held_image(desk: Desk, command: str) -> None:
    """The Dockerfile is where the command looks for it."""
    words = shlex.split(command)
    assert (ROOT / words[-1] / "Dockerfile").is_file()
    assert words[words.index("-t") + 1] == IMAGE


def held_container(desk: Desk, command: str) -> None:
    """The program starts with what the image and the command set: files mounted, variables, port."""
    words = shlex.split(command)
    assert words[-1] == IMAGE
    final = stages()[-1]
    variables = dict(pair.split("=", 1) for pair in shlex.split(final.last("ENV")))
    (published,) = (words[i + 1] for i, word in enumerate(words) if word == "-p")
    assert published.rpartition(":")[2] == final.last("EXPOSE") == variables["DURVALUMAB_CDS_PORT"]
    variables |= dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "-e")
    mounts = [words[i + 1].split(":") for i, word in enumerate(words) if word == "-v"]
    for source, target, *_ in mounts:
        inside = source.replace("$PWD", str(desk.folder))
        assert (desk.folder / inside).exists(), source
        variables = {name: inside if value == target else value for name, value in variables.items()}
    settings = {name: value for name, value in variables.items() if name.startswith(PREFIX)}
    settings |= {f"{PREFIX}PORT": "0", f"{PREFIX}HOST": "127.0.0.1"}
    settings[f"{PREFIX}DATA_FOLDER"] = str(desk.folder / "data")
    end(desk.serve("durvalumab-cds serve", **settings))


IMAGE = "durvalumab-cds"
RUN: dict[str, Callable[[Desk, str], None]] = {
    "durvalumab-cds": program,
    "curl": request,
    "make": make,
    "python": ran,
    "pytest": ran,
    "ruff": ran,
    "lint-imports": ran,
    "cp": ran,
    "mkdir": ran,
    "echo": ran,
}


def held_pip(desk: Desk, command: str) -> None:
    """The extras exist."""
    del desk
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.fullmatch(r"pip install '\.\[(\w+)\]'", command)
    assert named is not None, command
    assert named[1] in extras


CHECK: dict[str, Callable[[Desk, str], None]] = {
    "make": held_make,
    "pip": held_pip,
    "python": held_python,
    "pytest": held_pytest,
    "docker build": held_image,
    "docker run": held_container,
}


def ready(desk: Desk, command: str) -> str:
    """A command as it can be run: names stand for something, and nothing needed is left out."""
    command = re.sub(r"<[^>]+>", desk.card, command)
    for name, thing in STANDS_FOR:
        command = re.sub(name, thing, command)
    more = NEEDS.get(plain(command))
    return f"{command} {more}" if more else command


def work_through(desk: Desk, page: Path) -> None:
    """The commands of a page, one after the other, as somebody reading it would run them."""
    for written in commands(page):
        command = ready(desk, written)
        short = plain(command)
        handlers = CHECK if any(short.startswith(begins) for begins in HELD) else RUN
        handle = next((do for begins, do in handlers.items() if short.startswith(begins)), None)
        assert handle is not None, f"nobody tests this command: {written}"
        handle(desk, command)


WITH_COMMANDS = [page for page in PAGES if commands(page)]


@pytest.fixture(scope="module")
def worked(desk: Desk) -> Iterator[dict[Path, Future[None]]]:
    """The pages, worked through by two readers at the same time."""
    with ThreadPoolExecutor(2) as readers:
        yield {page: readers.submit(work_through, desk, page) for page in WITH_COMMANDS}


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_works(worked: dict[Path, Future[None]], page: Path) -> None:
    worked[page].result()


def test_pages_that_are_made_are_fresh(desk: Desk) -> None:
    desk.run("make docs ONCE=1")
    for name in ("docs/what-we-read.md", "docs/policies/CP.PHAR.339.md"):
        assert (desk.folder / name).read_text() == (ROOT / name).read_text()


def test_what_is_held_back_is_still_in_the_documents() -> None:
    written = {plain(command) for page in PAGES for command in commands(page)}
    assert [begins for begins in HELD if not any(command.startswith(begins) for command in written)] == []
    assert [name for name in NEEDS if name not in written] == []


# Files to start from: what they name has to be there


def settings_named(text: str) -> set[str]:
    return set(re.findall(rf"{PREFIX}([A-Z_]+)", text))


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml", "prometheus.yaml"])
def test_files_to_deploy_from_are_yaml_and_name_known_settings(name: str) -> None:
    text = (ROOT / "docs" / "deploy" / name).read_text()
    assert list(yaml.safe_load_all(text))
    known = {field.upper() for field in Settings.model_fields} | {"SECRETS_FOLDER", "CONFIG_FILE"}
    assert settings_named(text) <= known


def test_the_compose_file_fits_the_image() -> None:
    folder = ROOT / "docs" / "deploy"
    head, _, rest = (folder / "compose.yaml").read_text().partition("\n")
    (file,) = re.findall(r"docker compose --file (\S+)", head)
    assert (ROOT / file).is_file()
    secrets = yaml.safe_load(rest)["secrets"].values()
    told = rest.partition("\nservices:")[0]
    assert all(Path(secret["file"]).name in told for secret in secrets)
    services = yaml.safe_load(rest)["services"]
    final = stages()[-1]
    variables = dict(pair.split("=", 1) for pair in shlex.split(final.last("ENV")))
    known = {path for path, _ in commands_of_the_program()}
    assert tuple(services["upgrade"]["command"]) in known
    for service in (services["service"], services["upgrade"]):
        assert (folder / service["build"] / "Dockerfile").is_file()
        targets = {volume.split(":")[1] for volume in service["volumes"]}
        assert targets == {str(Path(variables["DURVALUMAB_CDS_REGISTRY"]).parent), final.last("VOLUME")}
        assert set(service["secrets"]) <= set(Settings.model_fields)
    assert services["service"]["ports"] == [f"127.0.0.1:8080:{final.last('EXPOSE')}"]
    prometheus = yaml.safe_load((folder / "prometheus.yaml").read_text())
    targets = [t for job in prometheus["scrape_configs"] for one in job["static_configs"] for t in one["targets"]]
    assert targets == [f"service:{final.last('EXPOSE')}"]


async def test_the_kubernetes_files_fit_the_image(client: httpx.AsyncClient) -> None:
    text = (ROOT / "docs" / "deploy" / "kubernetes.yaml").read_text()
    documents: list[Any] = list(yaml.safe_load_all(text))
    kinds = {one["kind"]: one for one in documents}
    final = stages()[-1]
    variables = dict(pair.split("=", 1) for pair in shlex.split(final.last("ENV")))
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    if f"{PREFIX}PORT".startswith(kinds["Service"]["metadata"]["name"].upper().replace("-", "_")):
        assert pod["enableServiceLinks"] is False  # else the pod is told a port that is none
    (service,), (upgrade,) = pod["containers"], pod["initContainers"]
    assert service["image"] == upgrade["image"] == f"{IMAGE}:latest"
    assert str(service["ports"][0]["containerPort"]) == final.last("EXPOSE")
    assert str(pod["securityContext"]["runAsUser"]) == final.last("USER").partition(":")[0]
    assert tuple(upgrade["args"]) in {path for path, _ in commands_of_the_program()}
    mounts = {mount["mountPath"] for mount in service["volumeMounts"]}
    assert {str(Path(variables["DURVALUMAB_CDS_REGISTRY"]).parent), final.last("VOLUME")} <= mounts
    assert {mount["name"] for mount in service["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    secrets = {v["value"] for v in service["env"] if v["name"].endswith("SECRETS_FOLDER")}
    assert secrets <= mounts
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert (await client.get(service[name]["httpGet"]["path"])).status_code in {200, 503}
