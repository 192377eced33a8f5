"""The order of a run: every picture once per epoch, the same for every process, found again after any
interruption.
"""

from itertools import islice

import pytest

from sdxl_lora.training.batch_sampler import BatchSampler, Update


def first_epoch(sampler: BatchSampler) -> list[Update]:
    return list(islice(sampler.updates(), sampler.updates_per_epoch))


def rows_of(update: Update, rank: int) -> list[int]:
    return [row for part in update.micro_batches[rank] if part.weight for row in part.rows]


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("groups", [[0] * 13, [0, 1, 2, 0, 1, 0, 0, 1, 1, 0, 2]])
def test_every_picture_is_used_once_per_epoch_by_one_process(world_size, accumulation, groups):
    sampler = BatchSampler(
        groups=groups, batch_size=2, accumulation=accumulation, world_size=world_size, seed=5
    )
    used = [
        row for update in first_epoch(sampler) for rank in range(world_size) for row in rows_of(update, rank)
    ]
    assert sorted(used) == list(range(len(groups)))


def test_pictures_of_one_batch_have_one_size():
    groups = [0, 1, 0, 1, 1, 0, 0]
    sampler = BatchSampler(groups=groups, batch_size=2)
    for update in first_epoch(sampler):
        for part in update.micro_batches[0]:
            assert len({groups[row] for row in part.rows}) == 1


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_an_update_weighs_every_picture_equally(world_size):
    sampler = BatchSampler(groups=[0] * 13, batch_size=2, accumulation=2, world_size=world_size)
    for update in first_epoch(sampler):
        shares = [
            part.weight / len(part.rows) for parts in update.micro_batches for part in parts if part.weight
        ]
        assert shares == pytest.approx([1 / update.pictures] * len(shares))
        assert sum(part.weight for parts in update.micro_batches for part in parts) == pytest.approx(1)


def test_all_processes_make_the_same_number_of_steps():
    sampler = BatchSampler(groups=[0] * 5, batch_size=2, world_size=4)
    assert all(len({len(parts) for parts in update.micro_batches}) == 1 for update in first_epoch(sampler))


@pytest.mark.parametrize("start", [0, 1, 3, 4, 9])
def test_a_plan_that_starts_later_is_the_rest_of_the_plan(start):
    sampler = BatchSampler(groups=[0] * 7, batch_size=2, seed=3)
    assert list(islice(sampler.updates(start), 5)) == list(islice(sampler.updates(), start, start + 5))


def test_epochs_and_seeds_have_orders_of_their_own():
    sampler = BatchSampler(groups=[0] * 20, batch_size=20)
    other = BatchSampler(groups=[0] * 20, batch_size=20, seed=1)
    orders = [sampler.global_batches(0), sampler.global_batches(1), other.global_batches(0)]
    assert len({tuple(order[0]) for order in orders}) == 3
