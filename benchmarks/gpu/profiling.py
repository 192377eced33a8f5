"""Where a step's time goes on a card: how long it works, how many kernels are started, how often the host waits."""

from typing import Any

import torch
from torch._C._profiler import _ExperimentalConfig
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cuGraphLaunch")  # beginnings of names
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
_TOP = 15
_LONGEST_NAME = 70


def started() -> Any:
    """A profiler of all threads, since pictures are drawn by others; it runs until its `stop` is called."""
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    everywhere = _ExperimentalConfig(profile_all_threads=True)
    profiler = profile(activities=activities, experimental_config=everywhere)
    profiler.start()
    return profiler


def summary(profiler: Any, steps: int) -> dict[str, Any]:
    """Facts of one of `steps`, of a profiler that has stopped; times in ms.

    `gpu_ms` is the time of kernels and copies alone: rows of the host name the same time once more. `host` is what the
    host did itself, and says what a step waits for where `gpu_ms` is much less than the step takes.
    """
    rows = profiler.key_averages()
    kernels = [row for row in rows if row.device_type != DeviceType.CPU and not row.is_user_annotation]
    host = [row for row in rows if row.device_type == DeviceType.CPU]

    def times(names: tuple[str, ...]) -> float:
        return round(sum(row.count for row in host if row.key.startswith(names)) / steps, 1)

    def listed(found: list[Any], taken: str) -> list[tuple[str, float, float]]:
        found = sorted(found, key=lambda row: -getattr(row, taken))[:_TOP]
        return [
            (
                row.key[:_LONGEST_NAME],
                round(row.count / steps, 1),
                round(getattr(row, taken) / 1e3 / steps, 2),
            )
            for row in found
        ]

    return {
        "gpu_ms": round(sum(row.self_device_time_total for row in kernels) / 1e3 / steps, 2),
        "host_ms": round(sum(row.self_cpu_time_total for row in host) / 1e3 / steps, 2),
        "launches": times(LAUNCHES),
        "waits": times(WAITS),
        "kernels": listed(kernels, "self_device_time_total"),
        "host": listed(host, "self_cpu_time_total"),
    }
