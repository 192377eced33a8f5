"""`models fit`: what of a model fits into which GPU, to draw with it and to train a LoRA on it."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sdxl_lora.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdxl_lora.models.registry import ModelInfo

CARDS = (4, 8, 12, 16, 24)  # GB of memory
CONTEXT = 0.5e9  # bytes that CUDA and its libraries take of a card before the first tensor


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one way to draw or train needs."""

    task: str
    setting: str  # flags
    bytes: int  # of tensors at the peak

    @property
    def cards(self) -> tuple[int, ...]:
        """GB of the cards it fits into."""
        from sdxl_lora.models.room import BESIDES

        return tuple(card for card in CARDS if self.bytes * BESIDES + CONTEXT <= card * 1e9)


def show(name: str, as_json: bool) -> None:
    """Prints the table. Raises `InputError` where the model's sizes are not known."""
    from sdxl_lora.models import registry

    info = registry.describe(name)
    needs = [*_drawing(info), *_training(info)]
    size = f"{info.defaults.width}x{info.defaults.height}"
    if as_json:
        rows: list[dict[str, Any]] = [{**asdict(need), "cards": list(need.cards)} for need in needs]
        terminal.print_json({"model": info.name, "size": size, "needs": rows})
        return
    heads = ("TASK", "SETTING", "NEEDS", *(f"{card} GB" for card in CARDS))
    terminal.print_table(
        [
            heads,
            *(
                (
                    need.task,
                    need.setting,
                    terminal.megabytes(need.bytes),
                    *("fits" if card in need.cards else "-" for card in CARDS),
                )
                for need in needs
            ),
        ]
    )
    print(
        f"\n{info.name} at {size}, one picture at a time, with guidance; counted on its sizes, without loading it."
        "\nIt fits where a twentieth more, and 0.5 GB for CUDA, are there."
    )


def _drawing(info: "ModelInfo") -> "Iterator[Need]":
    from sdxl_lora.models import footprint, room

    for precision, offload in room.CHOICES["cuda"]:
        if not info.quantised or precision == "int8":
            flags = f"--precision {precision}" + (f" --offload {offload}" if offload != "none" else "")
            yield Need(task="draw", setting=flags, bytes=footprint.of(info, precision, "cuda").peak(offload))


def _training(info: "ModelInfo") -> "Iterator[Need]":
    from sdxl_lora.models import footprint
    from sdxl_lora.training import fitting

    sizes = footprint.sizes_of(info)
    for quantised in (True,) if info.quantised else (False, True):
        for checkpointing in (False, True):
            flags = "--base_precision int8" if quantised else "--mixed_precision bf16"
            flags += " --gradient_checkpointing" if checkpointing else ""
            needed = fitting.needed(
                sizes, quantised=quantised, checkpointing=checkpointing, side=info.defaults.width
            )
            yield Need(task="train", setting=flags, bytes=needed)
