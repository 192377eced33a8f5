"""A critic of latents, against which the UNet learns to finish its own pictures as crisply as renders are.

Squared errors are least for the mean of everything that could be there. Of a hand, a hem or a plank that is not
decided yet, the mean is a blur, and a UNet that sees its own blur at the next step takes it for the picture. A critic
of patches (arXiv 1611.07004, section 3.2) with hinge losses (arXiv 1802.05957, equations 16 and 17) says what renders
never look like. On renders with noise it has nothing to say: their details are still in them, and what the UNet
predicts of those can hardly be told from the render (docs/log.md). It is asked about pictures that the UNet began
itself (`mini.adversarial`).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdxl_lora.mini.optimisation import autocast

ADVERSARIAL_SHARE = 0.5  # of the gradient of the other losses, in what the UNet predicts
RATE = 4e-4
NOISE = 0.05  # standard deviations, on all that the critic sees: the decoder does not see less either


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
        features = self.fine(latents.contiguous(memory_format=torch.channels_last))
        return self.fine_head(features), self.coarse_head(self.coarse(features))


class LatentAdversary:
    """A `LatentCritic` that learns beside a UNet."""

    def __init__(self, device: str) -> None:
        self.critic = LatentCritic().to(device)
        self.optimizer = torch.optim.AdamW(
            self.critic.parameters(), lr=RATE, betas=(0.5, 0.98), weight_decay=1e-3, foreach=True
        )

    def loss(self, predicted: Tensor, drawn: Tensor, others: Tensor) -> Tensor:
        """What the UNet loses where the critic sees through it, weighed so that its gradient is `ADVERSARIAL_SHARE` of
        that of the losses `others`.

        Args:
            predicted: finished latents (N, 4, h, w) of a whole batch.
            drawn: those of them that the critic is asked about, a part of `predicted`.
            others: the sum of the other losses, of `predicted` too.
        """
        with autocast(drawn.device.type):
            fooled = -sum(head.float().mean() for head in self.critic(_hidden(drawn)))
        ours, theirs = (
            torch.autograd.grad(loss, predicted, retain_graph=True)[0].norm() for loss in (others, fooled)
        )
        weighed: Tensor = ADVERSARIAL_SHARE * (ours / (theirs + 1e-9)).detach() * fooled
        return weighed

    def learn(self, renders: Tensor, drawn: Tensor) -> float:
        """One step of the critic on latents of renders and on as many that were drawn; returns its loss: 4 while it
        knows nothing, 0 when it is sure of every cell."""
        self.optimizer.zero_grad(set_to_none=True)
        seen = _hidden(torch.cat([renders, drawn.detach()]))
        with autocast(renders.device.type):
            heads = [head.float() for head in self.critic(seen)]
        count = len(renders)
        loss = torch.stack(
            [F.relu(1 - head[:count]).mean() + F.relu(1 + head[count:]).mean() for head in heads]
        ).sum()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def _hidden(latents: Tensor) -> Tensor:
    return latents + NOISE * torch.randn_like(latents)
