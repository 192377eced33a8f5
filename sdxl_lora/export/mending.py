"""One-click mends: what a preset finds wrong is put right as far as pixels allow, in an order that keeps what is done.

Background, then framing, then size, then the file. A picture that nothing is wrong with keeps its very bytes.
"""

import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
from PIL import Image
from scipy import ndimage

from sdxl_lora.editing import backgrounds, cutout, upscale
from sdxl_lora.errors import ImageError, ModelUnavailableError, RequestError
from sdxl_lora.export import measure
from sdxl_lora.export.checking import check, file_suffix
from sdxl_lora.export.picture import Picture
from sdxl_lora.export.presets import FORMATS, Preset, Rule
from sdxl_lora.records import carriers, iptc, metadata

log = logging.getLogger(__name__)

_QUALITIES = (95, 92, 88, 84, 80, 75, 70, 65, 60, 50)
_MOST_CUT = 0.25  # of a side that may be cropped from a scene; more is padded
_SHRINK = 0.85  # of the side, where no quality is small enough
_FEATHER = 0.8  # px: sigma of the edge between product and new background
_SIZES = ("longest_side", "shortest_side", "megapixels")
_NETWORK_FROM = 1.5  # times: less is as good without the network
_NETWORK_TO = (
    1_024  # px of the longer side: larger ones take it minutes on a CPU, and have detail of their own
)
_NEARLY_WHITE = 200  # of 255: the darkest background that is lifted to white
_SIGNATURE = 40_000  # bytes that `sealing` may add
_SMALLEST = 64  # px: a picture is not shrunk below that for its bytes


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A picture as a shop wants it, as far as pixels allow."""

    picture: Picture
    done: tuple[str, ...]  # in plain words, what could not be done last; empty: the file is untouched


def mend(
    picture: Picture,
    preset: Preset,
    *,
    only: Collection[str] | None = None,
    format: str | None = None,
    quality: int | None = None,
    name: str | None = None,
) -> Mended:
    """Puts right what `check` finds and pixels allow.

    Args:
        only: checks to mend; None = all.
        format: write this one of `FORMATS`, whatever the preset would choose.
        quality: 1 to 100, of all formats but PNG.
        name: of the file, without its suffix; None = as it is called.

    Raises `RequestError` for a format or quality that is not written.
    """
    if format is not None and format not in FORMATS:
        raise RequestError(f"format {format!r} is not written; choose {', '.join(FORMATS)}")
    if quality is not None and not 1 <= quality <= 100:
        raise RequestError(f"quality {quality} is not between 1 and 100")
    work = _Work(picture, preset, only)
    work.pixels()
    return work.file(format, quality, name)


class _Work:
    """One picture being mended."""

    def __init__(self, picture: Picture, preset: Preset, only: Collection[str] | None) -> None:
        self.picture = picture
        self.preset = preset
        self.aim = preset.aim
        self.only = only
        self.done: list[str] = []
        self.refused: list[str] = []

    def wrong(self) -> dict[str, list[Rule]]:
        """The rules that are broken now and may be mended, by what they measure."""
        broken: dict[str, list[Rule]] = {}
        for found in check(self.picture, self.preset):
            if found.mendable and (self.only is None or found.check in self.only):
                broken.setdefault(found.check, []).append(found.rule)
        return broken

    def pixels(self) -> None:
        """Background, framing and size."""
        wrong = self.wrong()
        if "opaque" in wrong or ("background" in wrong and self.picture.image.mode == "RGBA"):
            white = Image.new("RGBA", self.picture.image.size, "white")
            laid = Image.alpha_composite(white, self.picture.image.convert("RGBA")).convert("RGB")
            self._now(laid, "laid on white")
        if "background" in wrong:
            self._whiten()
        self._frame(self.wrong())
        self._resize([rule for name, rules in self.wrong().items() if name in _SIZES for rule in rules])

    def file(self, format: str | None, quality: int | None, name: str | None) -> Mended:
        """Format, bytes and name. The bytes stay what they are where nothing asks for others."""
        picture, wrong = self.picture, self.wrong()
        kind = format or self._kind(bool({"format", "bytes"} & set(wrong)))
        if "mark" in wrong:
            picture = replace(
                picture, texts={**picture.texts, carriers.XMP: iptc.xmp(iptc.SourceType.GENERATED)}
            )
            self.done.append("marked as generated (IPTC)")
        if self.done or kind != picture.format or quality is not None or "bytes" in wrong:
            if kind != picture.format:
                self.done.append(f"written as {kind}")
            picture = self._written(picture, kind, quality)
        stem = name if name is not None else PurePath(picture.name).stem
        if "name" in wrong and name is None:
            stem = (
                "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in stem).split())
                or "picture"
            )
            self.done.append("named for the shop")
        return Mended(
            picture=replace(picture, name=f"{stem}.{file_suffix(picture.format)}"),
            done=(*self.done, *self.refused),
        )

    def _kind(self, wrong: bool) -> str:
        """The format to write: what it has while nothing was changed, else the preset's first that keeps its alpha."""
        if not self.done and not wrong and self.picture.format in FORMATS:
            return self.picture.format
        clear = self.picture.image.mode == "RGBA"
        return next((one for one in self.aim.formats if one != "JPEG" or not clear), self.aim.formats[0])

    def _now(self, image: Image.Image, what: str) -> None:
        self.picture = replace(self.picture, image=image)
        self.done.append(what)

    def _whiten(self) -> None:
        """A background that is nearly white is lifted; out of any other the product is cut."""
        layout = self.picture.layout
        if layout.plain and layout.value >= _NEARLY_WHITE:
            if layout.value < 255:
                self._now(whitened(self.picture), "background made pure white")
            return
        try:
            product = cutout.cut_out(self.picture.image).image
        except (ImageError, ModelUnavailableError) as error:
            self.refused.append(f"the background stays: {error}")
            return
        white = backgrounds.on_colour(product, backgrounds.WHITE)
        self._now(white, "product cut out and laid on white: look at its edges")

    def _frame(self, wrong: Collection[str]) -> None:
        """The product in the middle of a frame of the aimed shape, or a scene cropped or padded to it."""
        image, layout = self.picture.image, self.picture.layout
        aspect = self.aim.aspect or image.width / image.height
        if "fill" in wrong and layout.plain and self.aim.fill and layout.fill:
            self._now(framed(self.picture, aspect, self.aim.fill), f"product framed at {self.aim.fill:.0%}")
        elif "aspect" in wrong:
            self._now(*reshaped(self.picture, aspect))

    def _resize(self, rules: Sequence[Rule]) -> None:
        """To the aimed side where it is too small or too large by one of the rules."""
        image = self.picture.image
        if not rules or self.aim.side is None:
            return
        scale = self.aim.side / max(image.size)
        for rule in rules:  # the aim is for the usual shape: narrow pictures need more for their shorter side
            if rule.check == "shortest_side" and rule.least:
                scale = max(scale, rule.least / min(image.size))
        size = (round(image.width * scale), round(image.height * scale))
        words = f"{size[0]} x {size[1]} px"
        if scale <= 1:
            self._now(image.resize(size, Image.Resampling.LANCZOS), f"made smaller: {words}")
        else:
            made = f"enlarged {scale:.1f} times to {words}: look at its sharpness"
            white = self.picture.layout.plain and self.picture.layout.value == 255
            self._now(enlarged(image, size), made)
            if white and image.mode == "RGB":  # enlarging rings at edges
                self.picture = replace(self.picture, image=whitened(self.picture))

    def _written(self, picture: Picture, kind: str, quality: int | None) -> Picture:
        """As a file that stays under the byte limit if any quality, then any smaller size, does."""
        texts = dict(picture.texts)
        if not carriers.fits(texts):
            texts[carriers.FACTS] = metadata.without_scores(texts[carriers.FACTS])
        limits = [rule.most for rule in self.preset.rules if rule.check == "bytes" and rule.most]
        most = min(limits, default=math.inf) - _SIGNATURE
        image, first = picture.image, quality or self.aim.quality
        data = carriers.encode(image, texts, format=kind, quality=first)
        tried = iter([one for one in _QUALITIES if one < first] if kind != "PNG" else [])
        too_large = len(data) > most
        while len(data) > most and min(image.size) > _SMALLEST:
            lower = next(tried, None)
            if lower is None:
                smaller = (round(image.width * _SHRINK), round(image.height * _SHRINK))
                image = image.resize(smaller, Image.Resampling.LANCZOS)
            first = lower or first
            data = carriers.encode(image, texts, format=kind, quality=first)
        if too_large:
            self.done.append(f"{len(data) / 1e6:.1f} MB" + (f" at quality {first}" if kind != "PNG" else ""))
        return replace(picture, image=image, format=kind, data=data, texts=texts)


