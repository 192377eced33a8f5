"""What would go wrong in training with a data set, found before any model is loaded.

Every picture is decoded once. Nothing is repaired here; the report says what to do. Knows tokenizers only
as functions from a caption to a number of tokens.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora.data import geometry
from sdxl_lora.data.geometry import Size
from sdxl_lora.data.images import decode
from sdxl_lora.data.sources import Source
from sdxl_lora.errors import ImageError

Counters = Mapping[str, Callable[[str], int]]  # name of a tokenizer -> caption -> tokens, marks included

_TINY = 0.5  # of the training size, along the shorter side: more than twofold enlargement
_BLURRED = 5e-3  # of the sharpness; sharp product photos have 0.1, softened by 2 px in 256 some 0.003
_SHARPNESS_SIDE = 512  # px
_HALF = 0.5
_COMMON = 0.8  # share of the captions above which a word is common
_FEW, _MANY = 3, 10  # pictures of a class; of a set, before anything is said about its shares
_SMALL_WORDS = frozenset({"a", "an", "and", "in", "of", "on", "the", "with", "photo", "photography"})
_NEAR_HASH = 8  # of 256 bits
_FLAT = 2  # 8-bit levels: less is the noise of an even background
_NEAR_COLOUR = 6.0  # mean difference of 8-bit levels


@dataclass(kw_only=True)
class Report:
    """Findings by kind: names of pictures. `problems` should be put right, the rest be known."""

    source: str
    kind: str
    licence: str | None
    pictures: int
    shown: int  # pictures in an epoch, repeats among them
    resolution: int  # px
    unreadable: dict[str, str] = field(default_factory=dict)  # name -> reason
    left_out: dict[str, str] = field(default_factory=dict)  # files that are not read -> why
    blurred: list[str] = field(default_factory=list)
    cropped: list[str] = field(default_factory=list)  # less than half of them is trained on
    near: list[list[str]] = field(default_factory=list)  # groups of one scene: same outlines, other colours
    common_words: dict[str, float] = field(default_factory=dict)  # word -> share of the captions
    rare: list[str] = field(default_factory=list)  # classes with few pictures
    tiny: list[str] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)  # groups that look the same
    modes: dict[str, int] = field(default_factory=dict)  # of pictures that are not RGB
    rotated: list[str] = field(default_factory=list)  # EXIF turns them
    transparent: list[str] = field(default_factory=list)
    animated: list[str] = field(default_factory=list)
    without_caption: list[str] = field(default_factory=list)
    too_long: dict[str, dict[str, int]] = field(default_factory=dict)  # tokenizer -> name -> tokens
    token_limit: int = 77
    buckets: list[tuple[Size, int]] = field(default_factory=list)
    upscaled: int = 0
    classes: dict[str, int] = field(default_factory=dict)  # first word of the caption -> pictures

    @property
    def problems(self) -> int:
        """Findings that stop a training or spoil it."""
        return len(self.unreadable) + len(self.without_caption) + sum(len(g) - 1 for g in self.duplicates)


def check(
    source: Source,
    *,
    resolution: int,
    multiple: int,
    counters: Counters | None = None,
    token_limit: int = 77,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Looks at every picture and caption. `progress(done, total)` is called after each."""
    first: dict[str, int] = {}  # name -> the first of its rows; a picture may be repeated within an epoch
    for row, name in enumerate(source.keys):
        first.setdefault(name, row)
    report = Report(
        source=source.name,
        kind=source.kind,
        licence=source.licence,
        pictures=len(first),
        shown=len(source),
        resolution=resolution,
        token_limit=token_limit,
        left_out=dict(source.left_out),
    )
    buckets = geometry.buckets(resolution, multiple)
    sizes: list[Size] = []
    prints: list[tuple[str, _Print]] = []
    for done, (name, row) in enumerate(first.items(), start=1):
        try:
            image, facts = decode(source.read(row), name)
        except ImageError as error:
            report.unreadable[name] = str(error)
            continue
        finally:
            progress(done, len(first))
        size = (facts.height, facts.width)
        sizes.append(size)
        prints.append((name, _Print.of(image)))
        if _sharpness(image) < _BLURRED:
            report.blurred.append(name)
        if _shown(size, buckets) < _HALF:
            report.cropped.append(name)
        if min(size) < _TINY * resolution:
            report.tiny.append(name)
        if facts.mode != "RGB":
            report.modes[facts.mode] = report.modes.get(facts.mode, 0) + 1
        for found, names in (
            (facts.rotated, report.rotated),
            (facts.transparent, report.transparent),
            (facts.frames > 1, report.animated),
        ):
            if found:
                names.append(name)
    report.duplicates = _duplicates(prints, _NEAR_COLOUR)
    doubled = {name for group in report.duplicates for name in group[1:]}
    report.near = _duplicates([item for item in prints if item[0] not in doubled], math.inf)
    _check_sizes(report, sizes, buckets)
    _check_captions(report, source, counters or {})
    return report


