"""The command line. Everything heavy is imported by the command that needs it, so that help stays quick."""

from __future__ import annotations

import re
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cds_service import __version__
from cds_service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

app = typer.Typer(
    help="Checks durvalumab orders against a payer's medical policy. Informs; never approves or denies.",
    epilog="Exit codes: 0 done; 1 a check found problems; 2 unusable input or configuration; 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
policy = typer.Typer(help="Look at the loaded policies.", no_args_is_help=True)
app.add_typer(policy, name="policy")
jwt = typer.Typer(help="Make keys and client tokens, to try a protected service.", no_args_is_help=True)
app.add_typer(jwt, name="jwt")
registry = typer.Typer(help="Look at a registry of clients.", no_args_is_help=True)
app.add_typer(registry, name="registry")
authorizations = typer.Typer(help="Look at a register of prior authorizations.", no_args_is_help=True)
app.add_typer(authorizations, name="authorizations")
record_app = typer.Typer(help="Look after the record of decisions (docs/operate.md).", no_args_is_help=True)
app.add_typer(record_app, name="record")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Folder = Annotated[Path | None, typer.Option("--folder", help="Folder of policy documents instead of the loaded ones.")]
Earlier = Annotated[Path, typer.Argument(help="The earlier document.", exists=True, dir_okay=False, readable=True)]
Later = Annotated[Path, typer.Argument(help="The later document.", exists=True, dir_okay=False, readable=True)]

ANCHOR = re.compile(r"\d+:[0-9a-f]{32}", re.ASCII)
FAILED = 1
"""Exit code where a check found problems."""
UNUSABLE = 2
"""Exit code where the input or the configuration cannot be used."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@app.callback(invoke_without_command=True)
def top(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Print the version, where that is all that was asked."""
    if version:
        print(__version__)  # noqa: T201
        raise typer.Exit


# --- serving, and judging one request or some facts -------------------------------------------------------------------


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes any free one.")] = None,
) -> None:
    """Start the service. All else is configured by DURVALUMAB_CDS_… variables (docs/integrate-ehr.md)."""
    from cds_service.server import serve as run

    raise typer.Exit(run(_settings(host=host, port=port)))


