"""What every page shares: templates that escape, a content security policy without inline script, static files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response

from cds_service import __version__

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it import MarkdownIt
    from markupsafe import Markup
    from starlette.requests import Request

SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  (pages are not on the hot path)

    environment = Environment(
        loader=PackageLoader("cds_service.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markdown"] = markdown
    environment.filters["inline"] = inline
    environment.globals["version"] = __version__
    return environment


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415

    return MarkdownIt("commonmark", {"html": False}).enable("table")


def markdown(text: str) -> Markup:
    """Markdown as HTML. Raw HTML in it stays text, and links keep to harmless schemes."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup(_markdown().render(text))  # noqa: S704  (raw HTML is off, so what it renders is inert)


def inline(text: str) -> Markup:
    """One line of Markdown as HTML, without a paragraph around it."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup(_markdown().renderInline(text))  # noqa: S704  (as above)


def render(template: str, **values: Any) -> str:
    """A template with values; every value is escaped."""
    return _environment().get_template(template).render(**values)


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page with the headers that keep it harmless."""
    return HTMLResponse(render(template, **values), status, SECURITY)


@cache
def _static(name: str) -> bytes | None:
    if name not in {"pages.css", "workbench.js", "mark.svg"}:
        return None
    return (files("cds_service.web.pages") / "static" / name).read_bytes()


async def static(request: Request) -> Response:
    """``GET /static/{name}``: style sheet, script and mark of the pages."""
    name = request.path_params["name"]
    content = _static(name)
    if content is None:
        return page("problem.html", 404, title="Not found", text="There is nothing at this address.")
    kind = _TYPES[name.rpartition(".")[2]]
    return Response(
        content, headers={"cache-control": "no-cache", "x-content-type-options": "nosniff"}, media_type=kind
    )
