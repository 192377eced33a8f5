"""Whether a picture shows a logo as it is drawn: marks by their shape and colours, wordmarks also by what they say.

`logos.matching` looks for the drawing. Where the drawing has letters that OCR can read, the picture is read, too: right
letters make up for folds that move the shape, wrong ones are an altered logo whatever they look like. Without OCR, or
without letters, the shape decides alone. A logo that is too small to be judged is read, too, but stays so.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from PIL import Image, ImageDraw

from sdxl_lora.errors import StudioError
from sdxl_lora.logos import asked, geometry, matching
from sdxl_lora.logos.matching import Sighting
from sdxl_lora.logos.raster import Logo
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.request import GenerationRequest, LogoSpec
from sdxl_lora.scoring import lettering
from sdxl_lora.scoring.card import Gate, ScoreCard
from sdxl_lora.scoring.lettering import Lettering, OcrLine

GATE: Final = "logo"
APPROXIMATE: Final = "it is there, embroidered: an approximation, not the exact drawing"
_FOLDED: Final = 0.75  # likeness that will do where letters are right
_FOLDED_WORST: Final = 0.3  # the same of the worst tenth
_CERTAIN: Final = 0.95  # likeness from which letters that are read wrongly are too small to read
_ONE_LETTER: Final = 0.85  # similarity of a name that is read with one letter wrong
_MEANT: Final = 0.6  # similarity from which letters without the mark were meant to be it
_READ_SIDE: Final = 640  # px, of the logo's surroundings when they are read
_WHOLE_SIDE: Final = 640  # px, of a whole picture when it is read
_COLOURS: Final = {"match": "#1a9850", "altered": "#d73027", "too small": "#888888", "not found": "#888888"}
_words: LruCache[str, str] = LruCache(32)


def check(
    image: Image.Image,
    logo: Logo,
    *,
    near: geometry.Corners | None = None,
    bare: Image.Image | None = None,
    made_with: GenerationRequest | None = None,
) -> Sighting:
    """The verdict on a picture.

    Args:
        near: where the logo should be; no other place is looked at.
        bare: the picture before the logo was put on, where that is known.
        made_with: the request that the picture says it was made with: embroidery is never an exact match.
    """
    seen = _checked(image, logo, near, bare)
    sewn = made_with is not None and any(
        spec.embroidered and (spec.hash == logo.sha256 or spec.name == logo.name) for spec in made_with.logos
    )
    return replace(seen, verdict="altered", reason=APPROXIMATE) if sewn and seen.verdict == "match" else seen


def _checked(
    image: Image.Image, logo: Logo, near: geometry.Corners | None, bare: Image.Image | None
) -> Sighting:
    pixels = np.asarray(image.convert("RGB"))
    before = None if bare is None else np.asarray(bare.convert("RGB"))
    seen = matching.find(pixels, logo, near=near, bare=before)
    words = spelled(logo)
    if not words:
        return seen
    if seen.verdict == "match" and seen.likeness >= _CERTAIN:
        return seen  # whatever is read
    if seen.corners is not None:
        return _with_letters(seen, lettering.judge(_read_around(image, seen.corners), words), words)
    if near is not None:
        return seen
    return _by_letters(lettering.judge(_read_all(image), words), words)


def spelled(logo: Logo) -> str:
    """What the drawing says; "" where it has no letters, too few, or OCR is not installed."""
    if not lettering.available():
        return ""
    known = _words.find(logo.sha256)
    if known is not None:
        return known
    drawn = logo.drawn(480)
    light = float(np.average(drawn[..., :3].mean(axis=-1), weights=drawn[..., 3]))
    sheet = Image.new(
        "RGB", (drawn.shape[1] + 80, drawn.shape[0] + 80), "#000000" if light > 127 else "#ffffff"
    )
    sheet.paste(Image.fromarray(drawn), (40, 40), Image.fromarray(drawn))
    said = lettering.letters(" ".join(line.text for line in lettering.read_words(np.asarray(sheet))))
    return _words.keep(logo.sha256, said if len(said) >= lettering.MIN_LETTERS else "")


def _read_around(image: Image.Image, corners: geometry.Corners) -> list[OcrLine]:
    part = _part(image, corners, 0.2)
    scale = min(4.0, _READ_SIDE / max(part.size))
    size = max(16, round(part.width * scale)), max(16, round(part.height * scale))
    return lettering.read_words(np.asarray(part.resize(size, Image.Resampling.LANCZOS)), at_its_size=True)


def _read_all(image: Image.Image) -> list[OcrLine]:
    """All text on a picture, read at a size at which that takes a second or so; boxes are px of the picture."""
    scale = min(1.0, _WHOLE_SIDE / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return [
        replace(line, box=tuple((x / scale, y / scale) for x, y in line.box))
        for line in lettering.read_words(np.asarray(small))
    ]


def _with_letters(seen: Sighting, read: Lettering, words: str) -> Sighting:
    if seen.verdict == "too small":
        return replace(seen, reason=f"{seen.reason}; it reads {words}") if read.state == "read" else seen
    one_letter = read.similarity >= _ONE_LETTER and seen.verdict == "match"  # the reader's own mistake
    if read.state == "misread" and seen.likeness < _CERTAIN and not one_letter:
        return replace(seen, verdict="altered", reason=f"the logo reads {read.text!r}, not {words!r}")
    folded = (
        seen.likeness >= _FOLDED
        and seen.worst >= _FOLDED_WORST
        and seen.sharp
        and seen.added <= matching.ADDED
        and seen.colour <= matching.COLOUR
        and seen.stretch <= matching.STRETCH
    )
    if read.state == "read" and seen.verdict == "altered" and folded:
        return replace(
            seen, verdict="match", reason=f"the logo is there and reads {words}; folds move its shape"
        )
    return seen


def _by_letters(read: Lettering, words: str) -> Sighting:
    """Where only letters were found."""
    nothing = Sighting(verdict="not found", reason="nothing like the logo was found on the picture")
    line = max(read.words, key=lambda one: _alike(one, words), default=None)
    if line is None or read.state == "not readable" or read.similarity < _MEANT:
        return nothing
    found = replace(nothing, likeness=read.similarity, corners=np.array(line.box))
    high = float(geometry.lengths(np.array(line.box)).min())
    if high < matching.LEAST:  # whether it is as it is drawn cannot be told, and letters are misread
        reason = f"letters like its name are there, {matching.too_small(high)}"
        return replace(found, verdict="too small", reason=reason)
    said = "its name is there, but not as it is drawn" if read.state == "read" else f"it reads {read.text!r}"
    return replace(found, verdict="altered", reason=f"the logo was found, but {said}")


def _alike(line: OcrLine, words: str) -> float:
    return lettering.judge([line], words).similarity


def _part(image: Image.Image, corners: geometry.Corners, around: float) -> Image.Image:
    """The upright part of a picture between the corners, and `around` of its width on every side, if it is there."""
    left, top, right, bottom = geometry.bounds(corners)
    edge = around * (right - left)
    return image.convert("RGB").crop(
        (
            round(max(0, left - edge)),
            round(max(0, top - edge)),
            round(min(image.width, right + edge)),
            round(min(image.height, bottom + edge)),
        )
    )


def boxed(image: Image.Image, sightings: Sequence[Sighting]) -> Image.Image:
    """A copy with a frame around what was found: green a match, red an altered logo, grey one too small to tell."""
    shown = image.convert("RGB").copy()
    draw = ImageDraw.Draw(shown)
    for seen in sightings:
        if seen.corners is not None:
            points = [(float(x), float(y)) for x, y in seen.corners]
            draw.line(
                [*points, points[0]], fill=_COLOURS[seen.verdict], width=max(2, round(max(image.size) / 250))
            )
    return shown


def cut_out(image: Image.Image, seen: Sighting) -> Image.Image:
    """The part of the picture around what was found, upright, at least 160 px wide. `seen` has corners."""
    assert seen.corners is not None
    part = _part(image, seen.corners, 0.06)
    scale = max(1.0, 160 / part.width)
    return part.resize(
        (round(part.width * scale), max(1, round(part.height * scale))), Image.Resampling.LANCZOS
    )


# ---------------------------------------------------------------- the gate


class Inner(Protocol):
    """Who judges everything else."""

    @property
    def notices(self) -> tuple[str, ...]: ...

    def judge(
        self, images: Sequence[Image.Image], request: GenerationRequest, *, sketch: bool = False
    ) -> list[ScoreCard]: ...


class LogoJudge:
    """Judges pictures as they will be delivered: with the request's logos put on, and each looked for.

    A picture that a logo cannot be placed on, or that does not show it as it is drawn, fails a hard gate. Sketches are
    judged without.
    """

    def __init__(self, inner: Inner) -> None:
        self._inner = inner

    @property
    def notices(self) -> tuple[str, ...]:
        """Of the judge inside."""
        return self._inner.notices

    def judge(
        self, images: Sequence[Image.Image], request: GenerationRequest, *, sketch: bool = False
    ) -> list[ScoreCard]:
        """As the judge inside, with a gate for every logo."""
        if sketch or not request.logos:
            return self._inner.judge(images, request, sketch=sketch)
        finished = [finish(image, request) for image in images]
        cards = self._inner.judge([image for image, _ in finished], request)
        return [
            replace(card, gates=(*card.gates, *gates))
            for card, (_, gates) in zip(cards, finished, strict=True)
        ]


def finish(image: Image.Image, request: GenerationRequest) -> tuple[Image.Image, tuple[Gate, ...]]:
    """The picture with its logos, and whether each is as it is drawn."""
    try:
        finished = asked.put_on(image, request.logos)
        places = [
            asked.corners_on(image.convert("RGB"), spec) if spec.placed else None for spec in request.logos
        ]
    except StudioError as error:
        return image, (Gate(name=GATE, passed=False, reason=str(error)),)
    return finished, tuple(
        gate(finished, spec, near, image) for spec, near in zip(request.logos, places, strict=True)
    )


def gate(
    image: Image.Image,
    spec: LogoSpec,
    near: geometry.Corners | None = None,
    bare: Image.Image | None = None,
) -> Gate:
    """Whether a logo of a request is on the picture as it is drawn; never raises."""
    try:
        seen = check(image, asked.read(spec), near=near, bare=bare)
    except StudioError as error:
        return Gate(name=GATE, passed=None, reason=str(error))
    if spec.embroidered and seen.verdict in ("match", "altered"):
        return Gate(name=GATE, passed=True, reason=f"{spec.name or 'the logo'}: {APPROXIMATE}")
    passed = None if seen.verdict == "too small" else seen.verdict == "match"
    return Gate(name=GATE, passed=passed, reason=f"{spec.name or 'the logo'}: {seen.reason}")
