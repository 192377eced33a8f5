"""What the original project claims, beside what its own five pairs give.

Its README states one "Top-5 avg" per metric; its notebook recorded PSNR 9.8838 and SSIM 0.5960 for its five
SDXL pairs, which `evaluate` reproduces to the last digit recorded. Nothing here is a measurement of ours.
"""

from dataclasses import dataclass

NOTE = "claimed by the original project (Top-5 avg), not reproduced"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One number of the original's README."""

    metric: str  # key in `metrics.METRICS`
    name: str
    claimed: float
    found: str  # what its own pairs give, or why nothing can be said


CLAIMS = (
    Claim(
        metric="fid",
        name="FID",
        claimed=107.91,
        found="five pictures say nothing about a distribution, and FID has no best five",
    ),
    Claim(
        metric="clip",
        name="CLIP",
        claimed=0.8232,
        found="no code; too high for a cosine of text and picture, possible as 2.5 x cosine",
    ),
    Claim(
        metric="blip_itm", name="BLIP", claimed=0.8449, found="no code; possible as a matching probability"
    ),
    Claim(metric="lpips", name="LPIPS", claimed=0.3417, found="no code, network and resolution not stated"),
    Claim(metric="ssim", name="SSIM", claimed=0.8650, found="0.5960; the best single pair has 0.6911"),
    Claim(metric="psnr", name="PSNR (dB)", claimed=24.73, found="9.8838; the best single pair has 11.9720"),
)
