"""Lets the CUDA build of torchvision be imported beside a CPU build of torch.

torchvision's wheel for torch 2.13 links against CUDA libraries. Beside the CPU torch its extension cannot be loaded,
`import torchvision` dies with "operator torchvision::nms does not exist", and takes transformers, peft and diffusers
with it. Declaring the schemas of the two missing operators first makes the import work; nothing here calls them.
A finder on `sys.meta_path` does so at the moment somebody first looks for torchvision, whatever the order of
imports, and costs nothing until then. Where the extension loads (a CUDA machine), nothing is declared.
"""

import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

_libraries: list[object] = []  # torch.library.Library objects; the schemas live as long as they do


class _DeclareMissingOperators:
    """A meta path finder that finds nothing itself; it only prepares the ground for torchvision."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            _declare_operators(importlib.machinery.PathFinder.find_spec(name))
        return None


def _declare_operators(spec: importlib.machinery.ModuleSpec | None) -> None:
    if spec is None or spec.origin is None:
        return
    import torch

    for extension in Path(spec.origin).parent.glob("_C*"):
        try:
            torch.ops.load_library(extension)
        except OSError:  # its CUDA libraries are not here
            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _libraries.append(library)


def install() -> None:
    """Put the finder in place, once."""
    if "torchvision" not in sys.modules and not any(
        isinstance(f, _DeclareMissingOperators) for f in sys.meta_path
    ):
        sys.meta_path.insert(0, _DeclareMissingOperators())
