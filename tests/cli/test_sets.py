"""`set`: one product in several colours, and what falls out of a set."""

import json
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora import cli
from tests.editing.photos import garment


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "shirt.jpg"
    garment()[0].save(path)
    return path


def test_a_set_is_made_copied_and_checked(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["set", "make", str(photo), "--colour", "#C3272B", "--colour", "#2e6f40", "--size", "256"]
    assert cli.main([*words, "--output", str(tmp_path / "out"), "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    names = ["shirt-C3272B-white.png", "shirt-2E6F40-white.png"]
    assert out["pictures"] == [str(tmp_path / "out" / name) for name in names]
    assert (out["fits"], [one["reasons"] for one in out["check"]]) == (True, [[], []])
    assert cli.main(["set", "check", *out["pictures"], "--colour", "#C3272B", "--colour", "#C3272B"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("shirt-C3272B-white.png: belongs to the set")
    assert "garment colour #" in second
    assert "from the swatch, #C3272B" in second


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["set", "check", "PHOTO"], "a set has at least 2 pictures"),
        (["set", "check", "PHOTO", "PHOTO", "--colour", "#FFF"], "there are 1 --colour for 2 pictures"),
        (["set", "make", "PHOTO", "--colour", "rouge"], "'rouge' is no colour; write it as #1F2A44"),
        (["set", "make", "/no/such.png"], "/no/such.png cannot be opened"),
        (["set", "make", "PLAIN"], "no product was found in the picture"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.png"
    Image.new("RGB", (200, 200), "white").save(plain)
    given = [{"PHOTO": str(photo), "PLAIN": str(plain)}.get(word, word) for word in words]
    assert cli.main(given) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
