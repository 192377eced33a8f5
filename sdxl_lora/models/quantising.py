"""A model folder with int8 weights, made from another model: `models quantise`.

The folder is a model like any other: diffusers' layout, the model's own texts, tokenizers and judge beside it, and in
`studio.json` what the studio knew of the model by its name. It is made beside its place and comes whole or not at all.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from sdxl_lora.config import Architecture
from sdxl_lora.errors import InputError
from sdxl_lora.files import TEMPORARY_SUFFIX, storage_errors
from sdxl_lora.models import building, capabilities, hub, int8_file, registry
from sdxl_lora.models.quiet import quiet

_TEXTS = (".json", ".txt", ".md", ".model")  # beside weights; licences have no suffix

Progress = Callable[[str, int, int], None]  # part, parts done, parts in all


def quantise(name: str, output: Path, progress: Progress | None = None) -> registry.ModelInfo:
    """Writes the model `name` with int8 weights into the new folder `output`; what that is now.

    Fetches the model if it is not on this machine; needs the memory of its largest part. Raises `InputError`,
    `ModelUnavailableError`, `StorageError`.
    """
    info = registry.fetch(name)
    assert info.folder is not None  # fetch() has it, or has raised
    assert info.architecture is not None
    if info.quantised:
        raise InputError(f"{info.name} has int8 weights already; give the model it was made from")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} is there already; choose a new folder")
    partial = output.with_name(output.name + TEMPORARY_SUFFIX)
    with storage_errors(output):
        shutil.rmtree(partial, ignore_errors=True)  # of a process that ended before its time
        partial.mkdir(parents=True)
        try:
            _write_parts(info, info.architecture, info.folder, partial, progress)
            _copy_rest(info, info.folder, partial)
            if output.exists():
                output.rmdir()
            partial.rename(output)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return registry.describe(str(output))


def _write_parts(
    info: registry.ModelInfo,
    architecture: Architecture,
    folder: Path,
    target: Path,
    progress: Progress | None,
) -> None:
    kinds = building.PARTS[architecture]
    for number, (name, kind) in enumerate(kinds.items()):
        if progress:
            progress(name, number, len(kinds))
        source = _source(info, folder, name)
        (target / name).mkdir()
        try:
            with quiet():
                part = building.quantised(kind, source)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise building.unavailable(info, source, error) from error
        stem = "diffusion_pytorch_model" if hasattr(kind, "load_config") else "model"
        int8_file.save(part, target / name, stem)
        shutil.copyfile(source / "config.json", target / name / "config.json")
        del part  # before the next one comes
    if progress:
        progress("", len(kinds), len(kinds))


def _source(info: registry.ModelInfo, folder: Path, name: str) -> Path:
    """Where a part's weights come from: of two VAEs the one that bears half precision, which GPUs draw in."""
    fixed = hub.cached_component(info.half_precision_vae) if info.half_precision_vae else None
    return fixed if name == "vae" and fixed is not None else folder / name


def _copy_rest(info: registry.ModelInfo, folder: Path, target: Path) -> None:
    """Everything that is no weights of a part, and the judge whole."""
    judge = info.capabilities.judge
    for entry in sorted(folder.iterdir()):
        if entry.name == judge:
            shutil.copytree(entry, target / entry.name)
        elif entry.is_file() and (entry.suffix in _TEXTS or not entry.suffix):
            shutil.copyfile(entry, target / entry.name)
        elif entry.is_dir() and (entry.name.startswith("tokenizer") or entry.name == "scheduler"):
            (target / entry.name).mkdir()
            for file in sorted(entry.iterdir()):
                if file.is_file():
                    shutil.copyfile(file, target / entry.name / file.name)
    known = {
        **{
            field: value
            for field in registry.ModelDefaults.__dataclass_fields__
            if (value := getattr(info.defaults, field)) is not None
        },
        "capabilities": capabilities.write(info.capabilities),
    }
    text = json.dumps(known, indent=2) + "\n"
    (target / registry.STUDIO_FILE).write_text(text, encoding="utf-8")
