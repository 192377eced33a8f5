"""Sentences about scenes, as people who look for product pictures write them. Knows nothing of pixels.

The main form is that of the KREAM data set ("category, product name, a photography of ..., background").
Others are shorter, reordered, or sound like an advertising brief. Brands mean nothing here: a model has to
learn to ignore them. All sentences stay below about 55 word pieces.
"""

import random
from collections.abc import Iterator

from sdxl_lora.mini.scene import GARMENTS, Scene, sample_scene

BRANDS = (
    "Northpeak",
    "Velora",
    "Kaito",
    "Urbanline",
    "Sable",
    "Oakfield",
    "Lumen",
    "Driftwood",
    "Atlas",
    "Monarch",
    "Juniper",
    "Polar",
    "Vanta",
    "Solace",
    "Ridge",
    "Nomad",
    "Harbor",
    "Meridian",
    "Kestrel",
    "Aster",
    "Field & Co",
)
# Real names from the prompts people type; like the others they say nothing about the picture.
_REAL_BRANDS = (
    "Nike",
    "Adidas",
    "Puma",
    "Moncler",
    "Columbia",
    "Alo Yoga",
    "Uniqlo",
    "COS",
    "The North Face",
    "Patagonia",
    "Levi's",
)

# Garment -> (words for the product name, words for the sentence).
GARMENT_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "jacket": (
        ("Windbreaker", "Track Jacket", "Shell Jacket", "Jacket"),
        ("windbreaker jacket", "jacket", "zip-up jacket", "windbreaker"),
    ),
    "puffer jacket": (
        ("Puffer Jacket", "Down Jacket", "Puffer"),
        ("puffer jacket", "down jacket", "quilted puffer jacket", "padded jacket"),
    ),
    "coat": (
        ("Coat", "Wool Coat", "Overcoat", "Trench Coat"),
        ("coat", "long coat", "overcoat", "knee-length coat"),
    ),
    "vest": (("Vest", "Gilet", "Puffer Vest"), ("vest", "sleeveless vest", "gilet", "body warmer")),
    "hoodie": (("Hoodie", "Hooded Sweatshirt"), ("hoodie", "hooded sweatshirt", "pullover hoodie")),
    "sweatshirt": (
        ("Sweatshirt", "Crewneck", "Crewneck Sweatshirt"),
        ("sweatshirt", "crewneck sweatshirt", "crewneck", "oversized sweatshirt"),
    ),
    "t-shirt": (("T-Shirt", "Tee"), ("t-shirt", "tee", "short sleeve t-shirt", "cotton t-shirt")),
    "shirt": (
        ("Shirt", "Oxford Shirt"),
        ("shirt", "button-up shirt", "collared shirt", "long sleeve shirt with buttons"),
    ),
    "trousers": (
        ("Trousers", "Pants", "Track Pants"),
        ("trousers", "pants", "pair of trousers", "pair of pants"),
    ),
    "jeans": (("Jeans", "Denim Pants", "Denim"), ("jeans", "denim jeans", "pair of jeans", "denim pants")),
    "shorts": (("Shorts", "Track Shorts"), ("shorts", "pair of shorts", "sport shorts")),
    "skirt": (("Skirt", "Flared Skirt"), ("skirt", "flared skirt", "a-line skirt")),
    "dress": (("Dress", "Summer Dress"), ("dress", "summer dress", "flared dress")),
    "sneakers": (
        ("Sneakers", "Low Sneaker", "Runner"),
        ("sneaker", "sneakers", "low-top sneaker", "running shoe", "pair of sneakers"),
    ),
    "cap": (("Cap", "Ball Cap"), ("cap", "baseball cap", "ball cap")),
    "tote bag": (("Tote Bag", "Canvas Tote"), ("tote bag", "canvas tote bag", "tote", "shopping bag")),
}
_PLURAL = {"trousers", "pants", "jeans", "denim jeans", "denim pants", "shorts", "sport shorts", "sneakers"}
_COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "grey": ("grey", "gray"),
    "light blue": ("light blue", "sky blue", "pale blue"),
    "navy": ("navy", "navy blue", "dark blue"),
    "beige": ("beige", "cream", "sand coloured"),
    "burgundy": ("burgundy", "maroon", "wine red"),
    "olive": ("olive", "olive green", "khaki green"),
    "purple": ("purple", "violet"),
    "teal": ("teal", "turquoise"),
}
_PATTERN_WORDS: dict[str, tuple[str, ...]] = {
    "striped": ("striped", "striped", "stripe"),
    "checked": ("checked", "plaid", "checkered"),
    "camouflage": ("camouflage", "camo"),
    "colour-block": ("colour-block", "color-block", "panelled", "two-tone"),
}
_EMBLEM_WORDS: dict[str, tuple[str, ...]] = {
    "triangle": ("triangle", "triangular"),
    "circle": ("circle", "round", "solid circle"),
    "star": ("star", "star", "five-pointed star"),
    "bar": ("bar", "rectangle", "box"),
    "stripes": ("stripes", "three stripes", "three-stripe"),
    "diamond": ("diamond", "diamond-shaped"),
    "cross": ("cross", "plus"),
    "ring": ("ring", "ring", "hollow circle"),
}
_LOGO_WORDS = ("logo", "logo", "logo", "emblem", "print")
_POSITION_WORDS: dict[str, tuple[str, ...]] = {
    "centre": (
        "on the front",
        "in the centre",
        "in the center",
        "centred on the front",
        "large on the front",
    ),
    "chest": ("on the chest", "on the left chest", "small on the chest"),
    "sleeve": ("on the sleeve", "on the arm"),
    "thigh": ("on the thigh", "on the leg"),
    "hem": ("near the hem", "at the hem"),
    "side": ("on the side",),
    "front": ("on the front",),
}
_SETTING_WORDS: dict[str, tuple[str, ...]] = {
    "studio": ("studio background", "grey studio background", "in a studio", "soft studio lighting"),
    "white": ("white background", "plain white background", "on a white background"),
    "wall": ("beige wall", "in front of a beige wall", "neutral wall with soft side light"),
    "street": ("urban street", "on an urban street", "city street background", "blurred buildings"),
    "forest": ("forest background", "in a forest", "among trees", "green forest, natural light"),
    "golden hour": ("golden hour lighting", "at golden hour", "warm sunset light", "low sun"),
    "fog": ("in the fog", "foggy background", "misty morning light", "pale mist"),
    "wood": ("on a wooden floor", "wooden floor", "flat lay on wood", "wooden boards"),
    "beach": ("on a beach", "beach background", "sand and sea", "sunny beach"),
    "night": ("at night", "night city lights", "dark city with bokeh lights", "night street"),
}
_PRESENTATION_WORDS: dict[str, tuple[str, ...]] = {
    "flat": ("laid flat", "flat lay", "", "", ""),
    "hanger": ("on a hanger", "hanging on a clothes hanger"),
    "mannequin": ("on a mannequin", "worn by a mannequin"),
    "figure": ("worn by a model", "on a model", "worn by a person"),
}
_LEADS = ("a photography of", "a photography of", "a photo of", "product photo of", "catalogue photo of")
_PEOPLE = (
    "A male model",
    "A female model",
    "A model",
    "A confident woman",
    "A young man",
    "A person",
    "A man",
    "A woman",
)
_SHOTS = ("Product shot of", "Advertising photo of", "Close-up of", "A fashion photo of")
_TAILS = (
    "ultra-detailed fabric textures, visible logo, fashion photography, 8K",
    "fashion photography, 8K",
    "visible logo, clean composition",
    "streetwear fashion shoot",
    "soft light, shallow depth of field",
    "e-commerce photo, high detail",
    "full body, catalogue style",
    "studio quality, sharp focus",
    "luxury streetwear style",
    "clean composition",
    "85mm lens, natural colours",
)


