"""Everything that can be wrong with a command line's input: one line on stderr, exit code 2, no weights loaded."""

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from sdxl_lora.training import base_model, run

Change = Callable[[Path], dict[str, str]]  # the pictures' folder -> flags; may change what is there


@pytest.fixture
def no_weights(monkeypatch):
    """Loading weights is an error."""

    def refuse(*arguments, **keywords):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(base_model, "_load", refuse)


def wrong_column(pictures: Path) -> dict[str, str]:
    return {"caption_column": "txet"}


def wrong_picture_column(pictures: Path) -> dict[str, str]:
    table = pictures.parent / "table.parquet"
    rows = {"imge": [(pictures / "0.png").read_bytes()], "text": ["a top"]}
    pyarrow.parquet.write_table(pyarrow.table(rows), table)
    return {"train_data_dir": str(table)}


def no_pictures(pictures: Path) -> dict[str, str]:
    empty = pictures.parent / "empty"
    empty.mkdir()
    return {"train_data_dir": str(empty)}


def no_caption(pictures: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in (pictures / "metadata.jsonl").read_text().splitlines()]
    rows[3]["text"] = ""
    (pictures / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {}


def other_pictures(pictures: Path) -> dict[str, str]:
    return {"train_data_dir": str(pictures.parent / "pictuers")}


def other_model(pictures: Path) -> dict[str, str]:
    return {"pretrained_model_name_or_path": "mimi"}


def no_model_folder(pictures: Path) -> dict[str, str]:
    return {"pretrained_model_name_or_path": str(pictures / "model")}


def no_checkpoint(pictures: Path) -> dict[str, str]:
    (pictures.parent / "run" / "checkpoint-20").mkdir(parents=True)
    return {"resume_from_checkpoint": "checkpoint-2", "resume_strict": ""}


def odd_resolution(pictures: Path) -> dict[str, str]:
    return {"resolution": "70"}


def blocked_output(pictures: Path) -> dict[str, str]:
    (pictures.parent / "file").write_text("")
    return {"output_dir": str(pictures.parent / "file" / "run")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_model, "no model named 'mimi'; did you mean 'mini'?"),
        (no_model_folder, "model"),
        (other_pictures, r"there is no data set at .*pictuers; did you mean .*pictures\?"),
        (wrong_column, r"no caption column named 'txet'; did you mean 'text'\?"),
        (wrong_picture_column, r"no image column named 'image'; did you mean 'imge'\?"),
        (no_pictures, "has 0 pictures"),
        (no_caption, r"1 of 7 pictures .* have no caption \(3.png\)"),
        (no_checkpoint, r"there is no checkpoint checkpoint-2 \(in .*run: checkpoint-20\)"),
        (odd_resolution, "resolution 70 is not a multiple of 8, .* use 72"),
        (blocked_output, "--output_dir .* cannot be written"),
    ],
)
def test_one_line_before_any_weights(start, pictures, capsys, no_weights, change, message):
    assert start(**change(pictures)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line)


def test_a_full_disk_is_found_before_any_weights(start, capsys, no_weights, monkeypatch):
    def full(descriptor, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert start() == 2
    assert "error: the cache needs" in (said := capsys.readouterr().err)
    assert "which is full; see --training_cache_dir" in said


def test_a_batch_larger_than_a_size_has_pictures_is_short_and_said(start, pictures, capsys, no_weights):
    wide = np.zeros((40, 120, 3), np.uint8)
    Image.fromarray(wide).save(pictures / "0.png")
    assert start(aspect_ratio_buckets="", train_batch_size="5", dry_run="") == 0
    assert (
        "sizes have fewer pictures than a batch: their batches are short, none is left out"
        in capsys.readouterr().out
    )


@pytest.fixture
def start(tiny_sdxl, pictures, tmp_path):
    """Runs the command line with some flags changed; its exit code."""

    def main(**changes: str) -> int:
        flags = {
            "pretrained_model_name_or_path": str(tiny_sdxl),
            "train_data_dir": str(pictures),
            "output_dir": str(tmp_path / "run"),
            "max_train_steps": "1",
            "seed": "1",
            "report_to": "none",
        }
        words = [
            f"--{name}={value}" if value else f"--{name}" for name, value in {**flags, **changes}.items()
        ]
        return run.main(words)

    return main
