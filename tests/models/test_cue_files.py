"""Networks that show a logo are found in folders and on the hub, and only what is needed is fetched."""

import shutil
from pathlib import Path

import pytest

from sdxl_lora.errors import InputError
from sdxl_lora.models import cue_files
from tests import tiny
from tests.models.local_hub import LocalHub


def test_a_controlnet_of_the_hub_is_fetched_once_in_half_precision_where_there_is_one(
    hub_server: LocalHub, tmp_path: Path
) -> None:
    folder = tiny.save_controlnet(tmp_path / "canny")
    shutil.copy(
        folder / "diffusion_pytorch_model.safetensors", folder / "diffusion_pytorch_model.fp16.safetensors"
    )
    hub_server.repositories["someone/canny"] = folder
    assert cue_files.controlnet("someone/canny", fetch=False) is None
    found = cue_files.controlnet("someone/canny", fetch=True)
    assert found is not None
    assert (found.variant, found.weights.parent) == ("fp16", found.config.parent)
    again = cue_files.controlnet("someone/canny", fetch=False)
    assert again is not None
    assert again.sha256 == found.sha256
    assert not any(name.endswith("model.safetensors") for name in hub_server.fetched)


def test_an_ip_adapter_of_the_hub_comes_with_the_encoder_that_fits_it(
    hub_server: LocalHub, tmp_path: Path
) -> None:
    adapter = tiny.save_ip_adapter(tmp_path / "adapter")
    wide = tiny.save_ip_adapter(tmp_path / "wide", width=48)
    repository = tmp_path / "repository"
    (repository / "sdxl_models").mkdir(parents=True)
    shutil.copy(
        adapter / "ip-adapter.safetensors",
        repository / "sdxl_models" / "ip-adapter_sdxl_vit-h.safetensors",
    )
    shutil.copytree(wide / "image_encoder", repository / "sdxl_models" / "image_encoder")
    shutil.copytree(adapter / "image_encoder", repository / "models" / "image_encoder")
    hub_server.repositories["someone/looks"] = repository
    assert cue_files.adapter("someone/looks", fetch=False) is None
    found = cue_files.adapter("someone/looks", fetch=True)
    assert found is not None
    assert found.encoder.parts[-2:] == ("models", "image_encoder")
    again = cue_files.adapter("someone/looks", fetch=False)
    assert again is not None
    assert again.sha256 == found.sha256
    local = cue_files.adapter(str(repository), fetch=False)
    assert local is not None
    assert local.sha256 == found.sha256


def test_a_repository_without_the_network_is_one_line(hub_server: LocalHub, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_text("{}")
    hub_server.repositories["someone/nothing"] = empty
    with pytest.raises(InputError, match="has no file"):
        cue_files.controlnet("someone/nothing", fetch=True)
    with pytest.raises(InputError, match="has no file"):
        cue_files.adapter("someone/nothing", fetch=True)
