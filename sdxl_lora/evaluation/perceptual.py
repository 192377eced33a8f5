"""LPIPS: perceptual distance from AlexNet features, with the linear heads the `lpips` wheel carries.

The trunk is torchvision's AlexNet, written out here so that neither torchvision nor `import lpips` is needed.
lpips's own class gives the same distances to the bit, but builds its trunk with an argument that torchvision has
deprecated since 0.13 and may remove.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from sdxl_lora.errors import ModelUnavailableError

_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_CHANNELS = (64, 192, 384, 256, 256)


class AlexNetFeatures(nn.Module):
    """The five rectified stages of AlexNet (Krizhevsky 2014, arXiv:1404.5997); keys as torchvision's."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> list[Tensor]:  # [N, 3, H, W] -> five of [N, channels, h, w]
        stages = []
        for layer in self.features:
            images = layer(images)
            if isinstance(layer, nn.ReLU):
                stages.append(images)
        return stages


class Lpips(nn.Module):
    """LPIPS v0.1 with AlexNet (Zhang et al. 2018, arXiv:1801.03924, eq. 1)."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = AlexNetFeatures()
        self.heads = nn.ParameterList([nn.Parameter(torch.zeros(channels)) for channels in _CHANNELS])
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))

    def load_heads(self) -> None:
        """The published linear heads. Raises `ModelUnavailableError` if the package lpips is missing."""
        heads = torch.load(heads_file(), map_location="cpu", weights_only=True)
        for index, head in enumerate(self.heads):
            head.data = heads[f"lin{index}.model.1.weight"].flatten()

    def embed(self, images: Tensor) -> list[Tensor]:
        """Unit-length features of pictures [N, 3, H, W] in -1..1, one tensor per stage."""
        stages: list[Tensor] = self.trunk((images - self.shift) / self.scale)
        return [stage / (torch.linalg.vector_norm(stage, dim=1, keepdim=True) + 1e-10) for stage in stages]

    def distance(self, one: list[Tensor], other: list[Tensor]) -> Tensor:
        """Distances [N] >= 0 between pictures already embedded; 0 for equal ones."""
        parts = [
            torch.einsum("nchw,c->nhw", (a - b) ** 2, head).mean(dim=(1, 2))
            for a, b, head in zip(one, other, self.heads, strict=True)
        ]
        return torch.stack(parts).sum(dim=0)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.distance(self.embed(one), self.embed(other))


def load_lpips(trunk: Path) -> Lpips:
    """The network with its trunk from torchvision's AlexNet file and its heads from the installed `lpips`
    package.
    """
    model = Lpips()
    try:
        state = torch.load(trunk, map_location="cpu", weights_only=True)
        model.trunk.load_state_dict(
            {key: value for key, value in state.items() if key.startswith("features.")}
        )
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise ModelUnavailableError(f"{trunk} is not torchvision's AlexNet: {error}") from error
    model.load_heads()
    return model.eval().requires_grad_(False)


def heads_file() -> Path:
    """The linear heads of LPIPS v0.1 for AlexNet inside the `lpips` wheel (found, not imported)."""
    spec = find_spec("lpips")
    path = Path(spec.origin).parent / "weights" / "v0.1" / "alex.pth" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ModelUnavailableError(
            "the package lpips, which carries LPIPS's heads, is missing: pip install lpips==0.1.4"
        )
    return path
