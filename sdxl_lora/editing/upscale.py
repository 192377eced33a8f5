"""Pictures of twice and four times the size, with the edges and textures that a network has learned.

waifu2x' upconv_7 for photos (nagadomi, 2015; after Dong et al., "Image Super-Resolution Using Deep Convolutional
Networks", 2014): six 3 x 3 convolutions without padding, LeakyReLU(0.1) after each, and a 4 x 4 transposed convolution
with stride 2. Four times is twice twice. Large pictures are computed in tiles that overlap by what the convolutions
see, so that there are no seams and memory is bounded. Needs torch; the weights are bundled (`weights`).
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from sdxl_lora import inputs
from sdxl_lora.editing import weights
from sdxl_lora.errors import ImageError, ModelUnavailableError

FACTORS = (2, 4)
TILE = 256  # px of the smaller picture
_CONTEXT = 7  # px that a tile needs around it: six for the convolutions, one for the last layer's stride
_WIDTHS = (3, 16, 32, 64, 128, 128, 256)
_HALF_FLOATS = 0x01306B47  # ncnn's mark of weights in 16 bits


def upscale(image: Image.Image, factor: int, *, device: str = "cpu") -> Image.Image:
    """The picture (RGB or RGBA) at `factor` (of `FACTORS`) times its width and height.

    Alpha is enlarged by Lanczos, colours as if there were no transparency, so that no edge takes on what was hidden.
    Raises `ImageError` where the result had more than `inputs.MAX_PIXELS`, `ModelUnavailableError` without weights.
    """
    check(image.size, factor)
    network = _network(device)
    if image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGB")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    pixels = np.asarray(image.convert("RGB")) if alpha is None else _without_holes(image)
    for _ in range(FACTORS.index(factor) + 1):
        pixels = _twice(network, pixels)
    larger = Image.fromarray(pixels)
    if alpha is not None:
        larger.putalpha(alpha.resize(larger.size, Image.Resampling.LANCZOS))
    return larger


def check(size: tuple[int, int], factor: int) -> None:
    """Raises `ImageError` if a picture of this size (width, height in px) cannot be made `factor` times as large."""
    if factor not in FACTORS:
        raise ImageError(f"pictures are made {' or '.join(map(str, FACTORS))} times as large, not {factor}")
    width, height = size[0] * factor, size[1] * factor
    if width * height > inputs.MAX_PIXELS:
        raise ImageError(
            f"{factor} times as large would be {width}x{height} px; at most {inputs.MAX_PIXELS // 10**6} megapixels"
            " are made, so use a smaller factor or picture"
        )


class Upconv7(nn.Module):
    """Colours on 0..1 (N, 3, height + 14, width + 14) -> (N, 3, 2 x height, 2 x width)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3) for before, after in pairwise(_WIDTHS))
        self.enlarge = nn.ConvTranspose2d(_WIDTHS[-1], 3, 4, stride=2, padding=3)

    def forward(self, picture: Tensor) -> Tensor:
        """Without padding: the caller gives what is around."""
        for convolution in self.convolutions:
            picture = F.leaky_relu_(convolution(picture), 0.1)
        return self.enlarge(picture)


@lru_cache(maxsize=2)
def _network(device: str) -> Upconv7:
    """With the bundled weights. Raises `ModelUnavailableError`."""
    network = Upconv7()
    layers = [*network.convolutions, network.enlarge]
    numbers = _read_ncnn(weights.read(weights.UPCONV_7_PHOTO), layers)
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, numbers, strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    return network.eval().requires_grad_(False).to(device)


def _read_ncnn(data: bytes, layers: list[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """(weight, bias) of each layer from an ncnn file: a mark, weights in 16 bits [out, in, kh, kw], bias in 32."""
    found, at = [], 0
    for layer in layers:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        [mark] = np.frombuffer(data, "<u4", 1, at)
        if mark != _HALF_FLOATS:
            raise ModelUnavailableError("the upscaling network is not in the form that is read here")
        transposed = isinstance(layer, nn.ConvTranspose2d)
        shape = (layer.out_channels, layer.in_channels, *layer.kernel_size)
        count = int(np.prod(shape))
        values = np.frombuffer(data, "<f2", count, at + 4).reshape(shape).astype(np.float32)
        bias = np.frombuffer(data, "<f4", layer.out_channels, at + 4 + 2 * count)
        weight = torch.from_numpy(values.swapaxes(0, 1).copy() if transposed else values)
        found.append((weight, torch.from_numpy(bias.copy())))
        at += 4 + 2 * count + 4 * layer.out_channels
    return found


@torch.no_grad()
def _twice(network: Upconv7, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[height, width, 3] -> [2 x height, 2 x width, 3], tile by tile."""
    height, width = pixels.shape[:2]
    device = network.enlarge.weight.device
    around = np.pad(pixels, ((_CONTEXT, _CONTEXT), (_CONTEXT, _CONTEXT), (0, 0)), mode="edge")
    larger = np.empty((2 * height, 2 * width, 3), np.uint8)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            bottom, right = min(top + TILE, height), min(left + TILE, width)
            part = around[top : bottom + 2 * _CONTEXT, left : right + 2 * _CONTEXT]
            tensor = torch.from_numpy(part.copy()).to(device).permute(2, 0, 1)[None].float() / 255
            found = network(tensor.contiguous(memory_format=torch.channels_last))[0]
            values = (found.permute(1, 2, 0) * 255).round_().clamp_(0, 255).to(torch.uint8)
            larger[2 * top : 2 * bottom, 2 * left : 2 * right] = values.cpu().numpy()
    return larger


def _without_holes(image: Image.Image) -> NDArray[np.uint8]:
    """Colours of an RGBA picture, those of transparent pixels taken from the nearest one that is not."""
    pixels = np.asarray(image)
    hidden = pixels[..., 3] == 0
    colours = pixels[..., :3].copy()
    if hidden.any() and not hidden.all():
        nearest = ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True)
        colours = colours[tuple(nearest)]
    return colours
