"""Signs a picture file: a C2PA manifest over every byte of it, so that a changed one is found out.

https://spec.c2pa.org/specifications/specifications/2.2/specs/C2PA_Specification.html; the work is done by c2pa-python.
The manifest says what the file is and which program made it; the prompt is not in it. It must be the last thing that
is written into a file.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import c2pa

from sdxl_lora import __version__
from sdxl_lora.errors import ProvenanceError
from sdxl_lora.provenance.certificate import Identity
from sdxl_lora.records.iptc import SourceType

PROGRAM = {"name": "sdxl_lora", "version": __version__}
MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
# nothing is ever fetched, for whatever a file says
OFFLINE = {"remote_manifest_fetch": False, "ocsp_fetch": False}
_SETTINGS = {
    "verify": {**OFFLINE, "verify_after_sign": False},
    "builder": {
        "thumbnail": {"enabled": False}
    },  # 75 kB a picture, and the ingredient's in a file that is public
}
_INGREDIENT = "ingredient"
_PLACED = "placed"  # and a number


@dataclass(frozen=True, kw_only=True)
class Original:
    """The picture that a signed one was made from, or one that was put onto it."""

    data: bytes
    mime: str
    title: str = "original"


def sign(
    data: bytes,
    mime: str,
    identity: Identity,
    *,
    source_type: SourceType,
    watermarked: bool = False,
    original: Original | None = None,
    placed: Sequence[Original] = (),
    timestamp: str | None = None,
) -> bytes:
    """The file with its manifest; pixels and texts stay as they are.

    Args:
        mime: of `MIME`.
        watermarked: whether the pixels carry the studio's watermark.
        original: what it was edited from; its own credentials, if it has any, come with it.
        placed: what was put onto it, in this order: a product, a background, logos; with their credentials, too.
        timestamp: address of a time stamp authority.

    Raises `ProvenanceError`.
    """
    actions = _actions(source_type, original is not None, len(placed), watermarked=watermarked)
    manifest = {
        "claim_generator_info": [PROGRAM],
        "format": mime,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }
    try:
        signer = c2pa.Signer.from_info(
            c2pa.C2paSignerInfo(identity.algorithm, identity.chain, identity.key, timestamp)
        )
        with (
            c2pa.Context.from_dict(_SETTINGS) as context,
            signer,
            c2pa.Builder(manifest, context=context) as builder,
        ):
            if original is not None:
                facts = {"title": original.title, "relationship": "parentOf", "instance_id": _INGREDIENT}
                builder.add_ingredient(facts, original.mime, io.BytesIO(original.data))
            for number, part in enumerate(placed):
                facts = {
                    "title": part.title,
                    "relationship": "componentOf",
                    "instance_id": f"{_PLACED}{number}",
                }
                builder.add_ingredient(facts, part.mime, io.BytesIO(part.data))
            signed = io.BytesIO()
            builder.sign(signer, mime, io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        reason = " ".join(str(error).split())
        raise ProvenanceError(f"the picture could not be signed: {reason}") from error
    return signed.getvalue()


def _actions(
    source_type: SourceType, edited: bool, placed: int, *, watermarked: bool
) -> list[dict[str, Any]]:
    done: list[dict[str, Any]]
    if edited:
        opened: dict[str, Any] = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_INGREDIENT]}}
        done = [opened, {"action": "c2pa.edited", "digitalSourceType": source_type.value}]
    else:
        done = [{"action": "c2pa.created", "digitalSourceType": source_type.value}]
    done += [
        {"action": "c2pa.placed", "parameters": {"ingredientIds": [f"{_PLACED}{number}"]}}
        for number in range(placed)
    ]
    if watermarked:
        done.append({"action": "c2pa.watermarked.unbound"})
    return [{**action, "softwareAgent": PROGRAM} for action in done]
