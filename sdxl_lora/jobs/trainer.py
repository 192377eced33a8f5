"""The process that a training job runs in: `python -m sdxl_lora.jobs.trainer FLAGS...`, those of the training script.

It ends as after SIGTERM, with a checkpoint, once its standard input is closed: whoever started it is gone then, however
that happened.
"""

import ctypes
import os
import signal
import sys
import threading

from sdxl_lora.scoring.clip import ClipScorer
from sdxl_lora.training import loop
from sdxl_lora.training.run import main
from sdxl_lora.training.setup import Setup

_SIGNAL_AT_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG of prctl(2)


def clip_scorer(setup: Setup) -> loop.Scorer | None:
    """Scores validation pictures with the CLIP that comes with the model, if one does."""
    folder = setup.base.folder / "clip"
    return ClipScorer(folder).score if (folder / "config.json").is_file() else None


def stop_with_parent() -> None:
    """Watches standard input, and asks this process to stop at its end."""

    def watch() -> None:
        while os.read(0, 1):  # not through `sys.stdin`, whose lock would be held when the process ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    if sys.platform == "linux":  # were it halted then, it could not even look
        ctypes.CDLL(None).prctl(_SIGNAL_AT_PARENTS_DEATH, signal.SIGCONT, 0, 0, 0)
    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    stop_with_parent()
    raise SystemExit(main(sys.argv[1:], scorer_for=clip_scorer))
