"""A critic of latents, against which the UNet learns to finish its own pictures as crisply as renders are.

Squared errors are least for the mean of everything that could be there. Of a hand, a hem or a plank that is not
decided yet, the mean is a blur, and a UNet that sees its own blur at the next step takes it for the picture. A critic
of patches (arXiv 1611.07004, section 3.2) says what renders never look like. On renders with noise it has nothing to
say: their details are still in them, and what the UNet predicts of those can hardly be told from the render
(docs/log.md). It is asked about pictures that the UNet began itself (`mini.adversarial`).
"""

import torch
from torch import Tensor, nn

from sdxl_lora.mini.adversary import Adversary

ADVERSARIAL_SHARE = 0.5  # of the gradient of the other losses, in what the UNet predicts
RATE = 4e-4
NOISE = 0.05  # standard deviations, on all that it learns from: the decoder does not see less either


class LatentCritic(nn.Module):
    """Render or drawn, for every 2 cells of latents (sees 14) and for every 4 (sees 32). 0.77 million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            nn.Conv2d(4, 64, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 96, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(96, 128, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.fine_head = nn.Conv2d(128, 1, 3, padding=1)
        self.coarse = nn.Sequential(
            nn.Conv2d(128, 160, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(160, 160, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.coarse_head = nn.Conv2d(160, 1, 3, padding=1)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 4, h, w) of unit variance -> (N, 1, h / 2, w / 2) and (N, 1, h / 4, w / 4), positive for renders."""
        if self.training:
            latents = latents + NOISE * torch.randn_like(latents)
        features = self.fine(latents.contiguous(memory_format=torch.channels_last))
        return self.fine_head(features), self.coarse_head(self.coarse(features))


def unet_adversary(device: str) -> Adversary:
    """A new critic to train a UNet against; gradients are compared in the finished latents that it predicts."""
    return Adversary(LatentCritic(), device, rate=RATE, share=ADVERSARIAL_SHARE)
