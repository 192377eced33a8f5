"""The part of a request that says whether a logo is shown to the model while it draws, besides being put on at the end.

Declared as every field of a request is, see `wish`, whose table these fields are part of.
"""

from dataclasses import dataclass
from typing import Final

from sdxl_lora.request.field import declared
from sdxl_lora.request.kinds import Choice, Name, Number

NO_CUE: Final = "none"
CUES: Final = (NO_CUE, "controlnet", "ip-adapter", "both")


@dataclass(frozen=True, kw_only=True)
class Cue:
    """How a logo guides the model: without arguments, not at all."""

    logo_cue: str = declared(
        Choice(options=CUES),
        default=NO_CUE,
        otherwise=NO_CUE,
        label="Logo while drawing",
        help="Shows the logo to the model while it draws, so that cloth and folds suit it: its outline where it will be"
        " printed (controlnet), its looks (ip-adapter), or both. The exact logo is printed over it all the same. No"
        " garment is there yet, so the outline stands where such a garment usually has the place.",
        flag="--logo-cue",
        flag_help="show the logo to the model while it draws: controlnet (outline), ip-adapter (looks) or both; SDXL",
        metavar="HOW",
    )
    controlnet_conditioning_scale: float = declared(
        Number(low=0, high=2, step=0.1, advice="0.5 is usual"),
        default=0.5,
        otherwise=0.5,
        label="Strength of the logo's outline",
        help="How strictly the picture follows the outline of the logo; 0 is off, 0.5 is usual.",
        flag="--controlnet-conditioning-scale",
        flag_help="how strictly the logo's outline is followed, 0 to 2 (0.5)",
        metavar="S",
    )
    ip_adapter_scale: float = declared(
        Number(low=0, high=1, step=0.1, advice="0.5 is usual"),
        default=0.5,
        otherwise=0.5,
        label="Strength of the logo's looks",
        help="How much the picture takes over of the logo's colours and shapes; 0 is off, 0.5 is usual.",
        flag="--ip-adapter-scale",
        flag_help="how much of the logo's looks is taken over, 0 to 1 (0.5)",
        metavar="S",
    )
    controlnet: str = declared(
        Name(),
        default="",
        otherwise="",
        label="ControlNet",
        help="The network that follows outlines: a folder or hub id; empty is the usual one for SDXL.",
        flag="--controlnet",
        flag_help="ControlNet for edges: a folder or hub id other than the usual one for SDXL",
        metavar="NAME",
    )
    ip_adapter: str = declared(
        Name(),
        default="",
        otherwise="",
        label="IP-Adapter",
        help="The network that takes over looks: a folder, a hub id, or one with a file; empty is the usual one for"
        " SDXL.",
        flag="--ip-adapter",
        flag_help="IP-Adapter other than the usual one for SDXL: a folder, a hub id, or a file in one",
        metavar="NAME",
    )
    controlnet_sha256: str = declared(
        Name(),
        default="",
        label="ControlNet's contents",
        help="Which contents of the ControlNet it was, for the record; see `models.cue_files`.",
        wished=False,
    )
    ip_adapter_sha256: str = declared(
        Name(),
        default="",
        label="IP-Adapter's contents",
        help="Which contents of the IP-Adapter it was, for the record; see `models.cue_files`.",
        wished=False,
    )

    @property
    def follows_outline(self) -> bool:
        """Whether a ControlNet has a say."""
        return self.logo_cue in ("controlnet", "both") and self.controlnet_conditioning_scale > 0

    @property
    def follows_looks(self) -> bool:
        """Whether an IP-Adapter has a say."""
        return self.logo_cue in ("ip-adapter", "both") and self.ip_adapter_scale > 0

    @property
    def is_cued(self) -> bool:
        """Whether the model sees a logo; with strengths of 0 it does not."""
        return self.follows_outline or self.follows_looks
