"""A single file given as a model: what it is, and the command that makes a folder of it, before anything is loaded."""

import ast
import shlex
from pathlib import Path

import diffusers
import pytest
import torch
from safetensors.torch import save_file

from sdxl_lora.errors import InputError
from sdxl_lora.models import registry, single_file

UNET = {
    "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 4, 3, 3),
    "first_stage_model.encoder.conv_in.weight": torch.zeros(1),
}
SDXL = UNET | {"conditioner.embedders.1.model.ln_final.weight": torch.zeros(1)}
SD = UNET | {"cond_stage_model.transformer.text_model.final_layer_norm.weight": torch.zeros(1)}


@pytest.mark.parametrize(
    ("state", "name", "pipeline"),
    [(SDXL, "SDXL", "StableDiffusionXLPipeline"), (SD, "Stable Diffusion", "StableDiffusionPipeline")],
)
def test_a_checkpoint_is_told_with_a_command_that_can_be_pasted(
    tmp_path: Path, state, name, pipeline
) -> None:
    file = tmp_path / "a brand's model.v1.safetensors"
    save_file(state, file)
    with pytest.raises(InputError) as caught:
        registry.describe(str(file))
    said = str(caught.value)
    assert f"is a single-file checkpoint of {name}; make a folder of it once" in said
    words = shlex.split(said[said.index("python -c") :])
    assert words[:2] == ["python", "-c"]
    calls = [node for node in ast.walk(ast.parse(words[2])) if isinstance(node, ast.Call)]
    assert [ast.literal_eval(call.args[0]) for call in calls] == [str(file.with_suffix("")), str(file)]
    assert ast.unparse(calls[1].func).split(".")[-2] == pipeline
    assert callable(getattr(diffusers, pipeline).from_single_file)
    assert callable(getattr(diffusers, pipeline).save_pretrained)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"lora_unet_x.lora_down.weight": torch.zeros(1)}, "is a LoRA and no model; give it as --lora"),
        (UNET, "a UNet without text encoders"),
        ({"weight": torch.zeros(1)}, "of a kind that is not known here"),
        (
            SDXL | {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 9, 3, 3)},
            "an inpainting or editing model",
        ),
    ],
    ids=["a LoRA", "without text encoders", "something else", "inpainting"],
)
def test_other_files_are_told_as_what_they_are(tmp_path: Path, state, reason) -> None:
    file = tmp_path / "x.safetensors"
    save_file(state, file)
    with pytest.raises(InputError, match=reason):
        registry.describe(str(file))


def test_files_that_may_run_code_or_are_damaged_are_never_opened_as_models(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(b"x")
    (tmp_path / "x.safetensors").write_bytes(b"x")
    assert "may run code" in single_file.advice(tmp_path / "x.ckpt")
    assert "is damaged" in single_file.advice(tmp_path / "x.safetensors")
