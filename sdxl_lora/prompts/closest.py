"""The closest word that a closed vocabulary has for one that it lacks. Pure strings: a table, then spelling."""

from collections.abc import Callable, Collection

from rapidfuzz import fuzz, process

from sdxl_lora.prompts import translation

_LIKE = 82  # of 100, rapidfuzz's ratio: one wrong letter in a word of six
_SHORTEST = 4  # letters from which spelling says anything

# What marketers ask for and the bundled model was never shown -> what looks most like it.
_NEAREST = {
    "boots": "sneakers", "boot": "sneakers", "sandals": "sneakers", "trainers": "sneakers", "heels": "sneakers",
    "loafers": "sneakers", "slippers": "sneakers", "beanie": "cap", "hat": "cap", "visor": "cap",
    "leggings": "trousers", "joggers": "trousers", "chinos": "trousers", "sweatpants": "trousers", "slacks": "trousers",
    "backpack": "tote bag", "handbag": "tote bag", "purse": "tote bag", "rucksack": "tote bag",
    "parka": "coat", "raincoat": "coat", "blazer": "jacket", "bomber": "jacket", "anorak": "windbreaker",
    "sweater": "sweatshirt", "jumper": "sweatshirt", "cardigan": "sweatshirt", "pullover": "sweatshirt",
    "polo": "t-shirt", "blouse": "shirt", "tank": "t-shirt", "singlet": "t-shirt", "waistcoat": "vest",
    "gown": "dress", "tunic": "dress", "kilt": "skirt", "bermudas": "shorts",
    "crimson": "red", "scarlet": "red", "ruby": "red", "charcoal": "grey", "silver": "grey", "ivory": "white",
    "gold": "yellow", "golden": "yellow", "mustard": "yellow", "mint": "teal", "cyan": "teal", "aqua": "teal",
    "lavender": "purple", "lilac": "purple", "indigo": "navy", "azure": "light blue", "coral": "orange",
    "peach": "orange", "magenta": "pink", "rose": "pink", "emerald": "green", "lime": "green", "tan": "beige",
    "ecru": "beige", "chocolate": "brown", "bronze": "brown", "bordeaux": "burgundy",
    "tartan": "checked", "gingham": "checked", "pinstripe": "striped", "floral": "camouflage",
    "square": "bar", "dot": "circle", "disc": "circle", "rhombus": "diamond", "pentagram": "star", "badge": "emblem",
    "symbol": "emblem", "woods": "forest", "jungle": "forest", "seaside": "beach", "ocean": "sea", "road": "street",
    "dusk": "golden hour", "sunrise": "golden hour", "haze": "fog", "parquet": "wooden floor", "evening": "night",
}  # fmt: skip


def closest(word: str, knows: Callable[[str], bool], known: Collection[str]) -> str | None:
    """What to say instead of `word`: a translation, the nearest thing, or the word that was meant; None = nothing near.

    Args:
        knows: whether the vocabulary has all words of a phrase.
        known: the vocabulary, for spelling.
    """
    for proposal in (translation.of_word(word), _NEAREST.get(word), _NEAREST.get(word.removesuffix("s"))):
        if proposal is not None and knows(proposal):
            return proposal
    if len(word) < _SHORTEST:
        return None
    found = process.extractOne(word, sorted(known), scorer=fuzz.ratio, score_cutoff=_LIKE)
    return None if found is None else str(found[0])
