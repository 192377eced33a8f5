"""A model and a LoRA are what their contents are: what changed under the same name is loaded anew, and said."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from sdxl_lora.errors import LoraError, ModelUnavailableError, RequestError
from sdxl_lora.generation import PictureDone, generate, resolve
from sdxl_lora.models import identity, registry
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest, LoraSpec, ResolvedRequest
from tests import tiny

DAY = 86_400 * 10**9  # ns


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose contents were read."""
    seen: list[str] = []
    read = hashlib.file_digest

    def counted(file: Any, kind: str) -> Any:
        seen.append(Path(file.name).name)
        return read(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return seen


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written long ago."""
    monkeypatch.setattr(identity, "SETTLED", -1.0)


@pytest.fixture
def model(tiny_sdxl: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(tiny_sdxl, tmp_path / "model"))


def wish(model: Path, *loras: Path) -> GenerationRequest:
    specs = tuple(LoraSpec(path=str(path)) for path in loras)
    return GenerationRequest(
        prompt="a cap", model=str(model), loras=specs, steps=2, seed=1, precision="fp32", sketch_steps=0
    )


def drawn(request: ResolvedRequest) -> bytes:
    events = generate(load(ModelConfig.of(request)), request)
    return next(event.image.tobytes() for event in events if isinstance(event, PictureDone))


def change(file: Path, key: Callable[[str], bool]) -> None:
    """Other weights in a file of the same size, as after another training."""
    state = load_file(file)
    save_file({name: tensor * 1.5 if key(name) else tensor for name, tensor in state.items()}, file)


def test_a_file_is_known_by_its_contents(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"abc")
    (tmp_path / "other").write_bytes(b"abc")
    expected = hashlib.sha256(b"abc").hexdigest()
    assert identity.of_file(tmp_path / "one") == identity.of_file(tmp_path / "other") == expected
    (tmp_path / "one").write_bytes(b"abd")  # of the same size, within one tick of a coarse clock
    assert identity.of_file(tmp_path / "one") == hashlib.sha256(b"abd").hexdigest()


@pytest.mark.usefixtures("settled")
def test_a_file_is_read_once_while_it_stays_as_it_is(tmp_path: Path, reads: list[str]) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"abc")
    for _ in range(3):
        identity.of_file(file)
    assert reads == ["weights"]
    os.utime(file, ns=(DAY, DAY))
    identity.of_file(file)
    assert reads == ["weights"] * 2


@pytest.mark.usefixtures("settled")
def test_a_large_file_is_remembered_by_the_next_process(
    tmp_path: Path, reads: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "REMEMBERED", 3)
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_bytes(b"abc")
    small.write_bytes(b"ab")
    before = [identity.of_file(path) for path in (large, small)]
    assert list(json.loads((home / "cache" / "contents.json").read_text())) == [str(large)]
    monkeypatch.setattr(identity, "_known", {})  # what a process begins with
    monkeypatch.setattr(identity, "_read_from", set())
    assert [identity.of_file(path) for path in (large, small)] == before
    assert reads == ["large", "small", "small"]


@pytest.mark.parametrize("text", ["", "[", "[]", '{"x": 1, "y": ["a"]}'])
def test_a_damaged_memory_costs_only_time(text: str, home: Path, tmp_path: Path) -> None:
    (home / "cache").mkdir(parents=True)
    (home / "cache" / "contents.json").write_text(text)
    (tmp_path / "weights").write_bytes(b"abc")
    assert identity.of_file(tmp_path / "weights") == hashlib.sha256(b"abc").hexdigest()


def test_the_hubs_cache_says_what_a_large_file_contains(tmp_path: Path, reads: list[str]) -> None:
    digest = hashlib.sha256(b"never read").hexdigest()
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / digest).write_bytes(b"x")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blobs" / digest)
    assert identity.of_file(tmp_path / "model.safetensors") == digest
    assert reads == []


@pytest.mark.parametrize(
    "changed",
    [
        "unet/config.json",
        "model_index.json",
        "tokenizer/tokenizer_config.json",
        "scheduler/scheduler_config.json",
    ],
)
def test_a_model_is_all_that_is_loaded_of_it(changed: str, model: Path) -> None:
    before = identity.of_model(registry.describe(str(model)))
    (model / "README.md").write_text("words about it")
    assert identity.of_model(registry.describe(str(model))) == before
    (model / changed).write_text((model / changed).read_text() + "\n")
    assert identity.of_model(registry.describe(str(model))) != before


def test_a_model_that_is_not_here_has_no_contents() -> None:
    with pytest.raises(ModelUnavailableError, match="models fetch sdxl"):
        identity.of_model(registry.describe("sdxl"))


def test_a_lora_trained_again_under_the_same_name_is_loaded_anew(model: Path, tmp_path: Path) -> None:
    file = tiny.save_lora(tmp_path / "brand.safetensors")
    first = resolve(wish(model, file))
    before = drawn(first)
    change(file, lambda name: "lora_B" in name)
    second = resolve(wish(model, file))
    assert second.loras[0].sha256 == hashlib.sha256(file.read_bytes()).hexdigest() != first.loras[0].sha256
    assert drawn(second) != before
    with pytest.raises(LoraError, match=r"brand.safetensors has changed since this was asked for"):
        load(ModelConfig.of(first))


def test_a_model_that_changed_in_its_folder_is_loaded_anew(model: Path) -> None:
    first = resolve(wish(model))
    before, again = drawn(first), drawn(first)
    assert again == before
    change(model / "unet" / "diffusion_pytorch_model.safetensors", lambda name: name == "conv_out.weight")
    second = resolve(wish(model))
    assert drawn(second) != before
    with pytest.raises(RequestError, match="has changed since this was asked for"):
        load(ModelConfig.of(first))


def test_a_lora_that_changes_between_two_pictures_is_not_mixed_in(model: Path, tmp_path: Path) -> None:
    file = tiny.save_lora(tmp_path / "brand.safetensors")
    request, plain = resolve(wish(model, file)), resolve(wish(model))
    loaded = load(ModelConfig.of(request))
    change(file, lambda name: "lora_B" in name)
    drawn(plain)
    with pytest.raises(LoraError, match="has changed"):
        list(generate(loaded, request))
    assert drawn(plain) == drawn(plain)


def test_a_wish_of_a_picture_is_drawn_with_what_lies_there_now(model: Path) -> None:
    made = resolve(wish(model)).wish()
    assert made.model_sha256
    assert not isinstance(made, ResolvedRequest)
    change(model / "unet" / "diffusion_pytorch_model.safetensors", lambda name: name == "conv_out.weight")
    assert resolve(made).model_sha256 not in ("", made.model_sha256)
