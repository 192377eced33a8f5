"""What keeps a LoRA from learning too much by heart: dropout, captions in another order; and its rates."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sdxl_lora.errors import RequestError
from sdxl_lora.training import components, setup
from sdxl_lora.training.batches import StepRng, shuffled_tags
from sdxl_lora.training.components import Components
from sdxl_lora.training.cpu.attention import LoraAttention
from sdxl_lora.training.events import Notice, StepRecord
from sdxl_lora.training.randomness import generator
from tests.training.conftest import run


def losses(events) -> list[float]:
    return [event.loss for event in events if isinstance(event, StepRecord)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "pytorch_lora_weights.safetensors")


def loaded(config) -> Components:
    return next(
        item
        for item in components.load(setup.prepare(config, lambda text: None))
        if isinstance(item, Components)
    )


def test_dropout_is_a_function_of_the_step_so_that_a_run_in_two_parts_is_one_run(configure, tmp_path):
    dropped = {"lora_dropout": 0.5, "train_text_encoder": True}
    whole = losses(run(configure(**dropped, output_dir=str(tmp_path / "whole"))))
    parted = {**dropped, "output_dir": str(tmp_path / "parted")}
    first = losses(run(configure(**parted, max_train_steps=2, checkpointing_steps=2)))
    torch.rand(7)  # whatever else draws in between
    second = losses(run(configure(**parted, resume_from_checkpoint="latest")))
    assert whole == first + second
    assert whole != losses(run(configure(train_text_encoder=True, output_dir=str(tmp_path / "without"))))


def test_checkpointed_blocks_leave_out_the_same_inputs_both_times(configure, tmp_path):
    for name, more in (("plain", {}), ("checkpointed", {"gradient_checkpointing": True})):
        run(configure(lora_dropout=0.5, max_train_steps=2, output_dir=str(tmp_path / name), **more))
    one, other = weights(tmp_path / "plain"), weights(tmp_path / "checkpointed")
    assert all(torch.allclose(one[key], other[key], atol=1e-6) for key in one)


def test_kernels_for_cpus_leave_layers_with_dropout_to_diffusers(configure):
    def kernels(parts: Components) -> int:
        return sum(
            isinstance(layer, LoraAttention) for layer in parts.adapter.parts["unet"].attn_processors.values()
        )

    assert kernels(loaded(configure())) > 0
    assert kernels(loaded(configure(lora_dropout=0.1))) == 0


def test_tags_after_the_kept_ones_change_places_and_none_is_lost():
    caption = "Halden, top, red, cotton, studio"
    seen = {shuffled_tags(caption, 2, generator(1, "tags", step)) for step in range(40)}
    assert len(seen) == 6
    assert all(text.startswith("Halden, top, ") for text in seen)
    assert all(sorted(text.split(", ")) == sorted(caption.split(", ")) for text in seen)
    assert shuffled_tags("one sentence", 0, generator(1, "tags")) == "one sentence"


def test_every_step_reads_the_tags_in_its_own_order_without_the_text_cache(configure):
    config = configure(shuffle_tags=True)
    events = list(components.load(setup.prepare(config, lambda text: None)))
    said = [event.text for event in events if isinstance(event, Notice)]
    assert said == ["--shuffle_tags: captions are encoded in every step, the text cache is off"]
    builder = events[-1].builder
    found = [builder.batch([0], StepRng(seed=1, update=update, step=0, rank=0)) for update in range(8)]
    assert (
        len({batch.condition.embeddings.sum().item() for batch in found}) == 2
    )  # "top, Halden 0", turned round


def test_text_encoders_learn_at_their_own_rate(configure, tmp_path):
    rates = {"train_text_encoder": True, "max_train_steps": 1}
    run(configure(**rates, text_encoder_lr=0.0, output_dir=str(tmp_path / "held")))
    run(configure(**rates, output_dir=str(tmp_path / "same")))
    held, same = weights(tmp_path / "held"), weights(tmp_path / "same")
    moved = {key.split(".")[0] for key, value in held.items() if "lora_B" in key and value.any()}
    assert moved == {"unet"}
    assert any(
        value.any() for key, value in same.items() if key.startswith("text_encoder.") and "lora_B" in key
    )


def test_rates_follow_the_schedule_and_survive_a_checkpoint(configure, tmp_path):
    settings = {
        "train_text_encoder": True,
        "text_encoder_lr": 1e-4,
        "lr_scheduler": "linear",
        "lr_warmup_steps": 0,
        "checkpointing_steps": 2,
    }
    whole = run(configure(**settings, output_dir=str(tmp_path / "run")))
    rest = run(configure(**settings, output_dir=str(tmp_path / "run"), resume_from_checkpoint="checkpoint-2"))
    assert losses(whole)[2:] == losses(rest)
    state = torch.load(tmp_path / "run" / "checkpoint-4" / "training_state.pt", weights_only=True)
    assert [group["lr"] for group in state["optimizer"]["param_groups"]] == pytest.approx([2.5e-4, 2.5e-5])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text_encoder_lr": 1e-5}, "--train_text_encoder"),
        ({"text_encoder_lr": 1e-5, "train_text_encoder": True, "optimizer": "prodigy"}, "one rate"),
        ({"keep_tokens": 1}, "--shuffle_tags"),
        ({"lora_dropout": 1.0}, "0.1 is usual"),
        ({"lora_dropout": 0.1, "cuda_graphs": True}, "--cuda_graphs"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_are_refused(configure, changes, reason):
    with pytest.raises(RequestError, match=reason):
        configure(**changes)
