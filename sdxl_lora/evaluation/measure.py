"""Measures pictures: each file is decoded once, and everything that needs its pixels is done then.

Pairs are taken in chunks: while one is measured, the pictures of the next are decoded (`decoding`).

A `Task` turns pictures into an array per item; an item is one picture, a pair, or a picture with its caption.
What is in the cache is not done again, and if everything is, no file is even opened. Knows nothing of means
or intervals.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdxl_lora.evaluation import backbones, colour, pixel
from sdxl_lora.evaluation.cache import FeatureCache
from sdxl_lora.evaluation.decoding import Decoder, Need
from sdxl_lora.evaluation.pairing import Pairing
from sdxl_lora.evaluation.pictures import BlankCard, Moved, Picture, Source
from sdxl_lora.scoring import lettering
from sdxl_lora.scoring.lettering import OcrLine

Array = NDArray[Any]
Progress = Callable[[int, int], None]  # pairs done, pairs in all

CHUNK = 8  # pairs whose pictures are held in memory at a time
GENERATED = "generated"
OUTSIDE = "of a kind that the judge was not trained on: it abstains"
BASELINES = {
    "blank_card": "a blank card (grey value 243)",
    "another_product": "the reference photo of another product",
    "moved": "the reference itself, moved by 8 px of 256",
}


@dataclass(frozen=True)
class Item:
    """What a task is done on."""

    sources: tuple[Source, ...]
    text: str = ""

    def key(self, task: "Task") -> str:
        parts = [task.identity, *(source.identity for source in self.sources)]
        return "|".join([*parts, self.text] if self.text else parts)


@dataclass(frozen=True)
class Task:
    """One kind of measurement; equal identities give equal arrays."""

    name: str
    identity: str
    kind: str  # "picture", "pair" or "caption"
    compute: Callable[[Sequence[tuple[Picture, ...]], Sequence[str]], Sequence[Array]]
    side: int | None = None  # px; the task needs pictures at this size only, not at their own
    square: int | None = None  # px; it takes square pictures at this size, which may be made ahead


@dataclass(frozen=True)
class _Step:
    """One task of one chunk: what the cache has, and what has to be done."""

    task: Task
    known: dict[Item, Array]
    missing: dict[Item, str]  # and its key


@dataclass
class Measured:
    """All arrays of an evaluation. `sets` holds the generated pictures and, by name, the baselines'."""

    sets: Mapping[str, Sequence[Source]]
    references: Sequence[Source]
    captions: Sequence[str]
    brands: Sequence[str]  # "" where none is given
    captions_embedded: dict[str, Array] = field(default_factory=dict)  # by task name, [pairs, dimensions]
    arrays: dict[str, dict[Item, Array]] = field(default_factory=dict)  # by task name
    shared: dict[tuple[str, ...], Any] = field(default_factory=dict)  # what several metrics are made of

    def of_pictures(self, task: str, sources: Sequence[Source]) -> Array:
        """[pictures, ...] of a picture task."""
        return np.stack([self.arrays[task][Item((source,))] for source in sources])

    def of_pairs(self, task: str, name: str) -> Array:
        """[pairs, ...] of a pair task, for the set called `name` against the references."""
        pairs = zip(self.sets[name], self.references, strict=True)
        return np.stack([self.arrays[task][Item(pair)] for pair in pairs])

    def of_captions(self, task: str, name: str) -> Array:
        """[pairs, ...] of a caption task, for the set called `name`."""
        pairs = zip(self.sets[name], self.captions, strict=True)
        return np.stack([self.arrays[task][Item((source,), text)] for source, text in pairs])

    def outside(self, task: str, sources: Sequence[Source]) -> dict[int, str]:
        """Place -> why, of the pictures that the network of this task cannot judge."""
        found = self.arrays.get(f"{task} world", {})
        return {place: OUTSIDE for place, s in enumerate(sources) if found and bool(found[Item((s,))])}

    def raw(self, task: str, source: Source) -> Array:
        return self.arrays[task][Item((source,))]

    def facts(self, source: Source) -> dict[str, Any]:
        """Size in px and treatments of one picture: `{"size": [w, h], "notes": [...]}`."""
        facts: dict[str, Any] = json.loads(self.raw("facts", source).tobytes())
        return facts