def caption(scene: Scene, rng: random.Random, *, full: bool = False) -> str:
    """A random sentence about the scene. `full` names every attribute the scene has, in the KREAM form."""
    if full:
        return _kream(scene, rng, full=True)
    kind = rng.random()
    if kind < 0.52:
        return _kream(scene, rng, full=False)
    if kind < 0.66:
        return _join(f"{rng.choice(_LEADS)} {_subject(scene, rng)}", _setting(scene, rng))
    if kind < 0.74:
        return _join(_setting(scene, rng), f"{rng.choice(_LEADS)} {_subject(scene, rng)}")
    if kind < 0.83:
        return _join(_subject(scene, rng), _setting(scene, rng) if rng.random() < 0.7 else "")
    if kind < 0.89:
        return _object(scene, rng)
    return _lifestyle(scene, rng)


def photo_caption(label: str, rng: random.Random) -> str:
    """A sentence about a real snapshot of which only the label in the CC0 clothing data is known."""
    category, name, noun = _PHOTO_WORDS.get(label, ("clothing", label, label.lower()))
    thing = noun if noun in _PLURAL or noun == "shoes" else _article(noun)
    place = rng.choice(_PHOTO_PLACES)
    kind = rng.random()
    if kind < 0.5:
        return f"{category}, {name}, {rng.choice(('a photography of', 'a photo of'))} {thing}, {place}"
    if kind < 0.8:
        return f"{rng.choice(('a photography of', 'a photo of', 'an amateur photo of'))} {thing}, {place}"
    return f"{thing}, {place}"


