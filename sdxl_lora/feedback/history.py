"""The history of a request as a tree: every change is a branch, undo goes to where it came from.

Nothing is ever lost: what was undone is still a branch, and can be gone to. Immutable, so that a page can keep
it in its session. Knows nothing of pictures beyond their records' ids.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from sdxl_lora.config import GenerationRequest
from sdxl_lora.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Step:
    """One state of the request."""

    request: GenerationRequest
    words: str  # what was changed to come here; "" for the first
    parent: int | None  # index of the step it came from
    records: tuple[str, ...] = ()  # pictures made from it


@dataclass(frozen=True, kw_only=True)
class History:
    """All states, and the one that is looked at."""

    steps: tuple[Step, ...] = field(default=())
    at: int = 0

    @classmethod
    def begin(cls, request: GenerationRequest) -> Self:
        """A tree of one state."""
        return cls(steps=(Step(request=request, words="", parent=None),))

    @property
    def current(self) -> Step:
        """The state that is looked at."""
        return self.steps[self.at]

    def change(self, request: GenerationRequest, words: str) -> Self:
        """A new branch from here; going back to an equal one where there is one."""
        for index in self.children(self.at):
            if self.steps[index].request == request:
                return replace(self, at=index)
        step = Step(request=request, words=words, parent=self.at)
        return replace(self, steps=(*self.steps, step), at=len(self.steps))

    def made(self, record_id: str) -> Self:
        """A picture was made from the current state."""
        step = replace(self.current, records=(*self.current.records, record_id))
        return replace(self, steps=(*self.steps[: self.at], step, *self.steps[self.at + 1 :]))

    def undo(self) -> Self:
        """Back to where the current state came from; stays at the first."""
        return self if self.current.parent is None else replace(self, at=self.current.parent)

    def go_to(self, index: int) -> Self:
        """To any state. Raises `InputError` if there is none of that number."""
        if not 0 <= index < len(self.steps):
            raise InputError(f"the history has no step {index}; it has {len(self.steps)}")
        return replace(self, at=index)

    def children(self, index: int) -> list[int]:
        """States that came from this one, oldest first."""
        return [i for i, step in enumerate(self.steps) if step.parent == index]

    def outline(self) -> Iterator[tuple[int, int]]:
        """(depth, index) of every state, branches under what they came from."""
        stack = [(0, 0)] if self.steps else []
        while stack:
            depth, index = stack.pop()
            yield depth, index
            stack += [(depth + 1, child) for child in reversed(self.children(index))]
