"""A critic of small patches, against which the VAE's decoder learns edges that are as sharp as the renders'.

L1 and squared errors are least for the mean of all edges that could have been meant, which is a blurred one: with them
alone edges keep half of the Laplacian's energy (docs/log.md). A patch critic (arXiv 1611.07004, section 3.2) with hinge
losses, its gradient weighed against that of the reconstruction (arXiv 2012.09841, equation 7), makes them sharp.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdxl_lora.mini.optimisation import autocast

ADVERSARIAL_SHARE = 0.4  # of the reconstruction's gradient at the decoder's last layer
HEAD_START = 60  # steps that the critic learns alone


class PatchCritic(nn.Module):
    """Real or decoded, for every 4 px of a picture; sees 26 px around each. 0.16 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(128, 1, 3, padding=1),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 -> (N, 1, H / 4, W / 4), positive for real."""
        said: Tensor = self.layers(pixels)
        return said


class Adversary:
    """A `PatchCritic` that learns beside a decoder, whose last layer's weights are `last`."""

    def __init__(self, last: Tensor, device: str) -> None:
        self.last = last
        self.steps = 0
        self.critic = PatchCritic().to(device)
        self.optimizer = torch.optim.AdamW(self.critic.parameters(), lr=6e-4, betas=(0.5, 0.98), foreach=True)

    def loss(self, decoded: Tensor, reconstruction: Tensor) -> Tensor:
        """What the decoder loses where the critic sees through it, weighed so that its gradient at the decoder's last
        layer is `ADVERSARIAL_SHARE` of that of `reconstruction`; 0 while the critic is new."""
        if self.steps < HEAD_START:
            return reconstruction.new_zeros(())
        with autocast(decoded.device.type):
            fooled = -self.critic(decoded).float().mean()
        ours, theirs = (
            torch.autograd.grad(loss, self.last, retain_graph=True)[0].norm()
            for loss in (reconstruction, fooled)
        )
        return ADVERSARIAL_SHARE * (ours / (theirs + 1e-6)).clamp(0, 1e3).detach() * fooled

    def learn(self, real: Tensor, decoded: Tensor) -> float:
        """One step of the critic on pictures and their reconstructions, (N, 3, H, W) in -1..1; returns its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(real.device.type):
            loss = F.relu(1 - self.critic(real).float()).mean()
            loss = loss + F.relu(1 + self.critic(decoded.detach()).float()).mean()
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        return loss.item()