def picture_sets(pairing: Pairing, side: int, *, baselines: bool) -> dict[str, list[Source]]:
    """The generated pictures, and what stands in for them in each baseline, in pair order."""
    sets: dict[str, list[Source]] = {GENERATED: [pair.generated for pair in pairing.pairs]}
    references = [pair.reference for pair in pairing.pairs if pair.reference is not None]
    if not baselines or len(references) < len(pairing.pairs):
        return sets
    sets["blank_card"] = [BlankCard(side)] * len(references)
    if len(references) > 1:
        sets["another_product"] = [*references[1:], references[0]]
    sets["moved"] = [Moved(reference) for reference in references]
    return sets


def pixel_tasks(side: int) -> list[Task]:
    """PSNR and SSIM at `side` x `side` px; facts and garment colour of every picture."""

    def each(metric: Callable[[Any, Any], float]) -> Callable[..., Sequence[Array]]:
        return lambda pairs, _: [np.array(metric(one.resized(side), two.resized(side))) for one, two in pairs]

    return [
        Task("psnr", f"psnr-1-{side}", "pair", each(pixel.psnr), side),
        Task("ssim", f"ssim-{pixel.SSIM_WINDOW}-{side}", "pair", each(pixel.ssim), side),
    ]


def facts_task() -> Task:
    """Size and treatments, so that a report can state them without decoding again."""

    def facts(pictures: Sequence[tuple[Picture, ...]], _: Sequence[str]) -> list[Array]:
        values = [json.dumps({"size": p.size, "notes": p.notes}) for (p,) in pictures]
        return [np.frombuffer(value.encode(), np.uint8) for value in values]

    return Task("facts", "facts-1", "picture", facts)


def colour_task() -> Task:
    """[3] CIELAB of the garment, or [0, ...] and the reason as text where there is no mask."""

    def colours(pictures: Sequence[tuple[Picture, ...]], _: Sequence[str]) -> list[Array]:
        found = [colour.garment_colour(picture) for (picture,) in pictures]
        return [np.array(c.lab) if c.lab else np.frombuffer(c.reason.encode(), np.uint8) for c in found]

    return Task("colour", f"colour-1-{colour.MASK_SIDE}", "picture", colours, colour.MASK_SIDE)


def ocr_task() -> Task:
    """The text OCR reads on each picture."""
    return Task(
        "words",
        "rapidocr-1",
        "picture",
        lambda pictures, _: [encode(lettering.read_words(picture.pixels)) for (picture,) in pictures],
    )


def encode(words: Sequence[OcrLine]) -> Array:
    """What OCR read, for the cache: JSON as bytes."""
    return np.frombuffer(json.dumps([asdict(item) for item in words]).encode(), dtype=np.uint8)


def decode(data: Array) -> list[OcrLine]:
    """Inverse of `encode`."""
    return [
        OcrLine(item["text"], item["confidence"], tuple((x, y) for x, y in item["box"]))
        for item in json.loads(data.tobytes())
    ]


def embedding_task(name: str, backbone: backbones.ImageBackbone) -> Task:
    """Features of every picture."""
    return Task(
        name,
        backbone.identity,
        "picture",
        lambda pictures, _: list(backbone.embed([p for (p,) in pictures])),
        square=backbone.square_side,
    )


def world_task(name: str, backbone: backbones.Clip) -> Task:
    """1 for every picture of a kind that the network was not trained on, else 0."""
    return Task(
        f"{name} world",
        f"world-1-{backbone.identity}",
        "picture",
        lambda pictures, _: [np.array(one) for one in backbone.outside([p for (p,) in pictures])],
        square=backbone.square_side,
    )


