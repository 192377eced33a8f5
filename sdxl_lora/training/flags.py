"""Command line and TOML file -> `TrainingConfig`.

Flags are the fields of `TrainingConfig`. An abbreviation that is unambiguous in diffusers' scripts means
the same here, whatever flags are added. A TOML file gives defaults; the command line wins.

tyro makes flags from a dataclass, too, but understands no abbreviations, which is most of what is written here.
"""

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from sdxl_lora.errors import InputError, RequestError, UnknownNameError
from sdxl_lora.training.config import TrainingConfig

# flags of diffusers' train_text_to_image_lora_sdxl.py that its SD 1.x script lacks
SDXL_ONLY = frozenset(
    {"pretrained_vae_model_name_or_path", "train_text_encoder", "enable_npu_flash_attention", "debug_loss"}
)
_FIRST_OWN = "network_alpha"  # the fields before it are diffusers' flags


def official_flags() -> list[str]:
    """The flags of diffusers' SDXL script, without dashes."""
    names = [item.name for item in fields(TrainingConfig)]
    return names[: names.index(_FIRST_OWN)]


def parse(arguments: Sequence[str]) -> TrainingConfig:
    """The run that `arguments` ask for. Raises `InputError`; `--help` prints and exits."""
    parser = _parser()
    expanded = expand(arguments)
    known, _ = parser.parse_known_args(expanded)
    if known.config:
        parser.set_defaults(**read_toml(Path(known.config)))
    values = vars(parser.parse_args(expanded))
    del values["config"]
    return TrainingConfig(**values)


def expand(arguments: Sequence[str]) -> list[str]:
    """Spells out abbreviations that one of diffusers' scripts understands, before our own flags are looked
    at.
    """
    sdxl = official_flags()
    sd = [name for name in sdxl if name not in SDXL_ONLY]
    own = [item.name for item in fields(TrainingConfig)] + ["config", "help"]
    return [_expand_one(argument, sd, sdxl, own) for argument in arguments]


def _expand_one(argument: str, sd: list[str], sdxl: list[str], every: list[str]) -> str:
    name, equals, value = argument.removeprefix("--").partition("=")
    if not argument.startswith("--") or not name or name in every:
        return argument
    for flags in (sd, sdxl):
        matches = [flag for flag in flags if flag.startswith(name)]
        if len(matches) == 1:
            return f"--{matches[0]}{equals}{value}"
    return argument


def read_toml(path: Path) -> dict[str, Any]:
    """Settings of a TOML file, by flag name; tables only group. Raises `InputError`."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the configuration {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the configuration {path} is not valid TOML: {error}") from None
    known, values = _types(), {}
    for name, value in _flat(tables):
        if name not in known:
            raise UnknownNameError("setting", name, known, f"(in {path})")
        kind = known[name]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            raise RequestError(f"{name} = {value!r} in {path} is not of type {kind.__name__}")
        values[name] = value
    return values


def _flat(tables: Mapping[str, Any]) -> list[tuple[str, Any]]:
    pairs = []
    for name, value in tables.items():
        pairs += _flat(value) if isinstance(value, dict) else [(name, value)]
    return pairs


def _types() -> dict[str, type]:
    """Flag -> its type, without the `None` that stands for undecided."""
    hints = get_type_hints(TrainingConfig)
    return {
        name: next(t for t in get_args(hint) if t is not type(None)) if isinstance(hint, UnionType) else hint
        for name, hint in hints.items()
    }


class _Parser(argparse.ArgumentParser):
    """Raises instead of printing two screens of usage."""

    def error(self, message: str) -> Any:
        raise InputError(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="train_text_to_image_lora.py",
        description="Train a LoRA for SDXL or Stable Diffusion 1.x; which one is read from the model's files.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE.toml", help="settings from a file; the command line wins")
    official, own = (
        parser.add_argument_group("flags of diffusers"),
        parser.add_argument_group("flags of this project"),
    )
    types, theirs = _types(), set(official_flags())
    for item in fields(TrainingConfig):
        group = official if item.name in theirs else own
        flag, help_text = f"--{item.name}", item.metadata["help"].replace("%", "%%")
        if types[item.name] is bool:
            group.add_argument(flag, action="store_true", default=item.default, help=help_text)
        else:
            choices = item.metadata["choices"]
            kind = types[item.name]
            group.add_argument(flag, type=kind, default=item.default, choices=choices, help=help_text)
    return parser
