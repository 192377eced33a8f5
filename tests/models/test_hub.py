"""The hub's cache is read as it is, and only safetensors and configs are fetched into it."""

import shutil
from pathlib import Path

import pytest

from sdxl_lora.errors import InputError, ModelUnavailableError
from sdxl_lora.models import hub, registry
from tests.models.conftest import Publish
from tests.models.local_hub import LocalHub


@pytest.mark.parametrize("name", ["owner/model", "stabilityai/stable-diffusion-xl-base-1.0", "a/b_c.d"])
def test_an_owner_and_a_model_make_a_hub_id(name: str) -> None:
    assert hub.is_id(name)


@pytest.mark.parametrize("name", ["model", "a/b/c", "../b", "/a/b", "a/", "a b/c"])
def test_words_and_paths_are_no_hub_ids(name: str) -> None:
    assert not hub.is_id(name)


def test_a_cached_model_is_found_without_asking_the_network(tiny_sdxl: Path, put_in_cache: Publish) -> None:
    folder = put_in_cache("someone/tiny", tiny_sdxl)
    assert hub.cached_folder("someone/tiny") == folder


def test_a_cached_model_without_one_of_its_weights_counts_as_absent(
    tiny_sdxl: Path, put_in_cache: Publish
) -> None:
    folder = put_in_cache("someone/tiny", tiny_sdxl)
    next((folder / "vae").glob("*.safetensors")).unlink()
    assert hub.cached_folder("someone/tiny") is None


def test_half_precision_weights_are_preferred_and_pickles_never_chosen() -> None:
    names = [
        "model_index.json",
        "sd_xl_base_1.0.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "unet/model.onnx",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "safety_checker/model.safetensors",
    ]
    assert sorted(hub.select_files(names)) == [
        "model_index.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
    ]


@pytest.mark.parametrize("half", [True, False])
def test_of_sharded_weights_the_index_comes_along(half: bool) -> None:
    stem = "unet/diffusion_pytorch_model"
    whole = [
        f"{stem}-00001-of-00002.safetensors",
        f"{stem}-00002-of-00002.safetensors",
        f"{stem}.safetensors.index.json",
    ]
    fp16 = [
        f"{stem}.fp16-00001-of-00002.safetensors",
        f"{stem}.fp16-00002-of-00002.safetensors",
        f"{stem}.safetensors.index.fp16.json",
    ]
    names = [
        "model_index.json",
        "unet/config.json",
        *whole,
        *(fp16 if half else []),
        f"{stem}.bin.index.json",
    ]
    wanted = ["model_index.json", "unet/config.json", *(fp16 if half else whole)]
    assert sorted(hub.select_files(names)) == sorted(wanted)


def test_a_fetched_model_is_present_and_not_fetched_again(tiny_sdxl: Path, hub_server: LocalHub) -> None:
    hub_server.repositories["someone/tiny"] = tiny_sdxl
    seen: list[tuple[str, int, int]] = []
    info = registry.fetch("someone/tiny", lambda *state: seen.append(state))
    assert info.present
    assert info.architecture == "sdxl"
    assert info.folder == hub.cached_folder("someone/tiny")
    assert seen[-1][1] == seen[-1][2] > 1_000_000
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    before = len(hub_server.fetched)
    registry.fetch("someone/tiny")
    assert len(hub_server.fetched) == before


def test_a_model_with_pickled_weights_only_is_refused(
    tiny_sdxl: Path, hub_server: LocalHub, tmp_path: Path
) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_sdxl, folder)
    for file in folder.rglob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    hub_server.repositories["someone/old"] = folder
    with pytest.raises(InputError, match="has no safetensors weights"):
        hub.fetch("someone/old")


def test_a_model_the_hub_does_not_know_is_an_input_error(hub_server: LocalHub) -> None:
    with pytest.raises(InputError, match="no public model 'someone/typo'"):
        hub.fetch("someone/typo")


def test_offline_the_error_says_how_to_fetch(hub_cache: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"unset HF_HUB_OFFLINE, or use --model mini") as error:
        hub.fetch("someone/model")
    assert "\n" not in str(error.value)


def test_an_unreachable_hub_is_told_in_one_line(
    hub_server: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # the discard port
    with pytest.raises(ModelUnavailableError, match=r"cannot be reached.*HTTPS_PROXY.*--model mini") as error:
        hub.fetch("someone/model")
    assert "\n" not in str(error.value)
