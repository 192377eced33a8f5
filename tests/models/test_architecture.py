"""The architecture is read from the files; what cannot be drawn with is refused by name."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora.errors import InputError
from sdxl_lora.models import architecture
from tests import tiny


def _change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.fixture
def copy_of_sdxl(tiny_sdxl: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_sdxl, tmp_path / "copy"))


def test_sdxl_and_sd_are_told_apart(tiny_sdxl: Path, tiny_sd: Path) -> None:
    assert architecture.read(tiny_sdxl).architecture == "sdxl"
    assert architecture.read(tiny_sd).architecture == "sd"


def test_the_size_follows_from_unet_and_decoder(tiny_sdxl: Path) -> None:
    assert architecture.read(tiny_sdxl).side == tiny.SIDE


def test_components_are_the_folders_with_weights(tiny_sd: Path) -> None:
    assert architecture.read(tiny_sd).components == ("text_encoder", "unet", "vae")


def test_another_kind_of_pipeline_is_refused_by_its_name(tmp_path: Path) -> None:
    index = {"_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="holds a FluxPipeline; supported are Stable Diffusion"):
        architecture.read(tmp_path)


def test_a_unet_of_nine_channels_is_an_inpainting_model(copy_of_sdxl: Path) -> None:
    assert not architecture.read(copy_of_sdxl).inpainting
    _change(copy_of_sdxl / "unet" / "config.json", in_channels=9)
    assert architecture.read(copy_of_sdxl).inpainting


def test_a_model_that_takes_another_picture_beside_the_latents_is_refused(copy_of_sdxl: Path) -> None:
    _change(copy_of_sdxl / "unet" / "config.json", in_channels=8)  # as of InstructPix2Pix
    with pytest.raises(InputError, match="8 channels, which is no text-to-image or inpainting model"):
        architecture.read(copy_of_sdxl)


def test_a_unet_with_an_unknown_condition_is_refused(copy_of_sdxl: Path) -> None:
    _change(copy_of_sdxl / "unet" / "config.json", addition_embed_type="image_hint")
    with pytest.raises(InputError, match="condition 'image_hint'"):
        architecture.read(copy_of_sdxl)


@pytest.mark.parametrize("content", ["{", "[]", "\udcff"])
def test_a_damaged_index_is_told_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "model_index.json").write_text(content, errors="surrogateescape")
    with pytest.raises(InputError, match=r"model_index\.json cannot be read") as error:
        architecture.read(tmp_path)
    assert "\n" not in str(error.value)
