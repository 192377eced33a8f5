"""The model hub: what is in its local cache, and fetching safetensors and configs from it.

Knows nothing of what a model is for. The cache is huggingface_hub's own (`HF_HOME`), so weights that other
programs fetched are found. Only safetensors are ever fetched: the older formats can run code when opened.
"""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants

from sdxl_lora import plain_json
from sdxl_lora.errors import InputError, ModelUnavailableError, StorageError

Progress = Callable[[str, int, int], None]  # (file, bytes done, bytes in all), both over all files

TIMEOUT = 10.0  # seconds until the hub counts as out of reach

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_CONFIGS = (".json", ".txt", ".model")
_WEIGHTS = ".safetensors"
INT8_WEIGHTS = ".int8.safetensors"  # see `int8_file`


def is_id(name: str) -> bool:
    """Whether `name` has the form of a hub id, `owner/model`."""
    return _ID.fullmatch(name) is not None


def cached_folder(repository: str) -> Path | None:
    """Folder of the newest cached version with all its weights, or None. Never asks the network."""
    index = cached_file(repository, "model_index.json")
    if index is None:
        return None
    folder = index.parent
    parts = [name for name in _components(index) if (folder / name / "config.json").is_file()]
    return folder if parts and all(is_whole(folder / name) for name in parts) else None


def is_whole(component: Path) -> bool:
    """Whether a component's folder has weights, and of sharded ones every shard."""
    if not any(component.glob(f"*{_WEIGHTS}")):
        return False
    for index in component.glob(f"*{_WEIGHTS}.index*.json"):
        try:
            shards = set(plain_json.parse(index.read_bytes())["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        if not all((component / shard).is_file() for shard in shards):
            return False
    return True


def int8_weights(component: Path) -> Path | None:
    """The file of int8 weights in a component's folder, see `int8_file`; None = it has none."""
    return next(iter(sorted(component.glob(f"*{INT8_WEIGHTS}"))), None)


def cached_component(repository: str) -> Path | None:
    """Folder of a cached repository that holds one component, such as a VAE, or None."""
    files = [cached_file(repository, name) for name in ("config.json", "diffusion_pytorch_model.safetensors")]
    return files[0].parent if files[0] and files[1] else None


def cached_file(repository: str, filename: str) -> Path | None:
    """A cached file of a repository, or None. Never asks the network."""
    if not Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}").is_dir():
        return None  # without the hub's client, which takes a tenth of a second to import
    path = huggingface_hub.try_to_load_from_cache(repository, filename)
    return Path(path) if isinstance(path, str) else None


def fetch(repository: str, progress: Progress | None = None) -> Path:
    """Downloads a pipeline's configs and safetensors (the fp16 ones where there are some); its folder.

    Files that are in the cache already are not fetched again. One after the other and not by `snapshot_download`: that
    tells of bytes only, not of files, and makes the version known to offline look-ups before its files are there.
    Raises `ModelUnavailableError`, `StorageError`.
    """
    with _hub_errors(repository):
        info = huggingface_hub.HfApi().model_info(repository, files_metadata=True, timeout=TIMEOUT)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        wanted = select_files(list(sizes))
        if "model_index.json" not in wanted:
            # not a pipeline: one component, like a VAE, at the top of its repository
            wanted = [name for name in sizes if "/" not in name and name.endswith((*_CONFIGS, _WEIGHTS))]
        if not any(name.endswith(_WEIGHTS) for name in wanted):
            raise InputError(f"{repository} has no safetensors weights; convert the model or choose another")
        total, done = sum(sizes[name] for name in wanted), 0
        paths = []
        for name in wanted:
            bar = _bar_class(progress, name, done, total)
            paths.append(huggingface_hub.hf_hub_download(repository, name, revision=info.sha, tqdm_class=bar))
            done += sizes[name]
            if progress:
                progress(name, done, total)
        # writes down which commit offline look-ups find; only now, so that half a download is never found
        huggingface_hub.HfApi().resolve_revision(repository)
        return Path(paths[0]).parents[wanted[0].count("/")]


def ask(repository: str) -> None:
    """One question, whether the hub knows the repository and can be reached, before a client fetches many files.

    Libraries try every file again and again, which takes minutes without a network. Raises as `fetch`.
    """
    with _hub_errors(repository):
        huggingface_hub.HfApi().model_info(repository, timeout=TIMEOUT)


def select_files(names: list[str]) -> list[str]:
    """Of a pipeline's repository: configs and one set of safetensors per component, half precision first."""
    folders = sorted({name.split("/")[0] for name in names if name.count("/") == 1})
    chosen = [name for name in names if name == "model_index.json"]
    for folder in folders:
        inside = [name for name in names if name.startswith(f"{folder}/") and name.count("/") == 1]
        weights = [name for name in inside if name.endswith(_WEIGHTS)]
        plain = [
            name for name in weights if re.fullmatch(r"(diffusion_pytorch_)?model[\w-]*", Path(name).stem)
        ]
        half = [name for name in weights if ".fp16" in Path(name).name]
        quantised = [name for name in weights if name.endswith(INT8_WEIGHTS)]
        configs = [name for name in inside if name.endswith(_CONFIGS) and ".index." not in name]
        # which shard holds what, of the weights that are taken
        configs += [
            name
            for name in inside
            if name.endswith(".json") and f"{_WEIGHTS}.index" in name and (".fp16" in name) == bool(half)
        ]
        if folder in ("safety_checker", "feature_extractor"):
            continue  # never loaded, see models.loading
        chosen += configs + (half or plain or quantised)
    return chosen


def fetch_file(repository: str, filename: str) -> Path:
    """One file of a repository, from the cache or the hub."""
    found = cached_file(repository, filename)
    if found:
        return found
    with _hub_errors(repository):
        info = huggingface_hub.HfApi().model_info(repository, timeout=TIMEOUT)
        if filename not in {file.rfilename for file in info.siblings or ()}:
            raise InputError(f"{repository} has no file {filename}")
        return Path(huggingface_hub.hf_hub_download(repository, filename))


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Turns what the hub's client raises into one line that says what to do."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionResolutionError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise ModelUnavailableError(
            f"{repository} wants its licence accepted at https://huggingface.co/{repository};"
            " do that, then run `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(f"the hub has no public model {repository!r}; check the spelling") from error
    except OfflineModeIsEnabled as error:
        raise ModelUnavailableError(
            f"{repository} is not on this machine and HF_HUB_OFFLINE forbids fetching it;"
            " unset HF_HUB_OFFLINE, or use --model mini"
        ) from error
    except (HTTPError, OSError, RevisionResolutionError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise StorageError(
                "the disk of the model cache is full; free some space or move it with HF_HOME"
            ) from error
        if isinstance(error, PermissionError):
            raise StorageError(
                f"the model cache cannot be written ({error.filename}); set HF_HOME"
            ) from error
        raise ModelUnavailableError(
            f"{repository} is not on this machine and the hub cannot be reached;"
            " check the network and HTTPS_PROXY and try again, give a copy's folder, or use --model mini"
        ) from error


def _bar_class(progress: Progress | None, name: str, done: int, total: int) -> type[Any]:
    """A silent progress bar that reports the bytes of one file to `progress`."""
    from tqdm.auto import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.received = int(kwargs.get("initial") or 0)
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.received += int(n or 0)
            if progress:
                progress(name, min(done + self.received, total), total)
            return None

    return Bar


def _components(index: Path) -> list[str]:
    values = plain_json.parse(index.read_text(encoding="utf-8"))
    return [name for name, entry in values.items() if isinstance(entry, list) and entry and entry[0]]
