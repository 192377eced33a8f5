"""How the finished model is stored."""

import json
import random
import zlib
from pathlib import Path

import safetensors.torch
import torch

from sdxl_lora.mini import captions, package
from sdxl_lora.mini.autoencoder import QUALITY
from sdxl_lora.mini.package import round_weights
from sdxl_lora.mini.scene import sample_scene
from sdxl_lora.mini.settings import PROFILES, BuildFolder
from sdxl_lora.mini.starting import start_from
from sdxl_lora.mini.verdict import report_path
from sdxl_lora.models.capabilities import read as capabilities_of_files
from sdxl_lora.models.registry import mini_folder


def test_rounded_weights_are_what_bf16_makes_of_them_and_fp16_holds_them_but_for_the_tiniest() -> None:
    layer = torch.nn.Linear(64, 64)
    as_bf16 = layer.weight.detach().to(torch.bfloat16)
    round_weights(layer)
    assert torch.equal(layer.weight.to(torch.bfloat16), as_bf16)
    assert (layer.weight.half().float() - layer.weight).abs().max() <= 2**-25  # half of fp16's smallest step


def test_rounded_weights_pack_better() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(256, 256)
    packed = []
    for _ in range(2):
        packed.append(len(zlib.compress(safetensors.torch.save({"weight": layer.weight.detach().half()}))))
        round_weights(layer)
    assert packed[1] < 0.9 * packed[0]


def test_a_model_that_was_trained_on_says_so_on_its_card(tmp_path: Path) -> None:
    folder, settings = BuildFolder(root=tmp_path), PROFILES["cpu"]
    start_from(mini_folder(), folder)
    done = {"seconds": 3240, "machine": "2 cores of a CPU", "settings": {"unet_steps": 1600}}
    for stage in ("pictures", "judge", "unet"):
        (folder.stage(stage) / "done.json").write_text(json.dumps(done))
    (folder.stage("vae") / QUALITY).write_text(json.dumps({"psnr_held_out_renders": 34.0}))
    report = {"steps": 20, "guidance": 3.0, "guidance_end": 0.6, "cleanup_timestep": 99, "table": {}}
    report_path(folder).write_text(json.dumps(report))
    history = package.build_history(folder)
    assert history["unet"][-1] == {"seconds": 3240, "machine": "2 cores of a CPU", "steps": 1600}
    card = package.model_card(folder, settings, history)
    assert "build-mini --start-from MODEL" in card
    assert card.count("| unet |") == len(history["unet"]) > 1
    assert "cleaned up at timestep 99" in card


def test_the_packaged_model_says_the_words_and_garments_that_it_was_trained_on() -> None:
    found = capabilities_of_files(package.capabilities())
    rng = random.Random(5)
    for _ in range(300):
        shown = sample_scene(rng)
        sentence = captions.caption(shown, rng)
        assert found.unknown_words(sentence) == ()
        assert found.draws(sentence)
    assert found.unknown_words("a retriever") == ("retriever",)
