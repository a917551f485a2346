"""The command line. Everything heavy is imported by the command that needs it, so that help stays quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cds_service import __version__
from cds_service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

app = typer.Typer(
    help="Checks durvalumab orders against a payer's medical policy. Informs; never approves or denies.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
policy = typer.Typer(help="Look at the loaded policies.", no_args_is_help=True)
app.add_typer(policy, name="policy")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a readable tree.")]
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Folder of policy documents instead of the built-in ones.")
]
File = Annotated[Path, typer.Argument(exists=True, readable=True)]

FAILED = 1
"""Exit code where a check found problems."""
UNUSABLE = 2
"""Exit code where the input or the configuration cannot be used."""


@app.callback(invoke_without_command=True)
def top(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Print the version, where that is all that was asked."""
    if version:
        print(__version__)  # noqa: T201
        raise typer.Exit


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes any free one.")] = None,
) -> None:
    """Start the service. All else is configured by DURVALUMAB_CDS_… variables (docs/integrate-ehr.md)."""
    from cds_service.server import serve as run

    run(_settings(host=host, port=port))


@app.command()
def demo(
    story: Annotated[Path, typer.Argument(help="A story folder or a request body.", exists=True)],
    once: Annotated[bool, typer.Option("--once", help="End after the answer instead of serving on.")] = False,
) -> None:
    """Start the service on a free loopback port, post a story to it over HTTP, and show what an EHR would get."""
    from cds_service.server import demo as run

    run(_settings(host="127.0.0.1", port=0, log_level="warning"), story, once=once, show=_show)


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="A hook request body, or a story folder.", exists=True)],
    as_json: AsJson = False,
) -> None:
    """Answer a hook request and show why: cards, findings, evidence, and what is missing."""
    from cds_service import terminal
    from cds_service.offline import answer_to, read_body

    body = answer_to(read_body(file), _settings())
    _show(body, terminal.answer(body), as_json=as_json)


@app.command()
def assess(
    facts: Annotated[Path, typer.Argument(help="Facts in YAML or JSON (docs/add-a-policy.md).", exists=True)],
    policy_id: Annotated[
        str | None, typer.Option("--policy", help="Policy number; needed if several are loaded.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Policy revision; by the order date where left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge facts without FHIR, to see what another weight or dose would come to."""
    from cds_service import terminal
    from cds_service.offline import assess_file

    body = assess_file(facts, _settings(), policy_id, revision)
    _show(body, [terminal.assessment(body)], as_json=as_json)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A hook request body, or a story folder.", exists=True)],
    as_json: AsJson = False,
) -> None:
    """Judge a request body strictly: members of the hook, every resource as FHIR R4, and what reading repaired."""
    from cds_service.offline import check_body, read_body

    problems = check_body(read_body(file))
    _show(problems, problems or ["The request is valid."], as_json=as_json)
    if problems:
        raise typer.Exit(FAILED)


@policy.command("list")
def policy_list(folder: Folder = None, as_json: AsJson = False) -> None:
    """List policies and revisions with the days they are in force."""
    revisions = [
        {
            "id": r.policy,
            "revision": r.revision,
            "from": r.in_force.start,
            **({"until": r.in_force.end} if r.in_force.end else {}),
            "title": r.title,
        }
        for r in _library(folder).revisions
    ]
    lines = [
        f"{r['id']}  {r['revision']}  {r['title']}  in force from {r['from']} to {r.get('until', 'further notice')}"
        for r in revisions
    ]
    _show(revisions, lines, as_json=as_json)


@policy.command("show")
def policy_show(policy_id: str, revision: str | None = None, folder: Folder = None) -> None:
    """Show a policy as the page a pharmacist reviews."""
    from rich.markdown import Markdown

    from cds_service.policies.render import render

    page = render(_library(folder).revision(policy_id, named=revision)[0])
    _print([Markdown(page) if sys.stdout.isatty() else page])


@policy.command("check")
def policy_check(
    path: Annotated[
        Path | None, typer.Argument(help="A document or a folder; the built-in policies if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check policy documents: gaps, overlaps, citations, facts. Problems are named with file and line."""
    from cds_service.errors import PolicyError
    from cds_service.policies.check import check as problems_of

    problems: list[str] = []
    if path is not None and path.is_file():
        problems = problems_of(path)
    else:
        try:
            _library(path)
        except PolicyError as error:
            problems = error.problems
    _show(problems, problems or ["No problems."], as_json=as_json)
    if problems:
        raise typer.Exit(FAILED)


@policy.command("diff")
def policy_diff(before: File, after: File, as_json: AsJson = False) -> None:
    """Say what changed from one policy document to another."""
    from cds_service.policies.diff import diff
    from cds_service.policies.load import load_revision

    lines = diff(load_revision(before), load_revision(after))
    _show(lines, lines or ["No difference."], as_json=as_json)


def _settings(**overrides: object) -> Any:
    from cds_service.settings import Settings

    return Settings.load(**{name: value for name, value in overrides.items() if value is not None})


def _library(folder: Path | None) -> Any:
    from cds_service.policies.library import load_library

    return load_library(folder)


def _show(value: object, readable: Iterable[RenderableType], *, as_json: bool = False) -> None:
    if as_json:
        from cds_service.cdshooks import write_json

        print(write_json(value).decode())  # noqa: T201
    else:
        _print(readable)


def _print(readable: Iterable[RenderableType]) -> None:
    from rich.console import Console

    console = Console()
    for part in readable:
        if isinstance(part, str):
            console.print(part, markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(part)


def main() -> NoReturn:
    """Run the command line; what the user can mend is told in one line, without a traceback."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except ServiceError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(UNUSABLE)
    sys.exit(0)


if __name__ == "__main__":
    main()
