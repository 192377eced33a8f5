"""Our metrics against the packages everybody uses: `python -m benchmarks.metrics --parity`.

Prints one line per metric and package with both numbers and their difference; exits 1 if one is out of
tolerance. The packages are for this comparison only and not requirements of the project:

    pip install --no-deps --target parity torch-fidelity clean-fid prdc vendi-score scikit-learn joblib \\
        threadpoolctl narwhals cloudpickle
    PYTHONPATH=parity python -m benchmarks.metrics --parity

`--write` stores the packages' numbers as the golden values of the tests, which need none of the packages.
"""

import argparse
import contextlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from skimage.metrics import peak_signal_noise_ratio, structural_similarity  # noqa: E402

from benchmarks import parity_inputs as inputs  # noqa: E402
from sdxl_lora.evaluation import distribution, inception, perceptual, pixel  # noqa: E402

GOLDEN = ROOT / "tests" / "evaluation" / "golden.json"
EXACT, SINGLE, DEFICIENT = 1e-9, 2e-5, 1e-4  # float64; a float32 network; a rank-deficient matrix root
Comparison = tuple[
    str, str, Callable[[], float], Callable[[], float], float
]  # metric, package, ours, theirs, tol.


def comparisons() -> Iterator[Comparison]:
    """Every metric with every package that has it."""
    yield from _pixels()
    yield from _frechet("full", EXACT)
    yield from _frechet("deficient", DEFICIENT)
    yield from _sets()
    yield from _networks()


def _pixels() -> Iterator[Comparison]:
    one, two = inputs.pictures()

    def torchmetrics_psnr() -> float:
        from torchmetrics.functional.image import peak_signal_noise_ratio as psnr

        a, b = (torch.from_numpy(p.astype(np.float64)).permute(2, 0, 1)[None] for p in (one, two))
        return float(psnr(a, b, data_range=255.0, dim=(1, 2, 3), reduction="elementwise_mean"))

    def skimage_psnr() -> float:
        return float(peak_signal_noise_ratio(two, one, data_range=255))

    def skimage_ssim() -> float:
        return float(
            structural_similarity(two, one, channel_axis=2)
        )  # its defaults: 7 x 7, range of the dtype

    yield "psnr", "scikit-image", lambda: pixel.psnr(one, two), skimage_psnr, EXACT
    yield "psnr", "torchmetrics", lambda: pixel.psnr(one, two), torchmetrics_psnr, SINGLE
    yield "ssim", "scikit-image", lambda: pixel.ssim(one, two), skimage_ssim, EXACT


