"""Makes `import torchvision` work where its C++ part does not fit the torch that is installed.

The wheel of torchvision on PyPI is built for CUDA. Beside a CPU build of torch its library cannot be loaded, and then
`import torchvision` dies with "operator torchvision::nms does not exist" and takes the image processors of
transformers, hence diffusers, with it. Declaring the two operators first is enough for everything this project uses
(transforms and plain networks; detection operators stay unavailable). Costs nothing until torchvision is imported.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[Any] = []  # torch forgets the declarations of a Library that is collected


class _TorchvisionFinder:
    """Import hook that acts once, when torchvision is first looked for."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and not _extension_loads(spec):
            _declare_operators()
        return spec


def _extension_loads(spec: ModuleSpec) -> bool:
    import torch

    for folder in spec.submodule_search_locations or ():
        for library in [*Path(folder).glob("_C*.so"), *Path(folder).glob("_C*.pyd")]:
            try:
                torch.ops.load_library(str(library))
            except OSError:
                continue
            return True
    return False


def _declare_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _libraries.append(library)


def install() -> None:
    """Puts the hook in place; called once by the package."""
    if "torchvision" not in sys.modules and not any(isinstance(f, _TorchvisionFinder) for f in sys.meta_path):
        sys.meta_path.insert(0, _TorchvisionFinder())
