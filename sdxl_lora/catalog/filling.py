"""Makes what of a catalogue is missing: asks at the front door, names what comes back, says how far it is.

A few jobs wait in line at any time, as a batch, so that a person at the browser is never behind them. Whatever ends
this, a crash included, the next one goes on: a job is found again by its key, and a file is written before its line.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace

from sdxl_lora import export, files
from sdxl_lora.catalog import manifest
from sdxl_lora.catalog.journal import Failed, Made, digest
from sdxl_lora.catalog.planning import Item
from sdxl_lora.catalog.runs import Run
from sdxl_lora.errors import Cancelled, InputError, NotFoundError, StudioError
from sdxl_lora.jobs.front_door import FrontDoor
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.records import Record, metadata
from sdxl_lora.scoring.card import ScoreCard

_IN_LINE = 12  # jobs waiting or running at a time, at least
_FOR_EACH = 3  # of them for each runner of the queue
_PATIENCE = 0.5  # seconds of waiting for a job before anything else is looked at
_MANIFEST_EVERY = 30.0  # seconds
_TRIES = 20  # keys of one item that failed or were cancelled earlier
_EXPORTED = 50  # what is left to mend is said of at most so many checks


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a catalogue is."""

    total: int  # pictures of the plan
    done: int  # that are there
    failed: int  # that could not be made, in this run
    seconds_left: float | None = None  # None: not known yet
    latest: Made | None = None  # what came just now

    @property
    def over(self) -> bool:
        """Whether nothing is left to be made."""
        return self.done + self.failed >= self.total


def fill(
    run: Run, door: FrontDoor, *, stop: threading.Event | None = None, most: int | None = None
) -> Generator[Progress]:
    """Progress after every picture, and now and then between; manifests are written at the end, whatever ends it.

    Args:
        stop: set to end it within one picture; what waits is taken out of line.
        most: make at most so many pictures, the first ones that are missing.

    Raises `DataError` where the catalogue is being made already, `StorageError`, `Cancelled` when stopped.
    """
    with run.held():
        yield from _Filling(run, door, stop or threading.Event(), most).run()


