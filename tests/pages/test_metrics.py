"""The metrics page: with nothing, with runs, with thousands of pictures, with pictures that are gone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from sdxl_lora.records.evaluations import EvaluationStore
from tests.pages.conftest import plain

ROOT = Path(__file__).parents[2]
Open = Callable[[], AppTest]


def report(
    identifier: str,
    label: str,
    count: int = 4,
    prompts: str = "p",
    shift: float = 0.0,
    reference: bool = True,
) -> dict[str, Any]:
    """A report as `evaluate` writes it, with invented values: what is tested is how they are shown."""
    values = [10.0 + shift + place % 7 for place in range(count)]
    settings = {
        "name": "PSNR: pixel agreement",
        "formula": "f",
        "resize": "256 px",
        "top5": "the 5 best",
        "backend": "b",
    }
    psnr = {
        "mean": float(np.mean(values)),
        "std": 1.0,
        "n": count,
        "ci95": [9.0, 15.0],
        "top5_mean": 16.0,
        "per_image": values,
        "higher_is_better": True,
        "settings": settings,
    }
    pairs = []
    for place in range(count):
        picture = {
            "file": f"img_{place:04}.png",
            "sha256": f"{identifier}{place}",
            "size": [32, 32],
            "notes": [],
        }
        pair = {
            "name": f"img_{place:04}",
            "caption": f"jacket {place}",
            "facts": {"brand": "Nike" if place % 2 else "Puma"},
        }
        pairs.append({**pair, "generated": picture, **({"reference": picture} if reference else {})})
    return {
        "schema": 1,
        "id": identifier,
        "label": label,
        "notes": [],
        "metrics": {"psnr": psnr, "fid": {"unavailable": "the weights are not here: models fetch metrics"}},
        "baselines": {"blank_card": {"label": "a blank card", "metrics": {"psnr": 9.7}}},
        "pairs": pairs,
        "provenance": {"prompts_sha256": prompts, "version": "0"},
    }


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for which, colour in (("generated", "navy"), ("reference", "red")):
        found[which] = tmp_path / which
        found[which].mkdir()
        for place in range(4):
            Image.new("RGB", (32, 32), colour).save(found[which] / f"img_{place:04}.png")
    return found


@pytest.fixture
def keep(home: Path, folders: dict[str, Path]) -> Callable[..., None]:
    def add(*reports: dict[str, Any]) -> None:
        with EvaluationStore(home) as store:
            for found in reports:
                store.add(found, folders)

    return add


@pytest.fixture
def open_page(open_alone: Callable[[str], AppTest]) -> Open:
    return partial(open_alone, "metrics")


def texts(at: AppTest) -> str:
    return plain(
        "\n".join(str(part.value) for part in [*at.markdown, *at.caption, *at.header, *at.subheader])
    )


def test_without_runs_the_page_says_how_to_make_one_and_shows_the_claims(open_page: Open) -> None:
    at = open_page()
    assert at.header[0].value == "No evaluation yet"
    assert "evaluate --generated" in at.code[0].value
    assert "claimed, not reproduced" in texts(at)


def test_runs_stand_side_by_side_with_differences_to_the_baseline(
    keep: Callable[..., None], open_page: Open
) -> None:
    keep(report("aa", "base"), report("bb", "lora", shift=2.0))
    at = open_page()
    frame = at.dataframe[0].value
    [psnr] = frame.to_dict("records")
    assert psnr["Better"] == "↑ higher"
    assert psnr["lora · bb"].startswith("13.5000  [9.000, 15.000]")
    assert psnr["Δ lora · bb"].startswith("+2.0000")
    assert "p 0.125" in psnr["Δ lora · bb"]
    assert "the weights are not here" in texts(at)


def test_runs_of_other_prompts_are_not_tested_against_each_other(
    keep: Callable[..., None], open_page: Open
) -> None:
    keep(report("aa", "base"), report("bb", "lora", prompts="other"))
    [psnr] = open_page().dataframe[0].value.to_dict("records")
    assert "other prompts: not tested" in psnr["Δ lora · bb"]


def test_pictures_come_worst_first_and_open_with_everything_known(
    keep: Callable[..., None], open_page: Open
) -> None:
    keep(report("aa", "base"))
    at = open_page()
    buttons = [button for button in at.button if str(button.key).startswith("metrics.open")]
    assert [plain(button.label) for button in buttons] == [f"img_000{i} · {10 + i}.0000" for i in range(4)]
    buttons[0].click().run()
    assert not at.exception
    assert "jacket 0" in [code.value for code in at.code]
    assert "brand: Puma" in texts(at)


def test_thousands_of_pictures_are_shown_a_page_at_a_time(keep: Callable[..., None], open_page: Open) -> None:
    keep(report("aa", "large", count=5_000))
    at = open_page()
    assert len([button for button in at.button if str(button.key).startswith("metrics.open")]) == 12


def test_pictures_that_are_gone_are_said_to_be_gone(
    keep: Callable[..., None], folders: dict[str, Path], open_page: Open
) -> None:
    keep(report("aa", "base"))
    (folders["generated"] / "img_0002.png").unlink()
    assert "img_0002.png is no longer where it was." in texts(open_page())


def test_a_run_without_references_can_be_looked_at(keep: Callable[..., None], open_page: Open) -> None:
    keep(report("aa", "free", reference=False))
    at = open_page()
    next(button for button in at.button if str(button.key) == "metrics.open.1").click().run()
    assert not at.exception


def test_slices_have_a_mean_each(keep: Callable[..., None], open_page: Open) -> None:
    keep(report("aa", "base"))
    at = open_page()
    at.segmented_control(key="metrics.slice").set_value("brand").run()
    assert not at.exception
    slices = next(frame.value for frame in at.dataframe if "brand" in frame.value.columns)
    assert slices.set_index("brand")["mean"].to_dict() == {"Nike": 12.0, "Puma": 11.0}
