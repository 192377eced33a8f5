"""The networks that turn pictures into features, each with an identity: model, weights, preprocessing.

Batches always have the same shape (the last one is filled up), so that a picture's features do not depend on
which other pictures it was measured with, to the last bit. Knows nothing of metrics.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sdxl_lora import plain_json
from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.evaluation import inception, perceptual, weights
from sdxl_lora.evaluation.pictures import Picture
from sdxl_lora.models.device import choose_device
from sdxl_lora.models.placement import Placed
from sdxl_lora.scoring.base import default_scorer
from sdxl_lora.scoring.blip import BlipModel
from sdxl_lora.scoring.clip import ClipScorer

BATCH = 4  # pictures in one forward pass; larger gains under 20 % on a processor

Array32 = NDArray[np.float32]


class ImageBackbone(Protocol):
    """Pictures -> features."""

    identity: str  # equal identities give equal features; part of the cache's keys
    settings: dict[str, str]  # backend, weights_sha256, resize: what stands beside every number
    square_side: int | None  # px; the size it takes square pictures at by `Picture.resized`, if it does

    def embed(self, pictures: Sequence[Picture]) -> Array32:
        """Features [pictures, dimensions]."""


class Clip:
    """Any CLIP model of transformers' layout; picture and text embeddings at unit length."""

    def __init__(self, folder: Path, name: str) -> None:
        sha256 = weights.sha256_of(weights.weights_file(folder))
        self._scorer = ClipScorer(folder, name=name)
        self.name = name
        self.square_side = _square_side(folder)
        known = self._scorer.world
        self.knows_outside = known is not None
        self.identity = f"clip-{sha256}{_device_mark()}"
        if known is not None:
            self.identity += f"-world-{known.limit:.6g}"
        self.settings = {
            "backend": name,
            "weights_sha256": sha256,
            "resize": "the model's own: shortest side, bicubic, centre crop",
        }

    def embed(self, pictures: Sequence[Picture]) -> Array32:
        images = [Image.fromarray(self._pixels(picture)) for picture in pictures]
        return in_batches(images, lambda batch: self._scorer.embed_images(batch))

    def outside(self, pictures: Sequence[Picture]) -> list[bool]:
        """Whether each picture is of a kind that the model was not trained on; see `scoring.world`."""
        return [self._scorer.outside([Image.fromarray(self._pixels(picture))])[0] for picture in pictures]

    def _pixels(self, picture: Picture) -> NDArray[np.uint8]:
        """What the processor would make of a square picture first; it is remembered for other metrics, and the
        processor leaves it as it is.
        """
        width, height = picture.size
        return picture.resized(self.square_side) if self.square_side and width == height else picture.pixels

    def embed_texts(self, texts: Sequence[str]) -> Array32:
        """Unit vectors [texts, dimensions]; texts beyond the model's limit are cut before the end token."""
        features: Array32 = self._scorer.embed_texts(texts).numpy()
        return features


class Inception:
    """Inception-v3 of the FID, 2,048 features, TensorFlow-1 bilinear resize to 299 px."""

    square_side = None

    def __init__(self, path: Path) -> None:
        sha256 = weights.sha256_of(path)
        self._model = Placed(inception.load_inception(path))
        self.identity = f"inception-tf1-{sha256}{_device_mark()}"
        self.settings = {
            "backend": "Inception-v3 2015-12-05, pool3, 2048 features",
            "weights_sha256": sha256,
            "resize": "299 px, bilinear without antialiasing, as TensorFlow 1 (torch-fidelity's way)",
        }

    def embed(self, pictures: Sequence[Picture]) -> Array32:
        resized = [inception.resize_like_tensorflow(_nchw(picture.pixels))[0] for picture in pictures]
        return in_batches(resized, lambda batch: self._model.run(_forward, torch.stack(list(batch))))


class Blip:
    """BLIP image-text matching: a probability that text and picture match (ITM), and a cosine (ITC).

    Li et al. 2022, arXiv:2201.12086. The text's attention mask is passed, which the padding would else
    change.
    """

    def __init__(self, folder: Path) -> None:
        sha256 = weights.sha256_of(weights.weights_file(folder))
        self._model = BlipModel(folder)
        self.identity = f"blip-{sha256}{_device_mark()}"
        self.settings = {
            "backend": f"BlipForImageTextRetrieval ({folder.name})",
            "weights_sha256": sha256,
            "resize": "the model's own: squashed, bicubic",
        }

    def match(self, pictures: Sequence[Picture], texts: Sequence[str]) -> Array32:
        """[pictures, 2]: ITM probability 0..1 and ITC cosine -1..1 of each picture with its text; NaN if
        blank.
        """
        rows = []
        for picture, text in zip(pictures, texts, strict=True):  # alone: the padding of a batch would show
            image = Image.fromarray(picture.pixels)
            rows.append([self._model.match([image], [text], head)[0] for head in ("itm", "itc")])
        return np.array(rows, dtype=np.float32).reshape(len(pictures), 2)


