"""A critic that learns beside a network, and what the network loses where the critic sees through it.

Hinge losses (arXiv 1802.05957, equations 16 and 17); the gradient is weighed against that of the network's other losses
(arXiv 2012.09841, equation 7). Knows neither pictures nor latents: `mini.patch_critic` and `mini.latent_critic` do.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdxl_lora.mini.optimisation import autocast


class Adversary:
    """A critic of drawn examples, (N, C, H, W) -> one map of scores or several, positive for real."""

    def __init__(
        self, critic: nn.Module, device: str, *, rate: float, share: float, head_start: int = 0
    ) -> None:
        """`share`: of the gradient of the other losses; `head_start`: steps that the critic learns alone."""
        self.critic = critic.to(device)
        self.share, self.head_start = share, head_start
        self.steps = 0
        self.optimizer = torch.optim.AdamW(critic.parameters(), lr=rate, betas=(0.5, 0.98), foreach=True)

    def loss(self, drawn: Tensor, others: Tensor, compared_at: Tensor) -> Tensor:
        """What the network loses for `drawn`; 0 while the critic is new.

        Args:
            others: the sum of the network's other losses.
            compared_at: weights or activations at which the gradient of this loss becomes `share` of that of `others`.
        """
        if self.steps < self.head_start:
            return others.new_zeros(())
        fooled = -torch.stack([scores.mean() for scores in self._scores(drawn)]).sum()
        ours, theirs = (
            torch.autograd.grad(loss, compared_at, retain_graph=True)[0].norm() for loss in (others, fooled)
        )
        return self.share * (ours / (theirs + 1e-9)).clamp(0, 1e3).detach() * fooled

    def learn(self, real: Tensor, drawn: Tensor) -> float:
        """One step of the critic on as many real examples as drawn ones; returns its loss: 2 for each of its maps
        while it knows nothing, 0 when it is sure of every place."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = [
            F.relu(1 - of_real).mean() + F.relu(1 + of_drawn).mean()
            for of_real, of_drawn in zip(self._scores(real), self._scores(drawn.detach()), strict=True)
        ]
        loss = torch.stack(losses).sum()
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        return loss.item()

    def _scores(self, examples: Tensor) -> list[Tensor]:
        with autocast(examples.device.type):
            return [scores.float() for scores in self.critic(examples)]
