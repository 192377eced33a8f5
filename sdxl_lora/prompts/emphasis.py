"""Emphasis in prompts: `(navy:1.3)` makes words weigh more, `(busy:0.6)` less. Pure strings.

Only brackets that end in a colon and a number are emphasis; any other bracket is a character of the prompt, as
it always was. They do not nest.
"""

import re
from dataclasses import dataclass

LOWEST, HIGHEST = 0.1, 2.0  # beyond these, pictures fall apart

_WEIGHTED = re.compile(r"\((?P<text>[^()]+):\s*(?P<weight>\d+(?:\.\d+)?|\.\d+)\s*\)")


@dataclass(frozen=True)
class Weighted:
    """A stretch of a prompt, and how much it counts; 1 = as it is."""

    text: str
    weight: float


def parse(prompt: str) -> tuple[Weighted, ...]:
    """The prompt in stretches of one weight each, in order; weights are clipped to 0.1..2."""
    parts: list[Weighted] = []
    end = 0
    for match in _WEIGHTED.finditer(prompt):
        if match.start() > end:
            parts.append(Weighted(prompt[end : match.start()], 1.0))
        weight = min(max(float(match["weight"]), LOWEST), HIGHEST)
        parts.append(Weighted(match["text"], weight))
        end = match.end()
    if end < len(prompt) or not parts:
        parts.append(Weighted(prompt[end:], 1.0))
    return tuple(parts)


def plain(prompt: str) -> str:
    """The prompt without its emphasis: the words alone."""
    return "".join(part.text for part in parse(prompt))


def is_emphasised(prompt: str) -> bool:
    """Whether any stretch has a weight other than 1."""
    return any(part.weight != 1 for part in parse(prompt))


def emphasise(prompt: str, phrase: str, weight: float, *, start: int = 0) -> str:
    """The prompt with the first `phrase` from `start` on (whole words, any case) at `weight`, if it is there.

    A phrase that stands in emphasis of its own gets the new weight instead of a second pair of brackets.
    """
    words = rf"(?<![\w-]){re.escape(phrase)}(?![\w-])"
    own = re.compile(rf"\(({words}):\s*[\d.]+\s*\)", re.IGNORECASE)
    if own.search(prompt):
        return own.sub(lambda m: f"({m[1]}:{weight:g})", prompt, count=1)
    for match in re.compile(words, re.IGNORECASE).finditer(prompt, start):
        if not any(m.start() <= match.start() < m.end() for m in _WEIGHTED.finditer(prompt)):
            return f"{prompt[: match.start()]}({match[0]}:{weight:g}){prompt[match.end() :]}"
    return prompt
