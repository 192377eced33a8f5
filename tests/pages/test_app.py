"""Every page opens from the navigation, also when there is nothing to show yet."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import ROOT

PAGES = sorted(path.name for path in (ROOT / "pages").glob("*.py"))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_in_an_empty_studio(open_app: Callable[..., AppTest], name: str) -> None:
    at = open_app(f"pages/{name}")
    assert not at.exception
    assert not at.error
    assert at.title[0].value


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_in_the_navigation(name: str) -> None:
    code = (ROOT / "app.py").read_text() + (ROOT / "sdxl_lora" / "ui" / "shared.py").read_text()
    assert f'"pages/{name}"' in code
