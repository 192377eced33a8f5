"""Rendered pictures and real photos on disk, in shards that processes share by memory map.

A shard is `NNNN.npy` (uint8, N x size x size x 3, sRGB) with `NNNN.json` (its scenes or captions beside it). A shard
that exists is complete, so an interrupted build renders only what is missing. Knows nothing of models.
"""

import io
import json
import multiprocessing
import os
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from sdxl_lora.errors import DataError
from sdxl_lora.mini.renderer import render
from sdxl_lora.mini.scene import Scene, sample_scene

SHARD = 500  # pictures


@dataclass(frozen=True)
class RenderedSet:
    """All shards of one folder as one sequence of pictures with their scenes."""

    shards: list[NDArray[np.uint8]]
    scenes: list[Scene]
    starts: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> "RenderedSet":
        """Memory-map every shard of `folder`."""
        shards, scenes = [], []
        for path in sorted(folder.glob("*.npy")):
            shards.append(np.load(path, mmap_mode="r"))
            scenes += [
                Scene.from_dict(values) for values in json.loads(path.with_suffix(".json").read_text())
            ]
        if not shards:
            raise DataError(f"no rendered pictures in {folder}; run the pictures stage first")
        return cls(shards, scenes, np.cumsum([0, *(len(s) for s in shards)]))

    def __len__(self) -> int:
        return len(self.scenes)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One picture, HxWx3 uint8, straight from the memory map."""
        shard = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.shards[shard][index - self.starts[shard]]

    def batch(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """NxHxWx3 uint8."""
        return np.stack([self.picture(int(i)) for i in indices])


def to_pixels(pictures: NDArray[np.uint8]) -> Tensor:
    """NxHxWx3 uint8 -> (N, 3, H, W) float32 in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def write_shard(path: Path, pictures: NDArray[np.uint8], notes: list[dict[str, object]]) -> None:
    """Write the notes first, then the pictures under their final name: the array marks the shard complete."""
    path.with_suffix(".json").write_text(json.dumps(notes))
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.save(file, pictures)
    os.replace(temporary, path)


def _render_shard(task: tuple[Path, int, int, int, bool | None]) -> None:
    path, count, size, seed, held_out = task
    rng = random.Random(seed)
    scenes = [sample_scene(rng, held_out=held_out) for _ in range(count)]
    pictures = np.stack([render(scene, size) for scene in scenes])
    write_shard(path, pictures, [scene.to_dict() for scene in scenes])


def render_set(
    folder: Path, count: int, *, size: int, seed: int, workers: int, held_out: bool | None = False
) -> None:
    """Render `count` scenes into `folder`; shards already there are kept. Same seed, same pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = []
    for number, start in enumerate(range(0, count, SHARD)):
        path = folder / f"{number:04d}.npy"
        if not path.exists():
            shard_seed = seed * 1_000_003 + number * 2 + int(bool(held_out))
            tasks.append((path, min(SHARD, count - start), size, shard_seed, held_out))
    progress = tqdm(total=len(tasks) * SHARD, unit="picture", desc=f"render {folder.name}", disable=None)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for _ in pool.imap_unordered(_render_shard, tasks):
            progress.update(SHARD)
    progress.close()


def import_photos(source: Path, folder: Path, *, size: int) -> None:
    """Real photos, squared on their mean border colour, into shards whose notes are `{"label": ...}`.

    `source` is a parquet file with columns `image` (encoded bytes, or a struct with `bytes`) and `label`, or a
    folder with one sub-folder of pictures per label.
    """
    if any(folder.glob("*.npy")):
        return
    folder.mkdir(parents=True, exist_ok=True)
    pictures, notes = [], []
    for data, label in tqdm(_read_photos(source), unit="photo", desc="photos", disable=None):
        pictures.append(_square(Image.open(io.BytesIO(data)), size))
        notes.append({"label": label})
    for number, start in enumerate(range(0, len(pictures), SHARD)):
        end = start + SHARD
        write_shard(folder / f"{number:04d}.npy", np.stack(pictures[start:end]), notes[start:end])


def open_photos(folder: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """All imported photos (N x size x size x 3, empty if there are none) and their labels."""
    paths = sorted(folder.glob("*.npy"))
    if not paths:
        return np.zeros((0, 1, 1, 3), np.uint8), []
    labels = [note["label"] for path in paths for note in json.loads(path.with_suffix(".json").read_text())]
    return np.concatenate([np.load(path, mmap_mode="r") for path in paths]), labels


def _read_photos(source: Path) -> list[tuple[bytes, str]]:
    if source.is_dir():
        files = sorted(
            p for p in source.glob("*/*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
        )
        rows = [(file.read_bytes(), file.parent.name) for file in files]
    elif source.suffix == ".parquet" and source.exists():
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(source, columns=["image", "label"])
        images = table["image"].to_pylist()
        labels = table["label"].to_pylist()
        rows = [
            (i["bytes"] if isinstance(i, dict) else i, str(n)) for i, n in zip(images, labels, strict=True)
        ]
    else:
        raise DataError(f"{source} is neither a parquet file nor a folder of labelled pictures")
    if not rows:
        raise DataError(f"no pictures in {source}")
    return rows


def _square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    image = ImageOps.exif_transpose(image).convert("RGB")
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean(0)
    colour = tuple(int(v) for v in border)
    return np.asarray(ImageOps.pad(image, (size, size), method=Image.Resampling.LANCZOS, color=colour))