def enlarged(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at a larger size: twice by the network, where that is quick and not too much, the rest by Lanczos."""
    if size[0] > _NETWORK_FROM * image.width and max(image.size) <= _NETWORK_TO:
        try:
            image = upscale.upscale(image, 2)
        except (ImageError, ModelUnavailableError) as error:  # its weights are missing
            log.warning("enlarged without the network: %s", error)
    return image.resize(size, Image.Resampling.LANCZOS)


def whitened(picture: Picture) -> Image.Image:
    """A plain background made 255: its own colour is lifted to white everywhere, so that the edge of the product keeps
    no grey seam, then what is background becomes white itself."""
    layout = measure.layout(picture.image, exact=True)
    pixels = np.asarray(picture.image.convert("RGB")).astype(np.float32)
    gain = 255.0 / np.maximum(np.asarray(layout.colour, dtype=np.float32), 1.0)
    near_white = bool(gain.max() < 1.3)
    share = ndimage.gaussian_filter(layout.background.astype(np.float32), _FEATHER)[..., None]
    lifted = np.minimum(pixels * gain, 255.0) if near_white else pixels
    seam = np.clip(share * 2, 0, 1)
    mixed = np.where(layout.background[..., None], 255.0, pixels + (lifted - pixels) * seam)
    return Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


def framed(picture: Picture, aspect: float, fill: float) -> Image.Image:
    """The product in the middle of a frame of `aspect`, spanning `fill` of it; nothing is enlarged or lost.

    Where it runs out of the old frame it runs out of the new one: a cut edge in the middle of white would look torn.
    """
    image, layout = picture.image, picture.layout
    left, top, right, bottom = layout.box
    width = max((right - left) / fill, (bottom - top) / fill * aspect)
    size = (max(1, round(width)), max(1, round(width / aspect)))
    canvas = Image.new(image.mode, size, layout.colour if image.mode == "RGB" else (0, 0, 0, 0))
    # what stands around the product comes along as far as the new frame reaches, so that a soft shadow is not cut
    x = _placed(left, right, image.width, size[0])
    y = _placed(top, bottom, image.height, size[1])
    canvas.paste(image, (x, y))
    return canvas


def _placed(first: int, last: int, old: int, new: int) -> int:
    """Where the old frame begins in the new one, so that first..last of it is in the middle, or at the same edge."""
    if last == old and first > 0:
        return new - old
    if first == 0 and last < old:
        return 0
    return (new - (last - first)) // 2 - first


def reshaped(picture: Picture, aspect: float) -> tuple[Image.Image, str]:
    """The picture at another aspect, and what was done: a scene is cropped a little, anything else is padded."""
    image = picture.image
    width, height = image.size
    wide = width / height > aspect
    cut = (round(height * aspect), height) if wide else (width, round(width / aspect))
    lost = 1 - (cut[0] / width if wide else cut[1] / height)
    if not picture.layout.plain and lost <= _MOST_CUT:
        left, top = (width - cut[0]) // 2, (height - cut[1]) // 2
        return image.crop((left, top, left + cut[0], top + cut[1])), f"cropped to {cut[0]} x {cut[1]} px"
    size = (width, round(width / aspect)) if wide else (round(height * aspect), height)
    canvas = Image.new(image.mode, size, picture.layout.colour if image.mode == "RGB" else (0, 0, 0, 0))
    canvas.paste(image, ((size[0] - width) // 2, (size[1] - height) // 2))
    return canvas, f"padded to {size[0]} x {size[1]} px"
