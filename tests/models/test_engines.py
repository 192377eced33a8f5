"""OpenVINO draws where it is wished for, there and ready; else torch does, and the pictures say so."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.errors import RequestError
from sdxl_lora.generation import PictureDone, Started, generate, resolve
from sdxl_lora.models import conversions, engines, openvino_engine
from sdxl_lora.models.conversions import FACTS_FILE, Conversion
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest, LoraSpec, ResolvedRequest
from tests import tiny

BIG = 7_000_000_000  # bytes


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversions, "version", lambda: "2026.4.1")
    monkeypatch.delenv("SDXL_LORA_ENGINE")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Conversion]:
    """Conversions that were asked for; none is made."""
    asked: list[Conversion] = []
    monkeypatch.setattr(conversions, "begin", asked.append)
    return asked


def _request(folder: Path, **fields: object) -> ResolvedRequest:
    wish = {
        "prompt": "a navy jacket",
        "model": str(folder),
        "steps": 2,
        "seed": 5,
        "precision": "fp32",
        **fields,
    }
    return replace(resolve(GenerationRequest(**wish)), engine="openvino")  # type: ignore[arg-type]


def _drawn(request: ResolvedRequest) -> tuple[list[PictureDone], str]:
    events = list(generate(load(ModelConfig.of(request, device="cpu")), request))
    note = next(event.note for event in events if isinstance(event, Started))
    return [event for event in events if isinstance(event, PictureDone)], note


def _psnr(one: Image.Image, other: Image.Image) -> float:
    error = float(np.mean((np.asarray(one, np.float64) - np.asarray(other, np.float64)) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.usefixtures("installed")
def test_auto_is_openvino_for_small_models_on_a_processor() -> None:
    assert engines.choose("auto", "cpu", "bf16", 50_000_000) == "openvino"
    assert (
        engines.choose("auto", "cpu", "bf16", BIG)
        == engines.choose("auto", "cuda", "fp16", 50_000_000)
        == "torch"
    )
    assert engines.choose("openvino", "cpu", "bf16", BIG) == "openvino"
    assert engines.choose("auto", "cpu", "fp32", 50_000_000) == "torch"
    assert engines.choose("torch", "cpu", "bf16", 50_000_000) == "torch"


@pytest.mark.usefixtures("installed")
def test_a_setting_decides_what_auto_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDXL_LORA_ENGINE", "torch")
    assert engines.choose("auto", "cpu", "bf16", 50_000_000) == "torch"
    assert engines.choose("openvino", "cpu", "bf16", 50_000_000) == "openvino"
    monkeypatch.setenv("SDXL_LORA_ENGINE", "tensorrt")
    with pytest.raises(
        RequestError, match="SDXL_LORA_ENGINE is 'tensorrt'; use auto, torch, compiled or openvino"
    ):
        engines.choose("auto", "cpu", "bf16", 50_000_000)


def test_openvino_is_refused_where_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversions, "version", lambda: "")
    monkeypatch.delenv("SDXL_LORA_ENGINE")
    assert engines.choose("auto", "cpu", "bf16", 50_000_000) == "torch"
    with pytest.raises(RequestError, match="pip install openvino"):
        engines.choose("openvino", "cpu", "bf16", 50_000_000)
    monkeypatch.setattr(conversions, "version", lambda: "2026.4.1")
    with pytest.raises(RequestError, match="draws in bf16, not in fp32"):
        engines.choose("openvino", "cpu", "fp32", 50_000_000)
    with pytest.raises(RequestError, match="on cuda; use auto or torch"):
        engines.choose("openvino", "cuda", "fp16", 50_000_000)


def test_torch_draws_while_the_conversion_is_made(tiny_sdxl: Path, begun: list[Conversion]) -> None:
    request = _request(tiny_sdxl, count=2)
    drawn, note = _drawn(request)
    assert ([one.engine for one in drawn], note) == (["torch", "torch"], "")
    assert begun == [Conversion.of(request)]
    assert drawn[0].drawn(request).engine == "torch"  # what its record says
    asked_for, _ = _drawn(replace(request, engine="torch"))
    assert [one.image.tobytes() for one in drawn] == [one.image.tobytes() for one in asked_for]


def test_a_failed_conversion_is_said_once_and_not_tried_again(
    tiny_sdxl: Path, begun: list[Conversion], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request(tiny_sdxl)
    conversion = Conversion.of(request)
    conversion.fail("the process ended with signal 11")
    notes = [_drawn(request)[1] for _ in range(2)]
    assert notes == ["drawn with torch, as OpenVINO failed: the process ended with signal 11", ""]
    assert begun == []
    monkeypatch.setattr(conversions, "RETRY_AFTER", -1.0)
    assert conversion.failure == ""  # it may succeed another day


def test_a_conversion_that_crashes_its_process_leaves_a_reason(
    tiny_sdxl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    conversion = Conversion.of(_request(tiny_sdxl))
    conversions.begin(conversion)
    conversions.wait(10)
    assert conversion.failure == "the process ended with signal 11"
    assert not conversion.ready


def test_a_damaged_conversion_counts_as_failed(tiny_sdxl: Path, begun: list[Conversion]) -> None:
    request = _request(tiny_sdxl, width=128)  # nothing was said of it yet
    folder = Conversion.of(request).folder
    folder.mkdir(parents=True)
    (folder / FACTS_FILE).write_text("{")
    drawn, note = _drawn(request)
    assert drawn[0].engine == "torch"
    assert "OpenVINO failed" in note
    assert begun == []
    assert not folder.exists()


def test_contents_decide_which_conversion_it_is(tiny_sdxl: Path) -> None:
    request = _request(tiny_sdxl)
    lora = LoraSpec(path="a.safetensors", weight=0.5, sha256="ab" * 32)
    others = [
        replace(request, width=request.width + 8),
        replace(request, model_sha256="cd" * 32),
        replace(request, loras=(lora,)),
        replace(request, loras=(replace(lora, weight=0.6),)),
    ]
    folders = {Conversion.of(one).folder for one in (request, *others)}
    assert len(folders) == 1 + len(others)
    moved = replace(request, loras=(replace(lora, path="b.safetensors"),))
    assert Conversion.of(moved).folder in folders
    same = (replace(request, seed=6, steps=9), replace(request, loras=(replace(lora, weight=0.0),)))
    assert {Conversion.of(one).folder for one in same} == {Conversion.of(request).folder}
    assert Conversion.from_json(Conversion.of(others[3]).to_json()) == Conversion.of(others[3])


def test_the_cache_forgets_what_was_not_used_the_longest() -> None:
    for age, name in enumerate(["newest", "older", "oldest"]):
        folder = conversions.cache() / name
        folder.mkdir(parents=True)
        (folder / "unet.blob").write_bytes(bytes(1000))
        (folder / FACTS_FILE).write_text("{}")
        os.utime(folder / FACTS_FILE, (1e9 - age, 1e9 - age))
    conversions.clean(2500)
    assert {file.name for file in conversions.cache().iterdir()} == {"newest", "older"}
    conversions.clean(10)
    assert {file.name for file in conversions.cache().iterdir()} == {"newest"}


def _convert(request: ResolvedRequest) -> None:
    pytest.importorskip("openvino")
    conversion = Conversion.of(request)
    conversions.begin(conversion)
    conversions.wait()
    assert (conversion.failure, conversion.ready) == ("", True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sdxl", "sd"])
def test_a_converted_network_draws_the_same_picture(kind: str, request: pytest.FixtureRequest) -> None:
    wish = _request(request.getfixturevalue(f"tiny_{kind}"), count=3, guidance_end=0.5)
    _convert(wish)
    drawn, note = _drawn(wish)
    assert (note, {one.engine for one in drawn}) == ("", {"openvino"})
    by_torch, _ = _drawn(replace(wish, engine="torch", precision="fp32"))
    assert min(_psnr(one.image, other.image) for one, other in zip(drawn, by_torch, strict=True)) > 30
    alone, _ = _drawn(wish.for_picture(1))
    assert alone[0].image.tobytes() == drawn[1].image.tobytes()
    long, _ = _drawn(replace(wish, prompt="navy jacket " * 60, count=1))
    assert long[0].engine == "torch"  # longer than what it was converted for


@pytest.mark.slow
def test_a_lora_is_in_the_converted_network_and_one_that_stops_answering_is_not_used_again(
    tiny_sdxl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tiny.save_lora(tmp_path / "lora.safetensors", "sdxl", "peft")
    wish = _request(tiny_sdxl, loras=(LoraSpec(path=str(file), weight=1.0),), steps=4)
    _convert(wish)
    [drawn], _ = _drawn(wish)
    [by_torch], _ = _drawn(replace(wish, engine="torch"))
    [without], _ = _drawn(replace(wish, engine="torch", loras=()))
    assert drawn.engine == "openvino"
    assert _psnr(drawn.image, by_torch.image) > 35
    assert _psnr(drawn.image, without.image) < 25

    def fail(_: object) -> object:
        raise RuntimeError("no memory for a request")

    monkeypatch.setattr(openvino_engine.Network, "_request", fail)
    [again], _ = _drawn(wish)
    assert (again.engine, again.image.tobytes()) == ("torch", by_torch.image.tobytes())
    assert Conversion.of(wish).failure == "no memory for a request"
