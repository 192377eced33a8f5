"""Rendered training examples as a stream: worker processes draw while the device trains.

A worker writes shards of finished examples (picture, loss weights, tokenised captions) into one folder; the trainer
takes a shard over as soon as it is complete, and removes it. Nothing is drawn twice: shard `i` of a seed always holds
the same scenes. Once the trainer holds enough it eases the stream: one worker goes on, the others leave their cores to
the trainer and its compiler. Beside 14 renderers on 16 cores with an H200, compiling took 136 s and a step of 256
samples 90 ms, where some 37 were expected; how much of it the easing mends has not been measured.
Knows nothing of models.
"""

import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from transformers import CLIPTokenizer

from sdxl_lora.mini.captions import caption
from sdxl_lora.mini.loss_weights import loss_weights
from sdxl_lora.mini.renderer import render
from sdxl_lora.mini.scene import sample_scene
from sdxl_lora.mini.tokenizer import MAX_LENGTH

SHARD = 64  # examples
CAPTIONS = 6  # tokenised captions of each picture; a training step draws one of them
FULL_CAPTIONS = 0.4  # share that names every attribute
WEIGHT_SCALE = 16  # weights are stored as uint8 sixteenths
CELL = 8  # px per cell of the weight map, whatever the VAE's factor


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """What the workers draw."""

    folder: Path  # of the shards; a RAM disk where there is one
    tokenizers: Path  # folder with `tokenizer` and `tokenizer_2`
    size: int = 256  # px
    seed: int = 0
    workers: int = 2
    first: int = 0  # number of the first shard: an earlier call's shards are not drawn again
    ahead: int = 64  # shards that wait at most; bounds the disk


@dataclass(frozen=True)
class Examples:
    """One shard on the host."""

    pictures: NDArray[np.uint8]  # (N, H, W, 3)
    weights: NDArray[np.uint8]  # (N, H / 8, W / 8) loss weights in sixteenths
    tokens: NDArray[np.int16]  # (N, CAPTIONS, 2, 77): ids of both tokenizers
    emblem: NDArray[np.bool_]  # (N,) whether the picture shows one


class ExampleStream:
    """Starts the workers on entering; on leaving stops them and removes the folder."""

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.next_shard = settings.first  # after the last that was taken over: where a later call begins
        context = multiprocessing.get_context("spawn")
        self._stop, self._eased = context.Event(), context.Event()
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> Self:
        self.settings.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.settings.folder.glob("*.npz"):
            stale.unlink()
        context = multiprocessing.get_context("spawn")
        for rank in range(self.settings.workers):
            process = context.Process(
                target=_draw_shards,
                args=(self.settings, rank, self._stop, self._eased, os.getpid()),
                daemon=True,
            )
            process.start()
            self._processes.append(process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for process in self._processes:
            process.join(timeout=5)
            if process.is_alive():
                process.terminate()
                process.join()
        shutil.rmtree(self.settings.folder, ignore_errors=True)

    def ready(self) -> Iterator[Examples]:
        """Every shard that is complete now, each once."""
        for path in sorted(self.settings.folder.glob("*.npz")):
            with np.load(path) as file:
                examples = Examples(file["pictures"], file["weights"], file["tokens"], file["emblem"])
            path.unlink()
            self.next_shard = max(self.next_shard, int(path.stem) + 1)
            yield examples

    def ease(self) -> None:
        """From now on one worker is enough: the others stop drawing."""
        self._eased.set()

    def wait(self, seconds: float = 0.2) -> None:
        """Sleep a little; raises `SystemExit` if every worker has died."""
        if self._processes and not any(process.is_alive() for process in self._processes):
            raise SystemExit("the renderers died; their messages are above")
        time.sleep(seconds)


def draw_examples(seed: int, shard: int, count: int, size: int, tokenizers: Path) -> Examples:
    """The examples of shard `shard`: same numbers, same examples."""
    rng = random.Random(seed * 1_000_003 + 500_009 * (shard + 1))
    scenes = [sample_scene(rng) for _ in range(count)]
    texts = [
        caption(scene, rng, full=rng.random() < FULL_CAPTIONS) for scene in scenes for _ in range(CAPTIONS)
    ]
    side = size // CELL
    weights = np.stack([loss_weights(scene, side) for scene in scenes])
    return Examples(
        np.stack([render(scene, size) for scene in scenes]),
        np.round(weights * WEIGHT_SCALE).astype(np.uint8),
        _tokenise(texts, tokenizers).reshape(count, CAPTIONS, 2, MAX_LENGTH),
        np.array([scene.emblem is not None for scene in scenes]),
    )


def _tokenise(texts: list[str], folder: Path) -> NDArray[np.int16]:
    """(N, 2, 77) ids of both tokenizers; over-long texts keep their end token."""
    how: Any = {"padding": "max_length", "max_length": MAX_LENGTH, "truncation": True, "return_tensors": "np"}
    ids = [tokenizer(texts, **how).input_ids for tokenizer in _tokenizers(folder)]
    return np.stack(ids, 1).astype(np.int16)


@lru_cache(maxsize=1)
def _tokenizers(folder: Path) -> tuple[CLIPTokenizer, CLIPTokenizer]:
    first, second = (CLIPTokenizer.from_pretrained(folder / n) for n in ("tokenizer", "tokenizer_2"))
    return first, second


def _draw_shards(
    settings: StreamSettings,
    rank: int,
    stop: "multiprocessing.synchronize.Event",
    eased: "multiprocessing.synchronize.Event",
    parent: int,
) -> None:
    """Draw every `workers`-th shard until told to stop, or until the process that started this one is gone."""
    os.nice(10)  # the trainer's own thread comes first
    cv2.setNumThreads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    shard = settings.first + rank
    while not stop.is_set() and os.getppid() == parent:
        waiting = sum(1 for _ in settings.folder.glob("*.npz"))
        if waiting >= settings.ahead or (eased.is_set() and rank > 0):
            stop.wait(0.2)
            continue
        drawn = draw_examples(settings.seed, shard, SHARD, settings.size, settings.tokenizers)
        path = settings.folder / f"{shard:07d}.npz"
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            np.savez(
                file, pictures=drawn.pictures, weights=drawn.weights, tokens=drawn.tokens, emblem=drawn.emblem
            )
        os.replace(temporary, path)
        shard += settings.workers
