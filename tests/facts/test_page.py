"""The page of what is read follows the fact files."""

from pathlib import Path

from cds_service.facts.catalogue import FACTS
from cds_service.facts.page import what_we_read
from cds_service.facts.sources import SOURCES

PAGE = Path(__file__).parents[2] / "docs" / "what-we-read.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == what_we_read(), "run: make docs"


def test_every_source_says_what_it_reads() -> None:
    assert [s.names for s in SOURCES if not s.reads or not s.meaning] == []


def test_every_fact_is_on_the_page() -> None:
    page = what_we_read()
    assert [name for name in FACTS if f"`{name}`" not in page] == []
