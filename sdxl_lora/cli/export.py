"""`export FILE... --preset NAME`: is this picture right for that shop, and a copy that is.

Knows nothing of models: it reads files, checks them, and writes mended copies.
"""

import argparse
from pathlib import Path
from typing import Any

from sdxl_lora import config, files
from sdxl_lora.cli import terminal
from sdxl_lora.errors import InputError

_SIGNS = {"ok": "ok      ", "warning": "warning ", "fail": "FAIL    "}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Pictures, the shop, and where the mended copies go."""
    add = parser.add_argument
    add("files", nargs="*", type=Path, metavar="FILE", help="pictures, of this studio or any other")
    add(
        "--preset", default="", metavar="NAME", help="amazon, shopify, google, etsy, instagram, tiktok, plain"
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="write mended copies here; without it files are only checked",
    )
    add("--format", metavar="NAME", help="png, jpeg, webp or avif instead of what the preset prefers")
    add("--quality", type=int, metavar="N", help="of jpeg, webp and avif, 1 to 100")
    add("--list", action="store_true", help="print the presets and their rules with their sources")
    add("--json", action="store_true", help="print one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Checks, and mends where an output folder is given. Raises `InputError`, `StorageError`."""
    from sdxl_lora import export
    from sdxl_lora.data import images

    if arguments.list:
        return _list(arguments.json)
    if not arguments.files:
        raise InputError("name the pictures to export, or --list to see the presets")
    preset = export.preset(arguments.preset or "plain")
    kind = arguments.format.upper().replace("JPG", "JPEG") if arguments.format else None
    found, taken = [], set()
    for path in arguments.files:
        picture = export.read(images.content(path), path.name)
        row: dict[str, Any] = {"path": str(path), "findings": _told(export.check(picture, preset))}
        if arguments.output is not None:
            mended = export.mend(picture, preset, format=kind, quality=arguments.quality)
            mended = export.sealed(mended, picture, config.home())
            name = mended.picture.name
            if name.lower() in taken:
                raise InputError(
                    f"two pictures would be called {name}; rename one, or export them one by one"
                )
            taken.add(name.lower())
            target = arguments.output / name
            if target.exists() and path.samefile(target):
                raise InputError(f"{path} would be overwritten; choose another --output")
            files.write_atomically(target, mended.picture.data)
            after = _told(export.check(mended.picture, preset))
            row |= {"output": str(target), "done": list(mended.done), "after": after}
        found.append(row)
        if not arguments.json:
            _print(row)
    if arguments.json:
        terminal.print_json({"preset": preset.name, "images": found})
    else:
        for line in preset.look:
            terminal.note(f"look yourself: {line}")
    return 0


def _told(findings: Any) -> list[dict[str, Any]]:
    return [found.to_dict() for found in findings]


def _print(row: dict[str, Any]) -> None:
    print(row["path"])
    for found in row["findings"]:
        print(f"  {_SIGNS[found['state']]}{found['text']}")
    if "output" in row:
        print(f"  -> {row['output']}: {', '.join(row['done']) or 'nothing to do'}")
        for found in row["after"]:
            if found["state"] != "ok":
                print(f"     {_SIGNS[found['state']]}{found['text']}")


def _list(as_json: bool) -> int:
    from sdxl_lora import export

    known = export.presets()
    if as_json:
        rows = {
            name: {**vars(one), "aim": vars(one.aim), "rules": [rule.to_dict() for rule in one.rules]}
            for name, one in known.items()
        }
        terminal.print_json({"presets": rows})
        return 0
    for name, one in known.items():
        print(f"{name}: {one.title}")
        for rule in one.rules:
            note = f"({rule.note})" if rule.note else ""
            words = [
                rule.level.ljust(9),
                rule.check.replace("_", " "),
                export.wanted(rule),
                " ".join(rule.of),
                note,
            ]
            print("  " + " ".join(filter(None, words)), f"- {rule.source}, read {rule.read}")
    return 0
