"""Makes one picture per prompt for an evaluation, with the studio everybody else uses.

The same prompts, seeds and settings give the same folder, in which pictures that are there already are kept:
an interrupted run goes on where it stopped.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sdxl_lora import config
from sdxl_lora.config import GenerationRequest, LoraSpec


def make_pictures(
    captions: Mapping[str, str],
    *,
    model: str,
    loras: Sequence[str] = (),
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Folder with `<name>.png` for every caption; picture i, in name order, has seed `seed + i`.

    Raises what `Studio.run` raises: `UnknownNameError`, `LoraError`, `ModelUnavailableError`, `StorageError`.
    """
    from sdxl_lora import generation
    from sdxl_lora.serving.studio import Recorded, Studio

    studio = Studio(config.home())
    names = sorted(captions)
    template = GenerationRequest(
        prompt=captions[names[0]],
        model=model,
        loras=tuple(LoraSpec.parse(lora) for lora in loras),
        seed=seed,
        steps=steps,
        guidance=guidance,
    )
    resolved = generation.resolve(template)
    content = json.dumps(
        [resolved.to_dict(), _lora_hashes(resolved), sorted(captions.items())], sort_keys=True
    )
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    folder = config.home() / "evaluations" / "pictures" / digest
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        path = folder / f"{name}.png"
        if not path.exists():
            request = replace(resolved, prompt=captions[name], seed=seed + place)
            for event in studio.run(request, session="evaluation"):
                if isinstance(event, Recorded):
                    partial = path.with_suffix(".part")
                    shutil.copyfile(event.record.path, partial)
                    partial.rename(path)
        if progress:
            progress(place + 1, len(names))
    return folder


def _lora_hashes(request: GenerationRequest) -> list[str]:
    """Contents of LoRA files, so that a LoRA trained anew under the same name makes new pictures."""
    paths = [Path(lora.path) for lora in request.loras]
    files = [sorted(path.rglob("*.safetensors")) if path.is_dir() else [path] for path in paths]
    found = [file for several in files for file in several if file.is_file()]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in found]
