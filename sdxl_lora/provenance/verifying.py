"""What a picture file says about itself, whether that holds, and what it means, in plain words.

Reads the label (IPTC), the signature (C2PA), the invisible mark and the request, whoever made the file. Knows nothing
of pages and the command line.
"""

import io
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sdxl_lora.data import images
from sdxl_lora.errors import ImageError
from sdxl_lora.provenance import detection, reading
from sdxl_lora.provenance.reading import Signature
from sdxl_lora.provenance.signing import MIME
from sdxl_lora.records import carriers, metadata
from sdxl_lora.records.iptc import SourceType

_LABEL = re.compile(r"digitalsourcetype/(\w+)")
_TYPES = {
    "trainedAlgorithmicMedia": "a model drew it",
    "compositeWithTrainedAlgorithmicMedia": "a photo that a model changed",
    "algorithmicallyEnhanced": "a photo that a program finished; nothing was drawn",
}
_MARKS = {SourceType.GENERATED: "a model drew it", SourceType.COMPOSITE: "a photo that a model changed"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Everything that was found in one file."""

    label: str  # IPTC digital source type, the last part of its address; "" = none
    signature: Signature
    mark: str  # what the invisible mark says: IPTC, as `label`; "" = none was found
    likeness: float  # z of the mark, see `detection`
    request: bool  # whether it says how it was made
    lines: tuple[str, ...]  # what that means, for people; the first is the short answer

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def verify(data: bytes, name: str, home: Path) -> Verdict:
    """The verdict on a file's bytes. Raises `ImageError` naming `name` for what is no picture, `ProvenanceError`."""
    rgb, _ = images.decode(data, name)
    try:
        with Image.open(io.BytesIO(data), formats=images.FORMATS) as opened:
            kind, texts = opened.format or "", carriers.texts_of(opened)
    except OSError:  # floating-point numbers, which Pillow does not know
        kind, texts = "", {}
    found = _LABEL.search(texts.get(carriers.XMP, ""))
    label = found[1] if found else ""
    mime = MIME.get(kind) or Image.MIME.get(kind)
    signature = reading.read(data, mime, home) if mime else Signature(state="none")
    seen = detection.look(rgb)
    mark = seen.kind.value.rpartition("/")[2] if seen.found else ""
    request = _has_request(data)
    return Verdict(
        label=label,
        signature=signature,
        mark=mark,
        likeness=round(seen.z, 2),
        request=request,
        lines=(_short(label, signature, mark), *_lines(label, signature, seen, request)),
    )


def _has_request(data: bytes) -> bool:
    try:
        metadata.read(io.BytesIO(data))
    except ImageError:
        return False
    return True


def _short(label: str, signature: Signature, mark: str) -> str:
    if signature.state == "broken":
        return "This file was changed after it was signed: what it says of itself cannot be relied on."
    kind = signature.source_type or label or mark
    said = _TYPES.get(kind, f"it says {kind}") if kind else ""
    if signature.state == "own":
        return f"Signed by this studio and unchanged since: {said or 'it does not say what it is'}."
    if signature.state == "trusted":
        return f"Signed by {signature.signer} and unchanged since: {said or 'it does not say what it is'}."
    if signature.state == "unknown signer":
        return f"Unchanged since it was signed, by somebody nobody vouches for here: {said or 'it does not say what'}."
    if mark:
        return (
            f"Its signature is gone, but its pixels carry the mark of a studio like this one: {_TYPES[mark]}."
        )
    if label:
        return f"Not signed. Its label says: {said}; anybody could have written that."
    return "Nothing in this file tells where it comes from. That does not mean that it is a photo."


def _lines(label: str, signature: Signature, seen: detection.Likeness, request: bool) -> list[str]:
    """One each for signature, mark, label and request."""
    lines = [_signature_line(signature)]
    if seen.found:
        size = f", at {seen.scale:.0%} of the size it had" if abs(seen.scale - 1) > 0.01 else ""
        lines.append(
            f"Invisible mark: found ({_MARKS[seen.kind]}{size}). Anybody could copy it: a hint, no proof."
        )
    else:
        lines.append("Invisible mark: not found. Very small, heavily cut or repainted pictures lose it.")
    lines.append(f"Label (IPTC): {label or 'none'}.")
    lines.append(f"How it was made: {'in the file' if request else 'not in the file'}.")
    return lines


def _signature_line(signature: Signature) -> str:
    if signature.state == "none":
        return "Signature (C2PA): none. Most programs that save a picture again drop it."
    if signature.state == "broken":
        return f"Signature (C2PA): does not hold ({', '.join(signature.problems) or 'invalid'})."
    by = {
        "own": f"by this studio's own certificate ({signature.signer}), which proves no name to others",
        "trusted": f"by {signature.signer}, whose certificate is trusted here",
        "unknown signer": f"by {signature.signer or 'nobody named'}, whose certificate nobody vouches for here",
    }[signature.state]
    when = f", time-stamped {signature.signed_at}" if signature.signed_at else ", without a time stamp"
    source = f"; made from: {', '.join(signature.made_from)}" if signature.made_from else ""
    return f"Signature (C2PA): holds, {by}{when}{source}."
