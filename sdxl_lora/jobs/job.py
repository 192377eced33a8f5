"""What can be seen of a job: immutable, JSON-ready snapshots that pages may keep, compare and show.

Holds no picture and no thread: previews, attempts with their pictures and cancelling belong to the worker, see `queue`.
Knows nothing of how pictures are made.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from sdxl_lora import errors
from sdxl_lora.errors import Cancelled, InputError, RequestError, StudioError, UnknownNameError
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.card import LoggedAttempt, attempt_dict, read_attempt

State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a job, as far as it has come."""

    index: int  # 0-based place in the request
    step: int = 0  # denoising steps done of the picture or attempt in progress
    steps: int = 0  # of how many; 0 = not known yet
    record_id: str | None = None  # set once the picture is in the gallery
    attempts: tuple[LoggedAttempt, ...] = ()  # at it that are over
    spent: int = 0  # denoising steps of these
    budget: int = 0  # denoising steps of all attempts, at most; 0 = drawn once
    most_attempts: int = 1  # how many attempts, at most
    summary: str = ""  # what became of the attempts, in one line

    @property
    def progress(self) -> float:
        """Share done, 0 to 1."""
        if self.record_id is not None:
            return 1.0
        if self.budget:
            return min((self.spent + self.step) / self.budget, 0.99)
        return self.step / self.steps if self.steps else 0.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """A spec on its way to pictures, at one moment."""

    id: str
    spec: JobSpec  # as submitted, undecided values still None
    submitted: float  # Unix time, seconds
    state: State = "queued"
    position: int = 0  # jobs that start before this one ends its wait, the running one included
    pictures: tuple[Picture, ...] = ()
    # seconds until done, waiting included (of a running search: at most); None = not known, or later than was thought
    eta: float | None = None
    error: str | None = None  # one line, when failed
    error_kind: str = ""  # name of its class in `errors`
    notes: tuple[str, ...] = ()  # lines worth knowing although the pictures are there (not scored, and why)
    drawing: int = 0  # index of the picture that the latest attempt is at

    @property
    def request(self) -> GenerationRequest:
        """What is to be drawn."""
        return self.spec.request

    @property
    def user(self) -> str:
        """Who asked; turns are taken between users."""
        return self.spec.user

    @property
    def title(self) -> str:
        """What it is about, in words of whoever asked."""
        return self.spec.training.name if self.spec.training else self.spec.request.prompt

    @property
    def searches(self) -> bool:
        """Whether the best of several attempts is wanted."""
        return self.spec.effort.searches

    @property
    def active(self) -> bool:
        """True while anything may still change."""
        return self.state in ("queued", "running")

    @property
    def progress(self) -> float:
        """Share of all denoising done, 0 to 1."""
        if not self.pictures:
            return 0.0
        return sum(picture.progress for picture in self.pictures) / len(self.pictures)

    @property
    def record_ids(self) -> tuple[str, ...]:
        """Records of the pictures finished so far, in the order of the request."""
        return tuple(p.record_id for p in self.pictures if p.record_id is not None)

    def with_picture(self, index: int, **changes: object) -> "Job":
        """This job with picture `index` changed; the number of pictures stays."""
        pictures = list(self.pictures)
        pictures[index] = replace(pictures[index], **changes)  # type: ignore[arg-type]  # names are Picture's fields
        return replace(self, pictures=tuple(pictures))

    def raise_error(self) -> None:
        """Raises what ended a failed or cancelled job, `StudioError` or the kind of it; else does nothing."""
        if self.state == "cancelled":
            raise Cancelled("cancelled; what was finished before is kept")
        if self.state == "failed":
            raise error_class(self.error_kind)(self.error or "the job failed")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives an equal job back."""
        pictures = [
            {**vars(one), "attempts": [attempt_dict(attempt) for attempt in one.attempts]}
            for one in self.pictures
        ]
        plain = {key: value for key, value in vars(self).items() if key not in ("spec", "pictures", "notes")}
        return {**plain, "spec": self.spec.to_dict(), "pictures": pictures, "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises `InputError` on what is no job."""
        try:
            pictures = tuple(
                Picture(**{**one, "attempts": tuple(read_attempt(attempt) for attempt in one["attempts"])})
                for one in values["pictures"]
            )
            spec, notes = JobSpec.from_dict(values["spec"]), tuple(values["notes"])
            return cls(**{**values, "spec": spec, "pictures": pictures, "notes": notes})
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError(f"this is no job: {error}") from error


def error_class(name: str) -> type[StudioError]:
    """The class of that name; the nearest that is made from a message alone."""
    found = getattr(errors, name, StudioError)
    if not (isinstance(found, type) and issubclass(found, StudioError)):
        return StudioError
    return InputError if issubclass(found, UnknownNameError) else found