def to_json(report: Report) -> dict[str, object]:
    """JSON-ready."""
    values = {name: getattr(report, name) for name in report.__dataclass_fields__}
    values["buckets"] = [{"height": h, "width": w, "pictures": n} for (h, w), n in report.buckets]
    values["problems"] = report.problems
    plain: dict[str, object] = json.loads(json.dumps(values))
    return plain


def lines(report: Report) -> Iterator[str]:
    """The report for a person."""
    often = f", shown {report.shown} times in an epoch" if report.shown != report.pictures else ""
    yield (
        f"{report.source} ({report.kind}): {report.pictures} pictures{often}, checked for {report.resolution} px"
    )
    if report.licence:
        yield f"licence {report.licence}: it binds what is trained on it"
    yield from _named("cannot be read: remove or replace them", [f"{v}" for v in report.unreadable.values()])
    yield from _named("have no caption: `python -m sdxl_lora caption` writes them", report.without_caption)
    for why, files in _by_reason(report.left_out).items():
        yield from _named(f"files are left out, {why}", files)
    yield from _named("are blurred: blur is learned", report.blurred)
    yield from _named("lose more than half of what they show to the crop: cut them before", report.cropped)
    scenes = [" ~ ".join(group) for group in report.near]
    yield from _named("groups are one scene in other colours: fine if that is meant", scenes)
    words = [f"{word} ({share:.0%})" for word, share in report.common_words.items()]
    yield from _named("words stand in most captions: they come to mean the whole set", words)
    yield from _named(f"classes have fewer than {_FEW} pictures", report.rare)
    groups = [" = ".join(group) for group in report.duplicates]
    yield from _named("groups look the same: keep one picture of each", groups)
    yield from _named(
        "are less than half as large as they are trained at: soft edges are learned", report.tiny
    )
    for tokenizer, names in report.too_long.items():
        longest = [f"{name} ({count})" for name, count in names.items()]
        yield from _named(
            f"captions are longer than {report.token_limit} tokens ({tokenizer}) and are cut", longest
        )
    yield from _named("are turned by EXIF: they are trained upright", report.rotated)
    yield from _named("have transparent parts: they are laid on white", report.transparent)
    yield from _named("are animated: the first frame is used", report.animated)
    for mode, count in sorted(report.modes.items()):
        yield f"{count} pictures are {mode} and become RGB"
    yield f"{report.upscaled} pictures are enlarged to their training size"
    yield "buckets (width x height): " + ", ".join(f"{w}x{h}: {n}" for (h, w), n in report.buckets)
    yield "classes (first word): " + ", ".join(f"{name}: {n}" for name, n in report.classes.items())
    yield "nothing to put right" if not report.problems else f"{report.problems} things to put right"


