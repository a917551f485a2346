"""Which form of a page a client gets."""

import pytest

from cds_service.web.negotiation import prefers_html


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html", True),
        ("text/*", True),
        ("text/html, application/json", False),
        ("text/html, application/json;q=0.9", True),
        ("text/html;q=0.5, */*", False),
        ("application/json;q=0, text/html;q=0.1", True),
        ("text/html;q=0", False),
        ("text/html;q=nonsense", False),
        ("TEXT/HTML;Q=1", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
    ],
)
def test_html_only_where_it_is_preferred(accept: str, html: bool) -> None:
    assert prefers_html(accept) is html
