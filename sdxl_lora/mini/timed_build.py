"""`build-mini --minutes N`: VAE and UNet within wall-clock time, on the text encoders of an earlier model.

All cores render while the device trains. What is done before the time is over lies in the build folder, and in parcels
under 16 MB (`mini.parcels`) for machines that give back small files only. A later call with the same folder, or with
its parcels, or from the finished model (`--start-from`), goes on: the VAE stays, the UNet learns further. Where the
earlier VAE or UNet has other channels than are asked for, both are new.
"""

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from numpy.typing import NDArray
from safetensors.torch import save_file

from sdxl_lora.errors import InputError
from sdxl_lora.mini import parcels
from sdxl_lora.mini.autoencoder import QUALITY, make_autoencoder, psnr
from sdxl_lora.mini.clock import Span
from sdxl_lora.mini.dataset import open_photos
from sdxl_lora.mini.denoiser import CaptionEncoder
from sdxl_lora.mini.pipeline import make_pipeline
from sdxl_lora.mini.settings import TOLD, BuildFolder, TimedSettings
from sdxl_lora.mini.sheets import denoiser_sheet
from sdxl_lora.mini.store import ExampleStore
from sdxl_lora.mini.stream import ExampleStream, StreamSettings, draw_examples
from sdxl_lora.mini.timed_training import compiling_ahead, new_unet, prepare_device, train_unet, train_vae

SHEET = {"cuda": 48, "cpu": 4}  # pictures on it
HELD_OUT_SHARD = 1_000_000  # its pictures are never trained on
HELD_OUT = 32  # of them the VAE's PSNR is measured


def build_within(folder: BuildFolder, settings: TimedSettings) -> None:
    """Train until the minutes are over; `folder` has tokenizers and text encoders (`mini.starting`).

    Raises `InputError` where weights of an earlier UNet should stay and there is none.
    """
    whole = Span.of(settings.minutes)
    training = Span(whole.start, whole.end - settings.tail_seconds)
    prepare_device(settings)
    if "taken_over_from" in _told(folder, "unet") or not _told(folder, "unet"):
        parcels.unpack(folder.root)  # of an earlier call; they go before the model that was started from
    going_on = _goes_on(folder, settings)
    if settings.unet_freeze_lowest and not going_on:
        raise InputError(
            "--freeze-lowest trains an earlier UNet on, and there is none of these channels; leave it out"
        )
    earlier = _told(folder, "pictures") if going_on else {}
    earlier_unet = _told(folder, "unet") if going_on else {}
    torch.manual_seed(settings.seed + int(earlier_unet.get("examples", 0)))
    encode = CaptionEncoder(folder, settings.device)
    stream = StreamSettings(
        folder=_scratch(folder),
        tokenizers=folder.stage("tokenizers"),
        size=settings.size,
        seed=settings.seed,
        workers=settings.workers,
        first=int(earlier.get("shards", 0)),
    )
    with ExampleStream(stream) as examples, compiling_ahead(settings, encode.width):
        store = ExampleStore(examples, device=settings.device, capacity=settings.capacity)
        store.fill(settings.first_examples)
        scaling = folder.stage("latents") / "scaling.json"
        if going_on:
            vae = _earlier_vae(folder, settings)
            store.encode_with(vae, _number(scaling, "scaling_factor"))
            unet = _earlier_unet(folder, settings)
        else:
            store.encode_with(_new_vae(folder, store, training, settings))
            unet = new_unet(settings, encode.width)
        _say(f"encoded {store.count} pictures, scaling factor {store.scaling:.4f}", whole)
        scaling.write_text(json.dumps({"scaling_factor": store.scaling}))
        began = time.monotonic()
        for steps in train_unet(unet, encode, store, Span(began, training.end), settings):
            save_unet(unet, folder)
            seconds = time.monotonic() - began
            _note(folder, "unet", seconds, settings, earlier_unet, steps=steps, examples=store.seen)
        drawn = examples.next_shard - stream.first
        _note(folder, "pictures", time.monotonic() - whole.start, settings, earlier, shards=drawn)
    _say("saved", whole)
    parcels.pack(folder.root, PARCELLED)
    _say("packed", whole)
    pipeline = make_pipeline(folder, unet.float().eval()).to(settings.device)
    sheet = folder.root / "sheet.jpg"
    denoiser_sheet(pipeline, sheet, SHEET[settings.device])
    _say(f"drew {sheet.name}", whole)


