"""Stands in a pipeline for its UNet while a picture is drawn that sees a logo, by a ControlNet, an IP-Adapter or both.

Because it is called as the UNet, drawing from noise and from a picture, guidance that ends early and previews are the
same with it; it computes what diffusers' ControlNet pipelines compute (without `guess_mode`).
"""

from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor

_KEPT_EXACT: Final = ("time_ids",)  # numbers up to thousands, which bf16 would round


@dataclass(frozen=True, kw_only=True, eq=False)
class Cue:
    """What the network sees of the logos, all of it on its device."""

    controlnet: Any = None  # a ControlNetModel
    edges: Tensor | None = None  # 13HW, 0..1, for the ControlNet
    conditioning_scale: float = 0.0
    adapted: Any = None  # the UNet's mirror, with the IP-Adapter in it
    image_embeds: Tensor | None = None  # [2, logos, width] for the IP-Adapter: of nothing, and of the logos

    def around(self, network: Any) -> "CuedNetwork":
        """What is called as the UNet for a picture with this cue."""
        return CuedNetwork(network if self.adapted is None else self.adapted, self)


class CuedNetwork:
    """Stands in a pipeline for its UNet while a picture with a cue is drawn; everything but the call is the UNet's."""

    def __init__(self, network: Any, cue: Cue) -> None:
        self._network = network
        self._cue = cue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def __call__(
        self,
        sample: Tensor,
        timestep: Any,
        encoder_hidden_states: Tensor,
        added_cond_kwargs: dict[str, Any] | None = None,
        **named: Any,
    ) -> Any:
        """The prediction for a batch (NCHW): one picture, or in a guided step its negative side and itself."""
        if self._cue.controlnet is not None:
            named |= self._residuals(sample, timestep, encoder_hidden_states, added_cond_kwargs)
        added = added_cond_kwargs
        if self._cue.image_embeds is not None:
            added = {**(added or {}), "image_embeds": [self._cue.image_embeds[-len(sample) :]]}
        return self._network(
            sample, timestep, encoder_hidden_states=encoder_hidden_states, added_cond_kwargs=added, **named
        )

    def _residuals(
        self, sample: Tensor, timestep: Any, text: Tensor, added: dict[str, Any] | None
    ) -> dict[str, Any]:
        """What the ControlNet adds to the levels of the UNet. It sees the latents, not the mask of nine channels."""
        net, edges = self._cue.controlnet, self._cue.edges
        assert edges is not None
        latents = sample[:, : net.config.in_channels]
        down, mid = net(
            latents.to(net.dtype),
            timestep,
            encoder_hidden_states=text.to(net.dtype),
            controlnet_cond=edges.expand(len(sample), -1, -1, -1),
            conditioning_scale=self._cue.conditioning_scale,
            added_cond_kwargs=None
            if added is None
            else {
                name: value if name in _KEPT_EXACT else value.to(net.dtype) for name, value in added.items()
            },
            return_dict=False,
        )
        return {"down_block_additional_residuals": tuple(down), "mid_block_additional_residual": mid}
