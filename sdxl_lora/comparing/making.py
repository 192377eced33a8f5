"""Makes one picture per prompt for an evaluation or a comparison, in the queue everybody else uses.

The same prompts, seeds, settings and contents of model and LoRAs give the same folder, in which pictures that are there
already are kept: an interrupted run goes on where it stopped, and a model or LoRA that changed makes new pictures.
"""

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sdxl_lora import config, files, generation
from sdxl_lora.jobs.front_door import open_front_door
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.records import Database, layout
from sdxl_lora.request import GenerationRequest, LoraSpec, ResolvedRequest

USER = "evaluation"  # of the jobs
_LOOKS_EVERY = 0.1  # seconds, whether it was cancelled


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How every picture is made; None: the model's own default."""

    model: str
    loras: Sequence[str] = ()
    seed: int = 0  # of the first picture
    steps: int | None = None
    guidance: float | None = None


def make_pictures(
    captions: Mapping[str, str],
    recipe: Recipe,
    database: Database,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Folder with `<name>.png` for every caption; picture i, in name order, has seed `seed + i`.

    Those that are not there yet are made, and recorded in `database`.
    Raises what a job fails with: `UnknownNameError`, `LoraError`, `ModelUnavailableError`, `StorageError`.
    """
    names = sorted(captions)
    folder = Path()
    in_order = {name: captions[name] for name in names}
    for place, made in enumerate(each_picture(in_order, recipe, database)):
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
    where: JobQueue | Database,
    *,
    cancel: threading.Event | None = None,
) -> Iterator[Made]:
    """The pictures one by one, in the order of `captions`; picture i has seed `seed + i`.

    `where`: the queue that those that are not there yet are asked for in; of a database, one for this call.
    """
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
    with contextlib.ExitStack() as stack:
        for place, (name, caption) in enumerate(captions.items()):
            path = folder / f"{name}.png"
            request = replace(resolved, prompt=caption, seed=recipe.seed + place)
            if not path.exists():
                if isinstance(where, Database):
                    where = stack.enter_context(open_front_door(where)).queue
                [record_id] = _drawn(where, request, cancel).record_ids
                with files.storage_errors(path):
                    files.write_atomically(path, layout.picture_path(config.home(), record_id).read_bytes())
            yield Made(name=name, path=path, request=request)


def _drawn(queue: JobQueue, request: ResolvedRequest, cancel: threading.Event | None) -> Job:
    """The job of one picture, done. Behind everybody who sits and waits; raises what it failed with, `Cancelled`."""
    job = queue.submit(JobSpec(request=request, priority="batch", user=USER))
    try:
        while job.active:
            job = queue.wait(job.id, _LOOKS_EVERY) or job
            if cancel is not None and cancel.is_set():
                queue.cancel(job.id)
    finally:  # nobody waits for it any more, where the caller has left
        queue.cancel(job.id)
    job.raise_error()
    return job
