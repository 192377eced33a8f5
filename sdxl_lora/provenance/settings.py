"""What the operator of a studio decided about marks; by environment, because no request may switch them off.

- `SDXL_LORA_WATERMARK`: `on`, `off`;
- `SDXL_LORA_SIGN`: `on` (a picture that cannot be signed is kept and said to be unsigned), `required` (it is not
  delivered), `off`;
- `SDXL_LORA_SIGN_CERTIFICATE`, `SDXL_LORA_SIGN_KEY`: PEM files of a certificate chain, the signer's first, and its key;
- `SDXL_LORA_SIGN_TIMESTAMP`: address of a time stamp authority (RFC 3161), which is sent a hash and no picture.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from sdxl_lora.errors import InputError, UnknownNameError

Signing = Literal["on", "required", "off"]
Watermark = Literal["on", "off"]


@dataclass(frozen=True, kw_only=True)
class SigningSettings:
    """Whether and with what pictures are signed."""

    mode: Signing = "on"
    certificate: Path | None = None  # None: the studio's own
    key: Path | None = None
    timestamp: str | None = None  # address


def signing() -> SigningSettings:
    """The settings as the environment has them now. Raises `InputError`."""
    certificate, key = setting("sign_certificate"), setting("sign_key")
    if (certificate is None) != (key is None):
        missing = "SDXL_LORA_SIGN_KEY" if key is None else "SDXL_LORA_SIGN_CERTIFICATE"
        raise InputError(f"a certificate and its key belong together; set {missing}, too")
    timestamp = setting("sign_timestamp")
    if timestamp is not None and not timestamp.startswith(("http://", "https://")):
        raise InputError(f"SDXL_LORA_SIGN_TIMESTAMP {timestamp!r} is no address; it begins with https://")
    return SigningSettings(
        mode=cast(Signing, _chosen("SDXL_LORA_SIGN", setting("sign"), get_args(Signing))),
        certificate=Path(certificate) if certificate else None,
        key=Path(key) if key else None,
        timestamp=timestamp,
    )


def watermarked() -> bool:
    """Whether pictures get the invisible mark. Raises `UnknownNameError`."""
    return _chosen("SDXL_LORA_WATERMARK", setting("watermark"), get_args(Watermark)) == "on"


def _chosen(name: str, given: str | None, known: tuple[str, ...]) -> str:
    chosen = (given or "on").lower()
    if chosen not in known:
        raise UnknownNameError(f"setting of {name}", chosen, known)
    return chosen


def setting(name: str) -> str | None:
    """The environment variable `SDXL_LORA_NAME`; None when unset or empty."""
    return os.environ.get(f"SDXL_LORA_{name.upper()}", "").strip() or None