def _by_reason(left_out: Mapping[str, str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, why in left_out.items():
        reasons.setdefault(why, []).append(name)
    return reasons


def _named(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"{len(names)} {what}: {'; '.join(names[:3])}{more}"


def _sharpness(image: Image.Image) -> float:
    """Variance of the Laplacian of a grey version of at most 512 px over the variance of its levels (Pech-Pacheco et
    al., 2000): without units, and independent of contrast.
    """
    grey = image.convert("L")
    grey.thumbnail((_SHARPNESS_SIDE, _SHARPNESS_SIDE), Image.Resampling.BOX)
    levels = np.asarray(grey).astype(np.float64)
    if min(levels.shape) < 3 or levels.var() < 1:  # nothing is on it
        return math.inf
    inner = levels[1:-1, 1:-1]
    laplacian = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * inner
    return float(laplacian.var() / levels.var())


def _shown(size: Size, buckets: Sequence[Size]) -> float:
    """Share of a picture that is inside its training size."""
    target = geometry.nearest_bucket(size, buckets)
    resized = geometry.place(size, target).resized
    return target[0] * target[1] / (resized[0] * resized[1])


def _check_sizes(report: Report, sizes: Sequence[Size], buckets: Sequence[Size]) -> None:
    targets = [geometry.nearest_bucket(size, buckets) for size in sizes]
    counts = Counter(targets)
    report.buckets = [(bucket, counts[bucket]) for bucket in buckets if counts[bucket]]
    report.upscaled = sum(geometry.place(s, t).upscaled for s, t in zip(sizes, targets, strict=True))


def _check_captions(report: Report, source: Source, counters: Counters) -> None:
    classes: Counter[str] = Counter()
    rows = list(dict.fromkeys(zip(source.keys, source.captions, strict=True)))
    for name, captions in rows:
        if not captions:
            report.without_caption.append(name)
            continue
        words = captions[0].replace(",", " ").split()
        classes[words[0].lower() if words else ""] += 1
        for tokenizer, count in counters.items():
            tokens = max(count(caption) for caption in captions)
            if tokens > report.token_limit:
                report.too_long.setdefault(tokenizer, {})[name] = tokens
    report.classes = dict(classes.most_common())
    report.rare = [name for name, count in classes.items() if count < _FEW and len(rows) >= _MANY]
    texts = [set(re.findall(r"\w+", captions[0].lower())) for _, captions in rows if captions]
    if len(texts) >= _MANY:
        counts = Counter(word for text in texts for word in text)
        report.common_words = {
            word: count / len(texts)
            for word, count in counts.most_common()
            if count > _COMMON * len(texts) and word not in _SMALL_WORDS
        }


@dataclass(frozen=True)
class _Print:
    """What makes two pictures look the same: the gradients of a small grey version, and its colours."""

    bits: NDArray[np.uint8]  # 32 bytes, one bit per horizontal gradient of 16 x 16
    colours: NDArray[np.int16]  # 4 x 4 x 3: one garment in two colours is not a duplicate

    @classmethod
    def of(cls, image: Image.Image) -> "_Print":
        grey = np.asarray(image.convert("L").resize((17, 16), Image.Resampling.BOX)).astype(np.int16)
        colours = np.asarray(image.resize((4, 4), Image.Resampling.BOX)).astype(np.int16)
        return cls(np.packbits(grey[:, 1:] - grey[:, :-1] > _FLAT), colours)


def _duplicates(prints: Sequence[tuple[str, _Print]], colour: float) -> list[list[str]]:
    """Groups of pictures whose prints are nearly equal; each picture is in one group at most."""
    if not prints:
        return []
    bits = np.stack([found.bits for _, found in prints])
    groups: list[list[str]] = []
    taken = np.zeros(len(prints), bool)
    for index, (name, mine) in enumerate(prints):
        if taken[index]:
            continue
        distances = np.bitwise_count(bits[index + 1 :] ^ bits[index]).sum(axis=1)
        near = [index + 1 + int(i) for i in np.flatnonzero(distances <= _NEAR_HASH)]
        same = [
            i for i in near if not taken[i] and np.abs(prints[i][1].colours - mine.colours).mean() <= colour
        ]
        if same:
            taken[same] = True
            groups.append([name, *(prints[i][0] for i in same)])
    return groups
