"""What the threads of one process share of the queue: the jobs drawn here, and what the database did not take yet.

Everything is touched only while `changed` is held. Knows nothing of the database.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.live import Live

KEEP_IMAGES = 8  # finished jobs whose attempts can still be looked at
KEEP_JOBS = 8  # finished jobs of which the database need not be asked


@dataclass(kw_only=True)
class Here:
    """The queue as this process sees it beside the database."""

    owner: str  # this process's name in the database
    serves: bool  # it works at others' jobs, too
    changed: threading.Condition = field(default_factory=threading.Condition)
    settling: threading.Lock = field(default_factory=threading.Lock)  # held while ends are written down
    live: dict[str, Live] = field(default_factory=dict)  # running here, or of late; oldest first
    mine: set[str] = field(default_factory=set)  # asked for here, and not known to be over
    unsettled: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # ends that are not in the database yet
    epoch: int = 0  # counts changes of the line
    drawn: int = 0  # pictures made by this process
    closed: bool = False

    def touch(self) -> None:
        """Wakes all who wait for a change of the line."""
        with self.changed:
            self.epoch += 1
            self.changed.notify_all()

    def begin(self, live: Live) -> None:
        """A job that was claimed is drawn here now."""
        with self.changed:
            self.live.pop(live.job.id, None)
            self.live[live.job.id] = live
            if self.closed:
                self.end_work()
        self.touch()

    def end_work(self) -> None:
        """Stops what is drawn, for this queue is closed: it waits for others, or is cancelled."""
        for live in self.running():
            live.stop("closing" if self.serves else "cancelled")

    def running(self) -> list[Live]:
        """The jobs that are drawn here: one for each device, and a training that stands still for one of them."""
        with self.changed:
            return [live for live in self.live.values() if live.job.state == "running"]

    def known(self, job_id: str) -> Job | None:
        """A job that is known better here than in the database."""
        with self.changed:
            live = self.live.get(job_id)
            # what is done stays so, whatever other processes ask for
            if live is not None and (live.job.state in ("running", "done") or job_id in self.unsettled):
                return live.job
            return None

    def holds(self) -> bool:
        """Whether other processes are to know that this one lives."""
        with self.changed:
            waits = bool(self.mine) and not self.serves
            return waits or bool(self.unsettled) or bool(self.running())

    def only(self) -> frozenset[str] | None:
        """The jobs that this process works at; None = anybody's."""
        with self.changed:
            return None if self.serves else frozenset(self.mine)

    def rest(self, seconds: float | None, epoch: int) -> bool:
        """Waits until the line is another than at `epoch`, or so long; False once the queue is closed."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.epoch != epoch, seconds)
            return not self.closed

    def tidy(self) -> None:
        """Forgets jobs that are over, but for the pictures of the latest attempts."""
        with self.changed:
            searched = [live for live in self.live.values() if live.made and not live.job.active]
            for live in searched[:-KEEP_IMAGES]:  # pictures take much memory
                live.forget_pictures()
            over = [key for key, live in self.live.items() if not live.job.active and not live.made]
            settled = [job_id for job_id in over if job_id not in self.unsettled]
            for job_id in settled[:-KEEP_JOBS]:  # of the others somebody may be about to ask
                del self.live[job_id]
