"""What every page shares: templates that escape, a content security policy without inline script, static files.

A page is drawn when it is sent, because only then is known where the application is mounted and how it runs.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response

from cds_service import __version__, wording
from cds_service.cards.text import one_line
from cds_service.markdown import renderer

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment
    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from cds_service.policies.library import Library
    from cds_service.result import DoseAssessment

SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_STATIC = frozenset({"pages.css", "workbench.js", "mark.svg"})
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Running(NamedTuple):
    """How the service runs, as far as its pages tell: ``app.state.running``."""

    demo: bool
    """Every page then says so."""
    workbench: bool
    """There is one, for pages to lead into."""
    library: Callable[[], Library]
    """The loaded policies, which pages lead to."""


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
    environment.filters["in_words"] = in_words
    environment.filters["unbroken"] = unbroken
    environment.globals["version"] = __version__
    return environment


def markdown(text: str) -> Markup:
    """Markdown as HTML. Raw HTML in it stays text, and links keep to harmless schemes."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup(renderer().render(text))  # noqa: S704  (raw HTML is off, so what it renders is inert)


def inline(text: str) -> Markup:
    """One line of Markdown as HTML, without a paragraph around it."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup(renderer().renderInline(text))  # noqa: S704  (as above)


def in_words(text: str) -> str:
    """Doses as the cards write them, in text that may quote a record."""
    return wording.in_words(one_line(text))


_TAG = re.compile(r"(<[^>]*>)")
_UNBROKEN = re.compile(
    r"\b\d{4}-\d\d-\d\d\b"
    r"|\(?(?<![\d.,])[+-]?\d[\d.,]* "
    r"(?:%\)?|(?:mg(?:/kg|/mL)?|mL|k?g|lb|hours?|days?|weeks?|wk|months?|years?|cycles?|doses?)\b)"
    r"|(?<![\w/])[A-Z][A-Za-z]+/[\w.-]{1,16}(?![\w.-])"
)
"""A date, an amount with its unit, a reference of a usual length (not the end of an address)."""


def unbroken(text: str) -> Markup:
    """Text or HTML in which dates, amounts and references stay on one line; what is copied of it is the same.

    >>> print(unbroken("at most 10 mg/kg"))
    at most <span class="unbroken">10 mg/kg</span>
    """
    from markupsafe import Markup, escape  # noqa: PLC0415

    parts = _TAG.split(str(escape(text)))
    parts[::2] = [_UNBROKEN.sub(r'<span class="unbroken">\g<0></span>', part) for part in parts[::2]]
    return Markup("".join(parts))  # noqa: S704  (escaped above, unless it was HTML already)


def render(template: str, **values: Any) -> str:
    """A template with values; every value is escaped."""
    return _environment().get_template(template).render(**values)


class Page(HTMLResponse):
    """A page with the headers that keep it harmless.

    Its template also gets ``base``, ``demo``, ``workbench``, ``policies`` (where the policy is, or the list of several)
    and ``theme``.
    """

    def __init__(self, template: str, status: int, values: dict[str, Any]) -> None:
        super().__init__("", status, SECURITY)
        self.template = template
        self.values = values

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Draw the page and send it."""
        running: Running = scope["app"].state.running
        numbers = running.library().policy_ids
        policies = f"policies/{numbers[0]}" if len(numbers) == 1 else "policies"
        told = {"demo": running.demo, "workbench": running.workbench, "policies": policies, "theme": _theme(scope)}
        values = {"base": scope.get("root_path", ""), **told, **self.values}
        self.body = self.render(render(self.template, **values))
        self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def _theme(scope: Scope) -> str:
    """The colours that were chosen in the workbench, for every page and before any script runs."""
    chosen = HTTPConnection(scope).cookies.get("theme", "")
    return chosen if chosen in {"light", "dark"} else ""


def arithmetic(dose: DoseAssessment) -> str:
    """Limit and order in words and numbers; empty where no row decides."""
    return in_words(f"Limit {dose.arithmetic}") if dose.arithmetic else ""


def page(template: str, status: int = 200, **values: Any) -> Page:
    """A page, made of a template and its values."""
    return Page(template, status, values)


@cache
def _static(name: str) -> bytes:
    return (files("cds_service.web.pages") / "static" / name).read_bytes()


async def static(request: Request) -> Response:
    """``GET /static/{name}``: style sheet, script and mark of the pages."""
    name = request.path_params["name"]
    if name not in _STATIC:  # before anything of it is remembered: anybody may ask for any name
        return page("problem.html", 404, title="Not found", text="There is nothing at this address.")
    kind = _TYPES[name.rpartition(".")[2]]
    return Response(
        _static(name), headers={"cache-control": "no-cache", "x-content-type-options": "nosniff"}, media_type=kind
    )
