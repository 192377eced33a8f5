"""Does the bundled judge notice what it does not know? `python -m benchmarks.judge_world [--photos FILE] [--write]`

Prints how often `scoring.world` errs: pictures of its own kind called outside (held-out renders, the sample data,
pictures that the bundled model draws, as they are, doubled in size and as JPEG), and photographs called inside (those
that scikit-image brings, those of `--others`, and of `--photos`). Needs `requirements-mini.txt`.

`--photos` (a folder, or a parquet file with a column `image`) fits it anew, on two thirds of them and on renders; the
last third is what is printed, as it is and cut out before plain backdrops. `--write` puts what was fitted beside the
judge's weights. Exits 1 beyond the bars.
"""

import argparse
import io
import random
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import skimage  # noqa: E402
from PIL import Image  # noqa: E402

from sdxl_lora import generation, prompts  # noqa: E402
from sdxl_lora.editing.cutout import cut_out  # noqa: E402
from sdxl_lora.errors import ImageError  # noqa: E402
from sdxl_lora.evaluation.weights import sha256_of  # noqa: E402
from sdxl_lora.generation import PictureDone  # noqa: E402
from sdxl_lora.mini.renderer import render  # noqa: E402
from sdxl_lora.mini.scene import sample_scene  # noqa: E402
from sdxl_lora.models.loading import ModelConfig, load  # noqa: E402
from sdxl_lora.request import GenerationRequest  # noqa: E402
from sdxl_lora.scoring.base import default_scorer  # noqa: E402
from sdxl_lora.scoring.clip import ClipScorer  # noqa: E402
from sdxl_lora.scoring.world import World  # noqa: E402

MOST_WRONG_OUTSIDE, MOST_WRONG_INSIDE = 0.03, 0.10  # shares: of its own kind, of photographs
SIDE = 256  # px of the renders
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_PHOTOS = (
    "astronaut chelsea coffee rocket retina hubble_deep_field motorcycle_left camera coins grass brick gravel"
)


def renders(number: int, seed: int) -> list[Image.Image]:
    """Drawings as in training, with the combinations that training left out."""
    rng = random.Random(seed)
    return [Image.fromarray(render(sample_scene(rng, held_out=None), SIDE)) for _ in range(number)]


def drawn(number: int) -> list[Image.Image]:
    """Pictures of the bundled model, from its templates in turn."""
    templates = list(prompts.templates().values())
    found = []
    for seed in range(number):
        prompt = prompts.fill(templates[seed % len(templates)], {})
        request = generation.resolve(GenerationRequest(prompt=prompt, model="mini", seed=seed))
        events = generation.generate(load(ModelConfig.of(request)), request)
        found += [event.image for event in events if isinstance(event, PictureDone)]
    return found


def photos(path: Path | None, most: int) -> list[Image.Image]:
    """Photographs of a folder or a parquet file in a fixed shuffled order, or those of scikit-image."""
    if path is None:
        folder = Path(skimage.__file__).parent / "data"
        files = [file for name in _PHOTOS.split() for file in folder.glob(f"{name}.*")]
        return [Image.open(file).convert("RGB") for file in files]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
        random.Random(0).shuffle(files)
        return [Image.open(file).convert("RGB") for file in files[:most]]
    import pyarrow.parquet as parquet

    rows = parquet.read_table(path, columns=["image"]).to_pylist()
    random.Random(0).shuffle(rows)
    found = [row["image"]["bytes"] if isinstance(row["image"], dict) else row["image"] for row in rows[:most]]
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in found]


