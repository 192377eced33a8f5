"""A file where a model folder is wanted: what it is, and how to make a folder of it. Reads its header, no weights.

A checkpoint of one file, as AUTOMATIC1111 and ComfyUI use them, holds weights without configurations and tokenizers;
diffusers fetches those from the hub and writes everything as a folder, once. Nothing here asks the network.
"""

import shlex
from pathlib import Path

from safetensors import SafetensorError, safe_open

_UNET = "model.diffusion_model."
_VAE = "first_stage_model."
_INPUT = f"{_UNET}input_blocks.0.0.weight"
_SDXL_TEXT = "conditioner.embedders.1."
_SD_TEXT = "cond_stage_model."
_IMAGE_CHANNELS = 4
_LORA_SIGNS = ("lora_down.", "lora_up.", "lora_A.", "lora_B.", "hada_w1", "lokr_w1")


def advice(path: Path) -> str:
    """One line for people: what `path` is and what to do instead of giving it as a model."""
    if path.suffix.lower() != ".safetensors":
        return (
            f"{path} is a single file that may run code when it is opened; give a diffusers folder, a hub id, "
            "or convert a .safetensors version of it"
        )
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            channels = file.get_slice(_INPUT).get_shape()[1] if _INPUT in names else _IMAGE_CHANNELS
    except (SafetensorError, OSError):
        return f"{path} cannot be read as safetensors; it is damaged or of another kind; give a folder or a hub id"
    if any(sign in name for name in names for sign in _LORA_SIGNS):
        return f"{path} is a LoRA and no model; give it as --lora, beside the model that it was trained on"
    if not any(name.startswith(_UNET) for name in names):
        return (
            f"{path} is a single file of a kind that is not known here; give a diffusers folder, or a hub id"
        )
    if channels != _IMAGE_CHANNELS:
        return f"{path} is an inpainting or editing model; give its text-to-image base instead"
    missing = [
        what
        for what, prefixes in (("VAE", (_VAE,)), ("text encoders", (_SDXL_TEXT, _SD_TEXT)))
        if not any(name.startswith(prefixes) for name in names)
    ]
    if missing:
        return f"{path} holds a UNet without {' and '.join(missing)}; give a whole checkpoint or a diffusers folder"
    sdxl = any(name.startswith(_SDXL_TEXT) for name in names)
    return (
        f"{path} is a single-file checkpoint of {'SDXL' if sdxl else 'Stable Diffusion'}; make a folder of it once, "
        f"with the hub in reach, and give that: {command(path, sdxl=sdxl)}"
    )


def command(path: Path, *, sdxl: bool) -> str:
    """The shell command that makes a diffusers folder beside the file, of the file's name without its suffix."""
    kind = "StableDiffusionXLPipeline" if sdxl else "StableDiffusionPipeline"
    program = (
        "import sdxl_lora, diffusers; "
        f"diffusers.{kind}.from_single_file({str(path)!r}).save_pretrained({str(path.with_suffix(''))!r})"
    )
    return f"python -c {shlex.quote(program)}"
