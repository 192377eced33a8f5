"""What runs a model: the one door through which `generation/` encodes prompts, denoises, decodes.

An engine belongs to one loaded model and is used by one caller at a time (`LoadedModel.use`). There are two, torch and
OpenVINO; which of them draws is said in `engines`. Samplers are diffusers' own for every engine: they work on small
tensors in fp32.
What crosses the door are torch tensors on whatever device the engine likes, and PIL pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from diffusers import SchedulerMixin
from PIL import Image
from torch import Generator, Tensor

from sdxl_lora.config import EngineName
from sdxl_lora.models.capabilities import Capabilities
from sdxl_lora.models.cued_network import Cue
from sdxl_lora.request import OWN_SCHEDULER

LARGE = (
    100_000_000  # parameters of a denoising network from which a picture has all cores; mini has 22 million
)

Embeddings = dict[
    str, Tensor
]  # of a prompt and, where guided, its negative side; made and read by the same engine


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """A way from noise, from `latents`, or from a `picture`, to finished latents of one picture."""

    width: int  # px
    height: int  # px
    scheduler: (
        SchedulerMixin  # of this picture alone, from `Engine.new_scheduler`; keeps its place on the way
    )
    generator: Generator  # of the noise, on the CPU: the same on every device
    guidance: float  # classifier-free guidance scale
    guidance_end: float = 1.0  # share of the way with guidance
    steps: int | None = None  # of an even way from its start, or:
    timesteps: tuple[float, ...] | None = None  # of a way that goes on from `latents`
    latents: Tensor | None = None  # scaled, with the noise of the first of `timesteps` (1CHW)
    stop_after: int | None = None  # leave after so many steps
    picture: Image.Image | None = None  # RGB of that size, to begin from with an even way of `steps`
    mask: Image.Image | None = (
        None  # L of that size, white where it is drawn anew, with a `picture`; None = all
    )
    cache_interval: int = 1  # of so many steps one is computed whole, see `step_cache`; 1 = every one
    strength: float = 1.0  # share of the way that is gone from the `picture`
    cue: Cue | None = None  # what the network sees of logos; only torch draws with one, see `engines`


@dataclass(frozen=True, kw_only=True)
class DenoisedStep:
    """Where a way is after one step."""

    number: int  # from 1
    count: int  # steps of this way
    latents: Tensor  # with what noise is left (1CHW)
    predicted: (
        Tensor  # the finished latents as predicted now; the noisy ones where the sampler makes no prediction
    )


class Engine(Protocol):
    """Runs one loaded model."""

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""

    @property
    def name(self) -> EngineName:
        """One of `engines.NAMES`."""

    @property
    def precision(self) -> str:
        """Number format of the denoising network, for people: "float32", "bfloat16"."""

    @property
    def parameters(self) -> int:
        """Of the denoising network: small networks are run several at once on a processor."""

    def token_count(self, text: str) -> tuple[int, int]:
        """(tokens of a prompt, tokens that are read at once), neither counting the marks at both ends."""

    def encode(self, prompt: str, negative_prompt: str, *, guided: bool) -> Embeddings:
        """Embeddings of one prompt, however long; `guided`: with the negative side."""

    def new_scheduler(self, name: str = OWN_SCHEDULER) -> SchedulerMixin:
        """A fresh sampler by its name in `schedulers.NAMES`, or the model's own."""

    def denoise(
        self, embeddings: Embeddings, way: Denoising, on_step: Callable[[DenoisedStep], bool]
    ) -> Tensor:
        """Latents at the end of `way` (1CHW). `on_step` is called after every step; the way is left where it is False.

        Several threads may denoise at once with the same engine.
        """

    def decode(self, latents: Tensor) -> Image.Image:
        """The picture of finished latents. Raises `StudioError` if it came out as NaN or black."""

    def preview(self, latents: Tensor, size: tuple[int, int]) -> Image.Image:
        """A small picture of latents at next to no cost; `size`: width and height of the whole picture, px."""
