"""Numbers are said with what they count."""

import pytest

from sdxl_lora.ui.counting import number_of


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("picture",), "0 pictures"),
        (1, ("picture",), "1 picture"),
        (25_000, ("picture",), "25,000 pictures"),
        (2, ("sketch", "sketches"), "2 sketches"),
        (1, ("person", "people"), "1 person"),
    ],
)
def test_one_is_one_and_all_others_are_many(number: int, words: tuple[str, ...], said: str) -> None:
    assert number_of(number, *words) == said
