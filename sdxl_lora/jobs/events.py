"""What a runner tells while it works at a job."""

from dataclasses import dataclass

from sdxl_lora.generation import Event
from sdxl_lora.jobs.task import Decided, Trained
from sdxl_lora.records import Record
from sdxl_lora.search import Attempt, Begun, Finished


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A picture is safely kept; follows its `PictureDone`."""

    index: int  # 0-based place in the request
    record: Record
    unscored: str | None = None  # one line: why the picture has no score
    notice: str | None = None  # one line: what else could not be judged


ServingEvent = Decided | Trained | Begun | Event | Attempt | Finished | Recorded
