"""The part of a request that says whose the picture is, so that it is found again; nothing is drawn by it.

Declared as every field of a request is, see `wish`, whose table these fields are part of.
"""

from dataclasses import dataclass

from sdxl_lora.request.field import declared
from sdxl_lora.request.kinds import Name


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Names of a picture in the user's own books: without arguments, none."""

    brand: str = declared(
        Name(),
        default="",
        label="Brand",
        help="The brand kit that was put into the request.",
        latents=False,
        wished=False,
    )
    sku: str = declared(
        Name(),
        default="",
        label="Product number",
        help="Your number of the product (SKU), by which the gallery finds its pictures.",
        flag="--sku",
        flag_help="your number of the product, by which the gallery finds the picture",
        metavar="SKU",
        latents=False,
        wished=False,
    )
