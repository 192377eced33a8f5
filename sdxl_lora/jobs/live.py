"""A job while this process draws it: what is told of it, and what only lives here (previews, pictures of attempts).

Touched only under the queue's lock. Knows nothing of the database.
"""

import threading
from dataclasses import dataclass, field, replace
from typing import Literal

from PIL import Image

from sdxl_lora.generation import Started, StepDone
from sdxl_lora.jobs.events import Recorded, ServingEvent
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.kept import Kept
from sdxl_lora.jobs.task import Task, Trained
from sdxl_lora.jobs.timing import Pace, Stopwatch
from sdxl_lora.search import Attempt, Begun, Finished
from sdxl_lora.search.log import logged

# why work at a job is to stop: somebody cancelled it, this process ends, or it may no longer hold it
Why = Literal["", "cancelled", "closing", "lost"]


class Paces:
    """How fast pictures of one size were drawn lately in this process."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Pace] = {}

    def of(self, job: Job) -> Pace | None:
        """What was measured of jobs of that size; None where there was none."""
        return self._known.get(_size(job))

    def learn(self, job: Job, pace: Pace | None) -> None:
        """What was measured of this one, if anything was."""
        if pace is not None:
            self._known[_size(job)] = pace


@dataclass(kw_only=True)
class Live:
    """One job at which this process is, or was."""

    job: Job
    kept: Kept
    paces: Paces
    cancel: threading.Event = field(default_factory=threading.Event)
    why: Why = ""
    watch: Stopwatch = field(default_factory=Stopwatch)
    ends: float | None = None  # by the clock, as estimated at the latest event; of a search: at the latest
    previews: dict[int, Image.Image] = field(default_factory=dict)  # by the picture's index
    made: list[Attempt] = field(default_factory=list)  # with their pictures, while these are remembered
    changed: bool = False  # since it was last reported
    useful: bool = False  # a picture was finished since it was last reported
    drawn: int = 0  # pictures finished in this run
    trained_from: tuple[int, float] | None = None  # an update early in this run of a training, and its moment

    def stop(self, why: Why) -> None:
        """Ends the work within one step; the first reason counts."""
        self.why = self.why or why
        self.cancel.set()

    def task(self, owner: str, done: dict[int, str]) -> Task:
        """What this run has to do, `done` (index -> record) being there already."""
        job = self.job
        for index, record in done.items():
            job = job.with_picture(index, record_id=record)
        for picture in job.pictures:
            if picture.record_id is None:  # what was begun is begun anew
                job = job.with_picture(picture.index, step=0, spent=0, attempts=())
        self.job = job
        return Task(job=job.id, owner=owner, done=frozenset(done))

    def note(self, event: ServingEvent, now: float) -> None:
        """Brings the snapshot up to date with one event."""
        job = self.job
        match event:
            case Begun():
                pictures = (
                    replace(one, budget=event.steps, most_attempts=event.attempts) for one in job.pictures
                )
                job = replace(job, pictures=tuple(pictures))
            case Started():
                self.watch.started(now)
                job = replace(job, notes=_with(job.notes, event.note))
            case StepDone():
                if event.preview is not None:
                    self.previews[event.picture] = event.preview
                self.watch.stepped(now, first=event.step == 1)
                job = replace(
                    job.with_picture(event.picture, step=event.step, steps=event.steps), drawing=event.picture
                )
            case Trained():
                self._note_training(event, now)
                return
            case Attempt():
                self.made.append(event)
                self.watch.finished(now)
                drawn = job.pictures[job.drawing]
                tried, spent = (*drawn.attempts, logged(event)), drawn.spent + event.steps
                job = job.with_picture(job.drawing, attempts=tried, spent=spent, step=0)
            case Finished():
                job = job.with_picture(job.drawing, summary=event.summary)
                job = replace(job, notes=_with(job.notes, *event.notices))
            case Recorded():
                self.previews.pop(event.index, None)
                self.drawn, self.useful = self.drawn + 1, True
                if not job.searches:
                    self.watch.finished(now)
                unscored = f"not scored: {event.unscored}" if event.unscored else ""
                job = job.with_picture(event.index, record_id=event.record.id)
                job = replace(job, notes=_with(job.notes, unscored, event.notice or ""))
        self.job, self.changed = job, True
        left = self._seconds_of_work()
        self.ends = None if left is None else now + left

    def _note_training(self, event: Trained, now: float) -> None:
        """Time left by the updates of this run; the first ones take longer and are left out."""
        before = self.job.pictures[0].step
        if event.step != before:
            self.useful = True
            if self.trained_from is None and before:
                self.trained_from = (event.step, now)
        job = self.job.with_picture(0, step=event.step, steps=event.steps)
        self.job, self.changed = replace(job, notes=_with(job.notes, event.note)), True
        if self.trained_from is not None and event.step > self.trained_from[0] and event.step != before:
            first, since = self.trained_from
            self.ends = now + (now - since) / (event.step - first) * (event.steps - event.step)

    def seconds_left(self, now: float) -> float | None:
        """Until it is done; None where that is unknown, or later than was thought."""
        left = None if self.ends is None else self.ends - now
        return left if left is not None and left > 0 else None

    def seconds_each(self, now: float) -> float | None:
        """What a picture took in this run, on average; None where none was drawn."""
        if self.watch.since is None or not self.drawn:
            return None
        return (now - self.watch.since) / self.drawn

    def _seconds_of_work(self) -> float | None:
        """Seconds that the pictures still need by what was measured, of this job or of one like it; None = unknown."""
        pace = self.watch.pace() or self.paces.of(self.job)
        if pace is None or self.watch.since is None:
            return None
        left = [picture for picture in self.job.pictures if picture.record_id is None]
        usual = max(picture.steps for picture in self.job.pictures)  # of those that have not begun
        steps = sum((one.budget or one.steps or usual) - one.spent - one.step for one in left)
        return pace.of(steps, sum(max(1, one.most_attempts - len(one.attempts)) for one in left))

    def forget_pictures(self) -> None:
        """Attempts stay, without what takes much memory."""
        self.made = [replace(attempt, image=None) for attempt in self.made]


def _size(job: Job) -> tuple[object, ...]:
    """Requests of one size take about the same time per step."""
    r = job.request
    return r.model, r.width, r.height, r.precision, r.loras


def _with(notes: tuple[str, ...], *more: str) -> tuple[str, ...]:
    """Notes and those that are new; empty ones are none."""
    return tuple(dict.fromkeys(filter(None, (*notes, *more))))
