"""`--start_from`: an existing LoRA, of any layout and kind that `models.lora` reads, as the first weights of a run.

Its modules are matched against the model before any weights are loaded. What it changes beside the modules that the run
trains anyway is trained, too, so that nothing of it is lost; what no LoRA can hold is refused. Its effect is taken over
exactly where the run's rank suffices, and as well as the rank allows (SVD) where it does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from sdxl_lora.errors import InputError, LoraError
from sdxl_lora.models import identity, lora, lora_changes, lora_file, lora_names, lora_ranks
from sdxl_lora.models.lora_changes import Change
from sdxl_lora.models.lora_names import Layer
from sdxl_lora.request import LoraSpec
from sdxl_lora.training.adapter import Adapter
from sdxl_lora.training.base_model import BaseModel
from sdxl_lora.training.config import TrainingConfig

_NO_FACTORS = {"w_norm", "b_norm", "diff_b"}  # kinds of parts that no product of two matrices can stand for
_EXACT = 1e-6  # of the effect's squared norm; rounding is far below


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """A LoRA file that fits the model."""

    path: Path
    sha256: str  # of the file
    layers: Mapping[Layer, str]  # layer of the model -> its name in the file

    def modules(self, part: str) -> tuple[str, ...]:
        """Names of the modules that the file changes in `unet`, `text_encoder` or `text_encoder_2`."""
        return tuple(sorted(module for name, module in self.layers if name == part))


def find(config: TrainingConfig, base: BaseModel) -> StartingPoint | None:
    """The LoRA that the run begins with; None = begins with nothing. Loads no weights of the model.

    Raises `LoraError` where the file does not fit the model or holds what this run cannot train.
    """
    if config.start_from is None:
        return None
    spec = LoraSpec(path=config.start_from)
    model: Any = _without_weights(base)
    path = lora.check((spec,), model, base.name)[spec]
    output = Path(config.output_dir).expanduser().resolve()
    if output in path.resolve().parents:
        raise InputError(f"--start_from {path} lies in --output_dir, which this run replaces; choose another")
    names = lora.inspect(path).layers
    layers = {layer: name for name in names if (layer := lora_names.layer_of(name, model)) is not None}
    for layer, name in layers.items():
        module = lora_names.module_of(layer, model)
        if not isinstance(module, nn.Linear | nn.Conv2d) or _NO_FACTORS & set(names[name]):
            raise LoraError(
                f"LoRA {path.name} changes norms or biases ({name}), which cannot be trained on as a LoRA; "
                "leave --start_from out"
            )
    encoders = sum(part != "unet" for part, _ in layers)
    if encoders and not config.train_text_encoder:
        raise LoraError(
            f"LoRA {path.name} also changes {encoders} modules of the text encoders, which this run would lose; "
            "add --train_text_encoder"
        )
    try:
        return StartingPoint(path=path, sha256=identity.of_file(path), layers=layers)
    except OSError as error:
        raise LoraError(f"{path} cannot be read: {error.strerror}") from None


@torch.no_grad()
def load(start: StartingPoint, adapter: Adapter) -> str:
    """Gives the adapter the LoRA's weights; what was taken over, in one line.

    Raises `LoraError` where the file's numbers do not fit.
    """
    changes, names = lora_file.read(start.path, start.sha256), start.layers.values()
    parameters = dict(adapter.named_parameters())
    wanted_squares = lost_squares = 0.0
    ranks = [changes[name].parts["down"].shape[0] for name in names if changes[name].kind == "LoRA"]
    for (part, module), name in start.layers.items():
        weight = adapter.parts[part].get_submodule(module).base_layer.weight
        factors = [parameters[f"{part}.{module}.lora_{side}.default.weight"] for side in "AB"]
        magnitude = parameters.get(f"{part}.{module}.lora_magnitude_vector.default.weight")
        try:
            wanted, reached = _take_over(changes[name], weight, factors, magnitude, adapter.settings.scale)
        except lora_changes.Unfit as reason:
            raise LoraError(f"LoRA {start.path.name} does not fit this model: {name} {reason}") from None
        wanted_squares += float(wanted.square().sum())
        lost_squares += float((wanted - reached).square().sum())
    adapter.refresh()
    modules = sum(name.endswith("lora_A.default.weight") for name in parameters)
    lost = lost_squares / max(wanted_squares, torch.finfo(torch.float32).tiny)
    rank = f"rank {max(ranks)} in {adapter.settings.rank}" if ranks else f"in rank {adapter.settings.rank}"
    kept = "exactly" if lost < _EXACT else f"{100 * (1 - lost):.1f} % of its effect (squared norm) is kept"
    return f"starts from {start.path.name}: {len(start.layers)} of {modules} modules, {rank}, {kept}"


def _take_over(
    change: Change, weight: Tensor, factors: list[Parameter], magnitude: Parameter | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Writes one layer's change into the parameters A, B and, of a DoRA, m; (W' - W as it was, as it is now).

    A run that trains a DoRA makes one of a plain file: W' = m (W + s B A) / |W + s B A| with m the lengths of the rows
    of W + s B A. A file's own lengths per output are taken over as they are.
    """
    if "magnitude" in change.parts and not weight.is_floating_point():
        raise lora_changes.Unfit("is a DoRA, whose weights int8 has rounded; leave --base_precision int8 out")
    lengths = change.parts.get("magnitude")
    per_output = lengths is not None and (lengths.ndim == 1 or lengths.shape[0] == weight.shape[0])
    keep_lengths = magnitude is not None and per_output
    product = lora_ranks.without_magnitude(change) if keep_lengths else change
    down, up = factors
    made_up, made_down = lora_ranks.at_rank(product, weight, down.shape[0])
    rank = made_up.shape[1]
    up.zero_()
    up.flatten(1)[:, :rank] = made_up / scale
    down.flatten(1)[:rank] = made_down
    made = Change(kind="LoRA", parts={"up": up.detach() * scale, "down": down.detach()})
    wanted = lora_ranks.difference(change, weight)
    if magnitude is None:
        return wanted, lora_ranks.difference(made, weight)
    if keep_lengths and lengths is not None:
        magnitude.copy_(lengths.reshape(magnitude.shape))
    else:
        merged = weight.float() + lora_ranks.difference(made, weight)
        magnitude.copy_(torch.linalg.vector_norm(merged.flatten(1), dim=1).reshape(magnitude.shape))
    made = replace(made, parts={**made.parts, "magnitude": magnitude.detach().flatten()})
    return wanted, lora_ranks.difference(made, weight)


def _without_weights(base: BaseModel) -> SimpleNamespace:
    """The parts of the model that have names for a LoRA, without storage."""
    encoders = [*base.empty_text_encoders(), None]
    return SimpleNamespace(unet=base.empty_unet(), text_encoder=encoders[0], text_encoder_2=encoders[1])
