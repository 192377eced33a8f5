"""Picture files named on the command line -> their bytes."""

from pathlib import Path

from sdxl_lora.errors import ImageError


def content(path: Path) -> bytes:
    """What is in the file. Raises `ImageError` naming it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error
