"""`score IMAGE... --prompt TEXT`: how well pictures show a text, and why; `--calibrate`: what is usual.

Pictures of this studio carry their prompt, so `--prompt` may be left out for them.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdxl_lora import config, prompts
from sdxl_lora.cli import score_logos, terminal
from sdxl_lora.errors import ImageError, InputError, PromptError
from sdxl_lora.request import GenerationRequest

if TYPE_CHECKING:
    from PIL import Image

    from sdxl_lora.scoring.base import Scorer
    from sdxl_lora.scoring.card import ScoreCard
    from sdxl_lora.scoring.verifier import Verifier
    from sdxl_lora.search.calibration import Calibration

ALL = "all"  # templates
SCORERS = ("blip", "held-out", "white", "sharpness")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Pictures to judge, or a template and a model to calibrate."""
    add, setting = parser.add_argument, terminal.setting
    add("images", nargs="*", type=Path, metavar="IMAGE", help="PNG, JPEG or WebP")
    add("--prompt", metavar="TEXT", help="what they should show; default: the prompt inside the picture")
    add("--brand", default="", metavar="NAME", help="read the lettering and compare it with this name")
    add("--clip", metavar="FOLDER", help="score with this CLIP (folder or hub id) instead of the bundled one")
    add(
        "--also",
        action="append",
        default=[],
        choices=SCORERS,
        help="report more scores: blip (ITM and ITC), held-out (HPS v2, which no loop optimises),"
        " white (share of the border), sharpness; repeatable",
    )
    add(
        "--logo",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="say whether this logo (SVG, or PNG with alpha) is on the pictures as it is drawn; repeatable, no prompt",
    )
    add(
        "--boxes",
        type=Path,
        metavar="DIR",
        help="with --logo: write copies with a frame around what was found",
    )
    add("--json", action="store_true", help="print one JSON object instead of lines")
    calibrate = parser.add_argument_group("calibration")
    calibrate.add_argument(
        "--calibrate",
        action="store_true",
        help="make pictures of --template with --model, and keep the threshold that follows from their scores",
    )
    calibrate.add_argument(
        "--template", metavar="NAME", help=f"{ALL}, or one of {', '.join(prompts.templates())}"
    )
    calibrate.add_argument("--model", default=setting("model") or "auto", help="model, as for generate")
    calibrate.add_argument("--count", type=int, default=30, metavar="N", help="pictures (30)")
    calibrate.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    calibrate.add_argument("--seed", type=int, default=0, metavar="N", help="of the first picture (0)")


def run(arguments: argparse.Namespace) -> int:
    """Judges or calibrates. Raises `InputError`, `ModelUnavailableError`, `StorageError`."""
    if arguments.calibrate:
        return _calibrate(arguments)
    if not arguments.images:
        raise InputError("name the pictures to score, or --calibrate with a --template")
    if arguments.logo:
        return score_logos.run(arguments)
    if arguments.boxes is not None:
        raise InputError("--boxes shows where logos were found; name one with --logo")
    pictures = [(path, *_read(path, arguments.prompt)) for path in arguments.images]
    verifier = _verifier(arguments)
    rows = []
    for path, image, request in pictures:
        if arguments.brand:
            slots = {**dict(request.slots), "brand": arguments.brand}
            request = GenerationRequest(prompt=request.prompt, slots=tuple(slots.items()))
        rows.append((path, verifier.judge([image], request)[0]))
    for notice in verifier.notices:
        terminal.note(notice)
    if arguments.json:
        terminal.print_json({"images": [_as_json(path, judgement) for path, judgement in rows]})
    else:
        for path, judgement in rows:
            _print(path, judgement)
    return 0


def _read(path: Path, prompt: str | None) -> "tuple[Image.Image, GenerationRequest]":
    from PIL import Image

    from sdxl_lora.evaluation.pictures import read_picture
    from sdxl_lora.records import metadata

    picture = read_picture(path)  # as `evaluate` reads it
    image = Image.fromarray(picture.pixels)
    for note in picture.notes:
        terminal.note(f"{path}: {note}")
    if prompt is not None:
        return image, GenerationRequest(prompt=prompt)
    try:
        return image, metadata.read_request(path)
    except ImageError as error:
        raise PromptError(f"{path} does not say what it should show; give --prompt") from error


def _verifier(arguments: argparse.Namespace) -> "Verifier":
    from sdxl_lora.scoring import base, blip, checks, held_out
    from sdxl_lora.scoring.clip import ClipScorer
    from sdxl_lora.scoring.probes import ProbeScorer
    from sdxl_lora.scoring.verifier import Verifier

    clip = ClipScorer(arguments.clip) if arguments.clip else base.judge_of_strangers()
    others: list[Scorer] = []
    if "blip" in arguments.also:
        model = blip.BlipModel()
        others += [blip.BlipScorer(model, "itm"), blip.BlipScorer(model, "itc")]
    if "held-out" in arguments.also:
        others.append(held_out.HeldOutScorer())
    if "white" in arguments.also:
        others.append(checks.WhiteBackground())
    if "sharpness" in arguments.also:
        others.append(checks.Sharpness())
    return Verifier(clip, probes=ProbeScorer(clip), others=others, read_brand=bool(arguments.brand))


