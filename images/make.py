"""Makes the pictures of the README and of the empty studio again: `.venv/bin/python images/make.py`.

All with the bundled model, from fixed prompts with one fixed seed: nothing is chosen picture by picture. The sheet of
renders needs requirements-mini.txt. `images/guide.py` takes the screenshots.
"""

import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from PIL import Image

from sdxl_lora.generation import PictureDone, generate, resolve
from sdxl_lora.mini.renderer import contact_sheet, render
from sdxl_lora.mini.scene import sample_scene
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest
from sdxl_lora.ui.examples import EXAMPLES

HERE = Path(__file__).parent
SEED = 101
PROMPTS = (
    "outer, Northpeak Windbreaker Navy, a photography of a navy windbreaker jacket with a white triangle logo on the "
    "chest, studio background",
    "top, Riverline T-Shirt Red, a photography of a red t-shirt with a white star logo in the centre, white background",
    "accessory, Hallmond Cap Navy, a photography of a navy cap with a pink star logo on the front, golden hour",
    "top, Northpeak Hoodie Grey, a photography of a grey hoodie with a blue ring logo in the centre, studio background",
    "bottom, Riverline Jeans Blue, a photography of blue jeans, white background",
    "dress, Hallmond Dress Yellow, a photography of a yellow striped dress on a mannequin, in front of a wall",
    "shoes, Northpeak Sneakers White, a photography of white sneakers with a red bar logo on the side, wooden floor",
    "outer, Riverline Puffer Green, a photography of a green puffer jacket with a white circle logo on the chest, "
    "in a forest",
)


def drawn(prompts: Sequence[str]) -> Iterator[Image.Image]:
    """The first picture of each prompt."""
    model = load(ModelConfig(model="mini"))
    for prompt in prompts:
        request = resolve(GenerationRequest(prompt=prompt, model="mini", seed=SEED))
        yield next(event.image for event in generate(model, request) if isinstance(event, PictureDone))


def sheet(pictures: Sequence[Image.Image], columns: int, width: int, path: Path) -> None:
    """Pictures of one size side by side, `width` px wide in all."""
    whole = Image.fromarray(contact_sheet([np.asarray(picture) for picture in pictures], columns))
    height = round(whole.height * width / whole.width)
    whole.resize((width, height), Image.Resampling.LANCZOS).save(path, quality=88)


def main() -> None:
    sheet(list(drawn(PROMPTS)), 4, 1024, HERE / "mini.jpg")
    for example, picture in zip(EXAMPLES, drawn([example.prompt for example in EXAMPLES]), strict=True):
        example.picture.parent.mkdir(exist_ok=True)
        picture.save(example.picture, quality=88)
    rng = random.Random(SEED)
    renders = [Image.fromarray(render(sample_scene(rng))) for _ in range(32)]
    sheet(renders, 8, 1024, HERE / "renderer.jpg")


if __name__ == "__main__":
    main()
