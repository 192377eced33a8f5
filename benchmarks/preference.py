"""Do votes pay? `python -m benchmarks.preference [--clip FOLDER]`: a simulated reviewer with a hidden taste.

The reviewer likes a picture when a hidden direction in CLIP's space says so, with some votes wrong by accident. After
60 votes, 16 new candidates are put in order again and again; printed is the share of liked pictures among the first
four, with the learned order and without, and their ratio. The bar is 1.5x.

By default pictures are rendered scenes (needs `requirements-mini.txt`), embedded by the bundled mini CLIP, so the
taste is over real features of real pictures. The direction lies in the span of the pictures' own variation.
"""

import argparse
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

from sdxl_lora.feedback.preference import learn, order  # noqa: E402
from sdxl_lora.mini.renderer import render  # noqa: E402
from sdxl_lora.mini.scene import sample_scene  # noqa: E402
from sdxl_lora.scoring.base import default_scorer  # noqa: E402
from sdxl_lora.scoring.card import ScoreCard  # noqa: E402
from sdxl_lora.scoring.clip import ClipScorer  # noqa: E402

BAR = 1.5
CANDIDATES, SHOWN = 16, 4
LIKED = 0.3  # share of pictures that the reviewer likes


def features_of(number: int, clip: ClipScorer, seed: int) -> NDArray[np.float64]:
    """Embeddings of rendered scenes, [number, dimensions]."""
    rng = random.Random(seed)
    images = [Image.fromarray(render(sample_scene(rng), 128)) for _ in range(number)]
    return clip.embed_images(images).numpy().astype(np.float64)


def liked_by(features: NDArray[np.float64], rng: np.random.Generator, slips: float) -> NDArray[np.bool_]:
    """Votes of a reviewer with a random direction over whitened features; `slips` of them are accidents."""
    _, scales, axes = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    taste = axes.T @ (rng.normal(size=len(scales)) * scales)
    values = features @ taste
    liked: NDArray[np.bool_] = values > np.quantile(values, 1 - LIKED)
    return liked ^ (rng.random(len(liked)) < slips)


def trial(
    features: NDArray[np.float64], rng: np.random.Generator, votes: int, slips: float
) -> tuple[float, float, bool]:
    """(share liked in the first four with the learned order, without, whether the preference was on)."""
    truth = liked_by(features, np.random.default_rng(rng.integers(2**32)), 0.0)
    shuffled = rng.permutation(len(features))
    seen, rest = shuffled[:votes], shuffled[votes:]
    said = truth[seen] ^ (rng.random(votes) < slips)
    preference = learn(features[seen], said.tolist())
    learned, plain = [], []
    for _ in range(50):
        candidates = rng.choice(rest, CANDIDATES, replace=False)
        judged = [ScoreCard(score=float(rng.random()), scorer="none", text="") for _ in candidates]
        first = order(judged, features[candidates], preference)[:SHOWN]
        learned.append(truth[candidates[first]].mean())
        plain.append(truth[candidates].mean())
    return float(np.mean(learned)), float(np.mean(plain)), preference.report.on


def main() -> int:
    """0 if the bar is met, 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, help="folder of another CLIP")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--votes", type=int, default=60)
    parser.add_argument("--slips", type=float, default=0.1, help="share of votes that are accidents")
    parser.add_argument("--reviewers", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    clip = ClipScorer(arguments.clip) if arguments.clip else default_scorer()
    features = features_of(arguments.pictures, clip, arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    trials = [trial(features, rng, arguments.votes, arguments.slips) for _ in range(arguments.reviewers)]
    learned, plain = np.mean([t[0] for t in trials]), np.mean([t[1] for t in trials])
    print(
        f"{arguments.reviewers} reviewers, {arguments.votes} votes each, {arguments.slips:.0%} of them accidents"
    )
    print(f"preference on: {sum(t[2] for t in trials)} of {len(trials)}")
    print(f"liked among the first {SHOWN} of {CANDIDATES}: {learned:.3f} learned, {plain:.3f} without")
    print(f"{learned / plain:.2f}x; the bar is {BAR}x")
    return 0 if learned >= BAR * plain else 1


if __name__ == "__main__":
    sys.exit(main())