def _calibrate(arguments: argparse.Namespace) -> int:
    if arguments.template is None or arguments.images:
        raise InputError("--calibrate makes its own pictures; name a --template and no pictures")
    from sdxl_lora import generation
    from sdxl_lora.scoring.base import scorer_for
    from sdxl_lora.search.calibrating import calibrate, varied_requests
    from sdxl_lora.search.calibration import FEWEST, Calibrations

    if not FEWEST <= arguments.count <= 1000:
        raise InputError(f"--count {arguments.count} is not between {FEWEST} and 1000; 30 is usual")
    templates = list(prompts.templates()) if arguments.template == ALL else [arguments.template]
    for template in templates:
        prompts.get(template)  # before any model is loaded
    request = GenerationRequest(
        prompt="calibration", model=arguments.model, steps=arguments.steps, seed=arguments.seed
    )
    kept = []
    decided = generation.resolve(request)
    scorer, steps = scorer_for(decided.model), decided.steps
    with terminal.progress_bar(total=arguments.count * len(templates), unit="picture") as bar:
        for template in templates:
            requests = varied_requests(template, request, arguments.count)
            kept.append(calibrate(requests, scorer, progress=bar.update))
            Calibrations(config.home()).keep(kept[-1])  # at once: the others take long
    if arguments.json:
        found = [_calibration_as_json(one, steps) for one in kept]
        terminal.print_json({"calibrations": found} if arguments.template == ALL else found[0])
    else:
        for one in kept:
            _report(one, steps)
    return 0


def _calibration_as_json(found: "Calibration", steps: int) -> dict[str, Any]:
    from sdxl_lora.records import metadata

    sketching = found.sketching(steps)
    return {
        "model": found.model,
        "template": found.template,
        "scorer": found.scorer,
        "pictures": len(found.scores),
        "threshold": found.threshold(),
        "least_sharpness": found.least_sharpness,
        "steps": steps,
        "sketches": [
            metadata.finite(
                {
                    "steps": sample.steps,
                    "rank_correlation": sample.correlation(found.scores, found.prompts),
                    "advantage": sample.advantage(found.scores, found.prompts, steps),
                }
            )
            for sample in found.sketches
        ],
        "sketching": vars(sketching) if sketching else None,
    }


def _report(found: "Calibration", steps: int) -> None:
    print(f"{found.model}, {found.template}: {found.scorer} of {len(found.scores)} pictures")
    print(f"threshold {found.threshold():.4f} (65 % of pictures stay below)")
    for sample in found.sketches:
        correlation = sample.correlation(found.scores, found.prompts)
        advantage = sample.advantage(found.scores, found.prompts, steps)
        print(
            f"sketches of {sample.steps} steps of {steps}: rank correlation with the whole pictures"
            f" {correlation:.2f}, {advantage:.2f} times the gain at equal cost"
        )
    sketching = found.sketching(steps)
    print(
        f"the loop sketches with {sketching.steps} steps; whole pictures score {sketching.gain:+.4f}"
        if sketching
        else "the loop makes no sketches: none foretell the whole picture well enough"
    )


def _print(path: Path, judgement: "ScoreCard") -> None:
    score = (
        f"{judgement.score:.3f}"
        if judgement.scored
        else "has no score: blank, or of a kind it was not trained on"
    )
    print(f"{path}  {judgement.scorer} {score}  {judgement.text!r}")
    for finding in judgement.findings:
        print(f"  {finding}")
    for gate in judgement.gates:
        state = {True: "ok", False: "FAILED", None: "cannot tell"}[gate.passed]
        print(f"  {gate.name}: {state}, {gate.reason}")
    for name, value in judgement.others.values():
        print(f"  {name} {value:.3f}")


def _as_json(path: Path, judgement: "ScoreCard") -> dict[str, Any]:
    from sdxl_lora.records import metadata

    found: dict[str, Any] = metadata.finite(
        {
            "path": str(path),
            "score": judgement.score,
            "scorer": judgement.scorer,
            "text": judgement.text,
            "attributes": [vars(finding) for finding in judgement.findings],
            "gates": [vars(gate) for gate in judgement.gates],
            "others": {
                key: {"name": name, "value": value} for key, (name, value) in judgement.others.items()
            },
            "lettering": None if judgement.lettering is None else asdict(judgement.lettering),
        }
    )
    return found
