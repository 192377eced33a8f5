"""What a picture file says about itself: the full request, scores, and that it was made by a model.

Three texts are put into every picture (where each format keeps them: `records.carriers`):
- `parameters`: the lines AUTOMATIC1111 writes, which many tools read;
- `sdxl_lora`: JSON with everything, from which `read` restores the request exactly;
- `XML:com.adobe.xmp`: that a model made it (`records.iptc`).

Pictures of other programs are read as far as their `parameters` go (`records.a1111`). Knows nothing of the
database.
"""

import io
import json
import math
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, PngImagePlugin

from sdxl_lora import __version__, plain_json
from sdxl_lora.errors import ImageError, InputError
from sdxl_lora.records import a1111, carriers, iptc
from sdxl_lora.records.reading import split
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.card import ScoreCard

FORMAT = 1  # of the JSON; raised when a reader of today could not understand it
MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000

_TOO_LARGE = (
    f"the picture is too large; at most {MAX_PIXELS // 10**6} megapixels are read, so use a smaller one"
)


@dataclass(frozen=True, kw_only=True)
class PictureFacts:
    """What a picture file told about itself."""

    request: GenerationRequest  # of this one picture
    said: dict[str, Any] = field(default_factory=dict)  # the request as written, unknown fields too
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)  # as written, see `ScoreCard.from_dict`
    seconds: float = 0.0  # wall-clock seconds it took
    created_at: datetime | None = None  # UTC; None: the file does not say
    width: int = 0  # px
    height: int = 0  # px
    notes: tuple[str, ...] = ()  # what the file says but the request could not take over


def embed(
    image: Image.Image,
    request: GenerationRequest,
    *,
    card: ScoreCard | None = None,
    seconds: float = 0.0,
    created_at: datetime | None = None,
    source_type: iptc.SourceType = iptc.SourceType.GENERATED,
) -> bytes:
    """PNG file of `image` carrying `request` (resolved, of this one picture) and `card`.

    Args:
        image: any mode; anything but greyscale, RGB and RGBA becomes RGB.
        card: what was found out about it; None = it was not scored.
        created_at: default now.
    """
    facts = {
        "format": FORMAT,
        "software": f"sdxl_lora {__version__}",
        "created_at": (created_at or datetime.now(UTC)).isoformat(),
        "seconds": finite(seconds),
        "request": request.to_dict(),
        "scores": (card or ScoreCard()).to_dict(),
    }
    size = (request.width or image.width, request.height or image.height)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", a1111.write(request, size))  # Pillow picks iTXt where Latin-1 does not do
    texts.add_itxt("sdxl_lora", json.dumps(facts, ensure_ascii=False, allow_nan=False))
    texts.add_itxt("XML:com.adobe.xmp", iptc.xmp(source_type))
    # a copy: Pillow keeps the texts on the picture while it saves, and a page may be saving the same one
    picture = image.copy() if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=texts)
    return buffer.getvalue()


def read_request(file: str | Path | BinaryIO) -> GenerationRequest:
    """The request a picture was made with, ready to be run again. Raises `ImageError`."""
    return read(file).request


def said_by(file: str | Path | BinaryIO) -> GenerationRequest | None:
    """`read_request`, or None where the picture says nothing of the kind."""
    try:
        return read_request(file)
    except ImageError:  # a photo
        return None


def read(file: str | Path | BinaryIO) -> PictureFacts:
    """Everything a picture tells about itself.

    Raises `ImageError` if it cannot be read, is too large, or carries no request.
    """
    data = _bytes(file)
    texts, size = _texts(data)
    width, height = size
    if "sdxl_lora" in texts:
        return _from_json(texts["sdxl_lora"], width, height)
    if "parameters" in texts:
        try:
            request, notes = a1111.read(texts["parameters"])
        except InputError as error:
            raise ImageError(f"the parameters in this picture cannot be used: {error}") from error
        return PictureFacts(request=request, width=width, height=height, notes=notes)
    raise ImageError(
        "this picture does not say how it was made; use the original PNG of this studio or of AUTOMATIC1111"
        " (screenshots and pictures re-saved by other programs lose the text)"
    )


def without_scores(facts: str) -> str:
    """The JSON of a picture's text without its scores, which may be long; itself where it is no such JSON."""
    try:
        values = plain_json.parse(facts)
    except ValueError:
        return facts
    if not isinstance(values, dict):
        return facts
    return json.dumps({**values, "scores": {}}, ensure_ascii=False)


def finite(value: Any) -> Any:
    """`value` with every NaN and infinity, which JSON does not know, replaced by None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _bytes(file: str | Path | BinaryIO) -> bytes:
    try:
        if isinstance(file, str | Path):
            with Path(file).open("rb") as opened:
                data = opened.read(MAX_FILE_BYTES + 1)
        else:
            file.seek(0)
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ImageError(f"the picture cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"the picture file is larger than {MAX_FILE_BYTES // 2**20} MB; use a smaller one")
    if not data:
        raise ImageError("the picture file is empty")
    return data


def _texts(data: bytes) -> tuple[dict[str, str], tuple[int, int]]:
    """Text chunks and size in px of a picture whose pixels decode to the end."""
    try:
        with Image.open(io.BytesIO(data), formats=carriers.FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(_TOO_LARGE)
            image.load()
            return carriers.texts_of(image), image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(_TOO_LARGE) from error
    # Pillow lets these through for broken chunks, besides OSError
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise ImageError(
            "this is no PNG, JPEG, WebP or AVIF picture, or it is damaged; use the original"
        ) from error


def _from_json(text: str, width: int, height: int) -> PictureFacts:
    try:
        values = plain_json.parse(text)
        if values["format"] > FORMAT:
            raise ImageError("this picture was made by a newer version of this program; update to read it")
        made = values.get("created_at")
        known, unknown = split(values["request"])
        return PictureFacts(
            request=GenerationRequest.from_dict(known),
            said=values["request"],
            notes=tuple(f"{name}: made by a newer version, not known here" for name in unknown),
            scores={str(k): dict(v) for k, v in values.get("scores", {}).items()},
            seconds=float(values.get("seconds") or 0.0),
            created_at=datetime.fromisoformat(made).astimezone(UTC) if made else None,
            width=width,
            height=height,
        )
    except InputError as error:
        raise ImageError(f"the request in this picture cannot be used: {error}") from error
    # anyone can write anything into a PNG: wrong types, missing keys, brackets nested without end
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ImageError("the request in this picture is damaged; use the original file") from error
