"""Parts of a run on a GPU that ask how little memory will do, and whether all is right."""

import importlib.util
import time

from benchmarks.gpu import parts
from benchmarks.gpu.results import Run, peak_gb
from sdxl_lora.generation import PictureDone, generate
from sdxl_lora.models.loading import ModelConfig, load, unload

INT8_BAR_GB = 4.2  # for a picture of 1024 px
_STEPS = 4  # memory does not depend on them
# precision, offload
SETTINGS = (("int8", "none"), ("fp16", "model"), ("int8", "model"), ("int8", "sequential"))


def saving(run: Run) -> None:
    """Peak memory of drawing at SDXL's size in int8 and with offloading; the bar of int8."""
    for precision, offload in (
        SETTINGS if run.device == "cuda" else SETTINGS[:1]
    ):  # a processor offloads nothing
        if run.left < 25:
            run.say("saving", precision=precision, offload=offload, skipped=f"{run.left:.0f} s left")
            continue
        unload()
        peak_gb(reset=True)
        steps = 1 if offload == "sequential" else _STEPS
        request = parts.request_of(
            parts.model_of(run), parts.side_of(run), steps, precision, count=1, offload=offload
        )
        began = time.perf_counter()
        loaded = load(ModelConfig.of(request))
        loading = time.perf_counter() - began
        drawn = [event for event in generate(loaded, request) if isinstance(event, PictureDone)]
        del loaded
        run.say(
            "saving",
            precision=precision,
            offload=offload,
            load_s=round(loading, 1),
            s_per_step=round(drawn[0].seconds / steps, 2),
            peak_gb=(peak := peak_gb(reset=True)),
            within_bar=peak <= INT8_BAR_GB if peak and (precision, offload) == SETTINGS[0] else None,
        )
    unload()


def tests(run: Run) -> None:
    """`pytest -m gpu`: pictures, scores and losses as the processor's, resume, cancel, memory that runs out."""
    if importlib.util.find_spec("pytest") is None:
        run.say("tests", skipped="pytest is not installed here")
        return
    which = ["tests/test_on_gpu.py", *([] if run.tiny else ["tests/training/test_cuda_graph.py"])]
    wanted = ["-k", "scores or cancelled"] if run.tiny else []
    done = parts.python(["-m", "pytest", "-q", "-m", "gpu", "--tb=line", *which, *wanted])
    lines = done.stdout.splitlines()
    failed = [line for line in lines if line.startswith("FAILED")]
    run.say(
        "tests",
        passed=done.returncode == 0,
        summary=lines[-1] if lines else done.stderr[-300:],
        failed=failed,
    )
