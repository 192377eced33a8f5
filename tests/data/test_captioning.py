"""Captions are written in every form, and an interrupted run goes on."""

import json
import os
import socket
import time

import huggingface_hub
import pytest
import torch
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    BlipTextConfig,
    BlipVisionConfig,
)

from sdxl_lora import cli
from sdxl_lora.data import captioning
from sdxl_lora.data.sources import open_source
from sdxl_lora.errors import DataError, StorageError


@pytest.fixture
def photos(tmp_path, noise):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        noise(seed=number).save(folder / f"{number}.png")
    return folder


def counting():
    """A captioner that counts its pictures."""
    seen = []

    def caption(images):
        seen.extend(images)
        return [f"a photography of thing {len(seen)}" for _ in images]

    return caption, seen


@pytest.mark.parametrize("form", ["metadata", "txt", "json"])
def test_every_form_is_read_back_by_the_loader(photos, form):
    caption, _ = counting()
    written = list(captioning.caption_folder(photos, caption, form=form, batch_size=2))
    assert [item.name for item in written] == ["0.png", "1.png", "2.png"]
    source = open_source(str(photos))
    assert [captions[0] for captions in source.captions] == [item.caption for item in written]


@pytest.mark.parametrize("form", ["metadata", "txt", "json"])
def test_an_interrupted_run_goes_on_where_it_was(photos, form):
    caption, seen = counting()
    run = captioning.caption_folder(photos, caption, form=form, batch_size=1)
    next(run)
    run.close()
    rest = list(captioning.caption_folder(photos, caption, batch_size=1))  # the form is found
    assert [item.name for item in rest] == ["1.png", "2.png"]
    assert len(seen) == 3


def test_other_columns_of_the_metadata_are_kept(photos):
    (photos / "metadata.jsonl").write_text('{"file_name": "0.png", "sku": 7}\n')
    caption, _ = counting()
    list(captioning.caption_folder(photos, caption))
    rows = [json.loads(line) for line in (photos / "metadata.jsonl").read_text().splitlines()]
    assert rows[0]["sku"] == 7
    assert rows[0]["text"].startswith("a photography of")


def test_a_full_disk_is_one_line_and_keeps_what_was_written(photos, monkeypatch):
    caption, _ = counting()

    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match=r"the disk is full; .* earlier captions are kept"):
        list(captioning.caption_folder(photos, caption))


@pytest.mark.parametrize("text", ["{", '{"text": "no name"}'])
def test_damaged_captions_are_not_overwritten(photos, text):
    (photos / "metadata.jsonl").write_text(text)
    with pytest.raises(DataError, match="damaged"):
        list(captioning.caption_folder(photos, lambda images: []))


def save_tiny_blip(folder):
    """A randomly initialised BLIP captioner of the real classes."""
    torch.manual_seed(0)
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "[DEC]",
        "[ENC]",
        "a",
        "photography",
        "of",
        "jacket",
        "red",
    ]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    text = BlipTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        encoder_hidden_size=16,
        intermediate_size=32,
        projection_dim=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=5,
        eos_token_id=3,
        sep_token_id=3,
        pad_token_id=0,
    )
    vision = BlipVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32
    )
    config = BlipConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)


def test_the_verb_captions_with_a_real_blip(photos, tmp_path, capsys):
    model = tmp_path / "blip"
    model.mkdir()
    save_tiny_blip(model)
    assert cli.main(["caption", str(photos), "--model", str(model), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["picture"] for row in result["written"]] == ["0.png", "1.png", "2.png"]
    assert all(row["caption"].startswith("a photography of") for row in result["written"])
    assert cli.main(["caption", str(photos), "--model", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 3


def test_without_weights_and_network_it_says_how_to_get_them(photos, capsys):
    assert cli.main(["caption", str(photos)]) == 2
    assert "hf download Salesforce/blip-image-captioning-large" in capsys.readouterr().err


def test_a_hub_that_never_answers_is_asked_once(photos, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(captioning, "HUB_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls and says nothing
        monkeypatch.setattr(
            "huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        huggingface_hub.close_session()  # a client that knows it is offline
        started = time.monotonic()
        assert cli.main(["caption", str(photos), "--model", "someone/blip"]) == 2
    huggingface_hub.close_session()
    assert time.monotonic() - started < 5
    error = capsys.readouterr().err
    assert error.startswith("error: the captioner someone/blip is not on this machine")
    assert error.count("\n") == 1
