"""Does the bundled judge notice what it does not know? `python -m benchmarks.judge_world [--photos FILE] [--write]`

Fits `scoring.world` on renders (needs `requirements-mini.txt`) and prints how often it errs: pictures of its own kind
called outside (held-out renders, the sample data, pictures that the bundled model draws), and photographs called
inside. Without `--photos` (a folder, or a parquet file with a column `image`) these are the few that scikit-image
brings. `--write` puts what was fitted beside the judge's weights. Exits 1 beyond the bars.
"""

import argparse
import io
import random
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import skimage  # noqa: E402
from PIL import Image  # noqa: E402

from sdxl_lora import generation, prompts  # noqa: E402
from sdxl_lora.evaluation.weights import sha256_of  # noqa: E402
from sdxl_lora.generation import PictureDone  # noqa: E402
from sdxl_lora.mini.renderer import render  # noqa: E402
from sdxl_lora.mini.scene import sample_scene  # noqa: E402
from sdxl_lora.models.loading import ModelConfig, load  # noqa: E402
from sdxl_lora.request import GenerationRequest  # noqa: E402
from sdxl_lora.scoring.base import default_scorer  # noqa: E402
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
    """Photographs of a folder or a parquet file, or those of scikit-image."""
    if path is None:
        folder = Path(skimage.__file__).parent / "data"
        files = [file for name in _PHOTOS.split() for file in folder.glob(f"{name}.*")]
        return [Image.open(file).convert("RGB") for file in files]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)[:most]
        return [Image.open(file).convert("RGB") for file in files]
    import pyarrow.parquet as parquet

    rows = parquet.read_table(path, columns=["image"]).slice(0, most).to_pylist()
    found = [row["image"]["bytes"] if isinstance(row["image"], dict) else row["image"] for row in rows]
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in found]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder or parquet file of photographs")
    parser.add_argument("--count", type=int, default=1_200, help="renders to fit with (1200)")
    parser.add_argument("--drawn", type=int, default=24, help="pictures of the bundled model (24)")
    parser.add_argument("--write", action="store_true", help="keep what was fitted")
    arguments = parser.parse_args()
    judge = default_scorer()
    folder = Path(judge.source)
    world = World.fitted(
        judge.statistics(renders(arguments.count, 1)),
        judge.statistics(renders(arguments.count // 4, 2)),
        sha256_of(folder / "model.safetensors"),
    )

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
    own = [
        share("held-out renders", renders(400, 3), outside=False),
        share("sample data", samples, outside=False),
        share("drawn by the bundled model", drawn(arguments.drawn), outside=False),
    ]
    strange = share("photographs", photos(arguments.photos, 600), outside=True)
    if arguments.write:
        world.save(folder)
        print(f"written to {folder}")
    return 0 if max(own) <= MOST_WRONG_OUTSIDE and strange <= MOST_WRONG_INSIDE else 1


if __name__ == "__main__":
    sys.exit(main())
