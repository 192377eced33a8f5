"""A critic of small patches, against which the VAE's decoder learns edges that are as sharp as the renders'.

L1 and squared errors are least for the mean of all edges that could have been meant, which is a blurred one: with them
alone edges keep half of the Laplacian's energy (docs/log.md). A patch critic (arXiv 1611.07004, section 3.2) makes them
sharp.
"""

from torch import Tensor, nn

from sdxl_lora.mini.adversary import Adversary

ADVERSARIAL_SHARE = 0.4  # of the reconstruction's gradient at the decoder's last layer
HEAD_START = 60  # steps that the critic learns alone
RATE = 6e-4


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

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        """(N, 3, H, W) in -1..1 -> (N, 1, H / 4, W / 4), positive for real."""
        return (self.layers(pixels),)


def decoder_adversary(device: str) -> Adversary:
    """A new critic to train a decoder against; gradients are compared at the decoder's last layer."""
    return Adversary(PatchCritic(), device, rate=RATE, share=ADVERSARIAL_SHARE, head_start=HEAD_START)
