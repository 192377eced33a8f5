"""How many pictures are drawn at once, and with how many threads each.

A small network on a processor gains nothing from several threads per picture (they wait for each other at every
layer, and for seconds when other programs want the cores), but two pictures on two cores take little longer than
one. Measured with `python -m benchmarks.generation`. Large networks and GPUs get one picture at a time.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from sdxl_lora import config
from sdxl_lora.models.engine import LARGE
from sdxl_lora.models.loading import LoadedModel


def is_small(model: LoadedModel) -> bool:
    """Whether one thread per picture is best."""
    if model.device != "cpu":
        return False
    cache = model.base.cache
    if "parameters" not in cache:
        cache["parameters"] = model.engine.parameters
    return bool(cache["parameters"] < LARGE)


@contextmanager
def picture_workers(model: LoadedModel, pictures: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that draw pictures, as many and as wide as suits the model; ends when all are done."""
    if not is_small(model):
        with ThreadPoolExecutor(1, thread_name_prefix="picture") as pool:
            yield pool
        return
    before = torch.get_num_threads()
    workers = min(pictures, config.cores())
    try:
        with ThreadPoolExecutor(
            workers, thread_name_prefix="picture", initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)  # torch remembers the last number set for threads to come