def lpips_task(network: backbones.LpipsDistance) -> Task:
    """LPIPS of every pair."""
    return Task(
        "alexnet",
        network.identity,
        "pair",
        lambda pairs, _: list(network.distances([(a, b) for a, b in pairs])),
    )


def blip_task(network: backbones.Blip) -> Task:
    """ITM probability and ITC cosine of every picture with its caption."""
    return Task(
        "blip",
        network.identity,
        "caption",
        lambda pictures, texts: list(network.match([p for (p,) in pictures], texts)),
    )


def measure(
    pairing: Pairing,
    sets: Mapping[str, Sequence[Source]],
    tasks: Sequence[Task],
    cache: FeatureCache,
    progress: Progress | None = None,
) -> Measured:
    """Does all tasks on all sets and references. A picture that cannot be read raises `ImageError`."""
    pairs = pairing.pairs
    references: list[Source] = [p.reference for p in pairs if p.reference] if pairing.has_references else []
    captions = [pair.caption or "" for pair in pairs] if pairing.has_captions else []
    measured = Measured(sets, references, captions, [pair.facts.get("brand", "") for pair in pairs])
    for task in tasks:
        measured.arrays[task.name] = {}
    chunks = [range(start, min(start + CHUNK, len(pairs))) for start in range(0, len(pairs), CHUNK)]
    planned: set[tuple[str, Item]] = set()
    with Decoder(cache, {source.identity for source in references}) as decoder:
        upcoming = _plan(tasks, measured, chunks[0], cache, planned, decoder)
        for number, places in enumerate(chunks, start=1):
            steps = upcoming
            if number < len(chunks):
                upcoming = _plan(tasks, measured, chunks[number], cache, planned, decoder)
            fresh: dict[str, Array] = {}
            for step in steps:
                arrays = _computed(step, decoder)
                fresh |= {step.missing[item]: array for item, array in arrays.items()}
                measured.arrays[step.task.name].update(step.known | arrays)
            cache.put(fresh | decoder.take_fresh())
            if progress:
                progress(places.stop, len(pairs))
    return measured


def _plan(
    tasks: Sequence[Task],
    measured: Measured,
    places: range,
    cache: FeatureCache,
    planned: set[tuple[str, Item]],
    decoder: Decoder,
) -> list[_Step]:
    """What is to be done on these pairs that was not `planned` before; its pictures begin to be decoded."""
    steps, needs = [], []
    for task in tasks:
        items = [i for i in dict.fromkeys(_items(task, measured, places)) if (task.name, i) not in planned]
        planned.update((task.name, item) for item in items)
        keys = {item: item.key(task) for item in items}
        found = cache.get(keys.values())
        known = {item: found[key] for item, key in keys.items() if key in found}
        missing = {item: key for item, key in keys.items() if key not in found}
        steps.append(_Step(task, known, missing))
        needs += [Need(source, task.side, task.square) for item in missing for source in item.sources]
    decoder.expect(needs)
    return steps


def _items(task: Task, measured: Measured, places: range) -> Iterator[Item]:
    for place in places:
        for name, sources in measured.sets.items():
            source = sources[place]
            if task.kind == "picture" and not (task.name == "facts" and name != GENERATED):
                yield Item((source,))
            elif task.kind == "pair" and measured.references:
                yield Item((source, measured.references[place]))
            elif task.kind == "caption" and measured.captions:
                yield Item((source,), measured.captions[place])
        if task.kind == "picture" and measured.references:
            yield Item((measured.references[place],))


def _computed(step: _Step, decoder: Decoder) -> dict[Item, Array]:
    """Done a few at a time, so that large pictures need not all be in memory."""
    done: dict[Item, Array] = {}
    items = list(step.missing)
    for start in range(0, len(items), backbones.BATCH):
        part = items[start : start + backbones.BATCH]
        pictures = [tuple(decoder.at(source, step.task.side) for source in item.sources) for item in part]
        arrays = step.task.compute(pictures, [item.text for item in part])
        done.update(zip(part, map(np.asarray, arrays), strict=True))
    return done
