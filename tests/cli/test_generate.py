"""`generate`: from words on the command line to recorded pictures, on the tiny model."""

import errno
import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdxl_lora import cli
from sdxl_lora.cli import generate
from sdxl_lora.records import Store, metadata
from sdxl_lora.request import GenerationRequest, LoraSpec

ROOT = Path(__file__).parents[2]
QUICK = ("--steps", "2", "--width", "64", "--height", "64", "--model", "mini")


def request(*words: str) -> GenerationRequest:
    return generate.build_request(cli.build_parser(["generate"]).parse_args(["generate", *words]))


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What `generate ... --json` prints, which must be one object and nothing else."""
    assert cli.main(["generate", *words, *QUICK, "--json"]) == 0
    out: dict[str, Any] = json.loads(capsys.readouterr().out)
    return out


# ---------------------------------------------------------------- arguments


def test_every_flag_reaches_the_request() -> None:
    assert request(
        *(
            "a navy jacket",
            "--negative",
            "blurry",
            "--model",
            "sd14",
            "--lora",
            "a.safetensors:0.5",
            "--lora",
            "b",
        ),
        *(
            "--steps",
            "12",
            "--guidance",
            "4.5",
            "--seed",
            "7",
            "--count",
            "3",
            "--width",
            "512",
            "--height",
            "640",
        ),
        *("--guidance-end", "0.5", "--precision", "fp32", "--scheduler", "ddim", "--sketch-steps", "4"),
        *("--engine", "openvino", "--upscale", "4", "--background", "#c8e6c9"),
        *("--fill", "85", "--shadow", "--recolour", "#1f2a44"),
    ) == GenerationRequest(
        prompt="a navy jacket",
        negative_prompt="blurry",
        model="sd14",
        loras=(LoraSpec(path="a.safetensors", weight=0.5), LoraSpec(path="b")),
        steps=12,
        guidance=4.5,
        guidance_end=0.5,
        seed=7,
        count=3,
        width=512,
        height=640,
        precision="fp32",
        engine="openvino",
        upscale=4,
        background="#C8E6C9",
        fill=85,
        shadow=True,
        recolour="#1F2A44",
        scheduler="ddim",
        sketch_steps=4,
    )


def test_what_is_left_out_is_left_to_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SDXL_LORA_ENGINE")  # of all tests
    assert request("a jacket") == GenerationRequest(prompt="a jacket")


def test_a_template_needs_no_prompt_and_is_kept_in_the_request() -> None:
    made = request("--template", "jacket", "--set", "colour=olive")
    assert "olive" in made.prompt
    assert made.template == "jacket"
    assert ("colour", "olive") in made.slots


def test_a_prompt_beside_a_template_is_added_to_it() -> None:
    alone = request("--template", "jacket").prompt
    assert request("seen from behind", "--template", "jacket").prompt == f"{alone}, seen from behind"


def test_the_negative_prompt_of_a_template_gives_way_to_the_users_own() -> None:
    assert request("--template", "jacket", "--negative", "").negative_prompt == ""
    assert request("--template", "jacket", "--negative", "fog").negative_prompt == "fog"


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ([], "the prompt is empty; say what to make"),
        ([" "], "the prompt is empty"),
        (["x" * 10_000], "the prompt has 10,000 characters"),
        (["a\x00b"], "the prompt contains control characters (U+0000)"),
        (["x", "--set", "colour=red"], "--set fills slots of a template; name it with --template"),
        (["--template", "jackt"], "no template named 'jackt'; did you mean 'jacket'?"),
        (["--template", "jacket", "--set", "colr=red"], "no slot named 'colr'; did you mean 'colour'?"),
        (["--template", "jacket", "--set", "red"], "--set 'red' is not of the form KEY=VALUE"),
        (["x", "--steps", "0"], "steps 0 is not between"),
        (["x", "--steps", "10000"], "steps 10000 is not between"),
        (["x", "--guidance", "nan"], "guidance nan is not a number"),
        (["x", "--seed", "-1"], "seed -1 is not between"),
        (["x", "--seed", str(2**64)], f"seed {2**64} is not between"),
        (["x", "--width", "100"], "width 100 is not a multiple of 8"),
        (["x", "--height", "80000"], "height 80000 is not between"),
        (["x", "--count", "0"], "count 0 is not between"),
        (["x", "--precision", "fp8"], "precision 'fp8' is not one of"),
        (["x", "--lora", "a:99"], "LoRA weight 99.0 is not between"),
        (["x", "--lora", "nowhere.safetensors"], ""),
        (["x", "--model", "minni"], "no model named 'minni'; did you mean 'mini'?"),
        (["x", "--model", "nobody/nothing"], "nobody/nothing is not on this machine"),
        (["x", "--scheduler", "eulr"], "no scheduler named 'eulr'; did you mean 'euler'?"),
        (["x", "--seed", "seven"], "argument --seed: invalid int value: 'seven'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2_and_leaves_nothing(
    words: list[str], start: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    try:
        code = cli.main(["generate", *words, "--json"])
    except SystemExit as end:  # argparse
        code = int(end.code or 0)
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert captured.err.startswith(f"error: {start}")
    assert captured.err.count("\n") == 1
    assert not list(home.rglob("*.png"))


# ---------------------------------------------------------------- pictures


def test_json_is_one_object_that_tells_where_each_picture_is(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    out = as_json(capsys, "a navy jacket", "--count", "2", "--seed", "5")
    assert set(out) == {"images", "model", "precision", "engine", "seconds", "limits"}
    assert (out["model"], [image["seed"] for image in out["images"]]) == ("mini", [5, 6])
    assert out["precision"] in ("fp32", "bf16")
    for image in out["images"]:
        assert set(image) == {"path", "seed", "width", "height", "prompt", "scores", "attempts"}
        with Image.open(image["path"]) as picture:
            assert picture.size == (image["width"], image["height"]) == (64, 64)
        assert Path(image["path"]).is_relative_to(home)
        assert image["prompt"] == "a navy jacket"
        assert set(image["scores"]) == {"clip"}
        assert [attempt["seed"] for attempt in image["attempts"]] == [image["seed"]]


def test_what_the_model_does_not_know_is_said_before_drawing_and_in_json(
    bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(bundled, tmp_path / "closed")
    words = ["a", "red", "jacket", "photography", "of", "outer", "windbreaker", "studio", "background"]
    facts = {"words": words, "products": {"jacket": ["windbreaker"]}}
    (folder / "studio.json").write_text(json.dumps({"capabilities": facts}))
    monkeypatch.setenv("SDXL_LORA_MINI", str(folder))
    assert cli.main(["generate", "a red jaket with pizza", *QUICK, "--json"]) == 0
    printed = capsys.readouterr()
    assert "note: mini does not know: jaket (closest: jacket), pizza" in printed.err
    [limits] = json.loads(printed.out)["limits"]
    assert [word["word"] for word in limits["unknown"]] == ["jaket", "pizza"]
    assert limits["draws_product"] is False
    made = request("--template", "jacket", "--set", "colour=rotes", "--set", "product=Daunenjacke")
    assert "a photography of a red puffer jacket" in made.prompt
    assert dict(made.slots)["colour"] == "red"
    assert "note: colour: rotes → red" in capsys.readouterr().err


def test_the_pictures_are_in_the_gallery_with_their_request(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    [image] = as_json(capsys, "a navy jacket", "--seed", "5")["images"]
    with Store(home) as store:
        [record] = store.page(0, 10)
    assert record.path == Path(image["path"])
    assert (record.request.prompt, record.request.seed, record.request.steps) == ("a navy jacket", 5, 2)
    assert metadata.read_request(record.path) == record.request


def test_the_same_seed_gives_the_same_picture_also_alone(capsys: pytest.CaptureFixture[str]) -> None:
    both = as_json(capsys, "a jacket", "--seed", "8", "--count", "2", "--precision", "fp32")["images"]
    [alone] = as_json(capsys, "a jacket", "--seed", "9", "--precision", "fp32")["images"]
    pixels = [Image.open(image["path"]).tobytes() for image in (*both, alone)]
    assert pixels[1] == pixels[2]
    assert pixels[0] != pixels[1]


def test_without_json_each_picture_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["generate", "a jacket", "--seed", "3", "--count", "2", *QUICK]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["seed 3", "seed 4"]
    assert all(Path(line.split("  ")[0]).is_file() for line in lines)


def test_output_gets_copies_and_the_gallery_keeps_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path
) -> None:
    [image] = as_json(capsys, "a jacket", "--output", str(tmp_path / "new" / "folder"))["images"]
    with Store(home) as store:
        [record] = store.page(0, 10)
    assert Path(image["path"]).parent == tmp_path / "new" / "folder"
    assert Path(image["path"]).read_bytes() == record.path.read_bytes()


def test_progress_goes_to_a_terminal_and_nowhere_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["generate", "a jacket", *QUICK]) == 0
    assert capsys.readouterr().err == ""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert cli.main(["generate", "a jacket", *QUICK, "--steps", "60"]) == 0
    assert "/60 " in terminal.getvalue()


# ---------------------------------------------------------------- where pictures cannot be put


def test_an_output_folder_that_cannot_be_made_is_found_out_before_anything_is_drawn(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path
) -> None:
    (tmp_path / "file").touch()
    assert cli.main(["generate", "a jacket", *QUICK, "--output", str(tmp_path / "file" / "folder")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: cannot write to {tmp_path / 'file' / 'folder'}: ")
    assert captured.err.count("\n") == 1
    assert not home.exists()


def test_an_output_disk_that_fills_up_leaves_no_half_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_a_copy(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", half_a_copy)
    assert cli.main(["generate", "a jacket", *QUICK, "--output", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    [kept] = home.rglob("*.png")
    assert captured.err.startswith("error: cannot write ")
    assert captured.err.endswith(f"No space left on device; the picture itself is {kept}\n")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_data_folder_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SDXL_LORA_HOME", str(tmp_path / "file" / "home"))
    assert cli.main(["generate", "a jacket", *QUICK]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


# ---------------------------------------------------------------- as a program


def test_the_program_prints_json_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sdxl_lora", "generate", "a jacket", *QUICK, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(json.loads(done.stdout)["images"][0]["path"]).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="signals work differently there")
def test_control_c_ends_a_long_run_with_one_line_and_keeps_what_is_done(home: Path) -> None:
    words = ["a jacket", *QUICK, "--steps", "30", "--count", "64"]
    command = [sys.executable, "-m", "sdxl_lora", "generate", *words]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background jobs ignore Ctrl-C, and so would the program under test
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline().split("  ")[0]  # a picture is done
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (130, "interrupted; what was finished before is kept\n")
    with Store(home) as store:
        assert first in [str(record.path) for record in store.page(0, 64)]
        assert store.count() < 64


def test_a_job_that_fails_is_said_once(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert cli.main(["generate", "a jacket", *QUICK, "--precision", "fp16"]) == 2
    assert capsys.readouterr().err.count("precision fp16 needs a GPU") == 1
    assert "failed" not in caplog.text  # which goes to stderr, too, where nothing else was arranged
