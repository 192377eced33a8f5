"""`models`: what is available, where and how large; `models fetch NAME` downloads one, or the metrics' networks;
`models quantise NAME --output DIR` makes one with int8 weights of it; `models fit` says what fits into which GPU.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdxl_lora.cli import fit, terminal

if TYPE_CHECKING:
    from sdxl_lora.models.registry import ModelInfo

METRICS = "metrics"  # what the networks behind the metrics are fetched as


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`models [--json]` and `models fetch NAME [--json]`."""
    as_json = "print one JSON object instead of lines"
    parser.add_argument("--json", action="store_true", help=as_json)
    parser.set_defaults(fetch=None, convert=None, quantise=None, fit=None)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    fetch = actions.add_parser(
        "fetch", help="download a model", description="Download the weights of a model."
    )
    fetch.add_argument("fetch", metavar="NAME", help=f"sdxl, sd14, a hub id, or {METRICS}")
    # SUPPRESS: `models --json fetch NAME` must not be reset by this parser's default
    fetch.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=as_json)
    quantise = actions.add_parser(
        "quantise",
        help="make a model with int8 weights",
        description="Write a model with int8 weights, a quarter of fp32's size, as a folder that is a model itself.",
    )
    quantise.add_argument("quantise", metavar="NAME", help="mini, sdxl, sd14, a folder or a hub id")
    quantise.add_argument("--output", type=Path, required=True, metavar="DIR", help="a new folder")
    quantise.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=as_json)
    fits = actions.add_parser(
        "fit",
        help="say what fits into which GPU",
        description="What drawing with a model and training on it need, counted on its sizes without loading it.",
    )
    fits.add_argument(
        "fit", metavar="NAME", nargs="?", default="sdxl", help="default: sdxl, also before it is here"
    )
    fits.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=as_json)
    convert = actions.add_parser(
        "convert-lora",
        help="write a LoRA in the other layout",
        description="diffusers -> kohya (ComfyUI, AUTOMATIC1111), or kohya -> diffusers.",
    )
    convert.add_argument("convert", metavar="FILE", type=Path, help="a .safetensors file in either layout")
    convert.add_argument("--output", type=Path, help="default: beside FILE, with the layout in its name")
    convert.add_argument("--architecture", choices=("sd", "sdxl"), help="default: seen in the weights")
    convert.add_argument("--layers-per-block", type=int, help="of the UNet; only where nothing in FILE tells")
    convert.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=as_json)


def run(arguments: argparse.Namespace) -> int:
    """Raises `InputError` for an unknown name, `ModelUnavailableError` where the hub cannot be reached."""
    if arguments.convert is not None:
        _convert(arguments)
    elif arguments.fit is not None:
        fit.show(arguments.fit, arguments.json)
    elif arguments.quantise is not None:
        _quantise(arguments.quantise, arguments.output, arguments.json)
    elif arguments.fetch == METRICS:
        _fetch_metrics(arguments.json)
    elif arguments.fetch is not None:
        _fetch(arguments.fetch, arguments.json)
    else:
        _list(arguments.json)
    return 0


def _list(as_json: bool) -> None:
    from sdxl_lora.models import registry  # imports torch

    models, automatic = registry.available(), registry.resolve_auto()
    if as_json:
        terminal.print_json({"models": [_as_json(info) for info in models], "auto": automatic})
        return
    heads = ("NAME", "KIND", "SIZE", "HERE", "SOURCE", "LICENCE")
    terminal.print_table([heads, *(_row(info) for info in models)])
    print(f"\nWithout --model, {automatic} is used here. A folder or a hub id works as well.")


def _convert(arguments: argparse.Namespace) -> None:
    from sdxl_lora.models.lora_conversion import convert

    path, layout = convert(
        arguments.convert,
        arguments.output,
        architecture=arguments.architecture,
        layers_per_block=arguments.layers_per_block,
    )
    if arguments.json:
        terminal.print_json({"path": str(path), "layout": layout})
    else:
        print(f"{path} ({layout} layout)")


def _quantise(name: str, output: Path, as_json: bool) -> None:
    from sdxl_lora.models import quantising

    with terminal.counted_parts("part") as show:
        info = quantising.quantise(name, output.expanduser(), show)
    if as_json:
        terminal.print_json(_as_json(info))
    else:
        print(f"{output}: {terminal.megabytes(info.bytes)} of int8 weights; use it with --model {output}")


def _fetch(name: str, as_json: bool) -> None:
    from sdxl_lora.models import registry

    with terminal.counted_parts("B") as show:
        info = registry.fetch(name, show)
    if as_json:
        terminal.print_json(_as_json(info))
    else:
        print(f"{info.name} is on this machine: {info.folder} ({terminal.megabytes(info.bytes)})")


def _fetch_metrics(as_json: bool) -> None:
    from sdxl_lora.evaluation import weights

    with terminal.counted_parts("B") as show:
        paths = weights.fetch(show)
    if as_json:
        terminal.print_json({"name": METRICS, "paths": [str(path) for path in paths]})
    else:
        print(f"the networks of the metrics are on this machine: {weights.folder()}")


def _as_json(info: "ModelInfo") -> dict[str, Any]:
    from sdxl_lora.models import capabilities

    return {
        **asdict(info),
        "folder": None if info.folder is None else str(info.folder),
        "capabilities": capabilities.write(info.capabilities),
    }


def _row(info: "ModelInfo") -> tuple[str, ...]:
    here = "yes" if info.present else "no"
    return (
        info.name,
        info.architecture or "-",
        terminal.megabytes(info.bytes),
        here,
        info.source,
        info.licence,
    )
