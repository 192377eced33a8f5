"""A hub cache and a hub for the tests of models, both of them small and real."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.models import local_hub

Publish = Callable[[str, Path], Path]


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache of this test."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def put_in_cache(hub_cache: Path) -> Publish:
    """Lays a folder into the hub cache as if it had been downloaded."""

    def put(repository: str, folder: Path) -> Path:
        root = hub_cache / f"models--{repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text("a" * 40)
        return Path(shutil.copytree(folder, root / "snapshots" / ("a" * 40)))

    return put


@pytest.fixture
def hub_server(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[local_hub.LocalHub]:
    """A hub on this machine that the hub's own client talks to."""
    with local_hub.serve() as server:
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        huggingface_hub.close_session()
        yield server
    huggingface_hub.close_session()
