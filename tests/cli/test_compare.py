"""`compare` from the shell."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdxl_lora.cli import main
from sdxl_lora.records.comparisons import ComparisonStore
from tests.evaluation.drawing import noisy, save_all
from tests.stand_in import bundled, tiny_mini

__all__ = ["bundled", "tiny_mini"]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A comparison of two folders on two prompts."""
    (tmp_path / "prompts.txt").write_text("a red hoodie\na blue cap\n")
    for name, start in (("one", 0), ("two", 10)):
        save_all(tmp_path / name, ((f"{i + 1}.png", noisy(start + i)) for i in range(2)))
    found = ["--prompts", str(tmp_path / "prompts.txt"), "--metrics", "clip_mini"]
    return [
        *found,
        *(word for name in ("one", "two") for word in ("--column", f"pictures:{tmp_path / name}")),
    ]


def printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert main(["compare", *words]) == 0
    return json.loads(capsys.readouterr().out)


def failure(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["compare", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    return captured.err


def test_two_folders_are_compared_and_drawn_as_one_picture(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = ["--output", str(tmp_path / "all.png"), "--output", str(tmp_path / "all.json")]
    values = printed([*words, *outputs, "--json"], capsys)
    assert [column["label"] for column in values["columns"]] == ["one", "two"]
    assert [row["prompt"] for row in values["rows"]] == ["a red hoodie", "a blue cap"]
    assert values["columns"][0]["metrics"]["clip_mini"]["n"] == 2
    assert set(values["columns"][0]["cells"]) == {"01", "02"}
    assert Image.open(tmp_path / "all.png").width > 640
    assert json.loads((tmp_path / "all.json").read_text()) == values


def test_an_earlier_comparison_is_shown_with_its_votes(
    words: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = printed([*words, "--json"], capsys)["id"]
    with ComparisonStore(home) as store:
        store.vote(identifier, 0, "ann", choice=1, columns=[1, 0], blind=True)
        store.vote(identifier, 1, "ann", choice=None, columns=[1, 0], blind=True)
        store.vote(identifier, 1, "bob", choice=1, columns=[1, 0], blind=False)
    values = printed(["--show", identifier, "--json"], capsys)
    assert [(c["votes"]["wins"], c["votes"]["ties"]) for c in values["columns"]] == [(0, 1), (1, 1)]
    assert values["votes"] == {"blind": 2, "not_blind": 1}
    assert main(["compare", "--show", identifier]) == 0
    out = capsys.readouterr().out
    assert "50% of 2" in out
    assert "CLIP_MINI" in out


def test_a_provider_without_a_key_leaves_its_cells_open_and_the_others_done(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    capsys.readouterr()
    assert main(["compare", *words, "--column", "openai:", "--json"]) == 0
    captured = capsys.readouterr()
    values = json.loads(captured.out)
    assert "no key; set OPENAI_API_KEY" in captured.err
    assert values["columns"][2]["cells"]["01"] == {"unavailable": "not made yet"}
    assert values["columns"][1]["metrics"]["clip_mini"]["n"] == 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--output", "all.gif"], "--output all.gif"),
        (["--steps", "0"], "steps 0 is not between"),
        (["--metrics", "psnr"], "needs reference photos"),
        (["--column", "dalle"], "is not LABEL=KIND:VALUE"),
    ],
)
def test_bad_words_are_one_line(
    words: list[str], more: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in failure([*words, *more], capsys)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "give columns"),
        (["--show", "0" * 16], "there is no comparison"),
        (["--column", "model:mini"], "1 columns"),
    ],
)
def test_what_is_missing_is_said(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in failure(words, capsys)
