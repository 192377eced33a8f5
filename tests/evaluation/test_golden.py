"""The formulas against the numbers reference packages gave for the same inputs (`benchmarks/metrics.py
--parity`).
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmarks import parity_inputs as inputs
from sdxl_lora.evaluation import distribution, inception, perceptual, pixel

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden.json").read_text())


def near(metric: str) -> Any:
    """What the reference package said, within its stated tolerance."""
    return pytest.approx(GOLDEN[metric]["value"], rel=GOLDEN[metric]["tolerance"])


def test_psnr_and_ssim_equal_the_recorded_values_of_scikit_image() -> None:
    one, two = inputs.pictures()
    assert pixel.psnr(one, two) == near("psnr")
    assert pixel.ssim(one, two) == near("ssim")


def test_psnr_and_ssim_equal_the_installed_scikit_image() -> None:
    one, two = inputs.pictures()
    assert pixel.psnr(one, two) == pytest.approx(peak_signal_noise_ratio(two, one, data_range=255), rel=1e-12)
    assert pixel.ssim(one, two) == pytest.approx(structural_similarity(two, one, channel_axis=2), rel=1e-12)


def test_psnr_of_equal_pictures_is_infinite_and_ssim_is_one() -> None:
    one, _ = inputs.pictures()
    assert pixel.psnr(one, one) == float("inf")
    assert pixel.ssim(one, one) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["full", "deficient"])
def test_frechet_distance_equals_torch_fidelitys(name: str) -> None:
    assert distribution.frechet_distance(*inputs.features(name)) == near(f"frechet_{name}")


def test_frechet_distance_is_symmetric_and_zero_for_equal_sets() -> None:
    one, two = inputs.features("full")
    assert distribution.frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert distribution.frechet_distance(one, two) == pytest.approx(distribution.frechet_distance(two, one))


def test_frechet_distance_of_one_picture_is_refused() -> None:
    one, two = inputs.features("full")
    with pytest.raises(ValueError, match="two pictures"):
        distribution.frechet_distance(one[:1], two)


def test_kernel_distances_equal_torch_fidelitys() -> None:
    generated, real = inputs.features("full")
    assert distribution.kid(generated, real).value == near("kid")
    assert distribution.cmmd(generated, real).value == near("cmmd")


def test_kid_of_unequal_sets_is_the_mean_over_pairs() -> None:
    generated, real = inputs.features("full")
    few = generated[:7]
    d = few.shape[1]

    def kernel(a: Any, b: Any) -> float:
        return (float(a @ b) / d + 1) ** 3

    within = sum(kernel(a, b) for i, a in enumerate(few) for j, b in enumerate(few) if i != j) / (7 * 6)
    n = len(real)
    among = sum(kernel(a, b) for i, a in enumerate(real) for j, b in enumerate(real) if i != j) / (
        n * (n - 1)
    )
    across = sum(kernel(a, b) for a in few for b in real) / (7 * n)
    assert distribution.kid(few, real).value == pytest.approx(within + among - 2 * across, rel=1e-9)


def test_the_jackknife_error_is_that_of_leaving_pictures_out_one_by_one() -> None:
    generated, real = inputs.features("full")
    x, y = generated[:9], real[:11]
    keep = lambda a, i: a[[j for j in range(len(a)) if j != i]]  # noqa: E731
    without_x = torch.tensor([distribution.kid(keep(x, i), y).value for i in range(9)])
    without_y = torch.tensor([distribution.kid(x, keep(y, i)).value for i in range(11)])
    expected = (8 * without_x.var(correction=0) + 10 * without_y.var(correction=0)).sqrt()
    assert distribution.kid(x, y).standard_error == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("part", ["precision", "recall", "density", "coverage"])
def test_manifold_metrics_equal_those_of_torch_fidelity_and_prdc(part: str) -> None:
    found = distribution.manifold(*inputs.features("full"), k=inputs.NEIGHBOURS)
    assert getattr(found, part).mean() == near(part)


def test_manifold_metrics_need_more_pictures_than_neighbours() -> None:
    generated, real = inputs.features("deficient")
    with pytest.raises(ValueError, match="more than 5 pictures"):
        distribution.manifold(generated, real, k=5)


def test_vendi_score_equals_the_packages() -> None:
    generated, _ = inputs.features("full")
    assert distribution.vendi_score(generated) == near("vendi")


def test_vendi_score_counts_different_pictures() -> None:
    two_kinds = torch.eye(8)[[0, 0, 0, 1, 1, 1]].numpy()
    assert distribution.vendi_score(two_kinds) == pytest.approx(2)


def test_diversity_is_zero_for_copies_and_one_for_orthogonal_pictures() -> None:
    assert distribution.diversity(torch.ones(3, 4).numpy()).mean() == pytest.approx(0, abs=1e-12)
    assert distribution.diversity(torch.eye(4).numpy()).mean() == pytest.approx(1)


def test_lpips_equals_the_lpips_package() -> None:
    one, two = (torch.from_numpy(p).permute(2, 0, 1)[None] / 127.5 - 1 for p in inputs.pictures())
    network = perceptual.Lpips()
    inputs.fill(network.trunk)
    network.load_heads()
    with torch.inference_mode():
        assert float(network(one, two)) == near("lpips")
        assert float(network(one, one)) == 0


def test_inception_equals_torch_fidelitys_network_and_resize() -> None:
    one = torch.from_numpy(inputs.pictures()[0]).permute(2, 0, 1)[None].float()
    network = inception.FidInception().eval()
    inputs.fill(network)
    with torch.inference_mode():
        features = network(inception.resize_like_tensorflow(one))[0].double()
    assert features.shape == (inception.FEATURES,)
    assert float(features.norm()) == near("inception")
