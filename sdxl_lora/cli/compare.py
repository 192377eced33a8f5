"""`compare`: systems side by side on the same prompts, all scored alike; votes are cast on the page.

Prints a table or one JSON object, keeps the comparison for the page, and draws it as one picture where asked.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdxl_lora import config
from sdxl_lora.cli import terminal
from sdxl_lora.errors import RequestError
from sdxl_lora.request import GenerationRequest

if TYPE_CHECKING:
    from sdxl_lora.comparing.voting import Standing
    from sdxl_lora.records.comparisons import ComparisonRecord, ComparisonStore

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Columns are systems, rows are prompts; the same command goes on where it was stopped."""
    add = parser.add_argument
    add(
        "--column",
        action="append",
        default=[],
        metavar="[LABEL=]KIND:VALUE",
        help="a system, repeatable: model:NAME[+LORA[:WEIGHT]], pictures:FOLDER or ZIP, openai:[MODEL], "
        "google:[MODEL]; keys come from OPENAI_API_KEY, GEMINI_API_KEY",
    )
    add(
        "--prompts",
        type=Path,
        metavar="FILE",
        help=".jsonl, .json, .csv or .txt, as for evaluate; default the original project's five examples",
    )
    add("--seed", type=int, default=0, metavar="N", help="seed of the first row's picture; default 0")
    add("--steps", type=int, metavar="N", help="denoising steps of our models")
    add("--guidance", type=float, metavar="G", help="how closely our models follow the prompt")
    add(
        "--metrics",
        default="",
        metavar="A,B",
        help="score these only, by key; default all that need no photo",
    )
    add("--title", default="", metavar="TEXT", help="what the comparison is called; default its columns")
    add("--show", metavar="ID", help="an earlier comparison with its votes; nothing is made")
    add(
        "--output",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=f"everything as one picture ({', '.join(PICTURES)}) or .json; repeatable",
    )
    add("--systems", choices=("across", "down"), default="across", help="direction in the picture")
    add("--json", action="store_true", help="print one JSON object instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Raises `InputError` for what cannot be used, `StorageError`, `ModelUnavailableError`."""
    _check(arguments)
    from sdxl_lora.records.comparisons import ComparisonStore

    with ComparisonStore(config.home()) as store:
        record = store.get(arguments.show) if arguments.show else _make(arguments, store)
        from sdxl_lora.comparing import showing

        results = showing.results(record, store.votes(record.id))
        for path in arguments.output:
            showing.write(record, results, path, arguments.systems)
            terminal.note(f"written to {path}")
        if arguments.json:
            terminal.print_json(results)
        else:
            _print(record, showing.standings(record, store.votes(record.id)))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if bool(arguments.show) == bool(arguments.column):
        raise RequestError("give columns, as in --column model:mini --column pictures:FOLDER, or --show ID")
    for path in arguments.output:
        if path.suffix.lower() not in (*PICTURES, ".json"):
            raise RequestError(f"--output {path}: give one of {', '.join(PICTURES)} or .json")
    GenerationRequest(  # numbers are checked before anything is made
        prompt="-", seed=arguments.seed, steps=arguments.steps, guidance=arguments.guidance
    )


def _make(arguments: argparse.Namespace, store: "ComparisonStore") -> "ComparisonRecord":
    from sdxl_lora.comparing import columns, engine, prompts

    rows = prompts.read(arguments.prompts) if arguments.prompts else prompts.EXAMPLES
    metrics = engine.chosen_metrics(arguments.metrics)
    systems = [columns.parse(text, rows) for text in arguments.column]
    record = engine.begin(
        store,
        rows,
        systems,
        title=arguments.title,
        seed=arguments.seed,
        steps=arguments.steps,
        guidance=arguments.guidance,
    )
    for column in record.columns:
        for text in column["notes"]:
            terminal.note(text)
    stopped = []
    with terminal.progress_bar(total=len(record.missing), unit="picture") as bar:
        for event in engine.fill(store, record):
            label = record.columns[event.column]["label"]
            if isinstance(event, engine.Stopped):
                stopped.append(f"{label}: {event.reason}")
            else:
                bar.update()
                if event.reason:
                    terminal.note(f"{label}, {record.rows[event.row]['key']}: {event.reason}")
    for text in stopped:
        terminal.note(text)
    record = store.get(record.id)
    engine.score(store, record, metrics=metrics)
    terminal.note(f"kept as comparison {record.id}; the page Compare shows it and takes votes")
    return store.get(record.id)


def _print(record: "ComparisonRecord", standings: "list[Standing]") -> None:
    """One line per system."""
    reports = record.scores.get("reports", {})
    keys = [
        key
        for key in next(iter(reports.values()), {"metrics": {}})["metrics"]
        if any("mean" in report["metrics"][key] for report in reports.values())
    ]
    rows = [["SYSTEM", "PICTURES", *(key.upper() for key in keys), "WINS", "TIES", "SHARE", "95 % INTERVAL"]]
    for place, column in enumerate(record.columns):
        count = sum(place in record.pictures(row) for row in range(len(record.rows)))
        metrics = reports.get(str(place), {}).get("metrics", {})
        standing = standings[place]
        share = "-" if standing.share is None else f"{standing.share:.0%} of {standing.ballots}"
        interval = f"{standing.ci95[0]:.0%} … {standing.ci95[1]:.0%}" if standing.ci95 else "-"
        rows.append(
            [column["label"], f"{count} of {len(record.rows)}"]
            + [_number(metrics.get(key, {}).get("mean")) for key in keys]
            + [str(standing.wins), str(standing.ties), share, interval]
        )
    terminal.print_table(rows)
    left_out = record.scores.get("left_out")
    if left_out:
        print(f"not scored, a picture is missing: {', '.join(left_out)}")
    by_reason: dict[str, list[str]] = {}
    for report in list(reports.values())[:1]:
        for key, metric in report["metrics"].items():
            if "unavailable" in metric:
                by_reason.setdefault(metric["unavailable"], []).append(key)
    for reason, missing in by_reason.items():
        print(f"not computed: {', '.join(missing)}: {reason}")


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}"
