"""`{red|navy}` and `__colours__` in a prompt: every combination, counted before any is made.

    {a|b|c}      one of these; an empty choice is allowed: "{striped |}shirt"; may be nested
    __name__     one line of a word list: a bundled one (`vocabulary.WORDS`, spaces written as _ or -), or the
                 user's own `home()/wildcards/name.txt`, one choice a line, which wins; `#` begins a comment
    \\{ \\} \\|     the characters themselves; \\__ two underscores that are no list

Word lists are words and never read as syntax, so a list cannot loop or grow. Written here rather than taken
from `dynamicprompts`, whose last release is 0.31 and which brings a template engine that prompts must not reach.
"""

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sdxl_lora.config import MAX_PROMPT_CHARACTERS, home
from sdxl_lora.errors import PromptError, UnknownNameError
from sdxl_lora.prompts.vocabulary import WORDS

MAX_LIST_BYTES = 256 * 1024
MAX_DEPTH = 8

_TOKEN = re.compile(
    r"\\(?P<escaped>[{}|\\]|__)|__(?P<list>[A-Za-z0-9](?:[A-Za-z0-9 -]|_(?!_))*)__|(?P<mark>[{}|])"
)


@dataclass(frozen=True)
class _Choice:
    """One of several sequences."""

    options: "tuple[_Sequence, ...]"

    @property
    def count(self) -> int:
        return sum(option.count for option in self.options)

    def at(self, index: int) -> str:
        for option in self.options:
            if index < option.count:
                return option.at(index)
            index -= option.count
        raise IndexError(index)


@dataclass(frozen=True)
class _Sequence:
    """Texts and choices, one after the other."""

    pieces: tuple[str | _Choice, ...]

    @property
    def count(self) -> int:
        total = 1
        for piece in self.pieces:
            total *= 1 if isinstance(piece, str) else piece.count
        return total

    def at(self, index: int) -> str:
        parts = []
        for piece in reversed(self.pieces):  # the last choice changes fastest
            if isinstance(piece, str):
                parts.append(piece)
            else:
                index, place = divmod(index, piece.count)
                parts.append(piece.at(place))
        return "".join(reversed(parts))


@dataclass(frozen=True)
class Expansion:
    """Everything one prompt stands for."""

    root: _Sequence

    @property
    def count(self) -> int:
        """How many prompts there are; may be astronomically large."""
        return self.root.count

    def __iter__(self) -> Iterator[str]:
        """Every prompt, the last choice changing fastest."""
        return (_tidied(self.root.at(index)) for index in itertools.islice(itertools.count(), self.count))

    def sample(self, number: int, seed: int) -> list[str]:
        """`number` different prompts in random order, the same for the same seed; all where there are fewer."""
        rng = random.Random(seed)
        if self.count <= number:
            indices = rng.sample(range(self.count), self.count)
        else:
            chosen: dict[int, None] = {}  # `random.sample` takes no range beyond 2**63
            while len(chosen) < number:
                chosen[rng.randrange(self.count)] = None
            indices = list(chosen)
        return [_tidied(self.root.at(index)) for index in indices]


def expand(prompt: str) -> Expansion:
    """What `prompt` stands for; one prompt where it has no choices.

    Raises `PromptError` where braces do not match or a list is broken, `UnknownNameError` on an unknown list.
    """
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise PromptError(
            f"the prompt has {len(prompt):,} characters; shorten it to {MAX_PROMPT_CHARACTERS:,}"
        )
    return Expansion(_Parser(prompt).run())


def escape(text: str) -> str:
    """`text` so that `expand` gives it back as it stands, for words that are no choice although they look like one."""
    return re.sub(r"[{}]|\\(?=[{}|\\]|__|$)|__", lambda match: "\\" + match.group(), text)


def wildcards() -> dict[str, tuple[str, ...]]:
    """Every word list by the name that stands between the underscores; the user's own win."""
    lists = {name.replace(" ", "_"): words for name, words in WORDS.items()}
    for path in sorted((home() / "wildcards").glob("*.txt")):
        lists[path.stem] = _read_list(path)
    return lists


def _read_list(path: Path) -> tuple[str, ...]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
        lines = data.decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"word list {path} cannot be read: {error}") from error
    if len(data) > MAX_LIST_BYTES:
        raise PromptError(f"word list {path} is larger than {MAX_LIST_BYTES // 1024} KB")
    words = tuple(dict.fromkeys(w for line in lines if (w := line.split("#")[0].strip())))
    if not words:
        raise PromptError(f"word list {path} is empty; write one choice on each line")
    return words


class _Parser:
    """Prompt -> sequence, in one pass with a stack of the braces that are open."""

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self._open: list[tuple[int, list[_Sequence]]] = []  # (where, options that are complete)
        self._pieces: list[list[str | _Choice]] = [[]]

    def run(self) -> _Sequence:
        end = 0
        for match in _TOKEN.finditer(self._prompt):
            self._add(self._prompt[end : match.start()])
            end = match.end()
            if match["escaped"]:
                self._add(match["escaped"])
            elif match["list"]:
                self._add_list(match["list"])
            else:
                self._mark(match["mark"], match.start())
        self._add(self._prompt[end:])
        if self._open:
            raise PromptError(f"'{{' without '}}' at character {self._open[-1][0] + 1} of the prompt")
        return _Sequence(tuple(self._pieces[0]))

    def _add(self, text: str) -> None:
        if text:
            self._pieces[-1].append(text)

    def _add_list(self, name: str) -> None:
        lists = wildcards()
        key = {known.replace("-", "_").lower(): known for known in lists}.get(
            name.replace("-", "_").replace(" ", "_").lower()
        )
        if key is None:
            advice = f"; your own lists lie in {home() / 'wildcards'} as NAME.txt"
            raise UnknownNameError("word list", name, lists, advice)
        self._pieces[-1].append(_Choice(tuple(_Sequence((word,)) for word in lists[key])))

    def _mark(self, mark: str, where: int) -> None:
        if mark == "{":
            if len(self._open) == MAX_DEPTH:
                raise PromptError(f"choices are nested more than {MAX_DEPTH} deep in the prompt")
            self._open.append((where, []))
            self._pieces.append([])
        elif not self._open:
            if mark == "}":
                raise PromptError(f"'}}' without '{{' at character {where + 1} of the prompt")
            self._add(mark)  # a bar outside braces is a bar
        else:
            self._open[-1][1].append(_Sequence(tuple(self._pieces.pop())))
            if mark == "|":
                self._pieces.append([])
            else:
                _, options = self._open.pop()
                self._pieces[-1].append(_Choice(tuple(options)))


def _tidied(text: str) -> str:
    """Without the double spaces and lonely commas that an empty choice leaves."""
    return re.sub(r"(?:\s*,)+", ",", re.sub(r"[ \t]{2,}", " ", text)).strip(" ,")
