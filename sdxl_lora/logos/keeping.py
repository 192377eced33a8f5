"""A logo's file, checked and kept among the inputs, where requests name it by its contents."""

from sdxl_lora import inputs
from sdxl_lora.errors import ImageError, LogoError
from sdxl_lora.inputs import Input
from sdxl_lora.logos.raster import Logo


def keep(data: bytes, name: str) -> Input:
    """Puts a logo's file among the inputs, where requests name it. Raises `LogoError`, `StorageError`."""
    logo = Logo.read(data, name)
    try:
        if logo.kind == "svg":
            return inputs.keep_vector(data, name=name)
        return inputs.keep(data, name=name, alpha=True, smallest=1)
    except ImageError as error:
        raise LogoError(str(error)) from error
