"""Memory that runs out, and what is done so that it does not."""

import pytest
import torch

from sdxl_lora.errors import TrainingError
from sdxl_lora.training import components, loop, out_of_memory, setup
from sdxl_lora.training.run import main
from tests.training.conftest import run


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_it_is_one_line_that_names_what_needs_less(configure, monkeypatch, error):
    def full(*_, **__):
        raise error

    monkeypatch.setattr(components, "posterior", full)
    with pytest.raises(TrainingError) as raised:
        run(configure())
    assert str(raised.value) == (
        "cpu is out of memory; less is needed with --train_batch_size 1 with --gradient_accumulation_steps 2, "
        "--gradient_checkpointing, --mixed_precision bf16, --base_precision int8, --resolution 32; "
        "what was saved before is good"
    )


def test_the_command_line_ends_with_it_and_no_traceback(
    configure, monkeypatch, capsys, tiny_sdxl, pictures, tmp_path
):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop, "denoising_loss", full)
    arguments = ["--pretrained_model_name_or_path", str(tiny_sdxl), "--train_data_dir", str(pictures)]
    assert main([*arguments, "--output_dir", str(tmp_path / "out"), "--report_to", "none"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: cpu is out of memory; less is needed with")


def test_other_errors_pass(configure):
    with (
        pytest.raises(RuntimeError, match="shapes"),
        out_of_memory.explained(setup.prepare(configure(), print)),
    ):
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(
    ("device", "resolution", "count"),
    [
        ("cuda", 2048, 1),
        ("cuda", 1024, 1),
        ("cuda", 512, 4),
        ("cuda", 256, 16),
        ("cuda", 64, 16),
        ("cpu", 256, 1),
    ],
)
def test_the_vae_encodes_as_many_pixels_at_once_as_one_picture_of_sdxl_has(device, resolution, count):
    assert components.pictures_at_once(torch.device(device), resolution) == count


def test_text_encoders_are_gone_before_the_vae_comes(configure, monkeypatch):
    prepared, alive = setup.prepare(configure(), print), []
    made = {}
    encoding, vae = components.TextEncoding, type(prepared.base).vae

    def remember(*arguments):
        made["encoding"] = encoding(*arguments)
        return made["encoding"]

    def load(base, dtype):
        alive.append(len(made["encoding"].encoders))
        return vae(base, dtype)

    monkeypatch.setattr(components, "TextEncoding", remember)
    monkeypatch.setattr(type(prepared.base), "vae", load)
    list(components.load(prepared))
    assert alive == [0]


def test_a_model_too_large_for_the_kernels_of_small_ones_keeps_pytorchs_attention(configure, monkeypatch):
    """They write all scores out: some 11 GB for SDXL at 512 px in fp32."""
    monkeypatch.setattr(components.packed, "LIMIT", 0)
    prepared = setup.prepare(configure(), print)
    parts = next(item for item in components.load(prepared) if isinstance(item, components.Components))
    kinds = {type(processor).__name__ for processor in parts.unet.attn_processors.values()}
    assert "LoraAttention" not in kinds
