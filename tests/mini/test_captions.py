"""Captions: what they must say, may leave out, and must never claim."""

import random
import re
from collections import Counter

import pytest

from sdxl_lora.mini.captions import caption, corpus, photo_caption
from sdxl_lora.mini.scene import COLOURS, EMBLEMS, GARMENTS, POSITIONS, SETTINGS, Scene, sample_scene

SCENE = Scene(
    garment="jacket",
    colour="red",
    emblem="triangle",
    emblem_colour="white",
    emblem_position="chest",
    setting="studio",
    presentation="hanger",
)
LABELS = (
    "T-Shirt", "Longsleeve", "Pants", "Shoes", "Shirt", "Dress", "Outwear", "Shorts", "Hat", "Skirt", "Polo",
    "Undershirt", "Blazer", "Hoodie", "Body", "Top", "Blouse",
)  # fmt: skip


def many(scene: Scene, n: int = 200, *, full: bool = False) -> list[str]:
    rng = random.Random(1)
    return [caption(scene, rng, full=full) for _ in range(n)]


def test_the_same_random_state_gives_the_same_caption() -> None:
    assert caption(SCENE, random.Random(3)) == caption(SCENE, random.Random(3))


def test_captions_are_paraphrases() -> None:
    assert len(set(many(SCENE, 100))) > 90


def test_a_full_caption_has_the_form_of_the_kream_data_set() -> None:
    for text in many(SCENE, full=True):
        category, product, sentence, setting = text.split(", ", 3)
        assert category == "outer"
        assert product.endswith(" Red")
        assert re.match("(a photography|a photo) of a (plain )?red ", sentence)
        assert "studio" in setting


def test_a_full_caption_names_everything() -> None:
    for text in many(SCENE, full=True):
        assert re.search(r"white (triangle|triangular) (logo|emblem|print)", text)
        assert "chest" in text
        assert "hang" in text


@pytest.mark.parametrize("colour", COLOURS)
def test_a_full_caption_names_the_colours_of_cloth_and_pattern(colour: str) -> None:
    other = "white" if colour != "white" else "navy"
    scene = Scene(garment="shirt", colour=colour, pattern="striped", second_colour=other, setting="white")
    words = {"grey": "gr[ae]y", "light blue": "blue", "navy": "navy|dark blue", "beige": "beige|cream|sand",
             "burgundy": "burgundy|maroon|wine", "olive": "olive|khaki", "purple": "purple|violet",
             "teal": "teal|turquoise"}  # fmt: skip
    for text in many(scene, 50, full=True):
        assert re.search(words.get(colour, colour), text)
        assert re.search(f"and ({words.get(other, other)}).* strip", text)


def test_some_captions_leave_out_the_setting_and_some_the_brand() -> None:
    texts = many(SCENE)
    assert 0.05 < sum("studio" not in text for text in texts) / len(texts) < 0.5
    assert 0.2 < sum(not text.startswith("outer, ") for text in texts) / len(texts) < 0.7


def test_nothing_is_worn_that_no_figure_wears() -> None:
    for text in many(SCENE):
        assert "wearing" not in text
        assert "worn" not in text


def test_a_figure_wears_the_garment() -> None:
    figure = Scene(garment="hoodie", colour="black", presentation="figure", setting="street")
    texts = many(figure)
    assert sum(" wearing " in text for text in texts) > 5
    assert sum("worn by" in text or "on a model" in text for text in texts) > 50


def test_a_scene_without_an_emblem_is_never_given_one() -> None:
    bare = Scene(garment="cap", colour="navy", setting="fog")
    claim = re.compile(r"with an? .*(logo|emblem|print)|featuring")
    assert not [text for text in many(bare) if claim.search(text)]


