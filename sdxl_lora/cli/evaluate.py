"""`evaluate`: every metric over a folder of pictures, or over pictures made for the purpose.

Prints one JSON object or a table, keeps the evaluation for the metrics page, and writes reports where asked.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdxl_lora import config
from sdxl_lora.cli import terminal
from sdxl_lora.errors import RequestError

if TYPE_CHECKING:
    from sdxl_lora.evaluation.engine import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Folders are paired by file name; metrics that lack something say what."""
    add = parser.add_argument
    add("--generated", type=Path, metavar="DIR", help="folder of the pictures to judge")
    add("--reference", type=Path, metavar="DIR", help="folder of photos, with the same file names")
    add("--captions", type=Path, metavar="FILE", help=".jsonl, .json, .csv or .txt with the prompts")
    add("--metrics", default="", metavar="A,B", help="only these, by key; default all")
    add(
        "--resize",
        type=int,
        default=256,
        metavar="N",
        help="px PSNR, SSIM and LPIPS are taken at; default 256",
    )
    add("--common-only", action="store_true", help="use the names both folders have instead of refusing")
    add("--no-baselines", action="store_true", help="leave out blank card, other product and moved reference")
    add("--top-by", metavar="METRIC", help="which metric chooses the top five; default CLIP, else PSNR")
    add("--weights", action="append", default=[], metavar="NETWORK=PATH", help="local weights; repeatable")
    add(
        "--label", default="", metavar="TEXT", help="what the evaluation is called; default the folder's name"
    )
    add("--against", metavar="ID", help="compare with an earlier evaluation: its id, or its report.json")
    add(
        "--output",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=".json, .csv or .html; repeatable",
    )
    add("--json", action="store_true", help="print one JSON object instead of a table")
    made = parser.add_argument_group("instead of --generated: make the pictures from --captions first")
    made.add_argument("--model", metavar="NAME", help="mini, sdxl, sd14, a folder or a hub id")
    made.add_argument("--lora", action="append", default=[], metavar="PATH[:WEIGHT]", help="repeatable")
    made.add_argument(
        "--lora-baseline", metavar="PATH|none", help="make them again with this LoRA, and compare"
    )
    made.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    made.add_argument("--guidance", type=float, metavar="G", help="how closely to follow the prompt")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the first picture; default 0")


def run(arguments: argparse.Namespace) -> int:
    """Raises `InputError` for what cannot be used, `StorageError`, `ModelUnavailableError`."""
    _check(arguments)
    settings = _settings(arguments)  # before any picture is made or measured
    from sdxl_lora.records.evaluations import EvaluationStore

    with EvaluationStore(config.home()) as store:
        other = _earlier(arguments.against, store) if arguments.against else None
        label = arguments.label
        if arguments.model:
            folder = _make(arguments, arguments.lora, store)
            label = label or _label(arguments.model, arguments.lora)
            if arguments.lora_baseline:
                loras = [] if arguments.lora_baseline == "none" else [arguments.lora_baseline]
                name = _label(arguments.model, loras)
                other = _evaluate(arguments, settings, _make(arguments, loras, store), name, store)
        else:
            folder = arguments.generated
            label = label or folder.absolute().name
        report = _evaluate(arguments, settings, folder, label, store)
    folders = _folders(folder, arguments.reference)
    _write(report, arguments.output, folders)
    comparison = _compared(report, other) if other else None
    if not arguments.json:
        _print(report, comparison)
    else:  # as --output report.json, and the other report with the comparison where there is one
        terminal.print_json({**report, **({"baseline": other, "comparison": comparison} if other else {})})
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if bool(arguments.generated) == bool(arguments.model):
        raise RequestError("give either --generated DIR or --model NAME with --captions FILE")
    if arguments.model and not arguments.captions:
        raise RequestError("--model makes pictures from prompts; give them with --captions FILE")
    if arguments.lora_baseline and not arguments.model:
        raise RequestError("--lora-baseline needs --model; compare two folders with --against")
    if arguments.lora_baseline and arguments.against:
        raise RequestError("--lora-baseline and --against both name what to compare with; give one")
    from sdxl_lora.evaluation.report import FORMATS

    for path in arguments.output:
        if path.suffix.lower() not in FORMATS:
            raise RequestError(f"--output {path}: a report is written as {', '.join(FORMATS)}")


def _settings(arguments: argparse.Namespace) -> "Settings":
    from sdxl_lora.evaluation.engine import Settings
    from sdxl_lora.evaluation.weights import CATALOGUE

    weights = {}
    for pair in arguments.weights:
        key, equals, path = pair.partition("=")
        if not equals or key not in CATALOGUE:
            raise RequestError(f"--weights {pair!r} is not NETWORK=PATH with one of {', '.join(CATALOGUE)}")
        weights[key] = Path(path)
    return Settings(
        resize=arguments.resize,
        metrics=tuple(key.strip() for key in arguments.metrics.split(",") if key.strip()),
        baselines=not arguments.no_baselines,
        top_by=arguments.top_by,
        weights=weights,
    )


