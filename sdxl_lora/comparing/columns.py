"""The columns of a comparison: which systems, and where their pictures come from.

A column never holds a provider's key: keys are handed to `engine.fill` and forgotten. Knows nothing of how
pictures are made.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from sdxl_lora.comparing import archive, matching, providers
from sdxl_lora.comparing.prompts import Row
from sdxl_lora.errors import DataError, RequestError
from sdxl_lora.evaluation.pictures import SUFFIXES, decode

Kind = Literal["model", "pictures", "openai", "google"]
MOST_COLUMNS = 8
EXAMPLE = "for example 'Base=model:mini', 'DALL-E 3=pictures:dalle.zip' or 'OpenAI=openai:'"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One system."""

    label: str
    kind: Kind
    source: str  # model name; name of the folder or ZIP; the provider's name of its model
    loras: tuple[str, ...] = ()  # PATH[:WEIGHT], for a model
    pictures: Mapping[int, bytes] = field(
        default_factory=dict, repr=False
    )  # place of the row -> file content
    notes: tuple[str, ...] = ()  # what was matched

    def __post_init__(self) -> None:
        if not self.label.strip() or len(self.label) > 80:
            raise RequestError(f"a column needs a name of 1 to 80 characters, not {self.label[:80]!r}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; pictures by their SHA-256."""
        hashes = {str(place): hashlib.sha256(data).hexdigest() for place, data in self.pictures.items()}
        return {
            "label": self.label,
            "kind": self.kind,
            "source": self.source,
            "loras": list(self.loras),
            "pictures": hashes,
            "notes": list(self.notes),
        }


def parse(text: str, rows: Sequence[Row]) -> Column:
    """`[LABEL=]KIND:VALUE`: `model:NAME[+LORA[:WEIGHT]...]`, `pictures:FOLDER|ZIP`, `openai:[MODEL]`,
    `google:[MODEL]`.

    Raises `RequestError` for another form, `DataError` for pictures that cannot be used.
    """
    label, equals, spec = text.partition("=")
    if not equals or ":" in label:  # an = may also stand in a path
        label, spec = "", text
    kind, colon, value = spec.partition(":")
    if not colon or kind not in get_args(Kind):
        raise RequestError(f"--column {text!r} is not LABEL=KIND:VALUE; {EXAMPLE}")
    if kind == "model":
        name, *loras = value.split("+")
        title = f"{name} + {', '.join(Path(lora).name for lora in loras)}" if loras else name
        return of_model(label or title, name, tuple(loras))
    if kind == "pictures":
        path = Path(value)
        return of_pictures(label or path.stem, read_pictures(path), rows, source=path.name)
    return of_provider(label, kind, value)


def of_model(label: str, name: str, loras: tuple[str, ...] = ()) -> Column:
    """One of our models, with LoRAs."""
    if not name.strip():
        raise RequestError("a column of ours needs a model, for example mini")
    return Column(label=label, kind="model", source=name.strip(), loras=loras)


def of_provider(label: str, kind: str, model: str = "") -> Column:
    """A provider's model; without a name the provider's usual one."""
    service = providers.SERVICES[kind]
    model = model.strip() or service.default_model
    return Column(label=label.strip() or f"{service.title} {model}", kind=service.key, source=model)


def of_pictures(label: str, files: Mapping[str, bytes], rows: Sequence[Row], *, source: str) -> Column:
    """Pictures made elsewhere, by file name. Raises `DataError`, `ImageError`."""
    matched = matching.match_files(list(files), rows, source or label)
    for name in matched.files.values():
        decode(files[name], name)
    chosen = {place: files[name] for place, name in matched.files.items()}
    return Column(label=label, kind="pictures", source=source, pictures=chosen, notes=matched.notes)


def read_pictures(path: Path) -> dict[str, bytes]:
    """File name -> content, of a folder or a ZIP. Raises `DataError`."""
    if archive.is_zip(path):
        return archive.read_zip(path)
    if not path.is_dir():
        raise DataError(f"{path} is neither a folder nor a ZIP of pictures")
    files = sorted(p for p in path.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{path} has no pictures ({', '.join(sorted(SUFFIXES))})")
    if len(files) > archive.MOST_FILES:
        raise DataError(f"{path} has {len(files):,} pictures; at most {archive.MOST_FILES:,} are read")
    try:
        return {file.name: file.read_bytes() for file in files if not file.name.startswith(".")}
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its rights") from error


def checked(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The same columns. Raises `DataError` for too few, too many or equal names."""
    if not 2 <= len(columns) <= MOST_COLUMNS:
        raise DataError(f"{len(columns)} columns: a comparison has 2 to {MOST_COLUMNS}; {EXAMPLE}")
    labels = [column.label for column in columns]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise DataError(
            f"two columns are named {twice[0]!r}; give each its own name, as in 'Base=model:mini'"
        )
    return tuple(columns)