class _Filling:
    def __init__(self, run: Run, door: FrontDoor, stop: threading.Event, most: int | None) -> None:
        self.run_ = run
        self.door = door
        self.stop = stop
        self.waiting = deque(run.open_items[:most])
        self.done = len(run.plan.items) - len(run.open_items)
        self.failed = 0
        self.line: dict[str, Item] = {}  # job -> item, in the order of asking
        self.started = time.monotonic()
        self.made_now = 0
        self.in_line = max(_IN_LINE, _FOR_EACH * door.queue.at_a_time)
        self.cancelled: set[str] = set()  # items that were asked for a second time because of that
        self.written = time.monotonic()

    def run(self) -> Iterator[Progress]:
        try:
            yield self._progress(None)
            while self.waiting or self.line:
                if self.stop.is_set():
                    raise Cancelled("stopped; what was finished before is kept, and the catalogue can go on")
                for made in itertools.chain(self._ask(), self._settled()):
                    yield self._progress(made)
                if self.line and not self.stop.is_set():
                    self.door.queue.wait(next(iter(self.line)), _PATIENCE)
                if time.monotonic() - self.written > _MANIFEST_EVERY:
                    self._write()
                    yield self._progress(None)
            yield self._progress(None)
        finally:
            for job_id in self.line:
                self.door.queue.cancel(job_id)
            self._write()

    def _ask(self) -> Iterator[Made]:
        """Fills the line; what was drawn already only has to be written."""
        while self.waiting and len(self.line) < self.in_line:
            item = self.waiting.popleft()
            if (earlier := self._drawn(item)) is not None:
                yield self._keep(item, earlier)
                continue
            try:
                self.line[self._submit(item).id] = item
            except InputError as error:
                self._fail(item, str(error))

    def _submit(self, item: Item) -> Job:
        """The item's job; another after one that failed, was cancelled, or whose picture was deleted since."""
        spec = JobSpec(
            request=item.request,
            effort=item.effort,
            priority="batch",
            user=f"catalog-{self.run_.info.id}",
            group=self.run_.info.id,
        )
        job = None
        for attempt in range(_TRIES):
            job = self.door.queue.submit(replace(spec, idempotency_key=f"{item.key}-{attempt}"))
            if job.active or self._record(job) is not None:
                return job
        assert job is not None
        return job

    def _settled(self) -> Iterator[Made]:
        """What came of the jobs that are over."""
        for job_id, item in list(self.line.items()):
            job = self.door.queue.get(job_id)
            if job is not None and job.active:
                continue
            del self.line[job_id]
            if job is None:  # forgotten, long after it was over
                self.waiting.append(item)
                continue
            if (record := self._record(job)) is not None:
                yield self._keep(item, record)
            elif job.state == "cancelled" and item.key not in self.cancelled:
                self.cancelled.add(item.key)  # by a run that ended just now, before this one asked
                self.waiting.append(item)
            else:
                self._fail(item, _reason(job))

    def _record(self, job: Job) -> Record | None:
        """The job's picture; None where there is none, or it was deleted."""
        if not job.record_ids:
            return None
        try:
            return self.door.store.get(job.record_ids[0])
        except NotFoundError:
            return None

    def _drawn(self, item: Item) -> Record | None:
        """The record of an item that was drawn, and whose files are not all there."""
        made = self.run_.journal.made.get(item.key)
        if made is None:
            return None
        try:
            return self.door.store.get(made.record)
        except NotFoundError:
            return None

    def _keep(self, item: Item, record: Record) -> Made:
        """Writes the item's files, then its line. Raises `StorageError`."""
        with files.storage_errors(record.path, "read"):
            data = record.path.read_bytes()
        file = f"{item.name}.png"
        files.write_atomically(self.run_.folder / file, data)
        made = _entry(item, record, file, digest(data))
        made = replace(made, exports={name: self._export(data, item, name) for name in item.presets})
        self.run_.journal.add(made)
        self.done += 1
        self.made_now += 1
        return made

    def _export(self, data: bytes, item: Item, name: str) -> dict[str, object]:
        """The picture for one shop, and what of its checklist is left."""
        preset = export.preset(name)
        picture = export.read(data, f"{item.name}.png")
        mended = export.mend(picture, preset, name=item.name)
        mended = export.sealed(mended, picture, self.door.store.home)
        file = f"{name}/{mended.picture.name}"
        files.write_atomically(self.run_.folder / file, mended.picture.data)
        left = [one.text for one in export.check(mended.picture, preset) if one.state != "ok"]
        return {"file": file, "done": list(mended.done), "left": left[:_EXPORTED]}

    def _fail(self, item: Item, reason: str) -> None:
        self.failed += 1
        self.run_.journal.add(Failed(key=item.key, row=item.row, reason=reason))

    def _write(self) -> None:
        write_manifests(self.run_, self.door)
        self.written = time.monotonic()

    def _progress(self, latest: Made | None) -> Progress:
        left = len(self.waiting) + len(self.line)
        pace = (time.monotonic() - self.started) / self.made_now if self.made_now else None
        return Progress(
            total=len(self.run_.plan.items),
            done=self.done,
            failed=self.failed,
            seconds_left=None if pace is None else pace * left,
            latest=latest,
        )


def _reason(job: Job) -> str:
    """Why there is no picture."""
    try:
        job.raise_error()
    except StudioError as error:
        return str(error)
    return "the picture was deleted before it was named"


def write_manifests(run: Run, door: FrontDoor) -> None:
    """Manifests and failed rows as of now, with what people have said of the pictures since. Raises `StorageError`."""
    made = run.made
    said = door.reviews.verdicts(one.record for one in made)
    verdicts = {record: "approved" if approved else "rejected" for record, approved in said.items()}
    manifest.write(run.folder, run.info.table, made, verdicts)
    manifest.write_failed(run.folder, run.table, run.problems)


def _entry(item: Item, record: Record, file: str, sha256: str) -> Made:
    request = record.request
    return Made(
        key=item.key,
        row=item.row,
        sku=item.sku,
        name=item.name,
        file=file,
        sha256=sha256,
        record=record.id,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        template=request.template,
        slots=dict(request.slots),
        seed=request.seed or 0,
        width=record.width,
        height=record.height,
        model=request.model,
        model_sha256=request.model_sha256,
        loras=tuple(asdict(lora) for lora in request.loras),
        steps=request.steps or 0,
        scores=metadata.finite(record.card.to_dict()),
        checks=_checks(record.card),
        alt=item.alt,
        seconds=record.seconds,
        created_at=record.created_at.isoformat(),
    )


def _checks(card: ScoreCard) -> str:
    if not card.scored:
        return "not judged"
    wrong = [f"{gate.name}: {gate.reason}" for gate in card.failed]
    wrong += [str(found) for found in card.findings if not found.right]
    return "; ".join(wrong) or "passed"
