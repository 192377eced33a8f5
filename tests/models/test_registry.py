"""Every name a user may give is described, or answered by one line that helps."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from sdxl_lora.errors import InputError, ModelUnavailableError, UnknownNameError
from sdxl_lora.models import device, registry
from tests import tiny
from tests.models.conftest import Publish


def test_a_folder_is_described_from_its_own_files(tiny_sdxl: Path, tiny_sd: Path) -> None:
    xl, sd = registry.describe(str(tiny_sdxl)), registry.describe(str(tiny_sd))
    assert (xl.architecture, sd.architecture) == ("sdxl", "sd")
    assert (xl.defaults.width, xl.defaults.height) == (tiny.SIDE, tiny.SIDE)
    assert xl.present
    assert xl.bytes == sum(file.stat().st_size for file in tiny_sdxl.rglob("*.safetensors"))


def test_the_architecture_does_not_follow_from_the_name(tiny_sd: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stable-diffusion-xl-base-1.0"
    shutil.copytree(tiny_sd, folder)
    assert registry.describe(str(folder)).architecture == "sd"


def test_defaults_come_from_the_models_own_studio_file(tiny_sdxl: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(tiny_sdxl, folder)
    (folder / "studio.json").write_text(json.dumps({"steps": 7, "guidance": 2.5, "note": "anything"}))
    defaults = registry.describe(str(folder)).defaults
    assert (defaults.steps, defaults.guidance, defaults.width) == (7, 2.5, tiny.SIDE)


def test_a_damaged_studio_file_is_named(tiny_sdxl: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(tiny_sdxl, folder)
    (folder / "studio.json").write_text("{steps")
    with pytest.raises(InputError, match=r"studio\.json cannot be read"):
        registry.describe(str(folder))


def test_mini_can_be_any_folder_for_tests_and_trials(
    tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_MINI", str(tiny_sdxl))
    info = registry.describe("mini")
    assert (info.name, info.folder, info.present) == ("mini", tiny_sdxl, True)


def test_a_missing_bundled_model_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDXL_LORA_MINI", str(tmp_path / "nothing"))
    assert not registry.describe("mini").present
    with pytest.raises(ModelUnavailableError, match="build-mini"):
        registry.fetch("mini")


def test_auto_is_mini_on_a_machine_without_a_large_gpu_or_the_weights(
    tiny_sdxl: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_MINI", str(tiny_sdxl))
    assert registry.resolve_auto() == "mini"
    assert registry.describe("auto").name == "mini"


def test_auto_stays_with_sdxl_once_it_is_in_the_gpus_memory(
    tiny_sdxl: Path, put_in_cache: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_cache(registry.describe("sdxl").source, tiny_sdxl)
    gigabytes = 10**9
    memory = {"free": 12 * gigabytes, "own": 0}
    monkeypatch.setattr(device, "may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (memory["free"], 12 * gigabytes))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: memory["own"])
    assert registry.resolve_auto() == "sdxl"
    memory.update(free=4 * gigabytes, own=8 * gigabytes)  # it is loaded
    assert registry.resolve_auto() == "sdxl"
    memory.update(free=4 * gigabytes, own=0)  # somebody else is there
    assert registry.resolve_auto() == "mini"


def test_available_names_what_is_here_and_what_could_be(
    tiny_sdxl: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_MINI", str(tiny_sdxl))
    assert {info.name: info.present for info in registry.available()} == {
        "mini": True,
        "sdxl": False,
        "sd14": False,
    }
    assert all("use restrictions" in registry.describe(name).licence for name in ("sdxl", "sd14"))


def test_a_cached_hub_model_is_present_under_its_id(tiny_sd: Path, put_in_cache: Publish) -> None:
    folder = put_in_cache("someone/tiny-sd", tiny_sd)
    info = registry.describe("someone/tiny-sd")
    assert (info.present, info.folder, info.architecture) == (True, folder, "sd")
    assert info.defaults.width == tiny.SIDE


def test_a_hub_model_that_is_not_here_is_described_as_absent(hub_cache: Path) -> None:
    info = registry.describe("someone/other")
    assert (info.present, info.architecture, info.folder) == (False, None, None)


@pytest.mark.parametrize(
    ("name", "nearest"), [("sdlx", "sdxl"), ("sd1.4", "sd14"), ("Mini", "mini"), ("SDXL", "sdxl")]
)
def test_a_misspelt_name_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '{nearest}'"):
        registry.describe(name)


@pytest.mark.parametrize("name", ["./no/such/folder", "/no/such/folder", "a/b/c"])
def test_a_path_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(InputError, match="there is no model folder"):
        registry.describe(name)


def test_a_checkpoint_file_is_not_a_model_folder(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        registry.describe(str(file))


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no model_index\.json"):
        registry.describe(str(tmp_path))