def _evaluate(
    arguments: argparse.Namespace, settings: "Settings", folder: Path, label: str, store: Any
) -> dict[str, Any]:
    from sdxl_lora.evaluation.cache import FeatureCache
    from sdxl_lora.evaluation.engine import evaluate
    from sdxl_lora.evaluation.pairing import pair_folders

    pairing = pair_folders(folder, arguments.reference, arguments.captions, common_only=arguments.common_only)
    cache = FeatureCache(config.home() / "cache" / "features.sqlite")
    try:
        with terminal.counted("picture", "evaluating", len(pairing.pairs)) as progress:
            report = evaluate(pairing, settings, label=label, cache=cache, progress=progress).to_dict()
    finally:
        cache.close()
    for note in report["notes"]:
        terminal.note(note)
    record = store.add(report, _folders(folder, arguments.reference))
    terminal.note(f"kept as evaluation {record.id}; the metrics page shows it")
    return report


def _make(arguments: argparse.Namespace, loras: list[str], store: Any) -> Path:
    """The pictures of one model and its LoRAs, one per caption, named as the captions file names them."""
    from sdxl_lora.comparing.making import Recipe, make_pictures
    from sdxl_lora.evaluation.pairing import read_captions

    captions = {name: row["caption"] for name, row in read_captions(arguments.captions).items()}
    recipe = Recipe(
        model=arguments.model,
        loras=loras,
        seed=arguments.seed,
        steps=arguments.steps,
        guidance=arguments.guidance,
    )
    with terminal.counted("picture", "making pictures", len(captions)) as progress:
        return make_pictures(captions, recipe, store.database, progress=progress)


def _earlier(name: str, store: Any) -> dict[str, Any]:
    from sdxl_lora.evaluation import report

    path = Path(name)
    found: dict[str, Any] = report.read(path) if path.suffix == ".json" else store.report(store.get(name).id)
    return found


def _compared(report: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    from sdxl_lora.evaluation.differences import differences

    return differences(report, other)


def _write(report: dict[str, Any], paths: list[Path], folders: dict[str, Path]) -> None:
    from sdxl_lora.evaluation import report as reports

    for path in paths:
        reports.write(report, path, folders)
        terminal.note(f"report written to {path}")


def _folders(generated: Path, reference: Path | None) -> dict[str, Path]:
    return {"generated": generated, **({"reference": reference} if reference else {})}


def _label(model: str, loras: list[str]) -> str:
    return f"{model} + {', '.join(loras)}" if loras else f"{model} without LoRA"


def _print(report: dict[str, Any], comparison: dict[str, Any] | None) -> None:
    """A table of what has a value; what has none is listed below with the reason."""
    baselines = report["baselines"]
    head = [
        "METRIC",
        "",
        "MEAN OF ALL",
        "95 % INTERVAL",
        "N",
        "TOP-5 AVG",
        *(name.upper() for name in baselines),
    ]
    rows = [head + (["AGAINST", "P (HOLM)"] if comparison else [])]
    for key, metric in report["metrics"].items():
        if "unavailable" in metric:
            continue
        interval = " … ".join(_number(value) for value in metric["ci95"]) if metric["ci95"] else "-"
        row = [key, "up" if metric["higher_is_better"] else "down", _number(metric["mean"]), interval]
        row += [str(metric["n"]), _number(metric["top5_mean"])]
        row += [_number(entry["metrics"].get(key)) for entry in baselines.values()]
        if comparison:
            against = comparison["metrics"].get(key, {})
            row += [_number(against.get("difference")), _number(against.get("p_holm"))]
        rows.append(row)
    terminal.print_table(rows)
    warnings = {
        m["settings"]["warning"] for m in report["metrics"].values() if "warning" in m.get("settings", {})
    }
    for text in sorted(warnings):
        print(f"warning: {text}")
    without = {m["settings"]["interval"] for m in report["metrics"].values() if "mean" in m and not m["ci95"]}
    for text in sorted(without):
        print(f"no interval: {text.removeprefix('none: ')}")
    by_reason: dict[str, list[str]] = {}
    for key, metric in report["metrics"].items():
        if "unavailable" in metric:
            by_reason.setdefault(metric["unavailable"], []).append(key)
    for reason, keys in by_reason.items():
        print(f"not computed: {', '.join(keys)}: {reason}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:z.4f}"
