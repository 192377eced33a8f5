"""What is wished for: `GenerationRequest`, the one table of request fields.

A new field is one declaration here, one line in `resolved.ResolvedRequest`, and the code that acts on it. The command
line and its settings (`flags`), the form (`ui.tuning`), the text in PNG files (`records`), the differences that history
shows (`feedback.changes`), keys of caches and of finished sketches, and the JSON schema (`schema`) follow from it.
Knows nothing of models: what a wish leaves open is decided by `generation.resolve`.
"""

import reprlib
from dataclasses import dataclass, replace
from typing import Any, Self, get_args

from sdxl_lora.config import EngineName, Offload, Precision
from sdxl_lora.errors import RequestError
from sdxl_lora.request.cue import Cue
from sdxl_lora.request.field import MISSING, declared, table
from sdxl_lora.request.finish import Finish
from sdxl_lora.request.kinds import (
    Choice,
    Factor,
    Loras,
    Name,
    Number,
    Prompt,
    Seed,
    Slots,
    Text,
    Whole,
)
from sdxl_lora.request.labels import Labels
from sdxl_lora.request.logo_spec import Logos, LogoSpec
from sdxl_lora.request.lora_spec import LoraSpec
from sdxl_lora.request.start import Start

MAX_STEPS = 150
MAX_TIMESTEP = 999  # of the 1,000 that diffusion models are trained on
MAX_COUNT = 64
MAX_SIDE = 4_096  # px
MAX_SEED = 2**63 - 1
MAX_CACHE_INTERVAL = 5  # steps; beyond, pictures fall apart (DeepCache, figure 6)
OWN_SCHEDULER = "own"  # the sampler in the model's own files
_SIDE = Whole(low=64, high=MAX_SIDE, multiple=8)
_ENGINES: tuple[str, ...] = get_args(EngineName)
_OFFLOADS: tuple[str, ...] = get_args(Offload)
_PRECISIONS: tuple[str, ...] = get_args(Precision)


