"""Checks that need no model: whether there is a picture at all."""

from PIL import Image

_FLAT = 2  # levels of 255: what JPEG or rounding may add to a flat colour


def blank_reason(image: Image.Image) -> str | None:
    """Why the picture shows nothing, or None if it shows something.

    A pipeline turns NaN into black, so a flat picture nearly always means numerical trouble.
    """
    extrema = image.convert("RGB").getextrema()
    if any(high - low > _FLAT for low, high in extrema):
        return None
    if all(high <= _FLAT for _, high in extrema):
        return "the picture is black: the model produced no finite numbers; try precision fp32, or another seed"
    return "the picture is one flat colour; try another seed or less guidance"
