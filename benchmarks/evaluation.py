"""How fast an evaluation is: `python -m benchmarks.evaluation`.

Three statements, each measured in turns (ours, theirs, ours, theirs ...), medians of CPU seconds printed, so that
other work on the machine counts as little as possible:

1. the offline metrics over pairs of 1024 px, against calling the reference packages one after another: each
   reads the files for itself, as their command lines and classes do. The same features stand in for a network on
   both sides (random projections of the picture), so that only the packages' own work is compared, and all
   numbers must be equal;
2. the Frechet distance of five pictures in 2,048 dimensions;
3. a second evaluation of new pictures against the same references: once with everything `evaluate` computes
   without a download (the bundled mini-CLIP's metrics among it), once with the metrics that need no network.
   Pictures are decoded in threads beside the computation, so three figures are given: wall clock, CPU seconds of
   the whole process, and CPU seconds of the computing thread alone, which is what the wall clock shows where
   a core is free for decoding.

`--pairs` and `--rounds` make it shorter. torch-fidelity is needed for 1 and 2 (see `benchmarks/metrics.py`).
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from skimage.metrics import peak_signal_noise_ratio, structural_similarity  # noqa: E402

from sdxl_lora.evaluation import distribution, measure, outcomes  # noqa: E402
from sdxl_lora.evaluation.cache import FeatureCache  # noqa: E402
from sdxl_lora.evaluation.measure import Task  # noqa: E402
from sdxl_lora.evaluation.pairing import Pairing, pair_folders  # noqa: E402

SIDE = 256  # px
DIMENSIONS = 2_048
Numbers = dict[str, float]


def draw(folder: Path, count: int, seed: int) -> Path:
    """Pictures of 1024 px with the detail of photos: smooth shapes and some noise."""
    folder.mkdir(parents=True)
    for place in range(count):
        state = np.random.RandomState(seed * 10_000 + place)
        small = Image.fromarray(state.randint(0, 256, (12, 12, 3)).astype(np.uint8))
        smooth = np.asarray(small.resize((1024, 1024), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = np.clip(smooth + state.randint(-6, 7, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"img_{place:04}.png", compress_level=1)
    return folder


def project(pixels: np.ndarray) -> np.ndarray:
    """Stands in for a network: 2,048 numbers of a picture [256, 256, 3], the same wherever it is called."""
    blocks = pixels.reshape(16, 16, 16, 16, 3).mean(axis=(1, 3)).ravel() / 255 - 0.5  # 768 numbers
    return np.concatenate([blocks, blocks**2, np.abs(blocks)])[:DIMENSIONS].astype(np.float32)


def ours(pairing: Pairing, cache: FeatureCache) -> Numbers:
    """What `evaluate` does for these metrics."""

    def embed(pictures: Any, _: Any) -> list[np.ndarray]:
        return [project(picture.resized(SIDE)) for (picture,) in pictures]

    tasks = [*measure.pixel_tasks(SIDE), Task("features", "stand-in", "picture", embed)]
    sets = measure.picture_sets(pairing, SIDE, baselines=False)
    found = measure.measure(pairing, sets, tasks, cache)
    generated = found.of_pictures("features", found.sets[measure.GENERATED])
    real = found.of_pictures("features", found.references)
    parts = distribution.manifold(generated, real)
    return {
        "psnr": float(found.of_pairs("psnr", measure.GENERATED).mean()),
        "ssim": float(found.of_pairs("ssim", measure.GENERATED).mean()),
        "frechet": distribution.frechet_distance(generated, real),
        "kid": distribution.kid(generated, real).value,
        "cmmd": distribution.cmmd(generated, real).value,
        "precision": float(parts.precision.mean()),
        "recall": float(parts.recall.mean()),
    }


def theirs(generated: Path, reference: Path) -> Numbers:
    """scikit-image and torch-fidelity, one metric after another, each reading the files it needs."""
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    def read(folder: Path) -> list[np.ndarray]:
        images = (Image.open(path).convert("RGB") for path in sorted(folder.iterdir()))
        return [np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in images]

    def features() -> tuple[np.ndarray, np.ndarray]:
        x, y = (
            np.stack([project(pixels) for pixels in read(f)]).astype(np.float64)
            for f in (generated, reference)
        )
        return x, y

    pairs = zip(read(generated), read(reference), strict=True)
    psnr = [peak_signal_noise_ratio(b, a, data_range=255) for a, b in pairs]
    pairs = zip(read(generated), read(reference), strict=True)
    ssim = [structural_similarity(b, a, data_range=255, channel_axis=2) for a, b in pairs]
    moments = [metric_fid.fid_features_to_statistics(torch.from_numpy(x)) for x in features()]
    frechet = metric_fid.fid_statistics_to_metric(*moments, verbose=False)[metric_fid.KEY_METRIC_FID]
    poly = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    kid = metric_kid.kernel_mmd(*features(), kid_kernel="poly", **poly)
    unit = [distribution.normalised(x) for x in features()]
    cmmd = 1000 * metric_kid.kernel_mmd(*unit, kid_kernel="rbf", kid_kernel_rbf_sigma=distribution.CMMD_SIGMA)
    tensors = [torch.from_numpy(x) for x in features()]
    precision, recall = metric_prc.calculate_precision_recall_full(*tensors, distribution.NEIGHBOURS)
    found = (np.mean(psnr), np.mean(ssim), frechet, kid, cmmd, precision, recall)
    return dict(
        zip(("psnr", "ssim", "frechet", "kid", "cmmd", "precision", "recall"), map(float, found), strict=True)
    )


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each run, taken alternately so that a busy machine is unfair to all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.process_time()
            run()
            seconds[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(title: str, seconds: dict[str, float]) -> None:
    """Both times and their ratio; the first is ours."""
    (ours_name, fast), (other_name, slow) = seconds.items()
    print(f"{title}: {ours_name} {fast:.3f} s, {other_name} {slow:.3f} s, {slow / fast:.1f} times faster")


def against_packages(folder: Path, pairs: int, rounds: int) -> None:
    """Statement 1."""
    generated, reference = draw(folder / "generated", pairs, 1), draw(folder / "reference", pairs, 2)
    pairing = pair_folders(generated, reference)
    mine, other = ours(pairing, FeatureCache(None)), theirs(generated, reference)
    for metric, value in mine.items():
        difference = abs(value - other[metric]) / max(abs(other[metric]), 1e-12)
        print(f"  {metric:10} {value:18.10f} {other[metric]:18.10f} {difference:8.1e}")
        if difference > 1e-4:
            raise SystemExit(f"{metric} differs from the reference package")
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: ours(pairing, FeatureCache(None)),
        "packages": lambda: theirs(generated, reference),
    }
    report(f"offline metrics, {pairs} pairs of 1024 px", in_turns(runs, rounds))


def frechet(rounds: int) -> None:
    """Statement 2."""
    from torch_fidelity import metric_fid

    state = np.random.RandomState(0)
    x, y = state.standard_normal((5, DIMENSIONS)), state.standard_normal((5, DIMENSIONS))

    def usual() -> float:
        moments = [metric_fid.fid_features_to_statistics(torch.from_numpy(a)) for a in (x, y)]
        return float(metric_fid.fid_statistics_to_metric(*moments, verbose=False)[metric_fid.KEY_METRIC_FID])

    runs = {"ours": lambda: distribution.frechet_distance(x, y), "torch-fidelity": usual}
    report(f"Frechet distance, n = 5, d = {DIMENSIONS}", in_turns(runs, rounds))
    print("  (below", outcomes.TOO_FEW, "pictures the studio does not show it)")


def second_evaluation(folder: Path, pairs: int) -> None:
    """Statement 3: new generated pictures, the same references and baselines."""
    from sdxl_lora.evaluation.engine import Settings, evaluate

    reference = draw(folder / "photos", pairs, 3)
    pairings = [pair_folders(draw(folder / f"made-{seed}", pairs, seed), reference) for seed in (4, 5)]
    offline = {"everything offline": Settings(), "no network": Settings(metrics=("psnr", "ssim", "colour"))}
    evaluate(pair_folders(folder / "made-4"), Settings())  # loads what is loaded once in a process
    for name, settings in offline.items():
        cache = FeatureCache(folder / f"{name}.sqlite")
        runs = []
        for pairing in (*pairings, pairings[1]):
            fresh = pair_folders(pairing.pairs[0].generated.path.parent, reference)  # hashes are part of it
            runs.append(clocked(partial(evaluate, fresh, settings, cache=cache)))
        first, second, again = runs
        for clock in first:
            report(
                f"{name}: new pictures, same references, {clock}",
                {"second evaluation": second[clock], "first": first[clock]},
            )
        clock = "CPU of the process"
        report(f"{name}: same pictures again", {"second evaluation": again[clock], "first": first[clock]})


def clocked(run: Callable[[], object]) -> dict[str, float]:
    """Seconds of one run by three clocks."""
    clocks = {
        "wall clock": time.perf_counter,
        "CPU of the process": time.process_time,
        "CPU of the computing thread": time.thread_time,
    }
    started = {name: clock() for name, clock in clocks.items()}
    run()
    return {name: clock() - started[name] for name, clock in clocks.items()}


def main() -> None:
    """Prints the three statements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        second_evaluation(Path(name) / "two", arguments.pairs)
        frechet(arguments.rounds)
        against_packages(Path(name) / "one", arguments.pairs, arguments.rounds)


if __name__ == "__main__":
    main()