def corpus(rng: random.Random, n: int) -> Iterator[str]:
    """About n lines for training a tokenizer: captions, example prompts, and words that prompts also use."""
    yield from _EXAMPLES
    yield from _VOCABULARY
    for label in _PHOTO_WORDS:
        yield photo_caption(label, rng)
    for i in range(n):
        yield caption(sample_scene(rng), rng, full=i % 5 == 0)


def _article(words: str) -> str:
    return ("an " if words[0].lower() in "aeio" else "a ") + words


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _colour(colour: str, rng: random.Random, *, full: bool = False) -> str:
    words = _COLOUR_WORDS.get(colour, (colour,))
    return words[0] if full or rng.random() < 0.6 else rng.choice(words)


def _object(scene: Scene, rng: random.Random, *, full: bool = False) -> str:
    """The garment with colour and pattern: "a navy and white striped t-shirt"."""
    noun = rng.choice(GARMENT_WORDS[scene.garment][1])
    if rng.random() < 0.3 and not full:
        noun = scene.garment
    words = _colour(scene.colour, rng)
    pattern = _PATTERN_WORDS.get(scene.pattern)
    if pattern is not None:
        if scene.second_colour is not None and (full or rng.random() < 0.85):
            words += " and " + _colour(scene.second_colour, rng)
        words += " " + rng.choice(pattern)
    elif rng.random() < 0.08:
        words = "plain " + words
    if noun.startswith("pair of "):
        return f"a pair of {words} {noun.removeprefix('pair of ')}"
    whole = f"{words} {noun}"
    return whole if noun in _PLURAL else _article(whole)


def _emblem(scene: Scene, rng: random.Random, *, full: bool) -> str:
    """The emblem and its place, " with a white star logo on the chest"; without one, rarely a denial."""
    if scene.emblem is None or scene.emblem_colour is None or scene.emblem_position is None:
        return (
            rng.choice((" without a logo", " with no logo", " without any print"))
            if rng.random() < 0.15
            else ""
        )
    shape = rng.choice(_EMBLEM_WORDS[scene.emblem])
    words = f"{_colour(scene.emblem_colour, rng)} {shape} {rng.choice(_LOGO_WORDS)}"
    place = f" {rng.choice(_POSITION_WORDS[scene.emblem_position])}" if full or rng.random() < 0.85 else ""
    return f"{rng.choice((' with ', ' with ', ' featuring '))}{_article(words)}{place}"


def _subject(scene: Scene, rng: random.Random, *, full: bool = False) -> str:
    shown = ""
    if full or rng.random() < 0.9:
        words = [w for w in _PRESENTATION_WORDS[scene.presentation] if w or not full]
        shown = rng.choice(words)
    return _object(scene, rng, full=full) + _emblem(scene, rng, full=full) + (f" {shown}" if shown else "")


def _setting(scene: Scene, rng: random.Random) -> str:
    return rng.choice(_SETTING_WORDS[scene.setting])


def _kream(scene: Scene, rng: random.Random, *, full: bool) -> str:
    product = rng.choice(GARMENT_WORDS[scene.garment][0])
    if full or rng.random() < 0.85:
        brands = BRANDS if rng.random() < 0.85 else _REAL_BRANDS
        product = f"{rng.choice(brands)} {product}"
    if full or rng.random() < 0.75:
        product += f" {_colour(scene.colour, rng).title()}"
    setting = _setting(scene, rng) if full or rng.random() < 0.88 else ""
    return _join(
        GARMENTS[scene.garment],
        product,
        f"{rng.choice(_LEADS[:3])} {_subject(scene, rng, full=full)}",
        setting,
    )


