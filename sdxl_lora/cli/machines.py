"""The flags of a verb that lets the machines of a cluster draw, and what they mean."""

import argparse
from typing import TYPE_CHECKING

from sdxl_lora.errors import InputError

if TYPE_CHECKING:
    from sdxl_lora.cluster.ray import Pool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which cluster, and how much of it."""
    add = parser.add_argument
    add(
        "--ray",
        metavar="ADDRESS",
        help="let the machines of a Ray cluster draw: HOST:PORT, `auto` for the one of this machine, or `local`",
    )
    add(
        "--workers",
        type=int,
        metavar="N",
        help="with --ray: so many at a time; default: all there is room for",
    )
    add(
        "--threads",
        type=int,
        metavar="N",
        help="with --ray, without GPUs: processor threads of each worker; default: all of the smallest machine",
    )


def pool(arguments: argparse.Namespace) -> "Pool | None":
    """The machines that are to draw; None: this one does. Raises `InputError`."""
    if arguments.ray is None:
        if arguments.workers is not None or arguments.threads is not None:
            raise InputError("--workers and --threads are those of a cluster; say which with --ray ADDRESS")
        return None
    from sdxl_lora.cluster import ray

    ray.library()
    return ray.Pool(address=arguments.ray, workers=arguments.workers, threads=arguments.threads)
