"""Examples that stream in while a model trains, and the store it draws from."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sdxl_lora.mini.autoencoder import make_autoencoder
from sdxl_lora.mini.loss_weights import EMBLEM_WEIGHT
from sdxl_lora.mini.store import EMBLEM_SHARE, ExampleStore, emblem_centres
from sdxl_lora.mini.stream import WEIGHT_SCALE, Examples, ExampleStream, StreamSettings, draw_examples
from sdxl_lora.models.registry import mini_folder

SIZE = 64


@pytest.fixture(scope="module")
def examples() -> Examples:
    return draw_examples(0, 0, 16, SIZE, mini_folder())


class Prepared(ExampleStream):
    """A stream without workers: shards are put into its folder by the test."""

    def put(self, number: int, examples: Examples) -> None:
        self.settings.folder.mkdir(exist_ok=True)
        np.savez(self.settings.folder / f"{number:07d}.npz", **vars(examples))


@pytest.fixture
def stream(tmp_path: Path) -> Prepared:
    settings = StreamSettings(folder=tmp_path / "shards", tokenizers=mini_folder(), size=SIZE, workers=0)
    return Prepared(settings)


def test_the_same_shard_always_holds_the_same_examples(examples: Examples) -> None:
    again, other = (draw_examples(0, shard, 16, SIZE, mini_folder()) for shard in (0, 1))
    for name, values in vars(examples).items():
        np.testing.assert_array_equal(values, getattr(again, name))
    assert (examples.pictures != other.pictures).any()


def test_a_shard_is_taken_over_once_and_the_next_call_begins_after_it(
    stream: Prepared, examples: Examples
) -> None:
    stream.put(7, examples)
    (taken,) = stream.ready()
    np.testing.assert_array_equal(taken.tokens, examples.tokens)
    assert list(stream.ready()) == []
    assert stream.next_shard == 8


@pytest.mark.slow  # a process of its own imports everything anew
def test_workers_draw_and_stop_and_leave_nothing_behind(tmp_path: Path) -> None:
    settings = StreamSettings(folder=tmp_path / "s", tokenizers=mini_folder(), size=SIZE, workers=1, ahead=1)
    with ExampleStream(settings) as stream:
        drawn: list[Examples] = []
        until = time.monotonic() + 120
        while not drawn and time.monotonic() < until:
            stream.wait(0.05)
            drawn = list(stream.ready())
        workers = stream._processes
    first = draw_examples(0, 0, len(drawn[0].pictures), SIZE, mini_folder())
    np.testing.assert_array_equal(drawn[0].pictures, first.pictures)
    assert not any(worker.is_alive() for worker in workers)
    assert not settings.folder.exists()


def filled(stream: Prepared, examples: Examples, capacity: int) -> ExampleStore:
    stream.put(0, examples)
    store = ExampleStore(stream, device="cpu", capacity=capacity)
    store.fill(16)
    return store


def test_most_of_a_batch_shows_an_emblem(stream: Prepared, examples: Examples) -> None:
    store = filled(stream, examples, 16)
    store.encode_with(make_autoencoder((8, 8, 8), SIZE).eval())
    drawn = store.draw(20)
    heavy = (drawn.weights == EMBLEM_WEIGHT).flatten(1).any(1)
    assert int(heavy.sum()) == round(20 * EMBLEM_SHARE)
    assert drawn.latents.shape == (20, 4, SIZE // 4, SIZE // 4)
    assert drawn.ids.shape == drawn.ids_2.shape == (20, 77)


def test_a_full_store_replaces_its_oldest_and_asks_for_less(stream: Prepared, examples: Examples) -> None:
    store = filled(stream, examples, 20)
    store.encode_with(make_autoencoder((8, 8, 8), SIZE).eval())
    assert not stream._eased.is_set()
    assert store.latents is not None
    before = store.latents[:16].clone()
    stream.put(1, replace(examples, pictures=255 - examples.pictures))
    store.fill()
    assert (store.count, store.seen) == (20, 32)
    changed = (store.latents[:16] != before).flatten(1).any(1)
    assert changed.tolist() == [True] * 12 + [False] * 4
    assert stream._eased.is_set()


def test_what_is_ready_is_left_for_later_once_the_time_is_over(stream: Prepared, examples: Examples) -> None:
    store = filled(stream, examples, 64)
    for shard in (1, 2):
        stream.put(shard, examples)
    store.take(0.0)
    assert store.seen == 32
    store.take()
    assert store.seen == 48


def test_latents_have_unit_variance_unless_a_unet_already_knows_their_scale(
    stream: Prepared, examples: Examples
) -> None:
    torch.manual_seed(0)
    vae = make_autoencoder((8, 8, 8), SIZE).eval()
    store = filled(stream, examples, 16)
    store.encode_with(vae)
    assert store.latents is not None
    assert float(store.latents.float().std()) == pytest.approx(1, abs=0.01)
    known = filled(stream, examples, 16)
    known.encode_with(vae, 0.25)
    assert known.scaling == 0.25
    assert known.latents is not None
    torch.testing.assert_close(
        known.latents.float() / 0.25, store.latents.float() / store.scaling, atol=0.02, rtol=0.01
    )


def test_nothing_can_be_drawn_before_there_is_a_vae(stream: Prepared, examples: Examples) -> None:
    with pytest.raises(RuntimeError, match="encode_with"):
        filled(stream, examples, 16).draw(4)


def test_emblems_are_found_by_their_weight() -> None:
    weights = np.full((2, 8, 8), WEIGHT_SCALE, np.uint8)
    weights[1, 2:4, 5:7] = EMBLEM_WEIGHT * WEIGHT_SCALE
    centres = emblem_centres(weights)
    assert np.isnan(centres[0]).all()
    assert centres[1].tolist() == [24, 48]
