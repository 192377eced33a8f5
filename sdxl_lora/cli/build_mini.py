"""`build-mini`: makes the bundled model from nothing. All of it lives in `sdxl_lora.mini.build`.

The renderer's libraries are not among the studio's requirements; without them one line names the command that
installs them. Unlike with the other verbs, `--help` imports torch: the flags are declared beside the stages.
"""

import argparse
from types import ModuleType

from sdxl_lora.errors import InputError

_RENDERER = ("skia", "cv2")  # modules of requirements-mini.txt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `sdxl_lora.mini.build`. Raises `InputError` where the renderer's libraries are missing."""
    _build().add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Builds or evaluates; progress on stderr, the judge's table on stdout."""
    return int(_build().run(arguments))


def _build() -> ModuleType:
    try:
        from sdxl_lora.mini import build
    except ModuleNotFoundError as error:
        if error.name not in _RENDERER:
            raise
        raise InputError(f"build-mini needs {error.name}: pip install -r requirements-mini.txt") from error
    return build
