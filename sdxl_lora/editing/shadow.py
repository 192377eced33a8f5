"""A soft shadow on the ground below a product, so that it stands and does not float.

Two parts, as under a soft studio light: a narrow, dark one where the product touches the ground, and a wide, faint one
around it. The ground is the product's lowest row.
"""

import cv2
import numpy as np
from PIL import Image

STRENGTH = 0.4  # of the darkest place, 0..1
_TOUCHING = 0.06  # of the product's height, from below: what throws the shadow
_PARTS = ((0.012, 0.5), (0.045, 0.5))  # (softness as a share of the product's width, weight)
_FLAT = 0.35  # how much less high than wide a shadow is


def ground(product: Image.Image, strength: float = STRENGTH) -> Image.Image:
    """The product of a cut-out (RGBA) with the shadow below it, in the same frame; it needs room there.

    The shadow is black with alpha, so that it darkens any background laid under it; product pixels of alpha 255 stay.
    """
    alpha = np.asarray(product.getchannel("A"), np.float32) / 255
    rows = np.nonzero((alpha > 0.5).any(axis=1))[0]
    if len(rows) == 0:
        return product
    top, bottom = int(rows[0]), int(rows[-1])
    touching = alpha[max(top, bottom - max(1, round(_TOUCHING * (bottom - top)))) : bottom + 1].max(axis=0)
    columns = np.nonzero((alpha > 0.5).any(axis=0))[0]
    width = float(columns[-1] - columns[0] + 1)
    darkness = np.zeros_like(alpha)
    for softness, weight in _PARTS:
        sigma = max(0.8, softness * width)
        line = np.zeros_like(alpha)
        thick = max(1, round(sigma * _FLAT))
        line[max(0, bottom - thick + 1) : bottom + thick + 1] = touching
        blurred = cv2.GaussianBlur(line, (0, 0), sigmaX=sigma, sigmaY=max(0.8, sigma * _FLAT))
        darkness += weight * blurred / max(float(blurred.max()), 1e-6)
    levels = (darkness * strength * 255).clip(0, 255).round().astype(np.uint8)
    shaded = np.zeros((*alpha.shape, 4), np.uint8)
    shaded[..., 3] = levels
    return Image.alpha_composite(Image.fromarray(shaded, "RGBA"), product)
