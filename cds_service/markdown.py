"""Markdown as HTML, for whoever shows cards or policies as that: with tables, and raw HTML in it stays text."""

from __future__ import annotations

from functools import cache

from markdown_it import MarkdownIt


@cache
def renderer() -> MarkdownIt:
    """The one renderer. What it makes holds no tag from the text, and no link of a harmful scheme."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")
