"""What the operator of a studio decided about signatures; by environment, because no request may switch them off.

- `SDXL_LORA_SIGN`: `on` (a picture that cannot be signed is kept and said to be unsigned), `required` (it is not
  delivered), `off`;
- `SDXL_LORA_SIGN_CERTIFICATE`, `SDXL_LORA_SIGN_KEY`: PEM files of a certificate chain, the signer's first, and its key;
- `SDXL_LORA_SIGN_TIMESTAMP`: address of a time stamp authority (RFC 3161), which is sent a hash and no picture.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sdxl_lora.errors import InputError, UnknownNameError

Signing = Literal["on", "required", "off"]


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
        mode=_mode(),
        certificate=Path(certificate) if certificate else None,
        key=Path(key) if key else None,
        timestamp=timestamp,
    )


def _mode() -> Signing:
    given = (setting("sign") or "on").lower()
    for mode in get_args(Signing):
        if given == mode:
            return mode
    raise UnknownNameError("setting of SDXL_LORA_SIGN", given, get_args(Signing))


def setting(name: str) -> str | None:
    """The environment variable `SDXL_LORA_NAME`; None when unset or empty."""
    return os.environ.get(f"SDXL_LORA_{name.upper()}", "").strip() or None
