"""Fills the cells of a comparison and scores its columns, all in the same way.

What is in a cell is never made again: a comparison that was stopped, or whose provider was busy, goes on with
the cells that are missing. Knows nothing of pages, and keeps no key.
"""

import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sdxl_lora import config
from sdxl_lora.comparing import columns, making, prompts, providers
from sdxl_lora.comparing.columns import Column
from sdxl_lora.comparing.prompts import Row
from sdxl_lora.errors import Cancelled, DataError, ImageError, ModelUnavailableError, RequestError
from sdxl_lora.evaluation.cache import FeatureCache
from sdxl_lora.evaluation.differences import differences
from sdxl_lora.evaluation.engine import Settings, evaluate
from sdxl_lora.evaluation.metrics import METRICS
from sdxl_lora.evaluation.pairing import Pair, Pairing
from sdxl_lora.evaluation.pictures import FileSource, decode
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.models import identity, registry
from sdxl_lora.records.comparisons import ComparisonRecord, ComparisonStore
from sdxl_lora.request import LoraSpec

# what can be said of pictures and prompts without a reference photo
TEXT_METRICS = tuple(key for key, metric in METRICS.items() if not metric.needs_reference)
_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}


@dataclass(frozen=True, kw_only=True)
class Filled:
    """One more cell is settled."""

    column: int
    row: int
    reason: str = ""  # why there is no picture
    done: int  # cells settled, of all
    total: int


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A column that could not go on, and why; the others did."""

    column: int
    reason: str


def chosen_metrics(text: str) -> tuple[str, ...]:
    """Keys from `a,b`; "" = all of `TEXT_METRICS`. Raises `UnknownNameError`, `RequestError`."""
    keys = tuple(key.strip() for key in text.split(",") if key.strip()) or TEXT_METRICS
    Settings(metrics=keys)  # knows the names
    photos = [key for key in keys if METRICS[key].needs_reference]
    if photos:
        raise RequestError(f"{photos[0]} needs reference photos; use evaluate for it")
    return keys


def begin(
    store: ComparisonStore,
    rows: Sequence[Row],
    systems: Sequence[Column],
    *,
    title: str = "",
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
) -> ComparisonRecord:
    """Keeps what is to be compared, and the pictures that are there already.

    The same rows, columns and settings are the same comparison; a model or LoRA of other contents is another column.
    Raises `DataError`, `PromptError`.
    """
    systems = columns.checked(systems)
    rows = prompts.checked(tuple(rows))
    definition = {
        "rows": [row.to_dict() for row in rows],
        "columns": [
            {**system.to_dict(), **_contents(system.kind, system.source, system.loras)} for system in systems
        ],
        "settings": {"seed": seed, "steps": steps, "guidance": guidance},
    }
    record = store.begin(definition, title or " · ".join(system.label for system in systems))
    for place, system in enumerate(systems):
        if system.kind == "pictures":
            _keep_pictures(store, record, place, system)
    return store.get(record.id)


def _contents(kind: str, source: str, loras: Sequence[str]) -> dict[str, Any]:
    """`{"contents": hashes of the model and its LoRAs}` of a column of ours; empty for others and what is not here.

    Raises `UnknownNameError`, `LoraError`.
    """
    if kind != "model":
        return {}
    info = registry.describe(source)
    if not info.present:
        return {}
    return {
        "contents": [identity.of_model(info), *(identity.of_lora(LoraSpec.parse(path)) for path in loras)]
    }


def _keep_pictures(store: ComparisonStore, record: ComparisonRecord, place: int, system: Column) -> None:
    for row in range(len(record.rows)):
        if (place, row) in record.cells:
            continue
        if row in system.pictures:
            data = system.pictures[row]
            store.keep(record.id, place, row, data, suffix_of(data), {})
        else:
            store.refuse(record.id, place, row, f"{system.source} has no picture for this row")


def fill(
    store: ComparisonStore,
    record: ComparisonRecord,
    *,
    keys: Mapping[int, str] | None = None,
    queue: JobQueue | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Filled | Stopped]:
    """Makes what is missing, column by column.

    Args:
        queue: where our own models' pictures are asked for; None = one for this call.
        keys: providers' keys by column; for others the environment is asked.

    A provider that cannot be used stops its own column only. Raises `Cancelled`, and for our models what
    their jobs fail with.
    """
    missing = record.missing
    total = len(record.columns) * len(record.rows)
    done = total - len(missing)
    for place in dict.fromkeys(column for column, _ in missing):
        rows = [row for column, row in missing if column == place]
        if record.columns[place]["kind"] == "model":
            settled = _draw(store, record, place, rows, queue, cancel)
        else:
            settled = _ask(store, record, place, rows, (keys or {}).get(place), cancel)
        for row, reason in settled:
            if row is None:
                yield Stopped(column=place, reason=reason)
            else:
                done += 1
                yield Filled(column=place, row=row, reason=reason, done=done, total=total)


def _draw(
    store: ComparisonStore,
    record: ComparisonRecord,
    place: int,
    rows: Sequence[int],
    queue: JobQueue | None,
    cancel: threading.Event | None,
) -> Iterator[tuple[int | None, str]]:
    """Pictures of one of our models. The picture of row i has seed `seed + i`, whichever rows are missing."""
    system, settings = record.columns[place], record.settings
    now = _contents("model", system["source"], system["loras"]).get("contents")
    if now is not None and system.get("contents") not in (None, now):
        yield None, "the model or a LoRA has changed since this comparison was begun; begin it again"
        return
    captions = {row["key"]: row["prompt"] for row in record.rows}
    keys = list(captions)
    recipe = making.Recipe(model=system["source"], loras=system["loras"], **settings)
    for made in making.each_picture(captions, recipe, queue or store.database, cancel=cancel):
        row = keys.index(made.name)
        if row in rows:
            facts = {
                "model": made.request.model,
                "seed": made.request.seed,
                "steps": made.request.steps,
                "guidance": made.request.guidance,
            }
            store.keep(record.id, place, row, made.path.read_bytes(), ".png", facts)
            yield row, ""


def _ask(
    store: ComparisonStore,
    record: ComparisonRecord,
    place: int,
    rows: Sequence[int],
    key: str | None,
    cancel: threading.Event | None,
) -> Iterator[tuple[int | None, str]]:
    """Pictures of a provider; a prompt it refuses is settled with the reason."""
    system = record.columns[place]
    try:
        provider = providers.open_provider(system["kind"], system["source"], key)
        for row in rows:
            if cancel is not None and cancel.is_set():
                raise Cancelled("stopped; the pictures that were there are kept")
            try:
                data = provider.picture(record.rows[row]["prompt"])
                suffix = suffix_of(data)
            except (providers.Refused, ImageError) as refused:
                store.refuse(record.id, place, row, str(refused))
                yield row, str(refused)
            else:
                store.keep(record.id, place, row, data, suffix, {"model": system["source"]})
                yield row, ""
    except ModelUnavailableError as error:
        yield None, str(error)


def suffix_of(data: bytes) -> str:
    """`.png`, `.jpg` ... by the content of a file that can be decoded. Raises `ImageError`."""
    decode(data, "the picture")
    with Image.open(io.BytesIO(data)) as image:
        if image.format not in _SUFFIXES:
            raise ImageError(f"the picture is {image.format}, which is not kept; send PNG, JPEG or WebP")
        return _SUFFIXES[image.format]


def score(
    store: ComparisonStore,
    record: ComparisonRecord,
    *,
    metrics: Sequence[str] = (),
    weights: Mapping[str, Path] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """One report of `evaluate` per column, over the rows in which every column with pictures has one.

    Returns and keeps `{"rows": keys, "left_out": keys, "reports": {column: report}, "against": {column:
    comparison with the first of them}}`; prompts are scored as they are, without references. Raises
    `DataError` if no row can be compared, `UnknownNameError` for an unknown metric.
    """
    with_pictures = {column: rows for column in range(len(record.columns)) if (rows := _rows(record, column))}
    common = sorted(set.intersection(*with_pictures.values())) if with_pictures else []
    if not common:
        raise DataError("no prompt has a picture in every column: there is nothing to score alike")
    cache = FeatureCache(config.home() / "cache" / "features.sqlite")
    settings = Settings(metrics=tuple(metrics) or TEXT_METRICS, baselines=False, weights=weights or {})
    reports: dict[str, Any] = {}
    try:
        for place, column in enumerate(with_pictures):
            pairs = tuple(_pair(record, column, row) for row in common)
            label = record.columns[column]["label"]
            reports[str(column)] = evaluate(Pairing(pairs), settings, label=label, cache=cache).to_dict()
            if progress:
                progress(place + 1, len(with_pictures))
    finally:
        cache.close()
    first, *others = reports
    keys = [row["key"] for row in record.rows]
    scores = {
        "rows": [keys[row] for row in common],
        "left_out": [key for row, key in enumerate(keys) if row not in common],
        "reports": reports,
        "against": {column: differences(reports[column], reports[first]) for column in others},
    }
    store.keep_scores(record.id, scores)
    return scores


def _rows(record: ComparisonRecord, column: int) -> set[int]:
    return {row for row in range(len(record.rows)) if column in record.pictures(row)}


def _pair(record: ComparisonRecord, column: int, row: int) -> Pair:
    cell = record.cells[column, row]
    asked = record.rows[row]
    assert cell.path is not None  # only rows with a picture come here
    return Pair(
        name=asked["key"], generated=FileSource(cell.path), caption=asked["prompt"], facts=asked["facts"]
    )
