"""What of a server that also shows pages is answered by the API."""

from pathlib import Path

import pytest
from starlette.routing import Match

from sdxl_lora.api.app import ApiRoutes
from sdxl_lora.api.service import Service
from sdxl_lora.jobs.front_door import FrontDoor

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PROMETHEUS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


def no_door() -> FrontDoor:
    raise AssertionError("nothing is drawn to find out whose path it is")


@pytest.mark.parametrize(
    ("path", "accept", "ours"),
    [
        ("/v1/models", BROWSER, True),
        ("/healthz", BROWSER, True),
        ("/metrics", PROMETHEUS, True),
        ("/metrics", "*/*", True),  # curl
        ("/metrics", BROWSER, False),  # the page Metrics
        ("/gallery", BROWSER, False),
        ("/metrics/_stcore/health", "*/*", False),
    ],
)
def test_a_browser_gets_the_page_of_an_address_that_programs_ask_too(
    path: str, accept: str, ours: bool, home: Path
) -> None:
    scope = {"type": "http", "path": path, "headers": [(b"accept", accept.encode())]}
    match, _ = ApiRoutes(Service(home, no_door)).matches(scope)
    assert match is (Match.FULL if ours else Match.NONE)


def test_a_connection_that_is_no_request_is_never_the_apis(home: Path) -> None:
    scope = {"type": "websocket", "path": "/v1/models", "headers": []}
    assert ApiRoutes(Service(home, no_door)).matches(scope)[0] is Match.NONE
