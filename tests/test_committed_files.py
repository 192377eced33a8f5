"""What no committed file may hold: where on somebody's machine it was made."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# folders in which people and machines keep their own things; /tmp and /usr are everywhere and tell nothing
OWN_FOLDERS = re.compile(
    rb"(?<![\w.~$}>-])/(?:work|root|workspace|home/[\w.-]+|Users/[\w.-]+|mnt/[\w.-]+)/|[A-Z]:\\+Users\\"
)
HINTS = (b"/work", b"/root/", b"/home/", b"/Users/", b"/mnt/", b":\\")
INVENTED = (b"/home/ada/",)  # the user of the data folders in tests/records/folders


def committed() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def places(content: bytes) -> set[str]:
    """Folders of machines that are named in a file, and this checkout's own and its user's home."""
    likely = any(hint in content for hint in HINTS)  # faster than the expression on megabytes of weights
    found = {match.group() for match in OWN_FOLDERS.finditer(content)} - set(INVENTED) if likely else set()
    # a checkout in /src would find every address with /src/ in it
    here = (f"{folder}/".encode() for folder in (ROOT, Path.home()) if len(folder.parts) > 2)
    return {place.decode() for place in found | {place for place in here if place in content}}


def test_no_committed_file_says_where_it_was_made() -> None:
    own = Path(__file__).resolve()  # shows what is looked for
    found = {str(path.relative_to(ROOT)): places(path.read_bytes()) for path in committed() if path != own}
    assert {name: paths for name, paths in found.items() if paths} == {}


def test_no_configuration_of_a_model_says_where_it_was_loaded_from() -> None:
    configurations = [path for path in committed() if path.name.endswith(("config.json", "index.json"))]
    assert len(configurations) >= 7
    origins = {
        str(path.relative_to(ROOT)): json.loads(path.read_text(encoding="utf-8")).get("_name_or_path", "")
        for path in configurations
    }
    assert {name: origin for name, origin in origins.items() if origin} == {}


@pytest.mark.parametrize(
    "content",
    [
        b'"_name_or_path": "/work/build/mini/unet"',
        b"saved to /home/grace/model.safetensors",
        b"\x00\x07/root/.cache/x\x00",
        b"C:\\Users\\grace\\model",
        b"/Users/grace/model",
    ],
)
def test_a_path_of_a_machine_is_found(content: bytes) -> None:
    assert places(content) != set()


@pytest.mark.parametrize(
    "content",
    [
        b"https://example.org/work/x",
        b"/tmp/x/",
        b"$HOME/work/x",
        b"/home/ada/photos",
        b"~/.sdxl_lora",
        b"docs/work/",
    ],
)
def test_what_tells_nothing_of_a_machine_is_left_alone(content: bytes) -> None:
    assert places(content) == set()
