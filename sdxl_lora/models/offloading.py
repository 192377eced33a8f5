"""Models larger than a GPU's memory: their parts wait in main memory and come as they are needed.

`model`: one part at a time, by diffusers' hooks; hardly slower. `sequential`: one layer at a time, by accelerate's;
many times slower, for the smallest cards. While the hooks are on, weights must not be touched: they are taken off for
that.
"""

from diffusers import DiffusionPipeline

from sdxl_lora.config import Offload
from sdxl_lora.errors import RequestError
from sdxl_lora.models.device import Device


def check(wanted: Offload, device: Device) -> None:
    """Raises `RequestError` where there is nothing to be saved."""
    if wanted != "none" and device == "cpu":
        raise RequestError(
            f"offload {wanted} saves memory of a GPU, and this machine draws on its processor; leave it out,"
            " and use precision int8 to save memory"
        )


def switch_on(pipeline: DiffusionPipeline, offload: Offload, device: Device) -> None:
    """Lets the parts of a pipeline come to `device` as they are needed, or all at once and for good."""
    match offload:
        case "model":
            pipeline.enable_model_cpu_offload(device=device)
        case "sequential":
            pipeline.enable_sequential_cpu_offload(device=device)
        case _:
            pipeline.to(device)


def switch_off(pipeline: DiffusionPipeline, offload: Offload) -> None:
    """Brings all weights back to main memory, where LoRAs can be merged into them."""
    if offload != "none":
        pipeline.remove_all_hooks()
        pipeline.to("cpu")
