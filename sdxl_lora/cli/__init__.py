"""The command line: finds the verb, runs it, and turns every failure of a user's into one line.

Each verb is a module with `add_arguments(parser)` and `run(arguments) -> exit code`. Only the module of
the verb in use is imported, and models only once its arguments are known to be good: `--help` is immediate.

Exit codes: 0 done, 2 something has to be put right first (one line on stderr says what), 130 interrupted.
"""

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from sdxl_lora import __version__
from sdxl_lora.cli import terminal
from sdxl_lora.errors import StudioError, UnknownNameError

DONE, WRONG, INTERRUPTED = 0, 2, 130
_LONGEST_NAME = 80  # characters of a file's name in an error


@dataclass(frozen=True)
class Verb:
    """Where a verb lives, and its line in `--help`."""

    module: str
    summary: str


VERBS = {
    "generate": Verb("sdxl_lora.cli.generate", "make pictures from a prompt or a template"),
    "set": Verb("sdxl_lora.cli.sets", "one product in colours and scenes that belong together"),
    "catalog": Verb("sdxl_lora.cli.catalog", "a table of products becomes named pictures with a manifest"),
    "edit": Verb("sdxl_lora.cli.edit", "vary a picture, draw a part of it anew, or widen it"),
    "score": Verb("sdxl_lora.cli.score", "how well pictures show a text, and what is usual"),
    "evaluate": Verb("sdxl_lora.cli.evaluate", "metrics of pictures against photos and captions"),
    "export": Verb("sdxl_lora.cli.export", "is a picture right for a shop, and a copy that is"),
    "compare": Verb("sdxl_lora.cli.compare", "systems side by side on the same prompts"),
    "check-data": Verb("sdxl_lora.cli.check_data", "what would go wrong in training with a data set"),
    "caption": Verb("sdxl_lora.cli.caption", "write captions for a folder of product photos"),
    "jobs": Verb("sdxl_lora.cli.jobs", "what waits and runs; cancel it, or try it again"),
    "work": Verb("sdxl_lora.cli.work", "draw what others ask for, one process for each device"),
    "verify": Verb("sdxl_lora.cli.verify", "what a picture says of its making, and whether that holds"),
    "models": Verb("sdxl_lora.cli.models", "list the models, or download one"),
    "serve": Verb("sdxl_lora.cli.serve", "the HTTP API, with the page or alone"),
    "tokens": Verb("sdxl_lora.cli.tokens", "who may use the HTTP API"),
    "backup": Verb("sdxl_lora.cli.backup", "everything that cannot be made again, in one file"),
    "restore": Verb("sdxl_lora.cli.restore", "fill an empty data folder from a backup"),
    "build-mini": Verb("sdxl_lora.cli.build_mini", "make the bundled model from nothing, stage by stage"),
}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line instead of repeating the usage; flags are written out in full."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG, f"error: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; `argv` is without the program's name.

    `--help`, `--version` and unknown flags raise SystemExit, as usual with argparse.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with terminal.streams():
            _quieten_libraries()
            arguments = build_parser(words).parse_args(words)
            return int(arguments.run(arguments))
    except StudioError as error:
        terminal.tell(f"error: {error}")
        return WRONG
    except KeyboardInterrupt:
        terminal.tell("interrupted; what was finished before is kept")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of stdout, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:  # a name that is too long, a disk that is full: what no verb knows better
        named = _short(str(error.filename or ""))
        terminal.tell(f"error: {named}{error.strerror or error}")
        return WRONG
    except UnicodeEncodeError as error:
        shown = _short(error.object.encode("ascii", "backslashreplace").decode())
        terminal.tell(f"error: {shown}is no text, and no name of a file; type it again")
        return WRONG


def _short(name: str) -> str:
    """A name as it stands before what is said of it, cut in the middle where it is long."""
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME // 2]}...{name[-_LONGEST_NAME // 2 :]}"
    return f"{name}: " if name else ""


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for a command line that starts with `words`; other verbs appear in its help only by name."""
    if words and not words[0].startswith("-") and words[0] not in VERBS:
        raise UnknownNameError("verb", words[0], VERBS)
    parser = Parser(
        prog="python -m sdxl_lora", description="Branded clothing pictures, from the command line."
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, verb in VERBS.items():
        verb_parser = verbs.add_parser(
            name, help=verb.summary, description=verb.summary[0].upper() + verb.summary[1:] + "."
        )
        if words and words[0] == name:
            module = importlib.import_module(verb.module)
            module.add_arguments(verb_parser)
            verb_parser.set_defaults(run=module.run)
    return parser


def _quieten_libraries() -> None:
    """No warnings and bars of libraries beside one line of error; `python -W` brings the warnings back."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
