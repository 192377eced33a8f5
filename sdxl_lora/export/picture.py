"""A picture file on its way to a shop: its pixels, and what it carries about itself."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from sdxl_lora.data import images
from sdxl_lora.export import measure
from sdxl_lora.records import carriers

Origin = Literal["model", "edited", "finished", "unknown"]

_SOURCE_TYPE = re.compile(r"digitalsourcetype/(\w+)")
_NAMES = {"MPO": "JPEG"}  # a JPEG with a second picture in it, as phones write


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One file, as it is or as it would be written."""

    name: str  # of the file, with its suffix
    image: Image.Image  # RGB, or RGBA where something is transparent; upright, sRGB
    format: str  # Pillow's name: JPEG, PNG, WEBP, AVIF ...
    data: bytes = field(repr=False)
    texts: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  # what it carries, see `records.carriers`

    @cached_property
    def layout(self) -> measure.Layout:
        """Where background and product are; measured once."""
        return measure.layout(self.image)

    @property
    def marked(self) -> bool:
        """Whether it carries an IPTC digital source type."""
        return _SOURCE_TYPE.search(self.texts.get(carriers.XMP, "")) is not None

    @property
    def origin(self) -> Origin:
        """Who made it, by what it says of itself: a model from words; somebody who edited a photo with one; a photo
        that was only finished (background, frame); or nobody knows (a photo, mostly)."""
        found = _SOURCE_TYPE.search(self.texts.get(carriers.XMP, ""))
        kind = found[1] if found else ""
        if kind == "trainedAlgorithmicMedia":
            return "model"
        if kind.startswith("composite"):
            return "edited"
        if kind == "algorithmicallyEnhanced":
            return "finished"
        return "model" if carriers.FACTS in self.texts or "parameters" in self.texts else "unknown"


def read(data: bytes, name: str) -> Picture:
    """The picture in a file. Raises `ImageError` naming `name`, see `data.images.decode`."""
    rgb, facts = images.decode(data, name)
    try:
        with Image.open(io.BytesIO(data), formats=images.FORMATS) as opened:
            kind, profile = (
                _NAMES.get(opened.format or "", opened.format or ""),
                opened.info.get("icc_profile"),
            )
            texts = carriers.texts_of(opened)
            if facts.transparent:
                rgb = ImageOps.exif_transpose(opened).convert("RGBA")
    except UnidentifiedImageError:  # floating-point numbers, which Pillow does not know
        kind, profile, texts = "TIFF", None, {}
    if profile and facts.mode in ("RGB", "RGBA"):
        rgb = _to_srgb(rgb, profile)
    return Picture(name=name, image=rgb, format=kind, data=data, texts=texts)


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The picture in sRGB, which shops expect; unchanged where its profile is damaged, or is sRGB anyway."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode=image.mode
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted or image
