"""Pages run in Streamlit's AppTest, through `app.py`, on tiny real models and a studio of their own."""

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.records import Record
from sdxl_lora.request import GenerationRequest
from sdxl_lora.ui import shared
from tests.stand_in import bundled, tiny_mini

__all__ = ["bundled", "tiny_mini"]

ROOT = Path(__file__).parents[2]
TIMEOUT = 60.0  # seconds; only reached when something is broken


def plain(text: str) -> str:
    """What a person reads of escaped Markdown."""
    return re.sub(r"\\(.)", r"\1", text)


@pytest.fixture(scope="session", autouse=True)
def packages_read_once() -> Iterator[None]:
    """Every AppTest reads what is installed anew, for components: longer than most pages take, and always the same."""
    found = functools.cache(manifest_scanner.scan_component_manifests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", found)
        yield


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    """Without this the studio of one test, with its closed queue, would serve the next."""
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def open_app(home: Path) -> Callable[..., AppTest]:
    """Opens the app, on the given page; all settings are shown unless `view` is "Simple"."""

    def open_page(page: str | None = None, session: str = "", view: str = "Expert") -> AppTest:
        at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
        at.session_state["view"] = view
        if session:
            at.query_params["session"] = session
        at.run()
        if page:
            at.switch_page(page).run()
        assert not at.exception
        return at

    return open_page


@pytest.fixture
def open_alone() -> Callable[[str], AppTest]:
    """Opens one page without the app around it."""

    def open_page(name: str) -> AppTest:
        at = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=2 * TIMEOUT).run()
        assert not at.exception
        return at

    return open_page


@pytest.fixture
def finish() -> Callable[[AppTest], AppTest]:
    """Waits until nothing runs any more, and shows the page as it is then."""

    def wait(at: AppTest) -> AppTest:
        for job in shared.queue().jobs():
            shared.queue().wait(job.id, TIMEOUT)
        at.run()
        assert not at.exception
        return at

    return wait


@pytest.fixture
def make(home: Path) -> Callable[..., list[Record]]:
    """Fills the gallery."""

    def pictures(*prompts: str, session: str = "elsewhere") -> list[Record]:
        jobs = [
            shared.queue().submit(JobSpec(request=GenerationRequest(prompt=p, seed=1), user=session))
            for p in prompts
        ]
        for job in jobs:
            shared.queue().wait(job.id, TIMEOUT)
        return shared.store().page(0, len(prompts))

    return pictures
