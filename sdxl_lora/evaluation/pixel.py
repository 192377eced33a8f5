"""Pixel agreement with the reference photo: PSNR and SSIM.

For text-to-image pictures both mostly measure the backdrop: on the original project's five pairs a blank card
has the better SSIM. They are shown beside those baselines and are no ranking of models.
"""

import numpy as np
from skimage.metrics import structural_similarity

from sdxl_lora.evaluation.pictures import Pixels

SSIM_WINDOW = 7  # px, scikit-image's default uniform window


def psnr(generated: Pixels, reference: Pixels) -> float:
    """Peak signal-to-noise ratio, 10 log10(255^2 / MSE), in dB; infinite for equal pictures.

    Both [height, width, 3] uint8, of equal shape. Equals
    `skimage.metrics.peak_signal_noise_ratio(data_range=255)`.
    """
    # exact in integers: 255^2 * 3 * 4096^2 px stays far below 2^63
    squared = np.sum(np.square(generated.astype(np.int32) - reference.astype(np.int32)), dtype=np.int64)
    if squared == 0:
        return float("inf")
    return float(10 * np.log10(255**2 * generated.size / squared))


def ssim(generated: Pixels, reference: Pixels) -> float:
    """Structural similarity, mean over pixels and channels, -1..1 (Wang et al. 2004, eq. 13).

    scikit-image with a uniform 7 x 7 window, K1 = .01, K2 = .03, data range 255; both [height, width, 3]
    uint8.
    """
    return float(
        structural_similarity(reference, generated, data_range=255, channel_axis=2, win_size=SSIM_WINDOW)
    )
