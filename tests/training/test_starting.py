"""`--start_from`: a run begins with exactly what an existing LoRA does, or as near to it as its rank allows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sdxl_lora.errors import InputError, LoraError, RequestError, TrainingError
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import LoraSpec
from sdxl_lora.training import components, setup
from sdxl_lora.training.components import Components
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.events import Notice, Saved, StepRecord
from tests import tiny
from tests.training.conftest import run

ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"  # 32 x 32
FEED_FORWARD = "down_blocks.1.attentions.0.transformer_blocks.0.ff.net.2"  # not trained by default
CONV = "down_blocks.1.resnets.0.conv1"


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.3


def saved(file: Path, state: Mapping[str, Tensor], **header: str) -> Path:
    save_file({key: value.contiguous() for key, value in state.items()}, file, metadata=header or None)
    return file


def begun(config: TrainingConfig) -> tuple[Components, list[str]]:
    """What the loop begins with, and what was said."""
    prepared = setup.prepare(config, lambda text: None)
    events = list(components.load(prepared))
    assert isinstance(events[-1], Components)
    return events[-1], [event.text for event in events if isinstance(event, Notice)]


def asked(unet: Any) -> Tensor:
    torch.manual_seed(0)
    added = {"text_embeds": torch.randn(2, 32), "time_ids": torch.ones(2, 6)}
    with torch.no_grad():
        found: Tensor = unet(
            torch.randn(2, 4, 16, 16),
            torch.tensor([3, 500]),
            torch.randn(2, 5, 64),
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
    return found


def effects(config: TrainingConfig, model: Path, file: Path) -> tuple[Tensor, Tensor, list[str]]:
    """What the LoRA makes of the UNet's answer in the studio; what it makes of it at the run's first step; notices."""
    answers = []
    for loras in ((), (LoraSpec(path=str(file)),)):
        with load(ModelConfig(model=str(model), loras=loras, precision="fp32")).use() as engine:
            answers.append(asked(engine.pipeline.unet))
    parts, said = begun(config)
    return answers[1] - answers[0], asked(parts.unet) - answers[0], said


def kohya(up: Tensor, down: Tensor, alpha: float) -> dict[str, Tensor]:
    name = "lora_unet_" + ATTENTION.replace(".", "_")
    return {
        f"{name}.lora_up.weight": up,
        f"{name}.lora_down.weight": down,
        f"{name}.alpha": torch.tensor(alpha),
    }


STATES: dict[str, dict[str, Tensor]] = {
    "kohya with an alpha": kohya(rand(32, 3), rand(3, 32, seed=1), 1.5),
    "diffusers, feed-forward and convolution": {
        f"unet.{FEED_FORWARD}.lora_A.weight": rand(2, 128),
        f"unet.{FEED_FORWARD}.lora_B.weight": rand(32, 2, seed=1),
        f"unet.{CONV}.lora_A.weight": rand(4, 16, 3, 3),
        f"unet.{CONV}.lora_B.weight": rand(32, 4, 1, 1, seed=1),
    },
    "a LoHa of rank 1 x 1": {
        f"unet.{ATTENTION}.hada_w1_a": rand(32, 1),
        f"unet.{ATTENTION}.hada_w1_b": rand(1, 32, seed=1),
        f"unet.{ATTENTION}.hada_w2_a": rand(32, 1, seed=2),
        f"unet.{ATTENTION}.hada_w2_b": rand(1, 32, seed=3),
    },
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("changes", [{}, {"network_alpha": 1.0}, {"use_dora": True}], ids=str)
def test_the_first_step_has_the_loras_own_effect_where_the_rank_suffices(
    configure, tiny_sdxl: Path, tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    file = saved(tmp_path / "lora.safetensors", STATES[name])
    theirs, ours, said = effects(configure(start_from=str(file), **changes), tiny_sdxl, file)
    assert theirs.abs().max() > 1e-3
    assert torch.allclose(ours, theirs, atol=2e-6, rtol=1e-4)
    assert said[-1].startswith("starts from lora.safetensors: ")
    assert said[-1].endswith(", exactly")


def test_a_dora_goes_on_as_a_dora(configure, tiny_sdxl: Path, tmp_path: Path) -> None:
    state = {
        f"unet.{ATTENTION}.lora_A.weight": rand(2, 32),
        f"unet.{ATTENTION}.lora_B.weight": rand(32, 2, seed=1),
        f"unet.{ATTENTION}.lora_magnitude_vector": 1 + rand(32, seed=2).abs(),
    }
    file = saved(tmp_path / "dora.safetensors", state)
    theirs, ours, said = effects(configure(start_from=str(file), use_dora=True), tiny_sdxl, file)
    assert torch.allclose(ours, theirs, atol=2e-6, rtol=1e-4)
    assert said[-1].endswith("exactly")
    _, _, said = effects(configure(start_from=str(file)), tiny_sdxl, file)  # lengths are of full rank
    assert said[-1].endswith("% of its effect (squared norm) is kept")


def test_a_smaller_rank_keeps_the_largest_part_and_says_how_much(
    configure, tiny_sdxl: Path, tmp_path: Path
) -> None:
    basis = torch.linalg.qr(rand(32, 3))[0]
    state = kohya(basis * torch.tensor([3.0, 2.0, 1.0]), torch.linalg.qr(rand(32, 3, seed=1))[0].T, 3.0)
    file = saved(tmp_path / "lora.safetensors", state)
    parts, said = begun(configure(start_from=str(file), rank=2))
    assert said[-1].startswith("starts from lora.safetensors: 1 of ")
    assert "rank 3 in 2, 92.9 % of its effect (squared norm) is kept" in said[-1]  # (9 + 4) / 14
    layer = parts.adapter.parts["unet"].get_submodule(ATTENTION)
    product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    assert torch.allclose(torch.linalg.svdvals(product)[:3], torch.tensor([3.0, 2.0, 0.0]), atol=1e-5)


def test_text_encoders_start_too_and_are_not_lost_in_silence(
    configure, tiny_sdxl: Path, tmp_path: Path
) -> None:
    file = tiny.save_lora(tmp_path / "lora.safetensors", scale=1.0)
    with pytest.raises(
        LoraError, match=r"also changes \d+ modules of the text encoders.*--train_text_encoder"
    ):
        begun(configure(start_from=str(file)))
    parts, said = begun(configure(start_from=str(file), train_text_encoder=True))
    assert said[-1].endswith("rank 2 in 4, exactly")
    with load(
        ModelConfig(model=str(tiny_sdxl), loras=(LoraSpec(path=str(file)),), precision="fp32")
    ).use() as engine:
        theirs = engine.encode("top, Halden 1", "", guided=False)
    assert parts.encoding is not None
    ours = parts.encoding.encode(["top, Halden 1"])
    assert torch.allclose(ours.embeddings, theirs["prompt_embeds"], atol=1e-5)


def test_it_trains_on_and_resumes_bit_for_bit(configure, tmp_path: Path) -> None:
    file = saved(tmp_path / "lora.safetensors", STATES["diffusers, feed-forward and convolution"])
    straight = run(configure(start_from=str(file), output_dir=str(tmp_path / "straight")))
    parted = {"start_from": str(file), "output_dir": str(tmp_path / "parted")}
    run(configure(**parted, max_train_steps=2, checkpointing_steps=2))
    said: list[str] = []
    rest = run(configure(**parted, resume_from_checkpoint="latest"))
    setup.prepare(configure(**parted, resume_from_checkpoint="latest"), said.append)
    assert any("--start_from is where that run began, and is not loaded again" in line for line in said)
    assert not [event for event in rest if isinstance(event, Notice)]
    losses = [event.loss for event in straight if isinstance(event, StepRecord)]
    assert losses[2:] == [event.loss for event in rest if isinstance(event, StepRecord)]
    assert isinstance(rest[-1], Saved)
    ends = [tmp_path / name / "pytorch_lora_weights_kohya.safetensors" for name in ("straight", "parted")]
    assert len({path.read_bytes()[-4096:] for path in ends}) == 1


def test_another_start_is_another_run(configure, tmp_path: Path) -> None:
    file = saved(tmp_path / "lora.safetensors", STATES["kohya with an alpha"])
    run(configure(start_from=str(file), max_train_steps=1, checkpointing_steps=1))
    with pytest.raises(TrainingError, match=r"is of another run: start_from was .* and is now None"):
        run(configure(resume_from_checkpoint="latest"))


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (
            {"unet.nowhere.to_q.lora_A.weight": rand(2, 32), "unet.nowhere.to_q.lora_B.weight": rand(32, 2)},
            "no layer",
        ),
        (
            STATES["kohya with an alpha"]
            | {"unet.no.to_q.lora_A.weight": rand(2, 32), "unet.no.to_q.lora_B.weight": rand(32, 2)},
            "fits 1 of 2 modules",
        ),
        ({"unet.down_blocks.1.resnets.0.norm1.w_norm": rand(16)}, "norms or biases"),
    ],
    ids=["another model", "in part", "norms"],
)
def test_what_cannot_be_started_from_is_refused_before_weights_are_loaded(
    configure, tmp_path: Path, state: dict[str, Tensor], reason: str
) -> None:
    file = saved(tmp_path / "lora.safetensors", state)
    with pytest.raises(LoraError, match=reason):
        setup.prepare(configure(start_from=str(file)), lambda text: None)


def test_a_run_does_not_overwrite_what_it_starts_from(configure, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    file = saved(tmp_path / "run" / "lora.safetensors", STATES["kohya with an alpha"])
    with pytest.raises(InputError, match="choose another"):
        setup.prepare(configure(start_from=str(file)), lambda text: None)
    with pytest.raises(RequestError, match="--network_alpha 0"):
        configure(start_from=str(file), network_alpha=0.0)