class LpipsDistance:
    """LPIPS v0.1, AlexNet, at the evaluation's size."""

    def __init__(self, trunk: Path, side: int) -> None:
        self._model = Placed(perceptual.load_lpips(trunk))
        self._side = side
        sha256, heads = weights.sha256_of(trunk), weights.sha256_of(perceptual.heads_file())
        self.identity = f"lpips-{sha256}-{heads}-{side}{_device_mark()}"
        self.settings = {
            "backend": "LPIPS v0.1, AlexNet",
            "weights_sha256": f"{sha256} (trunk), {heads} (heads)",
            "resize": f"{side} px, PIL bicubic",
        }

    def distances(self, pairs: Sequence[tuple[Picture, Picture]]) -> Array32:
        """[pairs], 0 for equal pictures."""

        def rows(pictures: Sequence[Picture]) -> Tensor:
            return torch.cat([_nchw(picture.resized(self._side)) for picture in pictures]) / 127.5 - 1

        def between(batch: Sequence[tuple[Picture, Picture]]) -> Tensor:
            ones, others = rows([one for one, _ in batch]), rows([two for _, two in batch])
            return self._model.run(_forward, ones, others)

        return in_batches(list(pairs), between)


def load(key: str, given: Mapping[str, Path] | None = None, *, side: int = 256) -> Any:
    """The published network of that key (see `weights.CATALOGUE`), or `mini`, the bundled CLIP.

    Args:
        given: files or folders of the user's, by key, instead of the fetched ones.
        side: px, what LPIPS resizes pictures to.

    A network is read once per process and content of its weights. Raises `ModelUnavailableError` with the
    command that helps.
    """
    if key == "mini":
        folder = Path(default_scorer().source)
        if not folder.is_dir():
            raise ModelUnavailableError(
                f"the bundled mini CLIP is not in {folder}: python -m sdxl_lora build-mini"
            )
        return _loaded(key, folder, weights.sha256_of(weights.weights_file(folder)), 0)
    path = weights.locate(key, given)
    sha256 = weights.sha256_of(weights.weights_file(path) if path.is_dir() else path)
    return _loaded(key, path, sha256, side if key == "alexnet" else 0)


@lru_cache(maxsize=8)
def _loaded(key: str, path: Path, _sha256: str, side: int) -> Any:
    match key:
        case "mini":
            return Clip(path, "mini-CLIP (bundled)")
        case "inception":
            return Inception(path)
        case "alexnet":
            return LpipsDistance(path, side)
        case "blip":
            return Blip(path)
    return Clip(path, weights.CATALOGUE[key].title.split(" (")[0])


@torch.inference_mode()
def in_batches(items: Sequence[Any], run: Callable[[Sequence[Any]], Tensor], size: int = BATCH) -> Array32:
    """`run` over slices of exactly `size` items, the last one filled up by repeating its last item."""
    parts = []
    for start in range(0, len(items), size):
        batch = list(items[start : start + size])
        missing = size - len(batch)
        output = run(batch + [batch[-1]] * missing)
        parts.append(output[: size - missing].float().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty((0,), np.float32)


def _square_side(folder: Path) -> int | None:
    """px of the side that a CLIP folder's image processor resizes a square picture to, if with PIL's bicubic."""
    for name in ("preprocessor_config.json", "processor_config.json"):  # of old and of new transformers
        if (folder / name).is_file():
            settings = plain_json.parse((folder / name).read_text(encoding="utf-8"))
            settings = settings.get("image_processor", settings)
            size = settings.get("size")
            side = size.get("shortest_edge") if isinstance(size, dict) else size
            bicubic = settings.get("resample") == Image.Resampling.BICUBIC
            return side if bicubic and settings.get("do_resize") and isinstance(side, int) else None
    return None


def _forward(network: Any, *images: Tensor) -> Tensor:
    output: Tensor = network(*images)
    return output


def _device_mark() -> str:
    """Part of an identity: other devices round otherwise, and what a processor computed stays valid."""
    device = choose_device()
    return "" if device == "cpu" else f"-{device}"


def _nchw(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.tensor(pixels).permute(2, 0, 1)[None].float()  # a copy: decoded pixels are read-only
