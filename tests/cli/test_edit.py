"""`edit`: from a picture on the command line to a recorded picture that names it, on the tiny model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdxl_lora import cli, inputs
from sdxl_lora.records import Record, Store, metadata
from sdxl_lora.request import GenerationRequest, LoraSpec
from tests.logos.marks import PEAK
from tests.records.shared import request

QUICK = ("--steps", "4", "--model", "mini")


def add(store: Store, prompt: str, **fields: Any) -> Record:
    """A recorded picture that is large enough to be edited."""
    picture = Image.linear_gradient("L").resize((96, 64)).convert("RGB")
    return store.add(picture, request=request(prompt, **fields))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def edited(
    capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[GenerationRequest, Image.Image, dict[str, Any]]:
    """Request, picture and JSON of one edit."""
    assert cli.main(["edit", *words, *QUICK, "--json"]) == 0, capsys.readouterr().err
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    path = Path(said["images"][0]["path"])
    return metadata.read_request(path), Image.open(path).convert("RGB"), said


def stays(made: Image.Image, photo: Path, mask: np.ndarray) -> bool:
    return bool((np.asarray(made)[mask == 0] == np.asarray(Image.open(photo))[mask == 0]).all())


def test_a_photo_is_varied_and_the_new_picture_says_what_it_began_from(photo: Path, capsys: Any) -> None:
    made_by, made, said = edited(capsys, str(photo), "a navy jacket", "--variation", "subtle", "--seed", "7")
    assert (made_by.strength, made_by.seed, made_by.prompt) == (0.35, 7, "a navy jacket")
    assert inputs.open(made_by.start_picture).tobytes() == Image.open(photo).tobytes()
    assert (made.size, said["made_from"]) == ((64, 64), str(photo))


def test_only_a_rectangle_is_drawn_anew(photo: Path, capsys: Any) -> None:
    made_by, made, _ = edited(capsys, str(photo), "a star", "--rectangle", "10,20,30,40")
    mask = np.zeros((96, 128))
    mask[20:60, 10:40] = 1
    assert (np.asarray(inputs.open(made_by.mask)) > 0).tolist() == (mask > 0).tolist()
    assert stays(made, photo, mask)
    assert made.size == (128, 96)


def test_only_the_white_of_a_mask_is_drawn_anew(photo: Path, tmp_path: Path, capsys: Any) -> None:
    mask = np.zeros((96, 128), np.uint8)
    mask[:, 64:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    _, made, _ = edited(
        capsys, str(photo), "a star", "--mask", str(tmp_path / "mask.png"), "--mask-feather", "0"
    )
    assert stays(made, photo, mask)
    assert not stays(made, photo, np.zeros_like(mask))


def test_a_widened_picture_keeps_every_pixel(photo: Path, capsys: Any) -> None:
    _, made, _ = edited(capsys, str(photo), "a forest", "--outpaint", "2:1", "--anchor", "end")
    assert made.size == (192, 96)
    assert made.crop((64, 0, 192, 96)).tobytes() == Image.open(photo).tobytes()


def test_a_picture_of_the_studio_is_known_by_its_id_and_lends_its_words(home: Path, capsys: Any) -> None:
    with Store(home) as store:
        record = add(store, "a red dress", negative_prompt="blurry", model="mini")
    made_by, _, said = edited(capsys, str(record.path))
    assert (made_by.prompt, made_by.negative_prompt, made_by.made_from) == (
        "a red dress",
        "blurry",
        record.id,
    )
    assert said["made_from"] == record.id


def test_flags_go_before_what_the_picture_says(home: Path, capsys: Any) -> None:
    with Store(home) as store:
        record = add(store, "a red dress", loras=(LoraSpec(path="gone.safetensors"),), model="mini")
    assert edited(capsys, str(record.path), "--negative", "fog")[0].loras == ()
    assert cli.main(["edit", str(record.path), "--steps", "4"]) == 2
    assert "gone.safetensors" in capsys.readouterr().err


def test_a_photo_is_finished_without_words_and_nothing_of_it_is_drawn_anew(
    photo: Path, tmp_path: Path, capsys: Any
) -> None:
    garment = Image.new("RGB", (128, 96), (200, 60, 40))
    shown = Image.new("RGB", (128, 96), (235, 235, 230))
    shown.paste(garment.crop((0, 0, 60, 60)), (34, 18))
    shown.save(tmp_path / "product.png")
    request, made, _ = edited(capsys, str(tmp_path / "product.png"), "--background", "white")
    assert (request.strength, request.background) == (0.0, "white")
    assert made.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    assert made.convert("RGB").getpixel((64, 48)) == (200, 60, 40)
    assert edited(capsys, str(photo), "--upscale", "2")[1].size == (256, 192)


def test_what_cannot_be_edited_is_one_line_and_leaves_nothing(
    photo: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    (tmp_path / "half.png").write_bytes(photo.read_bytes()[:2000])
    Image.new("RGB", (32, 200)).save(tmp_path / "small.png")
    Image.new("L", (128, 96)).save(tmp_path / "empty.png")
    Image.new("L", (96, 128), 255).save(tmp_path / "turned.png")
    (tmp_path / "two\nlines\x1b[31m.png").write_bytes(b"no picture")
    one = str(photo)
    for words, said in (
        (["none.png", "x"], "none.png cannot be opened"),
        ([str(tmp_path), "x"], "cannot be opened"),
        ([str(tmp_path / "page.jpg"), "x"], "page.jpg cannot be read as a picture"),
        ([str(tmp_path / "half.png"), "x"], "half.png cannot be read as a picture"),
        ([str(tmp_path / "small.png"), "x"], "its sides need 64 px"),
        ([str(tmp_path / "two\nlines\x1b[31m.png"), "x"], "error: two lines [31m.png cannot be read"),
        ([one], "say what the picture should show"),
        ([one, "x", "--mask", str(tmp_path / "empty.png")], "the mask is empty"),
        ([one, "x", "--mask", str(tmp_path / "turned.png")], "the mask is 96x128 px, the picture 128x96"),
        ([one, "x", "--mask", "none.png"], "none.png cannot be opened"),
        ([one, "x", "--rectangle", "1,2,3"], "is not of the form X,Y,W,H"),
        ([one, "x", "--rectangle", "100,0,60,10"], "is not inside the picture of 128x96 px"),
        ([one, "x", "--rectangle", "5,5,0,10"], "is not inside the picture"),
        ([one, "x", "--rectangle", "0,0,9,9", "--mask", "garment"], "exclude each other"),
        ([one, "x", "--strength", "0.5", "--variation", "strong"], "exclude each other"),
        ([one, "x", "--strength", "0.1"], "leaves none of 4 steps"),
        ([one, "x", "--strength", "1.5"], "strength 1.5 is not a number between 0 and 1"),
        ([one, "x", "--outpaint", "wide"], "is not of the form W:H"),
        ([one, "x", "--outpaint", "4:3"], "has that shape already"),
        ([one, "x", "--outpaint", "90:1"], "more than 4 times the picture"),
        ([one, "x", "--set", "colour=red"], "which an edit has none of"),
    ):
        assert cli.main(["edit", *words, *QUICK]) == 2, words
        err = capsys.readouterr().err.splitlines()
        assert next(line for line in err if line.startswith("error: ")).count(said) == 1, (words, err)
        assert not any("Traceback" in line for line in err)
    assert not (home / "pictures").exists()


def test_a_logo_is_put_onto_a_photo_and_nothing_else_changes(
    photo: Path, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "peak.svg").write_bytes(PEAK)
    at = ("--logo", str(tmp_path / "peak.svg"), "--at", "0.5,0.5,0.3")
    made_by, made, _ = edited(capsys, str(photo), *at)
    assert (made_by.strength, made_by.logos[0].name) == (0.0, "peak.svg")
    untouched = np.ones((96, 128), np.uint8)
    untouched[20:76, 40:88] = 0
    assert stays(made, photo, 1 - untouched)
    assert not stays(made, photo, np.zeros((96, 128)))


def test_a_place_that_is_none_is_said_in_one_line(photo: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "peak.svg").write_bytes(PEAK)
    assert cli.main(["edit", str(photo), "--logo", str(tmp_path / "peak.svg"), "--at", "elbow"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "position of a logo" in said[0]


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("0.5,0.5,0.6", "is larger than the garment"),
        ("0.9,0.9,0.5", "sticks out of the picture"),
        ("0.1,0.9,0.1", "lies beside the garment"),
    ],
)
def test_a_logo_without_a_place_on_the_photo_is_refused_and_leaves_no_picture(
    at: str, said: str, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Image.new("RGB", (256, 192), (235, 235, 230))
    shown.paste((200, 60, 40), (90, 40, 170, 160))
    shown.save(tmp_path / "product.png")
    (tmp_path / "peak.svg").write_bytes(PEAK)
    words = [str(tmp_path / "product.png"), "--logo", str(tmp_path / "peak.svg"), "--at", at]
    assert cli.main(["edit", *words]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not (home / "pictures").exists()
