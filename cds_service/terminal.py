"""Answers, assessments and policies as a reader at a terminal likes them. Takes the JSON that goes over the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.json import JSON
from rich.markdown import Markdown
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text
from rich.tree import Tree

from cds_service.cdshooks import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rich.console import RenderableType

    from cds_service.cdshooks import Json

_MARKS = {"met": "[green]✓[/]", "not-met": "[red]✗[/]", "undocumented": "[yellow]?[/]"}
_BORDERS = {"info": "blue", "warning": "yellow", "critical": "red"}


def answer(body: Json) -> Iterable[RenderableType]:
    """A hook answer: its cards, then the assessments behind them where the answer has them."""
    cards = body["cards"]
    yield from (card(one) for one in cards)
    if not cards:
        yield Text("No card: nothing to say.", style="dim")
    for extension in body.get("extension", {}).values():
        yield from (assessment(one) for one in extension)


def card(one: Json) -> RenderableType:
    """One card, about as an EHR draws it."""
    parts: list[RenderableType] = [Text(one["summary"], style="bold")]
    if detail := one.get("detail"):
        parts += [Text(), Markdown(detail)]
    for suggestion in one.get("suggestions", ()):
        parts.append(Text(f"→ {suggestion['label']}", style="green"))
    if reasons := one.get("overrideReasons"):
        parts.append(Text("Override: " + " · ".join(reason["display"] for reason in reasons), style="dim"))
    indicator = one["indicator"]
    return Panel(
        Group(*parts),
        title=indicator,
        subtitle=escape(one["source"]["label"]),
        border_style=_BORDERS.get(indicator, "white"),
        title_align="left",
        subtitle_align="right",
    )


def assessment(one: Json) -> Tree:
    """One assessment: what it comes to, the dose, and the tree of findings with what is missing for each."""
    policy = one["policy"]
    name = one.get("order") or (f"order at position {one['position']}" if "position" in one else "facts as given")
    tree = Tree(
        f"[bold]{escape(name)}[/]  {escape(policy['id'])} revision {escape(policy['revision'])}  "
        f"section {escape(one.get('section', 'none'))}: [bold]{escape(one['outcome'])}[/]"
    )
    tree.add(_dose(one["dose"]))
    if lines := one.get("preparation"):
        tree.add(_preparation(lines))
    shown: set[str] = set()
    for found in one.get("findings", ()):
        _add(tree, found, shown)
    if missing := one.get("missing"):
        tree.add("[yellow]missing:[/] " + escape(", ".join(missing)))
    if numbers := one.get("refer_to"):
        tree.add("refer to: " + escape(", ".join(numbers)))
    if "approval_months" in one:
        tree.add(f"the policy would give {one['approval_months']} months")
    for note in one.get("notes", ()):
        tree.add(f"[dim]{escape(note)}[/]")
    return tree


def _dose(dose: dict[str, Any]) -> str:
    words = [f"dose: [bold]{escape(dose['verdict'])}[/]"]
    if ordered := dose.get("ordered"):
        words.append(f"ordered {escape(ordered)}")
    if "limit_mg" in dose:
        words.append(f"limit {dose['limit_mg']} mg")
    if "limit_mg_per_kg" in dose:
        words.append(f"limit {dose['limit_mg_per_kg']} mg/kg")
    if row := dose.get("row"):
        words.append(f"row {escape(row)}")
    if weight := dose.get("weight"):
        words.append(f"weight {weight['kg']} kg" + (f" of {weight['observed_on']}" if "observed_on" in weight else ""))
    return ", ".join(words)


def _preparation(lines: dict[str, Any]) -> str:
    """The pharmacist's lines."""
    words = [f"for the pharmacist: {lines['ordered_mg']} mg from {lines['vials']}, {lines['waste_mg']} mg discarded"]
    if billing := lines.get("billing"):
        words.append(
            f"{billing['units']} units {billing['code']}" + (f" {m}" if (m := billing.get("modifier")) else "")
        )
    for one in lines.get("nearest_vials", ()):
        above = " (above the limit)" if one.get("above_limit") else ""
        words.append(f"nearest vials {one['mg']} mg, {one['percent']:+} %{above}")
    return "[dim]" + escape("; ".join(words)) + "[/]"


