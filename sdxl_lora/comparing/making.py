"""Makes one picture per prompt for an evaluation or a comparison, with the studio everybody else uses.

The same prompts, seeds, settings and contents of model and LoRAs give the same folder, in which pictures that are there
already are kept: an interrupted run goes on where it stopped, and a model or LoRA that changed makes new pictures.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sdxl_lora import config, files, generation
from sdxl_lora.jobs.studio import Recorded, Studio
from sdxl_lora.request import GenerationRequest, LoraSpec, ResolvedRequest


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How every picture is made; None: the model's own default."""

    model: str
    loras: Sequence[str] = ()
    seed: int = 0  # of the first picture
    steps: int | None = None
    guidance: float | None = None


def make_pictures(
    captions: Mapping[str, str], recipe: Recipe, *, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Folder with `<name>.png` for every caption; picture i, in name order, has seed `seed + i`.

    Raises what `Studio.run` raises: `UnknownNameError`, `LoraError`, `ModelUnavailableError`, `StorageError`.
    """
    names = sorted(captions)
    folder = Path()
    for place, made in enumerate(each_picture({name: captions[name] for name in names}, recipe)):
        folder = made.path.parent
        if progress:
            progress(place + 1, len(names))
    return folder


@dataclass(frozen=True, kw_only=True)
class Made:
    """One picture, on disk under the name of its caption."""

    name: str
    path: Path
    request: ResolvedRequest  # with its own seed


def each_picture(
    captions: Mapping[str, str],
    recipe: Recipe,
    *,
    studio: Studio | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Made]:
    """The pictures one by one, in the order of `captions`; picture i has seed `seed + i`."""
    template = GenerationRequest(
        prompt=next(iter(captions.values())),
        model=recipe.model,
        loras=tuple(LoraSpec.parse(lora) for lora in recipe.loras),
        seed=recipe.seed,
        steps=recipe.steps,
        guidance=recipe.guidance,
    )
    resolved = generation.resolve(template)
    content = json.dumps([resolved.to_dict(), list(captions.items())], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    folder = config.home() / "evaluations" / "pictures" / digest
    with files.storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for place, (name, caption) in enumerate(captions.items()):
        path = folder / f"{name}.png"
        request = replace(resolved, prompt=caption, seed=recipe.seed + place)
        if not path.exists():
            studio = studio or Studio(config.home())
            for event in studio.run(request, cancel=cancel, session="evaluation"):
                if isinstance(event, Recorded):
                    with files.storage_errors(path):
                        files.write_atomically(path, event.record.path.read_bytes())
        yield Made(name=name, path=path, request=request)
