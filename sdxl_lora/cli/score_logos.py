"""`score IMAGE... --logo FILE`: whether a logo is on pictures as it is drawn."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdxl_lora.cli import terminal
from sdxl_lora.errors import InputError, StorageError

if TYPE_CHECKING:
    from sdxl_lora.logos.matching import Sighting


def run(arguments: argparse.Namespace) -> int:
    """One verdict per picture and logo: match, altered, too small or not found. Raises `InputError`, `StorageError`."""
    if arguments.calibrate or arguments.prompt is not None:
        raise InputError("--logo is looked for alone; score the prompt in a second call")
    from PIL import Image

    from sdxl_lora.evaluation.pictures import read_picture
    from sdxl_lora.logos.raster import Logo
    from sdxl_lora.records import metadata
    from sdxl_lora.scoring import lettering, logo_check

    logos = [Logo.open(path) for path in arguments.logo]
    if not lettering.available():
        terminal.note("letters are not read, only shapes are compared: OCR is not installed (rapidocr)")
    rows = []
    for path in arguments.images:
        image = Image.fromarray(read_picture(path).pixels)
        made_with = metadata.said_by(path)
        found = [(logo.name, logo_check.check(image, logo, made_with=made_with)) for logo in logos]
        rows.append({"path": str(path), "logos": [_as_json(name, seen) for name, seen in found]})
        if not arguments.json:
            for name, seen in found:
                print(f"{path}  {name}: {seen.verdict}, {seen.reason}", flush=True)
        if arguments.boxes is not None:
            _write(logo_check.boxed(image, [seen for _, seen in found]), arguments.boxes, path)
    if arguments.json:
        terminal.print_json({"images": rows})
    return 0


def _as_json(name: str, seen: "Sighting") -> dict[str, Any]:
    return {
        "logo": name,
        "verdict": seen.verdict,
        "reason": seen.reason,
        "likeness": round(seen.likeness, 4),
        "colour_error": round(seen.colour, 2) if math.isfinite(seen.colour) else None,
        "stretch": round(seen.stretch, 3),
        "corners": None
        if seen.corners is None
        else [[round(float(v), 1) for v in point] for point in seen.corners],
    }


def _write(image: Any, folder: Path, source: Path) -> None:
    target = folder / f"{source.stem}.logo.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        image.save(target)
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror or error}; choose another --boxes"
        ) from error
