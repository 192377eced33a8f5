"""Drawing, scoring and training on a pretended CUDA device: nothing mixes devices or types, and nobody waits for it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.models.published_sizes import SDXL
from tests import pretend_guard, tiny

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("g++") is None:
        pytest.skip("the pretended device needs g++")
    return pretend_guard.build(tmp_path_factory.mktemp("guard"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretended") / "pictures"
    folder.mkdir()
    random, rows = np.random.default_rng(0), []
    for number in range(4):
        pixels = random.integers(0, 255, (tiny.SIDE, tiny.SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "text": f"top {number}"})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def _found(*arguments: object, home: Path) -> dict[str, Any]:
    """What `tests.on_pretended_cuda` found."""
    environment = {**os.environ, "SDXL_LORA_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.on_pretended_cuda", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(lines[0].removeprefix("FOUND "))
    return found


@pytest.fixture(scope="module", params=["few", "all"])
def found(
    request: pytest.FixtureRequest,
    guard: Path,
    pictures: Path,
    tiny_sdxl: Path,
    tiny_clip: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("runs")
    return _found(guard, request.param, tiny_sdxl, pictures, tiny_clip, folder, home=folder / "home")


def test_no_precision_mixes_devices_or_types(found: dict[str, Any]) -> None:
    assert {name: run["failed"] for name, run in found.items() if "failed" in run} == {}
    assert {run["pictures"] for name, run in found.items() if name.startswith("draw")} >= {1, 2}
    assert all(run["previews"] for name, run in found.items() if name.startswith("draw"))
    assert found["score"]["scores"] == 2


def test_who_denoises_does_not_wait_between_steps(found: dict[str, Any]) -> None:
    """Before the first step the schedule is made; where guidance ends early the four timesteps are read once."""
    waits = {
        (name, re.sub(r".*/", "", where.split(" < ")[0])): count
        for name, run in found.items()
        if name.startswith("draw")
        for where, count in run["waits"].items()
        if ":set_timesteps" not in where
    }
    assert waits == {("draw bf16, guidance ends early", "guidance.py:__call__"): 4}


def test_an_update_waits_once(found: dict[str, Any]) -> None:
    """At its end, for loss, wishes to stop and norm: four numbers of one list. Validation draws, and may wait."""
    for name, run in found.items():
        if name.startswith("train"):
            waits = {where: count for where, count in run["waits"].items() if not _validates(where)}
            assert list(waits.values()) == [4], (name, waits)
            assert run["launches"] > 0


def _validates(where: str) -> bool:
    return any(part in where for part in ("training/validation.py:", "pipeline_stable_diffusion"))


def test_filling_the_caches_of_sdxl_takes_no_more_than_training_it(
    guard: Path, pictures: Path, tiny_sdxl: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sdxl"
    shutil.copytree(tiny_sdxl, folder)
    for part, config in SDXL.parts.items():
        path = folder / part / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    run = _found(guard, "real", folder, pictures, tmp_path / "runs", home=tmp_path / "home")["training"]
    assert 2e9 < run["caching"] <= run["training"] < 13.1e9
