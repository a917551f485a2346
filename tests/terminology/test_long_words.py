"""Words without an end: whoever reads them takes no more time than to go through them."""

from __future__ import annotations

import time

import pytest

from cds_service.terminology import is_open_specialty
from cds_service.terminology.organs import is_nodal

LONG = 200_000


@pytest.mark.parametrize("word", ["a", "family ", "with adenopathy ", "metastases with "])
def test_long_words_are_settled_by_none_and_take_no_time(word: str) -> None:
    words = word * (LONG // len(word))
    began = time.perf_counter()
    assert is_open_specialty(words)
    assert not is_nodal(words)
    assert time.perf_counter() - began < 1
