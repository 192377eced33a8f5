"""The history of a request as a tree: every change is a branch, undo goes to where it came from.

Nothing is ever lost: what was undone is still a branch, and can be gone to. Immutable, so that a page can keep
it in its session, and JSON-ready, so that a reload finds it again. Knows nothing of pictures beyond their records' ids.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

from sdxl_lora.errors import DataError, InputError
from sdxl_lora.feedback.changes import alike
from sdxl_lora.request import GenerationRequest

MAX_STEPS = 200  # of one session; beyond that the tree is of no help any more, and begins anew


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
        """The state that is looked at; there is none before `begin`."""
        return self.steps[self.at]

    def change(self, request: GenerationRequest, words: str) -> Self:
        """A new branch from here; the same state, or going back to a branch, where it wishes for the same."""
        if not self.steps or len(self.steps) >= MAX_STEPS:
            return self.begin(request)
        for index in (self.at, *self.children(self.at)):
            if alike(self.steps[index].request, request):
                return replace(self, at=index)
        step = Step(request=request, words=words, parent=self.at)
        return replace(self, steps=(*self.steps, step), at=len(self.steps))

    def find(self, request: GenerationRequest) -> int | None:
        """The latest state that wishes for the same."""
        return next(
            (i for i in reversed(range(len(self.steps))) if alike(self.steps[i].request, request)), None
        )

    def made(self, *record_ids: str, at: int | None = None) -> Self:
        """Pictures were made from a state, the current one unless said otherwise; known ones are not added twice."""
        at = self.at if at is None else at
        step = self.steps[at]
        new = tuple(i for i in dict.fromkeys(record_ids) if i not in step.records)
        if not new:
            return self
        step = replace(step, records=(*step.records, *new))
        return replace(self, steps=(*self.steps[:at], step, *self.steps[at + 1 :]))

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

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives an equal history back."""
        steps: Iterable[dict[str, Any]] = (
            {"request": s.request.to_dict(), "words": s.words, "parent": s.parent, "records": list(s.records)}
            for s in self.steps
        )
        return {"steps": list(steps), "at": self.at}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises `DataError` for what is no history."""
        try:
            steps = tuple(
                Step(
                    request=GenerationRequest.from_dict(entry["request"]),
                    words=str(entry["words"]),
                    parent=None if entry["parent"] is None else int(entry["parent"]),
                    records=tuple(map(str, entry["records"])),
                )
                for entry in values["steps"]
            )
            at = int(values["at"])
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise DataError(f"this is no history: {error}") from error
        if (steps and not 0 <= at < len(steps)) or any(
            step.parent is not None and not 0 <= step.parent < index for index, step in enumerate(steps)
        ):
            raise DataError("this is no history: its steps do not hang together")
        return cls(steps=steps, at=at)
