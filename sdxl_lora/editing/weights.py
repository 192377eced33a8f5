"""The small networks that come with the package, each checked by SHA-256 before it is used.

Where they come from, and their licences, stands beside them in `assets/editing/README.md`. What they compute is not
known here.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from sdxl_lora.errors import ModelUnavailableError


@dataclass(frozen=True, kw_only=True)
class Network:
    """One bundled file."""

    title: str  # for people
    filename: str  # in assets/editing
    sha256: str


U2NETP = Network(
    title="U-2-Net small",
    filename="u2netp.onnx",
    sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
)
UPCONV_7_PHOTO = Network(
    title="waifu2x upconv_7 photo",
    filename="upconv_7_photo_2x.bin",
    sha256="25a2bb25b29e43e63179aac216cd87690791243a436328506d4ef9fca88ee962",
)


def read(network: Network) -> bytes:
    """The file's bytes. Raises `ModelUnavailableError` where it is missing, or is not what was published."""
    where = files("sdxl_lora") / "assets" / "editing" / network.filename
    try:
        data = where.read_bytes()
    except OSError as error:
        raise ModelUnavailableError(
            f"{network.title} is not here ({where}: {error.strerror}); install the package again"
        ) from error
    if hashlib.sha256(data).hexdigest() != network.sha256:
        raise ModelUnavailableError(
            f"{network.title} is damaged ({where}: its SHA-256 is wrong); install the package again"
        )
    return data