@app.command()
def demo(
    story: Annotated[Path, typer.Argument(help="A story folder or a request body.", exists=True)],
    once: Annotated[bool, typer.Option("--once", help="End after the answer instead of serving on.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the service on a free loopback port, post a story to it over HTTP, and show what an EHR would get."""
    from cds_service.server import demo as run

    def show(answer: object, readable: Iterable[RenderableType]) -> None:
        if answer is not None or not as_json:
            _show(answer, readable, as_json=as_json)

    run(_settings(host="127.0.0.1", port=0, log_level="warning", record=False), story, once=once, show=show)


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

    _found(check_body(read_body(file)), "The request is valid.", as_json=as_json)


# --- policies ---------------------------------------------------------------------------------------------------------


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
        f"{r['id']}  {r['revision']}  {r['title']}  in force from {r['from']}"
        + (f" to {r['until']}" if "until" in r else "")
        for r in revisions
    ]
    _show(revisions, lines, as_json=as_json)


@policy.command("show")
def policy_show(
    policy_id: Annotated[str, typer.Argument(help="As `policy list` names it: CP.PHAR.339.")],
    revision: Annotated[str | None, typer.Option(help="Which one; the newest where left out.")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Show a policy as the page a pharmacist reviews; Markdown where the output is no terminal."""
    from rich.markdown import Markdown

    from cds_service.policies.describe import described
    from cds_service.policies.render import render

    found = _library(folder).revision(policy_id, named=revision)[0]
    page = render(found)
    _show(described(found), [Markdown(page) if sys.stdout.isatty() else page.rstrip()], as_json=as_json)


@policy.command("check")
def policy_check(
    path: Annotated[
        Path | None, typer.Argument(help="A document or a folder; the loaded policies if left out.")
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
    _found(problems, "No problems.", as_json=as_json)


@policy.command("diff")
def policy_diff(before: Earlier, after: Later, as_json: AsJson = False) -> None:
    """Say what changed from one policy document to another."""
    from cds_service import terminal
    from cds_service.policies.diff import diff
    from cds_service.policies.load import load_revision

    lines = diff(load_revision(before), load_revision(after))
    _show(lines, terminal.changes(lines), as_json=as_json)


# --- the settings, and what the record tells --------------------------------------------------------------------------


@app.command()
def config(as_json: AsJson = False) -> None:
    """Print the settings in force; of secrets only whether they are set."""
    from cds_service import terminal

    settings = _settings().effective()
    _show(settings, terminal.settings(settings), as_json=as_json)


@app.command()
def stats(
    since: Annotated[datetime | None, typer.Option(help="First day.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Day after the last one.")] = None,
    as_json: AsJson = False,
) -> None:
    """What fires, what is missing, what users make of it: per finding, revision and client, with control limits."""
    from cds_service import terminal
    from cds_service.record.stats import stats as rates

    with _store() as (store, _):
        found = rates(store, since=_micros(since), until=_micros(until))
    _show(found, terminal.rates(found), as_json=as_json)


# --- the record -------------------------------------------------------------------------------------------------------


@record_app.command("upgrade")
def record_upgrade() -> None:
    """Bring the record's schema to the version of this program."""
    from cds_service.record.migrate import upgrade

    settings = _settings()
    if settings.record_url is None:
        settings.data_folder.mkdir(parents=True, exist_ok=True)
    upgrade(_store_of(settings)[0].url)
    typer.echo("The record has the schema of this program.", err=True)


@record_app.command("verify")
def record_verify(
    anchor: Annotated[str | None, typer.Option(help="An anchor printed earlier; its row has to be there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the chain of rows; a changed, missing or added row is named. Prints an anchor to note elsewhere."""
    from dataclasses import asdict

    from cds_service.record.verify import verify

    if anchor is not None and not ANCHOR.fullmatch(anchor):
        raise typer.BadParameter("an anchor is a row and its link, as printed: 2:85bd…", param_hint="--anchor")
    with _store() as (store, keys):
        report = verify(store, keys, anchor)
    told = f"{report.rows} rows from {report.first} to {report.last}; anchor {report.anchor}"
    _show(asdict(report), [*report.problems, told], as_json=as_json)
    if report.problems:
        raise typer.Exit(FAILED)


@record_app.command("export")
def record_export(
    since: Annotated[datetime | None, typer.Option(help="First day.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Day after the last one.")] = None,
) -> None:
    """Write decisions as FHIR AuditEvents, one JSON line each."""
    from cds_service.record.export import ndjson

    with _store() as (store, _):
        for line in ndjson(store.decisions(since=_micros(since), until=_micros(until))):
            sys.stdout.buffer.write(line)


@record_app.command("purge")
def record_purge(
    days: Annotated[
        int | None, typer.Option(min=1, help="Days to keep; DURVALUMAB_CDS_RECORD_DAYS if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove rows older than so many days; their counts stay, and the chain says where it was cut."""
    from cds_service.record.retention import purge

    kept = days or _settings().record_days
    if not kept:
        raise ServiceError("Say how many days to keep: --days, or DURVALUMAB_CDS_RECORD_DAYS.")
    with _store() as (store, keys):
        purged = purge(store, keys, days=kept, now=time.time_ns() // 1000)
    _show({"purged": purged}, [f"{purged} rows purged"], as_json=as_json)


@record_app.command("show")
def record_show(
    identity: Annotated[str, typer.Argument(help="Id of a decision, or uuid of one of its cards.")],
    as_json: AsJson = False,
) -> None:
    """Show one decision with the answer as it was sent. Needs the secret of the record."""
    import orjson

    from cds_service import terminal
    from cds_service.record.store import readable

    with _store() as (store, keys):
        stored = store.decision(identity)
        if stored is None:
            raise ServiceError("There is no such decision in the record.")
        row = stored.decision
        try:
            sealed = orjson.loads(keys.unseal(row.sealed)) if row.sealed else None
        except ValueError:
            raise ServiceError("The seal does not open: another secret, or the row was changed.") from None
        with readable(stored):
            told = {"place": stored.seq, **orjson.loads(row.body), "sealed": sealed}
    _show(told, [terminal.document(told)], as_json=as_json)


# --- registries, registers, keys and passwords ------------------------------------------------------------------------


@registry.command("check")
def registry_check(
    file: Annotated[Path, typer.Argument(help="The registry file (docs/registry.example.yaml).")],
    demo: Annotated[bool, typer.Option("--demo", help="Allow what only a demonstration may have.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a registry of clients. Problems are named with file and line."""
    from cds_service.errors import RegistryError
    from cds_service.trust.registry import load_registry

    problems: list[str] = []
    try:
        load_registry(file, demo=demo)
    except RegistryError as error:
        problems = error.problems
    _found(problems, "No problems.", as_json=as_json)


@authorizations.command("check")
def authorizations_check(
    file: Annotated[Path, typer.Argument(help="The register, YAML or CSV (docs/integrate-crd.md).")],
    as_json: AsJson = False,
) -> None:
    """Check a register of prior authorizations. Problems are named with file and line, and no member with them."""
    from cds_service.crd.authorizations import problems_of

    _found(problems_of(file), "No problems.", as_json=as_json)


@jwt.command("keys")
def jwt_keys(
    folder: Annotated[Path, typer.Argument(help="Where private-key.json and jwks.json are written.")],
    algorithm: Annotated[str, typer.Option("--alg", help="ES384, RS384 or another asymmetric one.")] = "ES384",
    as_json: AsJson = False,
) -> None:
    """Make a key pair: a private key to sign with, and the JWK set to register or publish."""
    import json

    from cds_service.trust.mint import make_key, public_set

    private = make_key(algorithm)
    secret, public = folder / "private-key.json", folder / "jwks.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if secret.exists():
            raise ServiceError(f"{secret} exists; a key is not overwritten")
        secret.touch(mode=0o600)
        secret.write_text(json.dumps(private, indent=2))
        public.write_text(json.dumps(public_set(private), indent=2))
    except OSError as error:
        raise ServiceError(f"{folder}: {error.strerror}") from None
    _show(
        {"private_key": str(secret), "jwks": str(public)},
        [f"{secret}: keep it to yourself", f"{public}: register it, or publish it at the jku"],
        as_json=as_json,
    )


@jwt.command("mint")
def jwt_mint(
    key: Annotated[Path, typer.Option("--key", exists=True, help="The private key (a JWK).")],
    issuer: Annotated[str, typer.Option("--iss", help="The issuer, as it is registered.")],
    audience: Annotated[str, typer.Option("--aud", help="The public address that is called, in full.")],
    tenant: Annotated[str | None, typer.Option(help="The tenant, where the issuer has several.")] = None,
    subject: Annotated[str | None, typer.Option("--sub", help="The subject, where one is agreed.")] = None,
    jku: Annotated[str | None, typer.Option(help="Where the public key is published.")] = None,
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="How long it is valid.")] = 300,
    as_json: AsJson = False,
) -> None:
    """Print a client token for one call to one address."""
    import json

    from cds_service.trust.mint import mint

    try:
        private = json.loads(key.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ServiceError(f"{key}: no JWK") from None
    token = mint(private, audience, issuer, seconds=seconds, tenant=tenant, sub=subject, jku=jku)
    _show({"token": token}, [token], as_json=as_json)


@app.command()
def operator(
    name: Annotated[str, typer.Argument(help="Lower case letters, digits and hyphens.")], as_json: AsJson = False
) -> None:
    """Make a password for the workbench outside demo mode, and the line for DURVALUMAB_CDS_OPERATORS."""
    from cds_service.trust.operators import new_operator

    password, line = new_operator(name)
    _show({"password": password, "line": line}, [f"password, told once: {password}", line], as_json=as_json)


# --- prefetch ---------------------------------------------------------------------------------------------------------


@app.command()
def prefetch(
    profile: Annotated[str, typer.Option(help="For whom: generic, crd, epic, cerner.")] = "generic",
    as_json: AsJson = False,
) -> None:
    """Print the prefetch settings of every service, for sites that type them in, and their hash (see GET /ready)."""
    from cds_service.offline import prefetch_settings

    told = prefetch_settings(profile, _settings())
    lines = [line for one in told["services"] for line in ("", one["enter"], *_rows(one["prefetch"]))]
    _show(told, [*lines[1:], "", f"sha256 {told['sha256']}"], as_json=as_json)


# --- what commands share ----------------------------------------------------------------------------------------------


def _settings(**overrides: object) -> Any:
    from cds_service.settings import Settings

    return Settings.load(**{name: value for name, value in overrides.items() if value is not None})


def _library(folder: Path | None) -> Any:
    from cds_service.policies.library import load_library

    return load_library(folder or _settings().policy_folder)


@contextmanager
def _store() -> Iterator[tuple[Any, Any]]:
    from cds_service.record.store import StoreUnavailableError

    store, keys = _store_of(_settings())
    try:
        store.prepare()
        yield store, keys
    except StoreUnavailableError as error:
        raise ServiceError(f"The database of the record cannot be reached, or refuses: {error}") from None
    finally:
        store.close()


def _store_of(settings: Any) -> tuple[Any, Any]:
    from cds_service.record.opening import store_in

    url, secret = (
        value.get_secret_value() if value else None for value in (settings.record_url, settings.record_secret)
    )
    return store_in(settings.data_folder, url, secret)


def _micros(day: datetime | None) -> int | None:
    return int(day.replace(tzinfo=UTC).timestamp() * 1_000_000) if day else None


def _rows(templates: dict[str, str]) -> list[str]:
    return [f"  {key}: {query}" for key, query in templates.items()]


def _found(problems: list[str], none: str, *, as_json: bool) -> None:
    """Show what a check found, and end with its exit code."""
    from cds_service import terminal

    _show(problems, terminal.problems(problems, none), as_json=as_json)
    if problems:
        raise typer.Exit(FAILED)


def _show(value: object, readable: Iterable[RenderableType], *, as_json: bool = False) -> None:
    """Print a value as one JSON document, or what a reader at a terminal is to see of it."""
    if as_json:
        from cds_service.cdshooks import write_json

        print(write_json(value).decode())  # noqa: T201
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for part in readable:
        if isinstance(part, str | Text):  # a line stays a line, however narrow the terminal, to be searched and cut
            console.print(part, markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(part)


def main() -> NoReturn:
    """Run the command line; what the user can mend is told in one line, without a traceback."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ServiceError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(UNUSABLE)
    sys.exit(0)


if __name__ == "__main__":
    main()
