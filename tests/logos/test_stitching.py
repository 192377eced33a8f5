"""Embroidery: threads above the cloth, in the brand's colours, and nothing else touched."""

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from sdxl_lora.logos import compositing, geometry
from sdxl_lora.logos.raster import Logo
from tests.logos.marks import PEAK, svg

SQUARE = Logo.read(svg('<path fill="#c8102e" d="M0 0h100v100H0Z"/>'), "square.svg")
PLACE = geometry.rectangle((150, 150), 120, 120)


def cloth() -> NDArray[np.uint8]:
    return np.full((300, 300, 3), (60, 90, 140), np.uint8)


def test_threads_are_uneven_where_a_print_is_flat_and_their_mean_is_the_brands_colour() -> None:
    printed, sewn = (compositing.composite(cloth(), SQUARE, PLACE, sewn=sewn) for sewn in (False, True))
    inside = (slice(100, 200), slice(100, 200))
    assert printed[inside].std(axis=(0, 1)).max() == 0
    assert sewn[inside].std(axis=(0, 1)).max() > 5
    mean = compositing.to_srgb(compositing.to_linear(sewn[inside]).mean(axis=(0, 1), keepdims=True))
    assert (
        float(deltaE_ciede2000(rgb2lab(mean), rgb2lab(np.full((1, 1, 3), (200, 16, 46), np.uint8))).item())
        < 4
    )


def test_embroidery_throws_a_shadow_beside_it_and_touches_nothing_far_away() -> None:
    sewn = compositing.composite(cloth(), SQUARE, PLACE, sewn=True)
    assert sewn[150, 212].sum() < cloth()[150, 212].sum()
    far = np.ones((300, 300), bool)
    far[70:230, 70:230] = False
    assert (sewn[far] == cloth()[far]).all()


def test_the_same_threads_come_again_and_every_kind_of_logo_can_be_sewn() -> None:
    dot = Logo.read(svg('<circle cx="50" cy="50" r="2" fill="#fff"/>'), "dot.svg")
    for logo, size in ((Logo.read(PEAK, "peak.svg"), 160), (dot, 5), (SQUARE, 290)):
        place = geometry.rectangle((150, 150), size, size / logo.aspect)
        once, twice = (compositing.composite(cloth(), logo, place, sewn=True) for _ in range(2))
        assert (once == twice).all()
        assert (once != cloth()).any()