@dataclass(frozen=True, kw_only=True)
class GenerationRequest(Cue, Finish, Labels, Start):
    """Everything that decides a picture, from page or command line to record.

    `None` means "the model's own default" (see `models.registry.ModelDefaults`), or for the seed "draw one".
    Picture `i` (from 0) of a request has seed `seed + i`, so any picture of a batch can be made again alone.
    """

    prompt: str = declared(Prompt(), default=MISSING, label="Words", help="What to draw.")
    negative_prompt: str = declared(
        Text(),
        default="",
        label="Avoid",
        help="The negative prompt: words the picture is steered away from.",
        flag="--negative",
        flag_help="what to keep out of the picture",
        metavar="TEXT",
        group="words",
    )
    template: str = declared(
        Name(),
        default="",
        label="Template",
        help="The template that the prompt was filled from.",
        latents=False,
        wished=False,
    )
    slots: tuple[tuple[str, str], ...] = declared(
        Slots(),
        default=(),
        label="Slots",
        help="What the template's slots were filled with.",
        flag="--set",
        flag_help="fill one slot of the template; repeatable",
        metavar="KEY=VALUE",
        latents=False,
        wished=False,
    )
    steps: int | None = declared(
        Whole(low=1, high=MAX_STEPS),
        from_model=True,
        label="Steps",
        help="More steps take longer and add detail, up to a point.",
        flag="--steps",
        flag_help="denoising steps",
        metavar="N",
        a1111="Steps",
        group="expert",
    )
    scheduler: str | None = declared(
        Name(),
        from_model=True,
        otherwise=OWN_SCHEDULER,
        label="Scheduler",
        help="The sampler: how the picture comes out of the noise. The model's own is usually best.",
        flag="--scheduler",
        flag_help="sampler other than the model's own",
        metavar="NAME",
        a1111="Sampler",
        group="expert",
    )
    sketch_steps: int | None = declared(
        Whole(low=2, high=MAX_STEPS, besides=(0,)),
        otherwise=0,
        label="Sketch steps",
        help="Faster: the first half is denoised in the large steps of a sketch of so many steps, 6 for 20 steps."
        " Pictures that were finished from a sketch need the same number to come out the same again.",
        flag="--sketch-steps",
        flag_help="denoise the first half as a sketch of N steps does, as the loop finishes its sketches",
        metavar="N",
        a1111="Sketch steps",
        group="expert",
    )
    cache_interval: int = declared(
        Whole(low=1, high=MAX_CACHE_INTERVAL),
        default=1,
        otherwise=1,
        label="Step caching",
        help="Faster, and changes the picture: with 2 every second step is computed whole and the one after it reuses"
        " its deep layers, with 3 two steps reuse them. 1 computes every step.",
        flag="--cache-interval",
        flag_help="faster, changes the picture: compute every Nth step whole, reuse deep layers in between",
        metavar="N",
        a1111="Cache interval",
        group="expert",
    )
    guidance: float | None = declared(
        Number(low=0, high=30, step=0.5, advice="3 to 7 is usual"),
        from_model=True,
        label="Guidance",
        help="How strictly the picture follows the words; too much looks harsh.",
        flag="--guidance",
        flag_help="hold to the prompt (classifier-free guidance scale); 1 = off",
        metavar="G",
        a1111="CFG scale",
        group="expert",
    )
    guidance_end: float | None = declared(
        Number(low=0, high=1, step=0.1, advice="1 guides every step"),
        from_model=True,
        label="Guidance end",
        help="On which share of the way the picture is held to the words, from 0 to 1. Without guidance towards"
        " the end surfaces are cleaner, and the picture is done sooner.",
        flag="--guidance-end",
        flag_help="share of the way with guidance, 0 to 1",
        metavar="SHARE",
        a1111="Guidance end",
        group="expert",
    )
    cleanup_timestep: int | None = declared(
        Whole(low=1, high=MAX_TIMESTEP, besides=(0,)),
        from_model=True,
        otherwise=0,
        label="Clean-up",
        help="The drawn picture goes through the model once more, as if it had the noise of this timestep (of 1,000),"
        " though it has none: cloth and backgrounds that came out mottled get even. 50 to 200 is usual, 0 leaves it"
        " out.",
        flag="--cleanup-timestep",
        flag_help="once drawn, through the model once more as if noisy at this timestep, 1 to 999; 0 = off",
        metavar="T",
        a1111="Cleanup timestep",
        group="expert",
    )
    seed: int | None = declared(
        Seed(low=0, high=MAX_SEED),
        label="Seed",
        help="The same seed with the same settings gives the same picture.",
        flag="--seed",
        flag_help="the same seed, the same picture",
        metavar="N",
        a1111="Seed",
        group="settings",
        wished=False,
    )
    count: int = declared(
        Whole(low=1, high=MAX_COUNT),
        default=1,
        label="How many pictures",
        help="Pictures of this request; their seeds count up.",
        flag="--count",
        flag_help="pictures; their seeds count up",
        metavar="N",
        latents=False,
        wished=False,
    )
    width: int | None = declared(
        _SIDE,
        from_model=True,
        label="Width",
        unit="px",
        help="A multiple of 8.",
        flag="--width",
        flag_help="a multiple of 8",
        metavar="PX",
        a1111="Size",
        group="settings",
    )
    height: int | None = declared(
        _SIDE,
        from_model=True,
        label="Height",
        unit="px",
        help="A multiple of 8.",
        flag="--height",
        flag_help="a multiple of 8",
        metavar="PX",
        a1111="Size",
        group="settings",
    )
    upscale: int = declared(
        Factor(options=(1, 2, 4)),
        default=1,
        otherwise=1,
        label="Enlarge",
        help="Finished pictures are made 2 or 4 times as large by a network that keeps edges sharp.",
        flag="--upscale",
        flag_help="make finished pictures 2 or 4 times as large",
        metavar="N",
        a1111="Postprocess upscale by",
        group="settings",
        latents=False,
    )
    detail: float = declared(
        Number(low=0, high=1, step=0.05, advice="0.2 adds a little, 0.4 a lot"),
        default=0.0,
        otherwise=0.0,
        label="Detail when enlarging",
        help="How much the model draws into an enlarged picture, tile by tile, from 0 to 1; 0.2 adds a little.",
        flag="--detail",
        flag_help="let the model draw detail into an enlarged picture, 0 to 1",
        metavar="S",
        group="expert",
        latents=False,
    )
    model: str = declared(
        Name(),
        default="auto",
        label="Model",
        help="Or type a folder, or a hub id such as owner/model.",
        flag="--model",
        flag_help="mini, sdxl, sd14, a folder or a hub id",
        metavar="NAME",
        a1111="Model",
        group="settings",
    )
    precision: Precision = declared(
        Choice(options=_PRECISIONS),
        default="auto",
        label="Precision",
        help="The number format of the model. Automatic is the fastest here that keeps the quality.",
        flag="--precision",
        flag_help="auto, fp32, fp16, bf16, int8",
        metavar="FORMAT",
        group="expert",
    )
    engine: EngineName = declared(
        Choice(options=_ENGINES),
        default="auto",
        label="Engine",
        help="What runs the model. Automatic is OpenVINO where it is installed and a small model runs on a processor;"
        " it draws once the model is converted, which takes less than a minute in the background. Compiled is torch"
        " with compiled blocks: faster on a GPU after the first picture of a size, which waits for the compiler.",
        flag="--engine",
        flag_help="auto, torch, compiled, openvino",
        metavar="NAME",
        wished=False,
    )
    offload: Offload = declared(
        Choice(options=_OFFLOADS),
        default="none",
        label="Offload",
        help="Where a GPU is too small for the model: its parts (model) or layers (sequential) wait in main memory and"
        " come as they are needed. Slower; sequential many times.",
        flag="--offload",
        flag_help="none, model or sequential: let parts of the model wait in main memory (GPUs)",
        metavar="HOW",
        latents=False,
        wished=False,
    )
    loras: tuple[LoraSpec, ...] = declared(
        Loras(),
        default=(),
        label="LoRAs",
        help="A small add-on that teaches the model a brand or product.",
        flag="--lora",
        flag_help="use a LoRA; repeatable",
        metavar="PATH[:WEIGHT]",
        group="settings",
    )
    logos: tuple[LogoSpec, ...] = declared(
        Logos(),
        default=(),
        label="Logos",
        help="Logos that are put onto the finished picture, exactly as they were drawn.",
        latents=False,
    )
    model_sha256: str = declared(
        Name(),
        default="",
        label="Model's contents",
        help="Which contents of the model it was, for the record; see `models.identity`.",
        wished=False,
    )

    def __post_init__(self) -> None:
        for field in FIELDS:
            value = getattr(self, field.name)
            if value is not None or not field.open:
                field.kind.check(field.words, value)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives an equal request back."""
        values = ((field, getattr(self, field.name)) for field in FIELDS)
        return {f.name: None if value is None else f.kind.to_json(value) for f, value in values}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises `RequestError` on unknown or malformed fields."""
        known = {field.name: field for field in FIELDS}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise RequestError(f"unknown request fields: {', '.join(unknown)}")
        given = {**values, "template": values.get("template") or ""}  # null, before a template was a text
        read: dict[str, Any] = {}
        for name, value in given.items():
            try:
                read[name] = None if value is None else known[name].kind.from_json(value)
            except (TypeError, ValueError) as error:
                raise RequestError(f"{known[name].words} {reprlib.repr(value)} cannot be used") from error
        try:
            return cls(**read)
        except (TypeError, ValueError) as error:
            raise RequestError(f"this is not a generation request: {error}") from error

    @property
    def is_drawn(self) -> bool:
        """Whether a model has anything to do; with a strength of 0 the start picture is only finished."""
        return not (self.start_picture and self.strength == 0 and not self.mask)

    def for_picture(self, index: int) -> Self:
        """The request that makes picture `index` of this one alone. The seed must be decided."""
        if self.seed is None:
            raise RequestError("the seed of this request is not decided yet")
        return replace(self, seed=(self.seed + index) % (MAX_SEED + 1), count=1)


FIELDS = table(GenerationRequest)
