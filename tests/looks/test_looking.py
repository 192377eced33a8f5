"""Pictures are found by what they show: like words, like one another, and never across two CLIPs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sdxl_lora.errors import NotFoundError
from sdxl_lora.looks.looking import Looks
from sdxl_lora.records import Record, Store
from sdxl_lora.scoring.clip import ClipScorer
from tests.looks.conftest import pixels

Made = dict[str, Record]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("a green t-shirt with a yellow star logo", "t-shirt"),
        ("a black skirt", "skirt"),
        ("a red hoodie", "hoodie"),
    ],
)
def test_words_find_the_picture_that_shows_them(looks: Looks, made: Made, words: str, first: str) -> None:
    looks.see([pixels(record) for record in made.values()])
    found = looks.of_words(words)
    assert found[0].id == made[first].id
    assert [one.likeness for one in found] == sorted((one.likeness for one in found), reverse=True)
    assert len(found) == len(made)


def test_a_picture_is_like_its_copy_and_not_among_its_own_likenesses(
    looks: Looks, store: Store, made: Made
) -> None:
    _, image = pixels(made["skirt"])
    copy = store.add(image, request=made["skirt"].request)
    looks.see([pixels(record) for record in (*made.values(), copy)])
    first, *others = looks.of_picture(made["skirt"].id)
    assert first.id == copy.id
    assert first.likeness == pytest.approx(1, abs=2e-3)
    assert made["skirt"].id not in {one.id for one in others}


def test_only_those_that_are_asked_among_are_found(looks: Looks, made: Made) -> None:
    looks.see([pixels(record) for record in made.values()])
    some = [made["hoodie"].id, made["skirt"].id]
    assert {one.id for one in looks.of_words("a green t-shirt", some)} == set(some)
    assert looks.of_words("a green t-shirt", []) == []


def test_a_picture_that_nobody_looked_at_is_like_nothing_yet(looks: Looks, made: Made) -> None:
    assert looks.of_words("a skirt") == []
    with pytest.raises(NotFoundError, match="not been looked at yet"):
        looks.of_picture(made["skirt"].id)


def test_what_another_process_has_seen_is_found_at_the_next_question(
    looks: Looks, store: Store, made: Made
) -> None:
    other = Looks(store.database, clip=looks._clip)
    looks.see([pixels(made["skirt"])])
    assert len(other.of_words("a skirt")) == 1
    looks.see([pixels(made["hoodie"])])
    assert len(other.of_words("a skirt")) == 2


def test_a_clip_that_was_trained_again_in_its_folder_sees_everything_anew(
    store: Store, made: Made, tiny_clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip, folder)
    looks = Looks(store.database, clip=lambda: ClipScorer(folder))
    looks.see([pixels(record) for record in made.values()])
    before = looks.judge
    assert len(looks.of_words("a skirt")) == len(made)
    weights = load_file(folder / "model.safetensors")
    save_file({name: np.asarray(value + 1) for name, value in weights.items()}, folder / "model.safetensors")
    assert looks.judge != before
    assert looks.of_words("a skirt") == []
    assert looks.embeddings.missing(looks.judge) == store.ids()