def _frechet(name: str, tolerance: float) -> Iterator[Comparison]:
    generated, real = inputs.features(name)

    def ours() -> float:
        return distribution.frechet_distance(generated, real)

    def torch_fidelity() -> float:
        from torch_fidelity import metric_fid as module

        moments = [module.fid_features_to_statistics(torch.from_numpy(x)) for x in (generated, real)]
        return float(module.fid_statistics_to_metric(*moments, verbose=False)[module.KEY_METRIC_FID])

    def clean_fid() -> float:
        from cleanfid.fid import frechet_distance

        moments = [(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (generated, real)]
        return float(frechet_distance(*moments[0], *moments[1]))

    def torchmetrics() -> float:
        from torchmetrics.image.fid import _compute_fid

        moments = [
            (torch.from_numpy(x.mean(axis=0)), torch.from_numpy(np.cov(x, rowvar=False)))
            for x in (generated, real)
        ]
        return float(_compute_fid(*moments[0], *moments[1]))

    key = f"frechet_{name}"
    yield key, "torch-fidelity", ours, torch_fidelity, tolerance
    yield key, "clean-fid", ours, clean_fid, tolerance
    yield key, "torchmetrics", ours, torchmetrics, tolerance


def _sets() -> Iterator[Comparison]:
    generated, real = inputs.features("full")
    k = inputs.NEIGHBOURS

    def kid_torch_fidelity() -> float:
        from torch_fidelity.metric_kid import kernel_mmd

        settings = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
        return float(kernel_mmd(generated, real, kid_kernel="poly", **settings))

    def kid_torchmetrics() -> float:
        from torchmetrics.image.kid import poly_mmd

        return float(poly_mmd(torch.from_numpy(generated), torch.from_numpy(real)))

    def cmmd_torch_fidelity() -> float:
        from torch_fidelity.metric_kid import kernel_mmd

        unit = [distribution.normalised(x) for x in (generated, real)]
        return 1000 * float(kernel_mmd(*unit, kid_kernel="rbf", kid_kernel_rbf_sigma=distribution.CMMD_SIGMA))

    def torch_fidelity(place: int) -> Callable[[], float]:
        def run() -> float:
            from torch_fidelity.metric_prc import calculate_precision_recall_full

            return calculate_precision_recall_full(torch.from_numpy(generated), torch.from_numpy(real), k)[
                place
            ]

        return run

    def prdc(part: str) -> Callable[[], float]:
        def run() -> float:
            from prdc import compute_prdc

            with contextlib.redirect_stdout(None):  # it prints
                return float(compute_prdc(real, generated, nearest_k=k)[part])

        return run

    def ours(part: str) -> Callable[[], float]:
        return lambda: float(getattr(distribution.manifold(generated, real, k), part).mean())

    def vendi() -> float:
        from vendi_score.vendi import score_dual

        return float(score_dual(generated))

    yield "kid", "torch-fidelity", lambda: distribution.kid(generated, real).value, kid_torch_fidelity, EXACT
    yield "kid", "torchmetrics", lambda: distribution.kid(generated, real).value, kid_torchmetrics, EXACT
    yield (
        "cmmd",
        "torch-fidelity",
        lambda: distribution.cmmd(generated, real).value,
        cmmd_torch_fidelity,
        EXACT,
    )
    for place, part in enumerate(("precision", "recall")):
        yield part, "torch-fidelity", ours(part), torch_fidelity(place), SINGLE  # a mean of float32
    for part in ("precision", "recall", "density", "coverage"):
        yield part, "prdc", ours(part), prdc(part), EXACT
    yield "vendi", "vendi-score", lambda: distribution.vendi_score(generated), vendi, EXACT


def _networks() -> Iterator[Comparison]:
    one, two = (torch.from_numpy(p).permute(2, 0, 1)[None] for p in inputs.pictures())

    def our_lpips() -> float:
        network = perceptual.Lpips()
        inputs.fill(network.trunk)
        network.load_heads()
        return float(network(one / 127.5 - 1, two / 127.5 - 1))

    def lpips_package() -> float:
        import lpips

        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
        inputs.fill(network.net)
        return float(network(one / 127.5 - 1, two / 127.5 - 1))

    def our_inception() -> float:
        network = inception.FidInception().eval()
        inputs.fill(network)
        with torch.inference_mode():
            return float(network(inception.resize_like_tensorflow(one.float()))[0].double().norm())

    def torch_fidelity_inception() -> float:
        from torch_fidelity import feature_extractor_inceptionv3 as module

        keep = module.load_state_dict_from_url
        module.load_state_dict_from_url = lambda *_, **__: _filled_state()
        try:
            network = module.FeatureExtractorInceptionV3("parity", ["2048"])
        finally:
            module.load_state_dict_from_url = keep
        return float(network(one)[0][0].double().norm())

    yield "lpips", "lpips", our_lpips, lpips_package, SINGLE
    yield "inception", "torch-fidelity", our_inception, torch_fidelity_inception, SINGLE


def _filled_state() -> dict[str, torch.Tensor]:
    """What torch-fidelity is made to load: our fill, under the published names, with a classifier it does not
    use.
    """
    network = inception.FidInception()
    inputs.fill(network)
    return {**network.state_dict(), "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


def main() -> int:
    """Prints the table; returns 1 if a number is out of tolerance, 2 if a package is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--parity", action="store_true", required=True, help="compare with the reference packages"
    )
    parser.add_argument("--write", action="store_true", help=f"store the packages' numbers in {GOLDEN.name}")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    wrong, missing = 0, 0
    golden: dict[str, dict[str, Any]] = {}
    print(f"{'metric':20} {'package':16} {'ours':>20} {'theirs':>20} {'relative':>9} {'tolerance':>9}")
    for metric, package, ours, theirs, tolerance in comparisons():
        try:
            expected = theirs()
        except ImportError as error:
            print(f"{metric:20} {package:16} not installed here ({error})")
            missing += 1
            continue
        found = ours()
        difference = abs(found - expected) / max(abs(expected), 1e-12)
        verdict = "" if difference <= tolerance else "  OUT OF TOLERANCE"
        wrong += bool(verdict)
        numbers = f"{found:20.13f} {expected:20.13f} {difference:9.1e} {tolerance:9.0e}"
        print(f"{metric:20} {package:16} {numbers}{verdict}")
        golden.setdefault(metric, {"value": expected, "tolerance": tolerance, "package": package})
    if arguments.write and not wrong and not missing:
        GOLDEN.write_text(json.dumps(golden, indent=2) + "\n")
        print(f"written to {GOLDEN}")
    return 1 if wrong else 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
