"""Where the file is that a request means by a LoRA: on this machine, or on the hub. Opens none."""

from pathlib import Path

from sdxl_lora.errors import LoraError
from sdxl_lora.models import hub
from sdxl_lora.request import LoraSpec

STANDARD_NAME = "pytorch_lora_weights.safetensors"
_UNSAFE = (".ckpt", ".bin", ".pt", ".pth", ".pkl")

_copies: dict[str, Path] = {}  # path that a request names -> copy of that file on this machine


def use_copy(path: str, copy: Path) -> None:
    """From now on requests that name `path`, which is a file of another machine, mean this copy of it."""
    _copies[path] = copy


def find(spec: LoraSpec) -> Path:
    """The file a spec means: a file, a folder with one, or a hub id (optionally `owner/name/file`)."""
    path = find_here(spec)
    if path is not None:
        return path
    owner, name, *filename = spec.path.split("/", 2)
    return hub.fetch_file(f"{owner}/{name}", filename[0] if filename and filename[0] else STANDARD_NAME)


def find_here(spec: LoraSpec) -> Path | None:
    """The file on this machine that a spec means; None for a hub id, which nothing is fetched of.

    Raises `LoraError` where it can be neither.
    """
    if spec.path in _copies:
        return _copies[spec.path]
    path = Path(spec.path).expanduser()
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if path / STANDARD_NAME in files:
            return path / STANDARD_NAME
        if len(files) != 1:
            held = ", ".join(file.name for file in files) or "no .safetensors file"
            raise LoraError(f"the LoRA folder {spec.path} holds {held}; name one file")
        return files[0]
    if path.suffix in _UNSAFE:
        raise LoraError(
            f"{spec.path} is not a .safetensors file; other formats can run code, convert it first"
        )
    if path.is_file():
        return path
    owner, _, rest = spec.path.partition("/")
    name, _, filename = rest.partition("/")
    if hub.is_id(f"{owner}/{name}") and (not filename or filename.endswith(".safetensors")):
        return None
    raise LoraError(f"there is no LoRA at {spec.path}; give a .safetensors file, a folder or a hub id")
