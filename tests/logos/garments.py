"""Outlines of garments that tests place logos on, 400 x 400 px."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 400
_TEE = [
    (150, 40),
    (250, 40),
    (350, 110),
    (320, 160),
    (270, 130),
    (270, 350),
    (130, 350),
    (130, 130),
    (80, 160),
    (50, 110),
]
_TROUSERS = [(140, 30), (260, 30), (280, 370), (215, 370), (200, 140), (185, 370), (120, 370)]
_HOODIE = [
    (165, 20),
    (235, 20),
    (240, 70),
    (275, 85),
    (340, 300),
    (300, 310),
    (268, 170),
    (268, 350),
    (132, 350),
]
_HOODIE += [(132, 170), (100, 310), (60, 300), (125, 85), (160, 70)]
_OUTLINES = {"t-shirt": _TEE, "trousers": _TROUSERS, "hoodie": _HOODIE}


def mask(name: str, scale: float = 1.0, shift: int = 0) -> NDArray[np.bool_]:
    """The garment's mask; made smaller around the top left corner and moved down and right by `scale` and `shift`."""
    if name == "bag":
        filled = np.zeros((SIDE, SIDE), np.uint8)
        cv2.rectangle(filled, (100, 150), (300, 360), 1, cv2.FILLED)
        cv2.ellipse(filled, (200, 150), (60, 100), 0, 180, 360, 1, 12)
        return filled.astype(bool)
    points = np.round(np.array(_OUTLINES[name]) * scale + shift).astype(np.int32)
    return cv2.fillPoly(np.zeros((SIDE, SIDE), np.uint8), [points], 1).astype(bool)
