"""Settings that suit what a LoRA is to learn: an emblem, a garment, a style. Plain values; nothing is loaded here.

Rates are those of AdamW; `rate` says what another optimizer takes. The bundled model is small and learns with larger
steps: its emblem is the run of `train_sdxl_lora.sh`, measured by `benchmarks/emblem.py`. For SDXL and SD 1.x they are
the usual ones of the field (1e-4 at rank 16 to 32, min-SNR weighting of 5 by arXiv:2303.09556); none was measured here.
"""

from dataclasses import dataclass
from typing import Final

Setting = str | int | float | bool
FEW = 20  # pictures, below which none are held out


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is to be learned."""

    title: str
    says: str  # what it is for, and which pictures it needs
    small: dict[str, Setting]  # for the bundled model
    large: dict[str, Setting]  # for SDXL and SD 1.x


_SMALL: Final[dict[str, Setting]] = {"train_batch_size": 8, "lr_scheduler": "cosine", "lr_warmup_steps": 20}
_LARGE: Final[dict[str, Setting]] = {
    "train_batch_size": 1,
    "gradient_accumulation_steps": 4,
    "gradient_checkpointing": True,
    "lr_scheduler": "cosine",
    "lr_warmup_steps": 100,
    "snr_gamma": 5.0,
}

GOALS: Final[dict[str, Goal]] = {
    "emblem": Goal(
        title="Emblem or logo",
        says="a crest, a wordmark, a print: 20 or more pictures of it on different garments and colours",
        small={**_SMALL, "rank": 16, "lora_target": "attention+conv", "learning_rate": 2e-3},
        large={**_LARGE, "rank": 32, "lora_target": "attention+conv", "learning_rate": 1e-4},
    ),
    "garment": Goal(
        title="Garment",
        says="one product or a cut: 10 or more photos of it, from several sides",
        small={**_SMALL, "rank": 16, "lora_target": "attention+conv", "learning_rate": 1e-3},
        large={**_LARGE, "rank": 16, "lora_target": "attention", "learning_rate": 1e-4},
    ),
    "style": Goal(
        title="Style",
        says="how pictures of a brand look, light and background: 30 or more of different products",
        small={**_SMALL, "rank": 8, "lora_target": "attention", "learning_rate": 1e-3},
        large={**_LARGE, "rank": 8, "lora_target": "attention", "learning_rate": 5e-5},
    ),
}

STEPS: Final = {"small": 400, "large": 1500}  # updates
CHECKPOINTS = 4  # of a run, evenly


def rate(optimizer: str, adamw: float) -> float:
    """The learning rate of an optimizer where AdamW would take `adamw`.

    Prodigy finds its own and is multiplied by 1 (arXiv:2306.06101); schedule-free AdamW takes 1 to 10 times as much
    (arXiv:2405.15682), of which twice is taken.
    """
    return {"prodigy": 1.0, "schedulefree": 2 * adamw}.get(optimizer, adamw)


def settings(
    goal: str, *, bundled: bool, optimizer: str = "adamw", steps: int | None = None, pictures: int = 0
) -> dict[str, Setting]:
    """Fields of `config.TrainingConfig` for a goal.

    Args:
        bundled: whether the small bundled model is trained on.
        steps: updates in all; None = what is usual.
        pictures: how many there are; of enough, a tenth is held out to see when they are learned by heart.
    """
    chosen = dict(GOALS[goal].small if bundled else GOALS[goal].large)
    updates = steps or STEPS["small" if bundled else "large"]
    chosen["learning_rate"] = rate(optimizer, float(chosen["learning_rate"]))
    chosen["optimizer"] = optimizer
    if optimizer == "schedulefree":  # it takes the place of a schedule
        chosen["lr_scheduler"] = "constant_with_warmup"
    every = max(1, updates // CHECKPOINTS)
    return {
        **chosen,
        "lr_warmup_steps": min(int(chosen["lr_warmup_steps"]), max(1, updates // 10)),
        "max_train_steps": updates,
        "checkpointing_steps": every,
        "validation_steps": every,
        "num_validation_images": 2,
        "caption_dropout": 0.1,
        "center_crop": True,
        "report_to": "none",
        "seed": 0,
        **({"validation_split": 0.1} if pictures >= FEW else {}),
    }
