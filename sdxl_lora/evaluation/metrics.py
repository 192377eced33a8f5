"""The catalogue: every metric with its formula, its source and what it needs.

Metrics named after a published network are computed with that network only. The same formulas on the bundled
mini CLIP stand beside them under names of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sdxl_lora.evaluation import distribution, outcomes
from sdxl_lora.evaluation.measure import Measured


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One line of the table."""

    key: str
    label: str
    formula: str
    source: str
    higher_is_better: bool
    group: Literal["pixels", "perception", "text", "set", "product"]
    compute: Callable[[Measured, str, str], outcomes.Outcome]  # measured, set name, task name
    task: str  # whose arrays it reads
    needs_reference: bool = True
    needs_captions: bool = False
    unit: str = ""
    backend: str = ""  # where it is not a network's
    note: str = ""
    share: bool = False  # every value is 0 or 1


def _on_features(task: str, suffix: str, what: str) -> list[Metric]:
    """The metrics of whole sets on one kind of features; `what` is their honest name."""

    def on_set(key: str, name: str, **more: Any) -> Metric:
        label = f"{name}, {what}" if suffix else name
        return Metric(key=f"{key}{suffix}", label=label, task=task, group="set", **more)

    frechet = "Frechet distance" if suffix else "FID (Frechet Inception distance)"
    kernel = "Kernel distance (KID formula)" if suffix else "KID (kernel Inception distance)"
    first = "frechet" if suffix else "fid"
    k = distribution.NEIGHBOURS
    neighbours = f"{k} nearest neighbours, Euclidean"
    precision, density = "arXiv:1904.06991, eq. 1-3", "arXiv:2002.09797, eq. 3-4"
    return [
        on_set(
            first,
            frechet,
            formula="|m1-m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), unbiased covariances, thin SVD",
            source="arXiv:1706.08500, eq. 6",
            higher_is_better=False,
            compute=outcomes.frechet,
        ),
        on_set(
            "kid",
            kernel,
            formula="unbiased MMD^2, k = (x.y/d + 1)^3, whole sets, jackknife interval",
            source="arXiv:1801.01401, eq. 4",
            higher_is_better=False,
            compute=outcomes.discrepancy(distribution.kid),
        ),
        *(
            on_set(
                part,
                f"{part.capitalize()} (k = {k})",
                formula=f"{formula}; {neighbours}",
                source=source,
                higher_is_better=True,
                compute=outcomes.manifold(part),
                share=part != "density",
            )
            for part, formula, source in (
                ("precision", "share of generated pictures inside the real manifold", precision),
                ("recall", "share of real pictures inside the generated manifold", precision),
                ("density", f"real spheres around a generated picture / {k}", density),
                ("coverage", "share of real spheres that hold a generated picture", density),
            )
        ),
        on_set(
            "diversity",
            "Diversity",
            formula="mean cosine distance between generated pictures, 0..2",
            source="mean pairwise distance",
            higher_is_better=True,
            compute=outcomes.diversity,
            needs_reference=False,
        ),
        on_set(
            "vendi",
            "Vendi score",
            formula="exp(entropy of the eigenvalues of the cosine kernel / n): effective number of pictures",
            source="arXiv:2210.02410, definition 3.1",
            higher_is_better=True,
            compute=outcomes.vendi,
            needs_reference=False,
        ),
    ]


