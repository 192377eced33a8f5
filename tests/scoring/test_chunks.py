"""A long text is cut where a reader would cut it, and nothing of it is lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdxl_lora.scoring.chunks import around, split


def words(text: str) -> int:
    return len(text.split())


def test_what_fits_is_one_chunk() -> None:
    assert split("a navy cap, in a forest", 6, words) == ((0, 23),)
    assert split("", 6, words) == ((0, 0),)


def test_clauses_stay_whole_and_fill_a_chunk() -> None:
    text = "a navy cap, in a forest, with a star, at night"
    assert [text[a:b] for a, b in split(text, 6, words)] == [
        "a navy cap, in a forest, ",
        "with a star, at night",
    ]


def test_a_clause_that_is_too_long_is_cut_between_words_and_a_word_within() -> None:
    assert [("a b c d e, f"[a:b]) for a, b in split("a b c d e, f", 3, words)] == ["a b c ", "d e, f"]
    assert [("abcdef"[a:b]) for a, b in split("abcdef", 2, len)] == ["a", "bc", "d", "ef"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=120), st.integers(1, 9))
def test_chunks_join_to_the_text_and_fit(text: str, room: int) -> None:
    spans = split(text, room, words)
    assert "".join(text[a:b] for a, b in spans) == text
    assert all(words(text[a:b]) <= room for a, b in spans)


@pytest.mark.parametrize(("start", "end", "found"), [(0, 3, "abc "), (4, 7, "def "), (2, 6, "c def ")])
def test_words_are_found_in_their_chunk_whole(start: int, end: int, found: str) -> None:
    text, spans = "abc def ghi", ((0, 4), (4, 8), (8, 11))
    first, last = around(spans, start, end)
    assert text[first:last].startswith(found[: end - start])
    assert first <= start
    assert end <= last
