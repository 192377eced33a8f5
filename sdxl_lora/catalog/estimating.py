"""How long a catalogue will take, from how long pictures like these took on this machine."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from sdxl_lora.catalog.planning import Item
from sdxl_lora.jobs.spec import Effort
from sdxl_lora.models import registry
from sdxl_lora.records import Record, Store
from sdxl_lora.request import GenerationRequest

_LATEST = 300  # records that are looked at
_ENOUGH = 3  # of the very same kind; fewer, and those of another number of steps are asked, too
_USED = 30  # latest ones: the machine of last month may be another


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Wall-clock time of so many pictures."""

    pictures: int
    seconds: float | None  # None: nothing like it was made here yet

    def words(self) -> str:
        """For people: `120 pictures, about 14 minutes`."""
        if not self.pictures:
            return "nothing is left to make"
        many = f"{self.pictures:,} picture{'' if self.pictures == 1 else 's'}"
        if self.seconds is None:
            return f"{many}; how long is known after the first"
        return f"{many}, about {duration(self.seconds)}"


def estimate(store: Store, items: Iterable[Item]) -> Estimate:
    """What these items take, one after the other. Raises `InputError`."""
    kinds = Counter((_wish(item.request), item.effort) for item in items)
    total: float | None = 0.0
    for (wish, effort), count in kinds.items():
        one = _seconds(store, wish, effort)
        total = None if one is None or total is None else total + one * count
    return Estimate(pictures=sum(kinds.values()), seconds=total)


def duration(seconds: float) -> str:
    """`40 seconds`, `14 minutes`, `3 h 20 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} second{'' if round(seconds) <= 1 else 's'}"
    if seconds < 5_400:
        return f"{round(seconds / 60)} minutes"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def _wish(request: GenerationRequest) -> tuple[object, ...]:
    """What decides how long a picture takes, decided."""
    info = registry.describe(request.model)
    usual = info.defaults
    size = request.width or usual.width, request.height or usual.height
    return info.name, *size, request.steps or usual.steps


def _seconds(store: Store, wish: tuple[object, ...], effort: Effort) -> float | None:
    """Seconds per picture; by the step where only pictures of another number of steps were made."""
    model, width, height, steps = wish
    alike = [
        record
        for record in store.page(0, _LATEST, model=str(model))
        if (record.request.width, record.request.height) == (width, height)
        and (record.card.search is not None) == effort.searches
        and record.seconds > 0
    ]
    same = [record.seconds for record in alike if record.request.steps == steps][:_USED]
    if len(same) >= _ENOUGH or (same and len(alike) == len(same)):
        return median(same)
    per_step = [_per_step(record) for record in alike][:_USED]
    return median(per_step) * float(str(steps)) if per_step else None


def _per_step(record: Record) -> float:
    return record.seconds / max(1, record.request.steps or 1)