_CMMD = "1000 MMD^2, Gaussian kernel of sigma 10 on unit-length embeddings, unbiased, jackknife interval"
_CLIPSCORE = "2.5 max(cos(picture, text), 0); no prefix before the caption"
_PIXEL_NOTE = "pixel agreement with the reference photo: mostly its backdrop, no ranking of models"

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric(
            key="psnr",
            label="PSNR: pixel agreement with the reference photo",
            formula="10 log10(255^2 / MSE), per picture",
            source="scikit-image peak_signal_noise_ratio, data_range=255",
            higher_is_better=True,
            group="pixels",
            compute=outcomes.pairwise,
            task="psnr",
            unit="dB",
            backend="numpy",
            note=_PIXEL_NOTE,
        ),
        Metric(
            key="ssim",
            label="SSIM: structural agreement with the reference photo",
            formula="mean over pixels and channels, 7 x 7 uniform window, K1=.01, K2=.03, data_range=255",
            source="Wang et al. 2004, eq. 13; scikit-image structural_similarity",
            higher_is_better=True,
            group="pixels",
            compute=outcomes.pairwise,
            task="ssim",
            backend="scikit-image",
            note=_PIXEL_NOTE,
        ),
        Metric(
            key="lpips",
            label="LPIPS (AlexNet)",
            formula="weighted squared distance of unit-length AlexNet features, v0.1 heads",
            source="arXiv:1801.03924, eq. 1",
            higher_is_better=False,
            group="perception",
            compute=outcomes.pairwise,
            task="alexnet",
        ),
        *_on_features("inception", "", ""),
        Metric(
            key="cmmd",
            label="CMMD (CLIP ViT-L/14 at 336 px)",
            formula=_CMMD,
            source="arXiv:2401.09603, section 4",
            higher_is_better=False,
            group="set",
            compute=outcomes.discrepancy(distribution.cmmd),
            task="clip336",
        ),
        Metric(
            key="clip",
            label="CLIPScore: 2.5 × CLIP cosine (ViT-B/32)",
            formula=_CLIPSCORE,
            source="arXiv:2104.08718, section 3",
            higher_is_better=True,
            group="text",
            compute=outcomes.clip,
            task="clip",
            needs_reference=False,
            needs_captions=True,
        ),
        Metric(
            key="blip_itm",
            label="BLIP score, matching probability (ITM)",
            formula="softmax(itm_score)[match], 0..1; saturates",
            source="arXiv:2201.12086, section 3.2",
            higher_is_better=True,
            group="text",
            compute=outcomes.blip(0),
            task="blip",
            needs_reference=False,
            needs_captions=True,
        ),
        Metric(
            key="blip_itc",
            label="BLIP score, cosine (ITC)",
            formula="cosine of the projected picture and text embeddings",
            source="arXiv:2201.12086, section 3.2",
            higher_is_better=True,
            group="text",
            compute=outcomes.blip(1),
            task="blip",
            needs_reference=False,
            needs_captions=True,
        ),
        Metric(
            key="colour",
            label="Garment colour difference (CIEDE2000)",
            formula="CIEDE2000 between the median CIELAB colours inside the garment masks",
            source="Sharma et al. 2005; mask: largest object before a plain backdrop",
            higher_is_better=False,
            group="product",
            compute=outcomes.colour,
            task="colour",
            backend="scikit-image, no weights",
        ),
        Metric(
            key="ocr",
            label="Brand text read by OCR",
            formula="pictures on which the brand is read / those on which its text is readable",
            source="rapidocr 3.10 (PP-OCRv6 small); read from 0.9, misread from 0.4 similarity",
            higher_is_better=True,
            group="product",
            compute=outcomes.ocr,
            share=True,
            task="words",
            needs_reference=False,
            backend="rapidocr",
            note="a picture without readable text has no value; the three states are counted",
        ),
        *_on_features("mini", "_mini", "mini-CLIP features; trained beside mini"),
        Metric(
            key="cmmd_mini",
            label="CMMD formula, mini-CLIP features; trained beside mini",
            formula=_CMMD,
            source="arXiv:2401.09603, section 4",
            higher_is_better=False,
            group="set",
            compute=outcomes.discrepancy(distribution.cmmd),
            task="mini",
        ),
        Metric(
            key="clip_mini",
            label="2.5 × mini-CLIP cosine; the judge was trained beside mini",
            formula=_CLIPSCORE,
            source="arXiv:2104.08718, section 3",
            higher_is_better=True,
            group="text",
            compute=outcomes.clip,
            task="mini",
            needs_reference=False,
            needs_captions=True,
        ),
        Metric(
            key="similarity_mini",
            label="Similarity to the reference photo, mini-CLIP features; trained beside mini",
            formula="cosine of the two pictures' embeddings",
            source="image-image cosine (CLIP-I)",
            higher_is_better=True,
            group="perception",
            compute=outcomes.similarity,
            task="mini",
        ),
    )
}