@pytest.mark.parametrize("emblem", EMBLEMS)
def test_emblem_words_tell_the_shapes_apart(emblem: str) -> None:
    """Every caption of an emblem has one of its own words and none of another's."""
    words = {
        "triangle": "triang", "circle": r"(?<!hollow )circle|round", "star": "star", "bar": r"\bbar\b|rectangle|\bbox",
        "stripes": "stripe", "diamond": "diamond", "cross": r"\bcross\b|plus", "ring": r"\bring\b|hollow",
    }  # fmt: skip
    scene = Scene(
        garment="tote bag", colour="red", emblem=emblem, emblem_colour="white", emblem_position="front"
    )
    for text in many(scene, 60, full=True):
        sentence = text.split("with a" if "with a" in text else "featuring", 1)[1].split(" on the ")[0]
        assert [name for name, pattern in words.items() if re.search(pattern, sentence)] == [emblem]


def test_words_for_the_large_centre_and_the_small_chest_differ() -> None:
    places = {}
    for position in ("centre", "chest"):
        scene = Scene(
            garment="hoodie", colour="red", emblem="star", emblem_colour="white", emblem_position=position
        )
        found = (
            re.search(r"(?:logo|emblem|print) (.*? (?:front|cent\w+|chest))\b", text)
            for text in many(scene, full=True)
        )
        places[position] = {match.group(1) for match in found if match}
    assert places["centre"]
    assert places["chest"]
    assert not places["centre"] & places["chest"]


@pytest.mark.parametrize("garment", GARMENTS)
def test_garments_have_synonyms_and_every_scene_a_caption(garment: str) -> None:
    scene = Scene(
        garment=garment,
        colour="red",
        emblem="bar",
        emblem_colour="white",
        emblem_position=POSITIONS[garment][0],
    )
    texts = many(scene, 60, full=True)
    assert all(text.startswith(GARMENTS[garment] + ", ") for text in texts)
    assert len({text.split("red ", 1)[1].split(" with")[0].split(" featuring")[0] for text in texts}) >= 2


def test_settings_are_told_apart() -> None:
    endings = {
        s: {t.split(", ", 3)[3] for t in many(Scene(garment="cap", colour="red", setting=s), full=True)}
        for s in SETTINGS
    }
    counts = Counter(ending for group in endings.values() for ending in group)
    assert max(counts.values()) == 1


def test_captions_are_short_enough_for_clip() -> None:
    """Words and commas; CLIP splits few of these words and takes 75 pieces."""
    rng = random.Random(5)
    longest = max(len(re.findall(r"[\w']+|[^\w\s]", caption(sample_scene(rng), rng))) for _ in range(4000))
    assert longest <= 50


def test_articles_fit() -> None:
    rng = random.Random(6)
    texts = [caption(sample_scene(rng), rng) for _ in range(3000)]
    assert not [
        text for text in texts if re.search(r"\b[Aa] [aeio]\w|\ban [b-df-hj-np-tv-z]", text, re.IGNORECASE)
    ]


def test_brands_say_nothing_about_the_garment() -> None:
    brands = {text.split(", ")[1].split()[0] for text in many(SCENE, 400, full=True)}
    assert len(brands) > 20


@pytest.mark.parametrize("label", LABELS)
def test_a_real_photo_is_called_a_snapshot_and_never_claims_a_logo_or_colour(label: str) -> None:
    rng = random.Random(7)
    for _ in range(30):
        text = photo_caption(label, rng)
        assert re.search("home|bed", text)
        assert not re.search("logo|studio|" + "|".join(rf"\b{colour}\b" for colour in COLOURS), text)


def test_an_unknown_label_is_used_as_it_is() -> None:
    assert "poncho" in photo_caption("Poncho", random.Random(1))


def test_the_corpus_has_captions_examples_and_vocabulary() -> None:
    lines = list(corpus(random.Random(1), 50))
    assert len(lines) > 70
    whole = "\n".join(lines)
    for phrase in (
        "Nike windbreaker jacket",
        "golden retrievers",
        "Moncler coat",
        "snapshot at home",
        "corduroy",
    ):
        assert phrase in whole
