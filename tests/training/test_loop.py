"""The loop against the plain mathematics of diffusers' script, and its golden values."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from peft import LoraConfig
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from sdxl_lora.data import geometry
from sdxl_lora.data.sources import open_source
from sdxl_lora.errors import TrainingError
from sdxl_lora.training import loop, setup
from sdxl_lora.training.batches import StepRng
from sdxl_lora.training.events import Notice, Saved, StepRecord, Validated
from sdxl_lora.training.randomness import derive, generator
from tests.training.conftest import SIZES, run

GOLDEN = [1.13963, 1.12087, 1.06569, 1.11329]  # confirmed by `the_scripts_losses`, torch 2.13


def losses(events) -> list[float]:
    return [event.loss for event in events if isinstance(event, StepRecord)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "pytorch_lora_weights.safetensors")


def the_scripts_losses(
    model: Path, data: Path, steps: int, seed: int, batch_size: int, lr: float
) -> list[float]:
    """diffusers' train_text_to_image_lora_sdxl.py written down again, given this project's random draws.

    Encodes everything in every step, one optimizer step per batch, its own LoRA, AdamW; no code of the
    project but the draws (seed -> noise) and the order of the pictures.
    """
    tokenizers = [CLIPTokenizer.from_pretrained(model / name) for name in ("tokenizer", "tokenizer_2")]
    encoders = [
        CLIPTextModel.from_pretrained(model / "text_encoder"),
        CLIPTextModelWithProjection.from_pretrained(model / "text_encoder_2"),
    ]
    vae = AutoencoderKL.from_pretrained(model / "vae")
    scheduler = DDPMScheduler.from_pretrained(model / "scheduler")
    unet = UNet2DConditionModel.from_pretrained(model / "unet").requires_grad_(False)
    torch.manual_seed(derive(seed, "initial weights"))
    targets = ["to_k", "to_q", "to_v", "to_out.0"]
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, init_lora_weights="gaussian", target_modules=targets))
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-8)
    rows = (data / "metadata.jsonl").read_text().splitlines()
    order = torch.randperm(len(rows), generator=(g := generator(seed, "order", 0))).tolist()
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    batches = [batches[i] for i in torch.randperm(len(batches), generator=g).tolist()]
    found = []
    for step in range(steps):
        pixels, ids, captions = [], [], []
        for row in batches[step]:
            image = Image.open(data / f"{row}.png").convert("RGB")
            height, width = image.height, image.width
            short = min(height, width)
            image = image.resize(
                (int(64 * width / short), int(64 * height / short)), Image.Resampling.LANCZOS
            )
            top, left = round((image.height - 64) / 2), round((image.width - 64) / 2)
            image = image.crop((left, top, left + 64, top + 64))
            raw = torch.tensor(list(image.tobytes()), dtype=torch.float32).view(64, 64, 3)
            pixels.append(raw.permute(2, 0, 1) / 127.5 - 1)
            ids.append([height, width, top, left, 64, 64])
            captions.append(f"top, Halden {row}")

        def noise(purpose: str, shape: tuple[int, ...], step: int = step) -> torch.Tensor:
            return torch.randn(shape, generator=generator(seed, purpose, step, 0, 0))

        with torch.no_grad():
            moments = vae.encode(torch.stack(pixels)).latent_dist
            latents = (
                moments.mean + moments.std * noise("posterior", moments.mean.shape)
            ) * vae.config.scaling_factor
            states = []
            for tokenizer, encoder in zip(tokenizers, encoders, strict=True):
                tokens = tokenizer(
                    captions, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
                )
                output = encoder(tokens.input_ids, output_hidden_states=True)
                states.append(output.hidden_states[-2])
        timesteps = torch.randint(1000, (len(captions),), generator=generator(seed, "timestep", step, 0, 0))
        epsilon = noise("noise", latents.shape)
        added = {"text_embeds": output.text_embeds, "time_ids": torch.tensor(ids)}
        answer = unet(
            scheduler.add_noise(latents, epsilon, timesteps),
            timesteps,
            torch.cat(states, -1),
            added_cond_kwargs=added,
        ).sample
        loss = F.mse_loss(answer, epsilon)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


def test_the_losses_are_those_of_the_official_script_on_the_same_draws(configure, tiny_sdxl, pictures):
    ours = losses(run(configure(center_crop=True)))
    theirs = the_scripts_losses(tiny_sdxl, pictures, steps=4, seed=1, batch_size=2, lr=1e-3)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_the_golden_losses_do_not_move(configure):
    assert losses(run(configure(center_crop=True))) == pytest.approx(GOLDEN, rel=1e-4)


@pytest.mark.parametrize("architecture", ["sdxl", "sd"])
def test_the_caches_do_not_change_the_losses(configure, tiny_sd, tiny_sdxl, tmp_path, architecture):
    model = str(tiny_sd if architecture == "sd" else tiny_sdxl)
    settings = {"random_flip": True, "caption_dropout": 0.3, "pretrained_model_name_or_path": model}
    cached = losses(run(configure(**settings)))
    live = losses(
        run(
            configure(**settings, no_latent_cache=True, no_text_cache=True, output_dir=str(tmp_path / "live"))
        )
    )
    assert cached == pytest.approx(live, rel=1e-5)


def test_an_update_is_the_mean_over_its_pictures_however_they_are_batched(configure):
    """Seven pictures in batches of two, two batches an update: the last update has three pictures."""
    events = run(configure(debug_loss=True, gradient_accumulation_steps=2, max_train_steps=2))
    records = [event for event in events if isinstance(event, StepRecord)]
    assert [record.pictures for record in records] in ([4, 3], [3, 4])
    for record in records:
        assert len(record.losses) == record.pictures
        assert record.loss == pytest.approx(
            sum(loss for _, loss in record.losses) / record.pictures, rel=1e-5
        )


def test_zero_steps_of_learning_leave_the_picture_as_it_was(configure, tiny_sdxl):
    events = run(
        configure(learning_rate=0.0, max_train_steps=1, validation_prompt="x", num_validation_images=1)
    )
    drawn = next(event for event in events if isinstance(event, Validated)).images[0]
    prepared = setup.prepare(configure(learning_rate=0.0, max_train_steps=1, validation_prompt="x"), print)
    parts = next(item for item in loop.components.load(prepared) if isinstance(item, loop.Components))
    parts.adapter.parts["unet"].disable_adapters()
    _, plain = loop.validation.draw(prepared, parts)
    assert drawn.tobytes() == plain[0].tobytes()


def test_clipping_really_clips_the_gradients(configure, monkeypatch):
    norms = []
    step = torch.optim.AdamW.step

    def spy(self, *arguments, **keywords):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(math.sqrt(sum(float(g.norm()) ** 2 for g in gradients)))
        return step(self, *arguments, **keywords)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    events = run(configure(max_grad_norm=0.01, max_train_steps=2))
    before = [event.grad_norm for event in events if isinstance(event, StepRecord)]
    assert min(before) > 0.02
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)


def test_a_run_that_blows_up_stops_before_its_weights_are_spoilt(configure, tmp_path):
    with pytest.raises(
        TrainingError, match=r"the gradients of update \d are not finite; .* lower --learning_rate"
    ):
        run(configure(learning_rate=1e30, checkpointing_steps=1, max_train_steps=9))
    newest = max((tmp_path / "run").glob("checkpoint-*"))
    assert all(torch.isfinite(value).all() for value in weights(newest).values())


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_lora_and_optimizer_state_are_fp32_in_every_precision(configure, precision):
    prepared = setup.prepare(configure(mixed_precision=precision, max_train_steps=1), print)
    run(prepared.config)
    state = torch.load(prepared.output_dir / "checkpoint-1" / "training_state.pt", weights_only=True)
    assert {value.dtype for value in state["parameters"].values()} == {torch.float32}
    moments = [value for entry in state["optimizer"]["state"].values() for value in entry.values()]
    assert {value.dtype for value in moments} == {torch.float32}


def test_the_frozen_model_is_in_half_precision_and_the_losses_nearly_the_same(configure, tmp_path):
    full = losses(run(configure()))
    half = losses(run(configure(mixed_precision="bf16", output_dir=str(tmp_path / "half"))))
    assert half == pytest.approx(full, rel=0.02)
    assert half != full


def test_fp16_without_a_gpu_trains_in_fp32_and_says_so(configure):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    said: list[str] = []
    prepared = setup.prepare(configure(mixed_precision="fp16"), said.append)
    assert prepared.accelerator.mixed_precision == "no"
    assert "fp16 needs a GPU" in said[0]


def test_the_learning_rate_follows_updates_and_not_accumulation_steps(configure):
    events = run(
        configure(
            lr_scheduler="cosine",
            lr_warmup_steps=2,
            max_train_steps=4,
            gradient_accumulation_steps=2,
            learning_rate=1.0,
        )
    )
    rates = [event.learning_rate for event in events if isinstance(event, StepRecord)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.5])


def test_validation_does_not_move_the_training(configure, tmp_path):
    plain = run(configure())
    drawn = run(
        configure(
            validation_prompt="a|b",
            num_validation_images=1,
            validation_steps=1,
            output_dir=str(tmp_path / "drawn"),
        )
    )
    assert losses(plain) == losses(drawn)
    assert sum(isinstance(event, Validated) for event in drawn) == 4


def test_validation_pictures_are_scored_where_a_scorer_is_given(configure):
    events = run(
        configure(validation_prompt="a|b", num_validation_images=1, max_train_steps=1),
        score=lambda images, prompts: [float(len(prompt)) for prompt in prompts],
    )
    record = next(event for event in events if isinstance(event, Validated))
    assert record.prompts == ("a", "b")
    assert record.scores == (1.0, 1.0)


def test_every_checkpoint_and_the_end_hold_both_layouts_card_and_settings(configure, tmp_path):
    events = run(
        configure(checkpointing_steps=2, validation_prompt="x", validation_steps=2, num_validation_images=2)
    )
    places = [event.path for event in events if isinstance(event, Saved)]
    assert [place.name for place in places] == ["checkpoint-2", "checkpoint-4", "run"]
    expected = {
        "README.md",
        "config.json",
        "pytorch_lora_weights.safetensors",
        "pytorch_lora_weights_kohya.safetensors",
        "samples.jpg",
        "versions.json",
    }
    for place in places:
        assert expected <= {file.name for file in place.iterdir()}


def test_only_the_newest_checkpoints_are_kept(configure, tmp_path):
    run(configure(checkpointing_steps=1, checkpoints_total_limit=2))
    assert sorted(p.name for p in (tmp_path / "run").glob("checkpoint-*")) == ["checkpoint-3", "checkpoint-4"]


def test_training_changes_every_entry_of_the_lora_at_a_tiny_learning_rate(configure, tmp_path):
    """In bf16 weights, updates of 1e-6 would vanish (the seed's script)."""
    run(configure(learning_rate=1e-6, mixed_precision="bf16", max_train_steps=3))
    first = configure(
        learning_rate=0.0, mixed_precision="bf16", max_train_steps=3, output_dir=str(tmp_path / "still")
    )
    run(first)
    before, after = weights(tmp_path / "still"), weights(tmp_path / "run")
    downs = [key for key in before if "lora_A" in key]
    changed = torch.cat([(before[key] != after[key]).flatten() for key in downs]).float().mean()
    assert changed > 0.5  # the rest has no gradient yet


@pytest.mark.parametrize("optimizer", ["prodigy", "schedulefree"])
def test_other_optimizers_train_and_resume(configure, tmp_path, optimizer):
    pytest.importorskip({"prodigy": "prodigyopt", "schedulefree": "schedulefree"}[optimizer])
    settings = {"optimizer": optimizer, "checkpointing_steps": 2}
    run(configure(**settings, output_dir=str(tmp_path / "whole")))
    run(configure(**settings, max_train_steps=2))
    run(configure(**settings, resume_from_checkpoint="latest"))
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_the_moving_average_is_what_is_saved(configure, tmp_path):
    run(configure(use_ema=True, ema_decay=0.5))
    run(configure(output_dir=str(tmp_path / "last")))
    averaged, last = weights(tmp_path / "run"), weights(tmp_path / "last")
    ups = [key for key in last if "lora_B" in key]
    assert all(not torch.equal(averaged[key], last[key]) for key in ups)
    smaller = sum(float(averaged[key].norm()) < float(last[key].norm()) for key in ups)
    assert smaller > len(ups) / 2  # the average lags behind weights that grow from zero


@pytest.mark.parametrize(
    "changes", [{"use_dora": True}, {"lora_target": "attention+conv"}, {"aspect_ratio_buckets": True}]
)
def test_variants_of_the_lora_and_the_data_train(configure, changes):
    assert all(math.isfinite(loss) for loss in losses(run(configure(**changes))))


@pytest.mark.parametrize("architecture", ["sdxl", "sd"])
def test_text_encoders_are_trained_with_the_text_cache_off_and_it_is_said(
    configure, tiny_sd, tiny_sdxl, tmp_path, architecture
):
    model = str(tiny_sd if architecture == "sd" else tiny_sdxl)
    events = run(configure(train_text_encoder=True, pretrained_model_name_or_path=model))
    assert any(isinstance(event, Notice) and "text cache is off" in event.text for event in events)
    found = weights(tmp_path / "run")
    parts = {"text_encoder"} if architecture == "sd" else {"text_encoder", "text_encoder_2"}
    for part in parts:
        ups = [value for key, value in found.items() if key.startswith(f"{part}.") and "lora_B" in key]
        assert any(value.abs().max() > 0 for value in ups)


def test_checkpointing_gradients_does_not_change_the_losses(configure, tmp_path):
    plain = losses(run(configure()))
    saving = losses(run(configure(gradient_checkpointing=True, output_dir=str(tmp_path / "saving"))))
    assert saving == pytest.approx(plain, rel=1e-5)


def test_the_loss_of_every_picture_is_told_when_asked_for(configure, pictures):
    events = run(configure(debug_loss=True, max_train_steps=1))
    record = next(event for event in events if isinstance(event, StepRecord))
    assert {name for name, _ in record.losses} <= {f"{number}.png" for number in range(len(SIZES))}
    assert sum(loss for _, loss in record.losses) / len(record.losses) == pytest.approx(record.loss)


def test_time_ids_stay_fp32_and_follow_the_placement(configure, pictures):
    prepared = setup.prepare(configure(mixed_precision="bf16", center_crop=True), print)
    parts = next(item for item in loop.components.load(prepared) if isinstance(item, loop.Components))
    batch = parts.builder.batch([2], StepRng(seed=0, update=0, step=0, rank=0))
    assert batch.time_ids.dtype == torch.float32
    source = open_source(str(pictures))
    expected = geometry.place(SIZES[source.keys.index("2.png")], (64, 64)).time_ids()
    assert batch.time_ids.tolist() == [list(expected)]


@pytest.mark.parametrize("train_text_encoder", [False, True])
def test_both_architectures_draw_validation_pictures_of_the_training_size(
    configure, tiny_sd, tmp_path, train_text_encoder
):
    events = run(
        configure(
            pretrained_model_name_or_path=str(tiny_sd),
            validation_prompt="x",
            num_validation_images=2,
            max_train_steps=1,
            train_text_encoder=train_text_encoder,
        )
    )
    images = next(event for event in events if isinstance(event, Validated)).images
    assert [image.size for image in images] == [(64, 64)] * 2
    assert images[0].tobytes() != images[1].tobytes()  # seeds of their own