def cut_outs(pictures: Sequence[Image.Image]) -> list[Image.Image]:
    """What is shown on photographs, before the white or nearly white backdrop of a catalogue."""
    rng, found = random.Random(5), []
    for picture in pictures:
        try:
            cut = cut_out(picture)
        except ImageError:  # nothing can be found on it
            continue
        product = cut.image.crop(cut.box)
        side = round(max(product.size) / rng.uniform(0.6, 0.95))
        grey = rng.choice((255, 255, 255, rng.randrange(219, 252)))
        tint = tuple(min(255, grey + (grey < 255) * rng.randrange(-4, 5)) for _ in range(3))
        scene = Image.new("RGB", (side, side), tint)
        scene.paste(product, ((side - product.width) // 2, (side - product.height) // 2), product)
        found.append(scene)
    return found


def changed(pictures: Sequence[Image.Image], rng: random.Random) -> list[Image.Image]:
    """Each of them as JPEG, with noise, larger or smaller: what happens to pictures on their way."""
    return [rng.choice((as_jpeg, with_noise, doubled, smaller))(picture) for picture in pictures]


def as_jpeg(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=75)
    return Image.open(file).convert("RGB")


def with_noise(picture: Image.Image) -> Image.Image:
    grain = np.random.default_rng(0).normal(0, 2, (picture.height, picture.width, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


def doubled(picture: Image.Image) -> Image.Image:
    return picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.BICUBIC)


def smaller(picture: Image.Image) -> Image.Image:
    return picture.resize((3 * picture.width // 4, 3 * picture.height // 4), Image.Resampling.BICUBIC)


def fitted(judge: ClipScorer, photographs: Sequence[Image.Image], count: int) -> World:
    """From `count` renders, and a third more for the limits; all pictures as they are and changed."""
    rng = random.Random(1)
    own, others = renders(count, 1), renders(count // 3, 2)
    return World.fitted(
        judge.statistics([*own, *changed(own, rng)]),
        judge.statistics([*others, *changed(others, rng)]),
        judge.statistics([*photographs, *changed(photographs, rng)]),
        sha256_of(Path(judge.source) / "model.safetensors"),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder or parquet file of photographs to fit with")
    parser.add_argument("--most", type=int, default=1_600, help="photographs of them (1600)")
    parser.add_argument("--others", type=Path, help="folder of photographs from elsewhere")
    parser.add_argument("--count", type=int, default=1_200, help="renders to fit with (1200)")
    parser.add_argument("--drawn", type=int, default=24, help="pictures of the bundled model (24)")
    parser.add_argument("--write", action="store_true", help="keep what was fitted")
    arguments = parser.parse_args()
    judge = default_scorer()
    world = judge.world
    held_out: dict[str, list[Image.Image]] = {}
    if arguments.photos:
        given = photos(arguments.photos, arguments.most)
        cut = cut_outs(given)
        a, b = 2 * len(given) // 3, 2 * len(cut) // 3
        world = fitted(judge, [*given[:a], *cut[:b]], arguments.count)
        held_out = {"photographs held out": given[a:], "photographs cut out, held out": cut[b:]}
    if world is None:
        parser.error("the judge has no world.npz yet; fit one with --photos")

    def share(name: str, pictures: Sequence[Image.Image], *, outside: bool) -> float:
        if not pictures:
            return 0.0
        wrong = float((world.outside(judge.statistics(pictures)) != outside).mean())
        print(
            f"{name:32}{len(pictures):6} pictures, {wrong:6.1%} called {'inside' if outside else 'outside'}",
            flush=True,
        )
        return wrong

    samples = [Image.open(file) for file in sorted((ROOT / "sdxl_lora/assets/sample_data").glob("*.jpg"))]
    mini = drawn(arguments.drawn)
    own = [
        share("held-out renders", renders(400, 3), outside=False),
        share("sample data", samples, outside=False),
        share("drawn by the bundled model", mini, outside=False),
        share("the same, doubled", [doubled(picture) for picture in mini], outside=False),
        share("the same, as JPEG", [as_jpeg(picture) for picture in mini], outside=False),
    ]
    strange = [share(name, pictures, outside=True) for name, pictures in held_out.items()]
    strange.append(share("photographs of scikit-image", photos(None, 0), outside=True))
    if arguments.others:
        share("photographs from elsewhere", photos(arguments.others, 600), outside=True)  # too few for a bar
    if arguments.write:
        world.save(Path(judge.source))
        print(f"written to {judge.source}")
    return 0 if max(own) <= MOST_WRONG_OUTSIDE and max(strange) <= MOST_WRONG_INSIDE else 1


if __name__ == "__main__":
    sys.exit(main())