def save_unet(unet: UNet2DConditionModel, folder: BuildFolder) -> None:
    """Write the UNet as it is now, in fp16."""
    half = {name: weights.half().contiguous() for name, weights in unet.state_dict().items()}
    target = folder.stage("unet") / "unet"
    unet.save_config(target)
    save_file(half, target / "diffusion_pytorch_model.safetensors")


PARCELLED = (
    "unet/unet",
    "vae/vae",
    "latents/scaling.json",
    *(f"{stage}/{TOLD}" for stage in ("vae", "unet", "pictures")),
    f"vae/{QUALITY}",
)


def _goes_on(folder: BuildFolder, settings: TimedSettings) -> bool:
    """Whether VAE and UNet of an earlier call are there, and have the channels that are asked for."""
    if not (_told(folder, "vae") and _told(folder, "unet")):
        return False
    vae = AutoencoderKL.load_config(folder.stage("vae") / "vae")
    unet = UNet2DConditionModel.load_config(folder.stage("unet") / "unet")
    there = (tuple(vae["block_out_channels"]), tuple(unet["block_out_channels"]))
    return there == (settings.vae_channels, settings.unet_channels)


def _earlier_vae(folder: BuildFolder, settings: TimedSettings) -> AutoencoderKL:
    vae = AutoencoderKL.from_pretrained(folder.stage("vae") / "vae", torch_dtype=torch.float32)
    return vae.to(settings.device, memory_format=torch.channels_last).eval().requires_grad_(False)


def _new_vae(
    folder: BuildFolder, store: ExampleStore, training: Span, settings: TimedSettings
) -> AutoencoderKL:
    """Trained in its share of the time, measured and saved."""
    began = time.monotonic()
    vae = make_autoencoder(settings.vae_channels, settings.size).to(settings.device)
    photos = open_photos(folder.pictures / "photos")[0]
    train_vae(vae, store, photos, training.until(settings.vae_share), settings)
    held_out = _held_out(folder, settings)
    quality = psnr(vae, held_out, settings.device)
    (folder.stage("vae") / QUALITY).write_text(json.dumps({"psnr_held_out_renders": quality}))
    _say(f"VAE {quality:.2f} dB on {len(held_out)} held-out renders", training)
    vae.save_pretrained(folder.stage("vae") / "vae")
    _note(folder, "vae", time.monotonic() - began, settings, {})
    return vae


def _held_out(folder: BuildFolder, settings: TimedSettings) -> NDArray[np.uint8]:
    return draw_examples(
        settings.seed, HELD_OUT_SHARD, HELD_OUT, settings.size, folder.stage("tokenizers")
    ).pictures


def _earlier_unet(folder: BuildFolder, settings: TimedSettings) -> UNet2DConditionModel:
    unet = UNet2DConditionModel.from_pretrained(folder.stage("unet") / "unet", torch_dtype=torch.float32)
    return unet.to(settings.device, memory_format=torch.channels_last).train()


def _scratch(folder: BuildFolder) -> Path:
    """Where the stream's shards lie for a moment: a RAM disk if there is one, in a place of this build's own."""
    ram = Path("/dev/shm")
    own = hashlib.sha256(str(folder.root.resolve()).encode()).hexdigest()[:16]
    return ram / f"build-mini-{own}" if ram.is_dir() else folder.stage("pictures") / "stream"


def _told(folder: BuildFolder, stage: str) -> dict[str, Any]:
    """What earlier calls noted; empty if there were none."""
    path = folder.stage(stage) / TOLD
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _number(path: Path, name: str) -> float:
    return float(json.loads(path.read_text())[name])


def _note(
    folder: BuildFolder,
    stage: str,
    seconds: float,
    settings: TimedSettings,
    earlier: Mapping[str, float],
    **figures: float,
) -> None:
    """Note what this call did, added to what `earlier` calls did."""
    sums = {name: earlier.get(name, 0) + value for name, value in {"seconds": seconds, **figures}.items()}
    machine = torch.cuda.get_device_name() if settings.device == "cuda" else "CPU"
    notes = {**sums, "machine": machine, "settings": asdict(settings)}
    (folder.stage(stage) / TOLD).write_text(json.dumps(notes, indent=1))


def _say(text: str, span: Span) -> None:
    print(f"[build] {text}; {span.left:.0f} s left", file=sys.stderr, flush=True)