def _add(parent: Tree, found: Json, shown: set[str]) -> None:
    """One finding with its parts; a piece of evidence stands where it is first used, ``shown`` holds those that do."""
    branch = parent.add(
        f"{_MARKS[found['outcome']]} [bold]{escape(found['section'])}[/] {escape(found['label'])}"
        f"  [dim]{escape(found.get('because', ''))}[/]"
    )
    for piece in found.get("evidence", ()):
        words = " ".join(str(piece[member]) for member in ("reference", "path", "shown", "recorded") if member in piece)
        if words not in shown:
            branch.add(f"[cyan]{escape(words)}[/] [dim]({piece['origin']})[/]")
            shown.add(words)
    parts = found.get("parts", ())
    for part in parts:
        _add(branch, part, shown)
    for piece in () if parts else found.get("missing", ()):
        where = f": {escape(piece['looked_for'])}" if "looked_for" in piece else ""
        branch.add(f"[yellow]{escape(piece['fact'])}[/] [dim]{piece['absence']}{where}[/]")


def problems(found: Iterable[str], none: str) -> Iterator[RenderableType]:
    """What a check found, a line each; ``none`` where it found nothing."""
    found = list(found)
    yield from (Text(line, style="red") for line in found)
    if not found:
        yield Text(none, style="green")


def changes(lines: Iterable[str]) -> Iterator[RenderableType]:
    """The differences of two policy documents, coloured as patches are."""
    styles = {"-": "red", "+": "green", "~": "yellow"}
    lines = list(lines)
    yield from (Text(line, style=styles.get(line[:1], "")) for line in lines)
    if not lines:
        yield Text("No difference.", style="green")


def settings(found: Mapping[str, object]) -> Iterator[RenderableType]:
    """Settings by name, those that are left out dimmed."""
    for name, value in found.items():
        yield Text.assemble((name, "bold"), " ", ("-", "dim") if value in (None, "", [], {}) else str(value))


def document(value: object) -> RenderableType:
    """A JSON document, indented and coloured."""
    return JSON(write_json(value).decode())


def started(address: str, version: str, warning: str) -> RenderableType:
    """What whoever started the service wants to know first: where to look, and what to be warned of."""
    lines = Text.assemble(
        *(("Workbench  ", f"{address}/\n") if warning else ()),
        *("Discovery  ", f"{address}/cds-services\n", "Policies   ", f"{address}/policies\n", "Ctrl-C ends."),
    )
    told = Group(Text(warning, style="bold yellow"), lines) if warning else lines
    title = f"Durvalumab CDS {version}"
    return Panel(told, title=title, title_align="left", border_style="yellow" if warning else "green", expand=False)


def rates(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The rates of a record: what fires, what is missing, and what became of the cards."""
    if found["from"] is None:
        yield Text("Nothing is recorded for this time.", style="dim")
        return
    yield Text(f"{found['from']} to {found['to']}", style="dim")
    for title, group in (("all", found["all"]), *found["clients"].items(), *found["revisions"].items()):
        calls = "" if title in found["revisions"] else f"{group['calls']} calls, "  # a revision judges orders
        counts = f"{calls}{group['orders']} orders, {group['cards']} cards"
        yield Text.assemble("\n", (f"{title}:", "bold"), f" {counts}")
        yield from (Text(line, style="red" if "outside" in line else "") for line in _group(group))


def _group(group: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one group, indented below its title."""
    for topic, told in group["topics"].items():
        yield (
            f"  card {topic}: {told['shown']} shown, {_share(told['acceptance_rate'])} accepted, "
            f"{_share(told['override_rate'])} overridden {_outside(told.get('override_rate_control'))}".rstrip()
        )
    for section, outcomes in group["findings"].items():
        for outcome, told in outcomes.items():
            if outcome in ("not-met", "undocumented"):
                share = f"{_share(told['rate'])} {_outside(told.get('control'))}".rstrip()
                yield f"  {section} {outcome}: {told['count']}, {share}"
    for fact, told in group["missing"].items():
        yield f"  missing {fact}: {told['count']}, {_share(told['rate'])} {_outside(told.get('control'))}".rstrip()


def _share(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"


def _outside(control: Mapping[str, Any] | None) -> str:
    return f"(outside its limits on {', '.join(control['outside'])})" if control and control["outside"] else ""
