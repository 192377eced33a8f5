"""The same 20 requests drawn by two checkouts, and their pictures compared pixel by pixel.

    python -m benchmarks.same_pictures --write DIR [--checkout PATH]   # with the code of PATH; default this one
    python -m benchmarks.same_pictures --compare DIR DIR               # exit 1 where a pixel differs

What is compared is what the model drew: the invisible mark, which comes afterwards, is switched off.
How a picture comes out depends on the processor (fp32 or bf16, which kernels), so no hash of it can be kept in a
test: both folders have to be made on one machine. Requests go in by the command line, which both checkouts have, one
process for all of them, and cover what a picture is made of: sizes, steps, several counts, seeds, negative prompt,
guidance and its end, samplers, finished sketches, long and emphasised prompts, a template, and a LoRA of random
weights in both layouts, alone, doubled and reversed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

import torch  # isort: skip
from PIL import Image, ImageChops
from safetensors.torch import save_file

from sdxl_lora.models import registry

HERE = Path(__file__).parents[1]
JACKET = "a navy windbreaker jacket with a white triangle logo on the chest, studio background"
FEW = ("--steps", "5")
SMALL = ("--width", "128", "--height", "128", *FEW)
REQUESTS: dict[str, tuple[str, ...]] = {
    "plain": (JACKET, "--seed", "1"),
    "three": (JACKET, "--seed", "2", "--count", "3", *FEW),
    "small": (JACKET, "--seed", "3", *SMALL),
    "wide": ("red sneakers", "--seed", "4", "--width", "192", "--height", "128", *FEW),
    "tall": ("a black dress", "--seed", "4294967295", "--width", "128", "--height", "192", *FEW),
    "negative": (JACKET, "--seed", "5", "--negative", "hood, blurry", *SMALL),
    "unguided": (JACKET, "--seed", "6", "--guidance", "1", *SMALL),
    "strong": (JACKET, "--seed", "7", "--guidance", "7.5", *SMALL),
    "guided to the end": (JACKET, "--seed", "8", "--guidance-end", "1", *SMALL),
    "guided to a third": (JACKET, "--seed", "9", "--guidance-end", "0.3", "--negative", "logo", *SMALL),
    "finished sketch": (JACKET, "--seed", "10", "--steps", "12", "--sketch-steps", "4"),
    "two finished sketches": (JACKET, "--seed", "11", "--count", "2", "--sketch-steps", "6"),
    "another sampler": (JACKET, "--seed", "12", "--scheduler", "dpm++ 2m karras", *SMALL),
    "random sampler": (JACKET, "--seed", "13", "--count", "2", "--scheduler", "euler-a", *SMALL),
    "single precision": (JACKET, "--seed", "14", "--precision", "fp32", *SMALL),
    "long and loud": (f"({JACKET}:1.3), " + ", ".join([JACKET] * 6), "--seed", "15", *SMALL),
    "template": ("--template", "footwear", "--set", "colour=red", "--seed", "16", *FEW),
    "LoRA": (JACKET, "--seed", "17", "--lora", "{lora}", *FEW),
    "LoRA, weaker and with a negative prompt": (
        *(JACKET, "--seed", "18", "--lora", "{lora}:0.4", "--negative", "hood", *SMALL),
    ),
    "LoRA of two files, one reversed": (
        *(JACKET, "--seed", "19", "--count", "2", "--lora", "{lora}:0.7", "--lora", "{second}:-0.5", *SMALL),
    ),
}
DRIVER = """
import json, sys, contextlib, io
from pathlib import Path
from sdxl_lora.cli import main
for number, arguments in enumerate(json.load(sys.stdin)):
    folder = Path(sys.argv[1]) / f"{number:02d}"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = main(["generate", *arguments, "--output", str(folder), "--json"])
    if code:
        sys.exit(code)
    for place, made in enumerate(json.loads(said.getvalue())["images"]):
        Path(made["path"]).rename(folder / f"{place}.png")
    print(number, file=sys.stderr, flush=True)
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, metavar="DIR", help="draw the pictures into this new folder")
    parser.add_argument("--checkout", type=Path, default=HERE, metavar="PATH", help="whose code draws them")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="DIR", help="two folders made by --write")
    options = parser.parse_args()
    if options.write:
        write(options.write.absolute(), options.checkout)
    return compare(*options.compare) if options.compare else 0


def write(folder: Path, checkout: Path) -> None:
    """Draws all requests with the code of `checkout`; `folder` gets one folder per request, numbered."""
    folder.mkdir(parents=True)
    files = {"lora": folder / "lora.safetensors", "second": folder / "second.safetensors"}
    for seed, file in enumerate(files.values()):
        save_file(_lora(seed), file)
    requests = [[part.format_map(files) for part in request] for request in REQUESTS.values()]
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(
            [sys.executable, "-c", DRIVER, str(folder)],
            cwd=checkout,
            env={**_environment(), "SDXL_LORA_HOME": home, "SDXL_LORA_WATERMARK": "off"},
            input=json.dumps(requests),
            text=True,
            check=True,
        )


def compare(one: Path, other: Path) -> int:
    """Prints every request and whether its pictures are the same; 0 where all are."""
    different = 0
    for number, name in enumerate(REQUESTS):
        pictures = [sorted((folder / f"{number:02d}").glob("*.png")) for folder in (one, other)]
        same = len(pictures[0]) == len(pictures[1]) > 0 and all(map(_equal, *pictures))
        different += not same
        print(f"{'same' if same else 'DIFFERENT':9}  {len(pictures[0])}  {name}")
    print(f"{len(REQUESTS) - different} of {len(REQUESTS)} requests give the same pixels")
    return int(different > 0)


def _equal(one: Path, other: Path) -> bool:
    with Image.open(one) as left, Image.open(other) as right:
        return left.size == right.size and ImageChops.difference(left, right).getbbox() is None


def _lora(seed: int) -> dict[str, torch.Tensor]:
    """Rank 2 on the attention of the bundled UNet, in peft's layout for an even `seed`, else in kohya's."""
    from diffusers import UNet2DConditionModel
    from diffusers.utils import convert_state_dict_to_kohya

    unet = UNet2DConditionModel.from_pretrained(registry.mini_folder() / "unet")
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, module in unet.named_modules():
        if name.endswith(("attn1.to_q", "attn2.to_k", "attn2.to_v")):
            out, into = module.weight.shape
            for key, shape in (("lora_A", (2, into)), ("lora_B", (out, 2))):
                state[f"unet.{name}.{key}.weight"] = torch.randn(shape, generator=generator) * 0.05
    return convert_state_dict_to_kohya(state) if seed % 2 else state


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SDXL_LORA_")}


if __name__ == "__main__":
    sys.exit(main())
