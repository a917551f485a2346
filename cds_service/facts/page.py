"""What is read from a chart, as a page made from the fact files: fact, FHIR source, codes, strength; and the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds_service.facts.catalogue import FACTS
from cds_service.facts.sources import SOURCES
from cds_service.terminology import entries

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# What we read

Made from the fact files by `make docs`; a test keeps it fresh. Each fact is looked for in the prefetched (or fetched)
resources by type and content, never by the name of a prefetch key. What is not found is missing with its cause.
"""
ELSEWHERE: dict[str, str] = {
    "attested": """## Attested

No reliable code exists, or a document has to show it: the questionnaire asks for these. A chart that says one of them
in a readable form is read as above.""",
    "configured": """## Configured

The payer's or the site's settings; never asked of a prescriber.""",
    "derived": """## Derived

They follow from other facts. Where those are missing, they are asked for, or the fact itself is.""",
}


def what_we_read() -> str:
    """The page as GitHub-flavoured Markdown."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield HEAD
    yield "| facts | meaning | read from, and how strong it is | codes | prefetch |"
    yield "|---|---|---|---|---|"
    for source in SOURCES:
        names = ", ".join(f"`{name}`" for name in source.names)
        sets = ", ".join(f"{name} ({len(entries(name))})" for name in source.value_sets)
        keys = ", ".join(f"`{key}`" for key in source.prefetch)
        yield f"| {names} | {source.meaning} | {source.reads} | {sets} | {keys} |"
    read = {name for source in SOURCES for name in source.names}
    for kind, head in ELSEWHERE.items():
        yield ""
        yield head
        yield ""
        for definition in FACTS.values():
            derived = definition.source == "chart" and definition.name not in read and kind == "derived"
            if definition.source == kind or derived:
                yield f"- `{definition.name}`: {definition.meaning}"
