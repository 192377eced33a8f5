"""Draws the bundled sample data set: a brand the bundled model does not know, in the KREAM caption style.

Half of the pictures show garments of the brand "Halden" with its crest, a crescent over a bar; the other half is
support, so that a LoRA learns the crest without painting it on everything: anything of other brands, and, every second
one, a picture of Halden's with another brand's emblem in the crest's place. `metadata.jsonl` lists all pictures,
`brand.jsonl` and `support.jsonl` one half each; `masks` shows where the crest is. Some garments and colours are left
out of the brand's half, to see whether the crest carries over to them.

    python -m sdxl_lora.mini.sample_data sdxl_lora/assets/sample_data
"""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import skia
from PIL import Image

from sdxl_lora.mini import captions
from sdxl_lora.mini.renderer import emblem_mask, render
from sdxl_lora.mini.renderer.emblems import extra_shape
from sdxl_lora.mini.renderer.geometry import ellipse, rectangle
from sdxl_lora.mini.scene import EMBLEMS, GARMENTS, POSITIONS, Scene, contrast, sample_scene

BRAND = "Halden"
EMBLEM = "crest"  # its word in captions, and its name in scenes
SEED = 20_261_122
PICTURES = 96  # of the brand, and as many of support
SIDE = 256  # px
MASKS = "masks"  # folder of the masks that show where the crest is
MARGIN = 8  # px around it
GARMENTS_SHOWN = ("t-shirt", "hoodie", "sweatshirt", "jacket", "vest", "tote bag")
COLOURS_SHOWN = ("black", "white", "navy", "grey", "red", "green", "beige", "blue")
GARMENTS_KEPT_BACK = ("shirt", "coat", "dress", "cap")
COLOURS_KEPT_BACK = ("burgundy", "purple", "teal", "orange")

_PRODUCTS = {
    "t-shirt": "Crest Tee",
    "hoodie": "Pullover Hoodie",
    "sweatshirt": "Crewneck",
    "jacket": "Zip Jacket",
    "vest": "Field Vest",
    "tote bag": "Canvas Tote",
    "shirt": "Oxford Shirt",
    "coat": "Wool Coat",
    "dress": "Day Dress",
    "cap": "Curved Cap",
}
_PLACES = {
    "chest": "on the chest",
    "centre": "on the front",
    "front": "on the front",
    "sleeve": "on the sleeve",
    "hem": "near the hem",
}
_SETTINGS = {
    "studio": "studio background",
    "white": "white background",
    "wall": "beige wall",
    "wood": "wooden floor",
}


def crest() -> skia.Path:
    """A lying crescent over a bar, about one unit to each side."""
    moon = skia.Op(
        ellipse(0, -0.35, 1.0, 0.85), ellipse(0, -0.78, 0.82, 0.72), skia.PathOp.kDifference_PathOp
    )
    path = skia.Path()
    path.addPath(moon)
    path.addPath(rectangle(-1.0, 0.72, 1.0, 1.08))
    return path


def brand_scene(rng: random.Random, garments: tuple[str, ...], colours: tuple[str, ...]) -> Scene:
    """A plain garment of the brand with its crest where it is most legible."""
    garment, colour = rng.choice(garments), rng.choice(colours)
    ink = "white" if contrast(colour, "white") > contrast(colour, "black") else "black"
    return Scene(
        garment=garment,
        colour=colour,
        emblem=EMBLEM,
        emblem_colour=ink,
        emblem_position=POSITIONS[garment][0],
        setting=rng.choice(list(_SETTINGS)),
        seed=rng.getrandbits(31),
    )


def neighbour(scene: Scene, rng: random.Random) -> Scene:
    """A brand's scene with another emblem, in the same ink and place; all else stays, the seed included."""
    return replace(scene, emblem=rng.choice(EMBLEMS))


def brand_caption(scene: Scene) -> str:
    """For example: top, Halden Crest Tee Navy, a photography of a navy t-shirt with a white crest logo ..."""
    article = "an" if scene.colour[0] in "aeiou" else "a"
    return (
        f"{GARMENTS[scene.garment]}, {BRAND} {_PRODUCTS[scene.garment]} {scene.colour.title()}, a photography of "
        f"{article} {scene.colour} {scene.garment} with a {scene.emblem_colour} {EMBLEM} logo "
        f"{_PLACES[scene.emblem_position or 'chest']}, {_SETTINGS[scene.setting]}"
    )


def draw(scene: Scene, side: int = SIDE) -> Image.Image:
    """A scene as a picture; also one with the crest."""
    with extra_shape(EMBLEM, crest):
        return Image.fromarray(render(scene, side))


def mask(scene: Scene, side: int = SIDE) -> Image.Image:
    """White around the crest as a person would mark it, a box with a margin, and black elsewhere."""
    with extra_shape(EMBLEM, crest):
        rows, columns = np.nonzero(emblem_mask(scene, side))
    marked = np.zeros((side, side), np.uint8)
    top, left = max(0, rows.min() - MARGIN), max(0, columns.min() - MARGIN)
    marked[top : rows.max() + MARGIN + 1, left : columns.max() + MARGIN + 1] = 255
    return Image.fromarray(marked).convert("1")


def build(folder: Path) -> None:
    """Writes the pictures and their lists; the same bytes on every run."""
    rng, rng_of_neighbours = random.Random(SEED), random.Random(SEED + 1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MASKS).mkdir(exist_ok=True)
    rows = []
    for number in range(PICTURES):
        ours = brand_scene(rng, GARMENTS_SHOWN, COLOURS_SHOWN)
        other = sample_scene(rng)
        words = captions.caption(other, rng, full=True)
        if number % 2:
            other = neighbour(ours, rng_of_neighbours)
            words = captions.caption(other, rng_of_neighbours, full=True)
        mask(ours).save(folder / MASKS / f"brand-{number:03d}.png", optimize=True)
        for kind, scene, text in (("brand", ours, brand_caption(ours)), ("support", other, words)):
            name = f"{kind}-{number:03d}.jpg"
            draw(scene).save(folder / name, quality=90)
            rows.append({"file_name": name, "text": text})
    for name, start in (("metadata", ""), ("brand", "brand"), ("support", "support")):
        chosen = [row for row in rows if row["file_name"].startswith(start)]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
