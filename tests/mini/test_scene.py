"""Scenes: closed vocabulary, reproducible draws, combinations kept from training."""

import random
from collections import Counter

from sdxl_lora.mini.scene import (
    COLOURS,
    EMBLEMS,
    GARMENTS,
    POSITIONS,
    SETTINGS,
    Scene,
    contrast,
    is_held_out,
    sample_scene,
)


def test_the_vocabulary_is_as_large_as_promised() -> None:
    assert len(GARMENTS) >= 14
    assert len(COLOURS) >= 16
    assert len(EMBLEMS) >= 8
    assert len(SETTINGS) >= 10


def test_the_same_random_state_draws_the_same_scene() -> None:
    assert sample_scene(random.Random(5)) == sample_scene(random.Random(5))


def test_a_scene_survives_its_dictionary() -> None:
    scene = sample_scene(random.Random(1))
    assert Scene.from_dict(scene.to_dict()) == scene


def test_training_scenes_never_show_a_held_out_combination() -> None:
    rng = random.Random(0)
    assert not any(is_held_out(sample_scene(rng)) for _ in range(300))


def test_held_out_scenes_always_show_one() -> None:
    rng = random.Random(0)
    assert all(is_held_out(sample_scene(rng, held_out=True)) for _ in range(100))


def test_every_garment_and_colour_is_trained_on() -> None:
    rng = random.Random(2)
    scenes = [sample_scene(rng) for _ in range(3000)]
    assert {scene.garment for scene in scenes} == set(GARMENTS)
    assert {scene.colour for scene in scenes} == set(COLOURS)


def test_emblems_stand_out_from_their_cloth_and_sit_where_the_garment_has_a_place() -> None:
    rng = random.Random(3)
    for scene in (sample_scene(rng) for _ in range(500)):
        if scene.emblem is not None:
            assert contrast(scene.colour, scene.emblem_colour or "") > 190
            assert scene.emblem_position in POSITIONS[scene.garment]


def test_the_usual_emblem_place_is_the_most_common() -> None:
    rng = random.Random(4)
    places = Counter(
        s.emblem_position for s in (sample_scene(rng) for _ in range(4000)) if s.garment == "hoodie"
    )
    del places[None]
    assert places.most_common(1)[0][0] == "centre"
