"""Cuts a text that is longer than a CLIP reads into chunks that it reads whole, at commas where it can.

The generator sends a long prompt in chunks, too (`models.long_prompts`): a judge that read the first chunk only
would blame every word behind the cut. Pure strings; how many tokens a stretch has is asked of the caller.
"""

import re
from collections.abc import Callable

Span = tuple[int, int]  # characters of the text, from, to


def split(text: str, room: int, count: Callable[[str], int]) -> tuple[Span, ...]:
    """Stretches of `text` in its order that have at most `room` tokens each; one where all of it fits.

    Clauses stay whole, words within a clause that is too long, characters within such a word.

    Args:
        count: tokens of a stretch, without those that begin and end what is read at once.
    """
    if count(text) <= room:
        return ((0, len(text)),)
    pieces = [
        piece
        for clause in _pieces(text, (0, len(text)), r"[^,\n]*[,\n]?\s*")
        for piece in _fitting(text, clause, room, count)
    ]
    spans: list[Span] = []
    for start, end in pieces:
        if spans and count(text[spans[-1][0] : end].strip()) <= room:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return tuple(spans)


def around(spans: tuple[Span, ...], start: int, end: int) -> Span:
    """The chunk in which the words from `start` to `end` stand; from `start` on where a cut goes through them."""
    for first, last in spans:
        if first <= start < last:
            return (first, last) if end <= last else (start, max(end, last))
    return spans[-1]


def _fitting(text: str, span: Span, room: int, count: Callable[[str], int]) -> list[Span]:
    """The clause, or its words where it is too long, or their characters."""
    if count(text[slice(*span)].strip()) <= room:
        return [span]
    words = _pieces(text, span, r"\S+\s*|\s+")
    if len(words) > 1:
        return [part for word in words for part in _fitting(text, word, room, count)]
    middle = (span[0] + span[1]) // 2
    if middle == span[0]:  # one character, whatever it costs
        return [span]
    halves = ((span[0], middle), (middle, span[1]))
    return [part for half in halves for part in _fitting(text, half, room, count)]


def _pieces(text: str, span: Span, pattern: str) -> list[Span]:
    return [match.span() for match in re.compile(pattern).finditer(text, *span) if match.group()]
