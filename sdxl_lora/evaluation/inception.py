"""Inception-v3 as the FID uses it: the network of 2015-12-05, pooled to 2,048 features.

Not torchvision's Inception: average pools leave the padding out of their mean, the last block pools with a
maximum, and pictures are resized as TensorFlow 1 did. Layer names are those of the published weight file.
Structure after Szegedy et al. 2015, arXiv:1512.00567; the differences are those torch-fidelity and
pytorch-fid document.

torch-fidelity's own class gives the same features (`python -m benchmarks.metrics --parity`), but its package imports
torchvision, and it loads weights as a pickle that may run code (`weights_only=False`).
"""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sdxl_lora.errors import ModelUnavailableError

SIDE = 299  # px
FEATURES = 2_048


class _Convolution(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, pad: bool = True
    ):
        super().__init__()
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (size[0] // 2, size[1] // 2) if pad else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, size, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


def _average(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _BlockA(nn.Module):  # 35 x 35
    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Convolution(inputs, 64, 1)
        self.branch5x5_1 = _Convolution(inputs, 48, 1)
        self.branch5x5_2 = _Convolution(48, 64, 5)
        self.branch3x3dbl_1 = _Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = _Convolution(64, 96, 3)
        self.branch3x3dbl_3 = _Convolution(96, 96, 3)
        self.branch_pool = _Convolution(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat(
            [self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, self.branch_pool(_average(x))],
            1,
        )


class _BlockB(nn.Module):  # 35 -> 17
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Convolution(inputs, 384, 3, stride=2, pad=False)
        self.branch3x3dbl_1 = _Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = _Convolution(64, 96, 3)
        self.branch3x3dbl_3 = _Convolution(96, 96, 3, stride=2, pad=False)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, functional.max_pool2d(x, 3, stride=2)], 1)


class _BlockC(nn.Module):  # 17 x 17, factorised 7 x 7
    def __init__(self, inner: int) -> None:
        super().__init__()
        self.branch1x1 = _Convolution(768, 192, 1)
        self.branch7x7_1 = _Convolution(768, inner, 1)
        self.branch7x7_2 = _Convolution(inner, inner, (1, 7))
        self.branch7x7_3 = _Convolution(inner, 192, (7, 1))
        self.branch7x7dbl_1 = _Convolution(768, inner, 1)
        self.branch7x7dbl_2 = _Convolution(inner, inner, (7, 1))
        self.branch7x7dbl_3 = _Convolution(inner, inner, (1, 7))
        self.branch7x7dbl_4 = _Convolution(inner, inner, (7, 1))
        self.branch7x7dbl_5 = _Convolution(inner, 192, (1, 7))
        self.branch_pool = _Convolution(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_average(x))], 1)


class _BlockD(nn.Module):  # 17 -> 8
    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = _Convolution(768, 192, 1)
        self.branch3x3_2 = _Convolution(192, 320, 3, stride=2, pad=False)
        self.branch7x7x3_1 = _Convolution(768, 192, 1)
        self.branch7x7x3_2 = _Convolution(192, 192, (1, 7))
        self.branch7x7x3_3 = _Convolution(192, 192, (7, 1))
        self.branch7x7x3_4 = _Convolution(192, 192, 3, stride=2, pad=False)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat(
            [self.branch3x3_2(self.branch3x3_1(x)), seven, functional.max_pool2d(x, 3, stride=2)], 1
        )


class _BlockE(nn.Module):  # 8 x 8, widened
    def __init__(self, inputs: int, pool: Literal["average", "maximum"]) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = _Convolution(inputs, 320, 1)
        self.branch3x3_1 = _Convolution(inputs, 384, 1)
        self.branch3x3_2a = _Convolution(384, 384, (1, 3))
        self.branch3x3_2b = _Convolution(384, 384, (3, 1))
        self.branch3x3dbl_1 = _Convolution(inputs, 448, 1)
        self.branch3x3dbl_2 = _Convolution(448, 384, 3)
        self.branch3x3dbl_3a = _Convolution(384, 384, (1, 3))
        self.branch3x3dbl_3b = _Convolution(384, 384, (3, 1))
        self.branch_pool = _Convolution(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = _average(x) if self.pool == "average" else functional.max_pool2d(x, 3, stride=1, padding=1)
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(three),
                self.branch3x3_2b(three),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(pooled),
            ],
            1,
        )


class FidInception(nn.Module):
    """Pictures [N, 3, H, W], values 0..255 -> features [N, 2048]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, stride=2, pad=False)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3, pad=False)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3, pad=False)
        self.Mixed_5b = _BlockA(192, 32)
        self.Mixed_5c = _BlockA(256, 64)
        self.Mixed_5d = _BlockA(288, 64)
        self.Mixed_6a = _BlockB(288)
        self.Mixed_6b = _BlockC(128)
        self.Mixed_6c = _BlockC(160)
        self.Mixed_6d = _BlockC(160)
        self.Mixed_6e = _BlockC(192)
        self.Mixed_7a = _BlockD()
        self.Mixed_7b = _BlockE(1280, "average")
        self.Mixed_7c = _BlockE(2048, "maximum")

    def forward(self, images: Tensor) -> Tensor:
        x = (images.float() - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(x, 3, stride=2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(functional.max_pool2d(x, 3, stride=2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean(dim=(2, 3))


def resize_like_tensorflow(images: Tensor, side: int = SIDE) -> Tensor:
    """Bilinear resize of [N, C, H, W] without antialiasing, corners as in TensorFlow 1: pixel i samples i * H
    / side.
    """
    for dimension in (2, 3):
        length = images.shape[dimension]
        position = torch.arange(side, dtype=torch.float32) * (length / side)
        low = position.floor().long().clamp(max=length - 1)
        high = (low + 1).clamp(max=length - 1)
        shape = [1, 1, 1, 1]
        shape[dimension] = side
        fraction = (position - low).view(shape)
        below, above = images.index_select(dimension, low), images.index_select(dimension, high)
        images = below + (above - below) * fraction
    return images


def load_inception(path: Path) -> FidInception:
    """The network with the weights of the published file `pt_inception-2015-12-05-6726825d.pth`."""
    model = FidInception()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        known = model.state_dict().keys()
        model.load_state_dict(
            {key: value for key, value in state.items() if not key.startswith("fc.") and key in known}
        )
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise ModelUnavailableError(f"{path} is not the Inception of the FID: {error}") from error
    return model.eval().requires_grad_(False)