def _lifestyle(scene: Scene, rng: random.Random) -> str:
    """An advertising brief. Only a figure can be "wearing" the garment."""
    thing = _object(scene, rng)
    if rng.random() < 0.6:
        brand = rng.choice(BRANDS + _REAL_BRANDS)
        head, _, rest = thing.partition(" ")
        if head not in ("a", "an"):
            thing = f"{brand} {thing}"
        elif not rest.startswith("pair of"):
            thing = _article(f"{brand} {rest}")
    thing += _emblem(scene, rng, full=False)
    if scene.presentation == "figure":
        start = f"{rng.choice(_PEOPLE)} wearing {thing}"
    else:
        shown = rng.choice(_PRESENTATION_WORDS[scene.presentation])
        start = f"{rng.choice(_SHOTS)} {thing}" + (f" {shown}" if shown else "")
    return _join(start, _setting(scene, rng), rng.choice(_TAILS) if rng.random() < 0.7 else "")


_PHOTO_WORDS: dict[str, tuple[str, str, str]] = {
    "T-Shirt": ("top", "T-Shirt", "t-shirt"),
    "Longsleeve": ("top", "Long Sleeve", "long sleeve top"),
    "Pants": ("bottom", "Pants", "pants"),
    "Shoes": ("shoes", "Shoes", "shoes"),
    "Shirt": ("top", "Shirt", "shirt"),
    "Dress": ("dress", "Dress", "dress"),
    "Outwear": ("outer", "Jacket", "jacket"),
    "Shorts": ("bottom", "Shorts", "shorts"),
    "Hat": ("accessory", "Hat", "hat"),
    "Skirt": ("bottom", "Skirt", "skirt"),
    "Polo": ("top", "Polo", "polo shirt"),
    "Undershirt": ("top", "Undershirt", "undershirt"),
    "Blazer": ("outer", "Blazer", "blazer"),
    "Hoodie": ("top", "Hoodie", "hoodie"),
    "Body": ("top", "Bodysuit", "bodysuit"),
    "Top": ("top", "Top", "top"),
    "Blouse": ("top", "Blouse", "blouse"),
}
_PHOTO_PLACES = (
    "snapshot at home",
    "amateur snapshot at home",
    "real photo, lying on a bed",
    "snapshot at home, room light",
    "phone photo at home",
)

# The example prompts of the project this one grew out of.
_EXAMPLES = (
    "A male model wearing a Nike windbreaker jacket, standing on an urban street, ultra-detailed "
    "fabric textures, visible logo, fashion photography, 8K",
    "Full body, person wearing a beige oversized sweatshirt, white trousers, and clean sneakers, standing in "
    "front of neutral wall, styled like Uniqlo or COS ad",
    "A streetwear fashion shoot with a Nike hoodie, urban graffiti background, golden hour lighting, "
    "logo centered and visible, edgy and confident model",
    "A solo yoga session in a forest, person wearing Alo Yoga gear, serene expression, misty morning "
    "light, brand logo placed on leggings",
    "A confident woman in a Moncler coat on a foggy city bridge, luxury streetwear style, logo "
    "prominent on chest, clean composition",
    "Dog trainer working with golden retrievers in Columbia Sportswear gear, natural setting, logo on "
    "sleeve, warm smiling expression",
)
# Words captions do not use but prompts do.
_VOCABULARY = (
    "fleece jacket, bomber jacket, denim jacket, leather jacket, parka, raincoat, blazer, cardigan, "
    "sweater, polo shirt, blouse, tank top",
    "leggings, joggers, cargo pants, chinos, swim shorts, pleated skirt, mini skirt, maxi dress, "
    "boots, sandals, running shoes, backpack, beanie",
    "cotton, wool, linen, silk, nylon, polyester, denim, leather, canvas, knit, ribbed, fleece, "
    "quilted, waterproof, mesh, corduroy, velvet",
    "zipper, buttons, collar, hood, pockets, drawstring, sleeves, cuffs, hem, waistband, lining, "
    "embroidered, printed, oversized, slim fit, regular fit",
    "close-up, front view, side view, back view, full body, portrait, three-quarter view, flat lay, "
    "ghost mannequin, packshot, lookbook, editorial",
    "studio lighting, softbox, rim light, natural light, backlit, bokeh, shallow depth of field, "
    "sharp focus, high resolution, 4k, 8k, photorealistic",
    "charcoal, khaki, mustard, ivory, silver, gold, mint, lavender, coral, magenta, off-white, "
    "multicolour, pastel, neon, dark, bright, pale",
    "summer collection, winter collection, spring, autumn, sale, new arrival, campaign, "
    "advertisement, banner, social media, e-commerce, brand",
    "low quality, blurry, deformed, watermark, text, cropped, out of frame, extra limbs, distorted "
    "logo, noise, jpeg artifacts",
    "snow, mountain, lake, park, cafe, office, gym, stadium, rooftop, bridge, garden, desert, rain, "
    "concrete wall, graffiti, marble, podium",
)
