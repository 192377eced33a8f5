"""What of a picture is the product: a first, soft guess, by U-2-Net small or, where that is missing, by GrabCut.

U-2-Net: Qin et al., "U^2-Net: Going Deeper with Nested U-Structure for Salient Object Detection", 2020, run by
onnxruntime on one thread. What it makes of a picture changes with how it is shown: where it is in doubt over whole
parts (half a brim, carpet that could be a collar) it looks twice more, at the mirror image and from further away, at
once, and the surest of the three counts. Where that is unsure, colours decide: GrabCut (Rother et al., 2004) learns
them from what it is sure of. Without the network GrabCut starts from a rectangle, and is then usable on plain
backgrounds only. Edges are refined elsewhere (`edges`).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora.editing import weights
from sdxl_lora.errors import ModelUnavailableError

Method = Literal["U-2-Net small", "GrabCut", "the picture's own transparency"]
Matte = NDArray[np.float32]  # [height, width], 0 = background .. 1 = product

SIDE = 320  # px, what the network was trained on
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of its training pictures, on 0..1
_GRABCUT_SIDE = {"alone": 512, "unsure": 320}  # px, longer side
_GRABCUT_MARGIN = 0.03  # of the side: what lies outside is background for certain
_GRABCUT_ROUNDS = {"alone": 5, "unsure": 3}
_SURE, _LIKELY, _UNLIKELY = 0.85, 0.4, 0.1  # of the network's matte
_DOUBT_SIDE = 160  # px, at which doubt is measured
_DOUBTED = (0.15, 0.85)  # of the matte: neither product nor background
_EDGE = 4  # px of that: what is doubted over less is only a soft edge
_DOUBTFUL = 0.025  # doubted, of the product: look again
_KEPT = 0.8  # of what the first look was sure of, that another has to find, too
_AWAY = 0.2  # of the longer side: how much is added on every side to look from further away


@dataclass(frozen=True)
class Guess:
    """A matte, by whom, and why not by the network."""

    matte: Matte
    method: Method
    reason: str = ""  # one line; "" = it was the network


def guess(image: Image.Image) -> Guess:
    """The product's matte [height, width] at the size of the RGB picture."""
    try:
        session = _session()
    except ModelUnavailableError as error:
        return Guess(_from_rectangle(image), "GrabCut", str(error))
    return Guess(_settled(image, _surest(session, image)), "U-2-Net small")


@lru_cache(maxsize=1)
def _session() -> Any:
    """The network, ready to run. Raises `ModelUnavailableError`; what failed is tried again."""
    data = weights.read(weights.U2NETP)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # others draw at the same time
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _u2netp(session: Any, image: Image.Image) -> Matte:
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float32)
    values = (small / max(float(small.max()), 1.0) - _MEAN) / _STD  # its authors scale by the brightest value
    inputs = {session.get_inputs()[0].name: values.transpose(2, 0, 1)[None].astype(np.float32)}
    [found] = session.run([session.get_outputs()[0].name], inputs)  # the first of seven is the fused one
    return cv2.resize(found[0, 0], image.size, interpolation=cv2.INTER_CUBIC).clip(0, 1)


def _surest(session: Any, image: Image.Image) -> Matte:
    """What the network sees, or, where it is in doubt, what it sees in the view of which it is surest."""
    first = _u2netp(session, image)
    if doubt(first) <= _DOUBTFUL:
        return first
    with ThreadPoolExecutor(2) as pool:
        looks = list(pool.map(lambda look: look(session, image), (_mirrored, _from_further)))
    sure = first > _SURE
    alike = [matte for matte in looks if (matte[sure] > _LIKELY).sum() >= _KEPT * sure.sum()]
    return min((first, *alike), key=doubt)


def doubt(matte: Matte) -> float:
    """How much of a picture is neither product nor background, soft edges left out, as a share of the product."""
    small = cv2.resize(matte, (_DOUBT_SIDE, _DOUBT_SIDE), interpolation=cv2.INTER_AREA)
    unsure = ((small > _DOUBTED[0]) & (small < _DOUBTED[1])).astype(np.uint8)
    wide = cv2.morphologyEx(unsure, cv2.MORPH_OPEN, np.ones((_EDGE, _EDGE), np.uint8))
    return float(wide.sum() / max(1, (small > 0.5).sum()))


def _mirrored(session: Any, image: Image.Image) -> Matte:
    seen = _u2netp(session, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    return np.ascontiguousarray(seen[:, ::-1])


def _from_further(session: Any, image: Image.Image) -> Matte:
    """The colours at the edges go on beyond them."""
    edge = max(1, round(_AWAY * max(image.size)))
    wide = cv2.copyMakeBorder(np.asarray(image), edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    return _u2netp(session, Image.fromarray(wide))[edge:-edge, edge:-edge]


def _settled(image: Image.Image, matte: Matte) -> Matte:
    """The matte with what is neither product nor background decided by colour."""
    pixels = _small(image, _GRABCUT_SIDE["unsure"])
    small = cv2.resize(matte, pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
    mask = np.full(small.shape, cv2.GC_PR_BGD, np.uint8)
    mask[small > _LIKELY] = cv2.GC_PR_FGD
    mask[small > _SURE] = cv2.GC_FGD
    mask[small < _UNLIKELY] = cv2.GC_BGD
    unsure = (mask == cv2.GC_PR_FGD) | (mask == cv2.GC_PR_BGD)
    if not unsure.any() or not (mask == cv2.GC_FGD).any() or not (mask == cv2.GC_BGD).any():
        return matte
    found = _grabcut(pixels, mask, "unsure")
    share = cv2.resize(unsure.astype(np.float32), image.size, interpolation=cv2.INTER_LINEAR)
    return matte * (1 - share) + cv2.resize(found, image.size, interpolation=cv2.INTER_LINEAR) * share


def _from_rectangle(image: Image.Image) -> Matte:
    pixels = _small(image, _GRABCUT_SIDE["alone"])
    mask = np.full(pixels.shape[:2], cv2.GC_PR_FGD, np.uint8)
    margin = max(1, round(_GRABCUT_MARGIN * min(mask.shape)))
    mask[:margin], mask[-margin:], mask[:, :margin], mask[:, -margin:] = (cv2.GC_BGD,) * 4
    inside = pixels[margin:-margin, margin:-margin]
    if inside.size == 0 or (pixels == pixels[0, 0]).all():  # one colour: nothing to tell apart
        return np.zeros((image.height, image.width), np.float32)
    return cv2.resize(_grabcut(pixels, mask, "alone"), image.size, interpolation=cv2.INTER_LINEAR)


def _grabcut(pixels: NDArray[np.uint8], mask: NDArray[np.uint8], use: Literal["alone", "unsure"]) -> Matte:
    """The product at the size of the BGR pixels [height, width, 3], its edge softened by one pixel."""
    cv2.setRNGSeed(0)  # the same picture, the same cut
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels, mask, None, *models, _GRABCUT_ROUNDS[use], cv2.GC_INIT_WITH_MASK)
    product = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
    return cv2.GaussianBlur(product.astype(np.float32), (0, 0), 0.7)


def _small(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """BGR pixels, the longer side at most `side`."""
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.BOX, reducing_gap=2.0))[:, :, ::-1].copy()
