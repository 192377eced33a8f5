"""The best checkpoint is named with how sure that is, and every one draws the same prompts and seeds."""

from pathlib import Path

import pytest

from sdxl_lora.comparing import checkpoints
from sdxl_lora.comparing.checkpoints import LORA_NAME, Candidate


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    for name in ("checkpoint-100", "checkpoint-20", "checkpoint-200", "checkpoint-half", "."):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / LORA_NAME).write_bytes(b"weights")
        if name != "checkpoint-half":
            (tmp_path / name / "manifest.json").write_text("{}")
    return tmp_path


def candidate(step: int) -> Candidate:
    return Candidate(step=step, lora=Path(f"{step}.safetensors"), finished=False)


def cells(*values: float) -> dict[tuple[int, int], float]:
    return {(place // 4, place % 4): value for place, value in enumerate(values)}


def test_whole_checkpoints_are_in_their_order_and_the_finished_lora_is_the_last(run_folder: Path) -> None:
    found = checkpoints.candidates(run_folder, 200)
    assert [(one.step, one.finished) for one in found] == [(20, False), (100, False), (200, True)]
    assert [one.name for one in found] == ["20 updates", "100 updates", "200 updates (finished)"]


def test_all_draw_the_same_prompts_and_seeds_and_asking_again_is_the_same_job(run_folder: Path) -> None:
    found = checkpoints.candidates(run_folder, 200)
    first = checkpoints.specs(found, ["a cap", "a scarf"], model="mini", user="tab")
    assert len(first) == 6
    assert {(spec.request.prompt, spec.request.seed) for spec in first.values()} == {
        ("a cap", 0),
        ("a scarf", 0),
    }
    assert len({spec.idempotency_key for spec in first.values()}) == 6
    assert checkpoints.specs(found, ["a cap", "a scarf"], model="mini", user="tab") == first
    (found[0].lora).write_bytes(b"trained again")
    again = checkpoints.specs(found, ["a cap", "a scarf"], model="mini", user="tab")
    assert again[found[0], 0].idempotency_key != first[found[0], 0].idempotency_key


def test_a_clear_lead_is_called_sure_and_a_coin_toss_is_not() -> None:
    base = [0.1, 0.2, 0.15, 0.3, 0.25, 0.12, 0.22, 0.18]
    ahead = [value + 0.05 for value in base]
    found = checkpoints.verdict({candidate(100): cells(*base), candidate(200): cells(*ahead)})
    assert found is not None
    assert found.best.step == 200
    assert found.sure
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(0.05)
    mixed = [value + (0.05 if place % 2 else -0.049) for place, value in enumerate(base)]
    found = checkpoints.verdict({candidate(100): cells(*base), candidate(200): cells(*mixed)})
    assert found is not None
    assert not found.sure


def test_only_pictures_that_all_have_are_compared_and_equals_go_to_the_earlier() -> None:
    assert checkpoints.verdict({}) is None
    assert checkpoints.verdict({candidate(1): cells(0.3), candidate(2): {}}) is None
    found = checkpoints.verdict({candidate(2): cells(0.3, 0.9), candidate(1): cells(0.3)})
    assert found is not None
    assert found.best.step == 1
    assert found.mean == pytest.approx(0.3)
    alone = checkpoints.verdict({candidate(1): cells(0.3, 0.4)})
    assert alone is not None
    assert alone.second is None
    assert not alone.sure
