"""What can be seen of a job: immutable snapshots that pages may keep, compare and show.

Knows nothing of threads or of how pictures are made.
"""

from dataclasses import dataclass, replace
from typing import Literal

from PIL import Image

from sdxl_lora.request import GenerationRequest
from sdxl_lora.search import Attempt

State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a job, as far as it has come."""

    index: int  # 0-based place in the request
    step: int = 0  # denoising steps done
    steps: int = 0  # denoising steps in all; 0 = not known yet
    preview: Image.Image | None = None  # latest look at the unfinished picture; None once it is recorded
    record_id: str | None = None  # set once the picture is in the gallery
    attempts: int = 0  # attempts at it that are over
    spent: int = 0  # denoising steps of these
    budget: int = 0  # denoising steps of all attempts, at most; 0 = drawn once

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
    """A request on its way to pictures, at one moment."""

    id: str
    session: str  # who asked; turns are taken between sessions
    request: GenerationRequest  # as submitted, undecided values still None
    submitted: float  # Unix time, seconds
    state: State = "queued"
    position: int = 0  # jobs that start before this one ends its wait, the running one included
    pictures: tuple[Picture, ...] = ()
    eta: float | None = (
        None  # seconds until done, waiting included (with attempts: at most); None = not known yet
    )
    error: str | None = None  # one line, when failed
    note: str | None = None  # one line worth knowing although the pictures are there (not scored, and why)
    level: str = ""  # how hard to try, see `feedback.levels`; "" = one shot
    attempts: tuple[Attempt, ...] = ()  # so far, of all pictures; only jobs of late keep their images
    drawing: int = 0  # index of the picture that the latest attempt is at

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

    def without_images(self) -> "Job":
        """This job with its attempts' words only: pictures take much memory."""
        return replace(self, attempts=tuple(replace(attempt, image=None) for attempt in self.attempts))

    def with_picture(self, index: int, **changes: object) -> "Job":
        """This job with picture `index` changed; the number of pictures stays."""
        pictures = list(self.pictures)
        pictures[index] = replace(pictures[index], **changes)  # type: ignore[arg-type]  # names are Picture's fields
        return replace(self, pictures=tuple(pictures))
