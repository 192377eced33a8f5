"""What is sent to a machine that draws, and what comes back: everything a job needs, and nothing of the records.

Machines share no disk. Pictures and LoRA files that a request names travel with it, by their hashes, and are read only
by machines that do not have them. A model is named: each machine has it, or fetches it from the hub.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sdxl_lora import inputs
from sdxl_lora.errors import NotFoundError
from sdxl_lora.feedback.preference import Preference
from sdxl_lora.finishing.chain import Piece
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.models import identity, lora_place
from sdxl_lora.records import Record
from sdxl_lora.request import GenerationRequest

# variables of the environment that decide what a picture becomes; those of the studio hold on every machine
SETTINGS: Final = (
    "SDXL_LORA_WATERMARK",
    "SDXL_LORA_ENGINE",
    "SDXL_LORA_CLIP",
    "SDXL_LORA_BLIP",
    "SDXL_LORA_HELD_OUT",
    "SDXL_LORA_MINI",
)


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A file that a request names."""

    kind: Literal["input", "lora"]
    name: str  # in the request: a hash, or a path of the machine that sends it
    sha256: str
    suffix: str  # ".png"
    contents: Any  # from which the machine reads its bytes


@dataclass(frozen=True, kw_only=True)
class Order:
    """One run of a job."""

    ticket: str  # of this run alone
    spec: JobSpec
    done: frozenset[int]  # indexes of pictures that are recorded
    files: tuple[Shipped, ...]
    made_from: tuple[Record, ...]  # the pictures that this one goes back to
    calibrations: bytes  # the user's own file; b"" = none
    preference: Preference | None  # what people's votes have taught about the brand; None = nothing
    explain: bool  # see `jobs.studio.Drawing`
    settings: Mapping[str, str]  # of `SETTINGS`, those that are set


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A finished picture, neither signed nor kept."""

    index: int  # 0-based place in the request
    piece: Piece  # its file is in `data`; the pixels are left out
    unscored: str | None = None  # one line: why the picture has no score
    notice: str | None = None  # one line: what else could not be judged


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Why the run has ended without its pictures."""

    kind: str  # name of a class in `errors`
    message: str  # one line


def named(request: GenerationRequest, put: Callable[[str, Callable[[], bytes]], Any]) -> Iterator[Shipped]:
    """The files of this machine that a request names, wherever in it.

    `put`: takes a hash and what reads the bytes, and gives what another machine reads them from.

    Raises `LoraError`, `StorageError`.
    """
    for digest in sorted(set(inputs.HASH.findall(json.dumps(request.to_dict())))):
        try:
            path = inputs.find(digest)
        except NotFoundError:
            continue  # the hash of a model or LoRA, or a picture that is missed when it is drawn
        contents = put(digest, lambda digest=digest: inputs.read(digest))  # type: ignore[misc]
        yield Shipped(kind="input", name=digest, sha256=digest, suffix=path.suffix, contents=contents)
    for spec in request.loras:
        path_here = lora_place.find_here(spec)
        if path_here is None:
            continue  # of the hub, from where each machine fetches it
        digest = identity.of_lora(spec)
        contents = put(digest, path_here.read_bytes)
        yield Shipped(kind="lora", name=spec.path, sha256=digest, suffix=path_here.suffix, contents=contents)
