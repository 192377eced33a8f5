"""The OpenAPI document against the API: schemathesis sends what it allows and what it forbids, to a tiny real model."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from sdxl_lora.api.app import alone, endpoints
from sdxl_lora.api.settings import Limits
from tests.api.conftest import serving

# what may be drawn takes no time, and nobody is told to wait
LIMITS = Limits(steps=2, pictures=1, pixels=64 * 64, per_minute=10**6, at_once=64, seconds_to_send=5)
SETTINGS = SchemathesisConfig.from_dict(
    {
        # 422: of the right form, and still no picture comes of it (a template that is not there, no words)
        "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 422, 503]}},
    }
)


@pytest.fixture(scope="module")
def schema(tiny_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serving(alone(tmp_path_factory.mktemp("contract"), limits=LIMITS)) as address:
        yield schemathesis.openapi.from_url(f"{address}/openapi.json", config=SETTINGS)


ENDPOINTS = endpoints(LIMITS)
# data of another form than the document's can only be sent where anything is sent
CASES = [(GenerationMode.POSITIVE, one) for one in ENDPOINTS]
CASES += [(GenerationMode.NEGATIVE, one) for one in ENDPOINTS if one.body or one.query or one.headers]


@pytest.mark.parametrize("examples", [3, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("mode", "method", "path"),
    [(mode, one.method, one.path) for mode, one in CASES],
    ids=lambda part: str(getattr(part, "value", part)),
)
def test_an_endpoint_keeps_to_the_document(
    schema: Any, method: str, path: str, mode: GenerationMode, examples: int
) -> None:
    answers: list[int] = []

    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def holds(case: Any) -> None:
        answers.append(
            case.call_and_validate(timeout=30).status_code
        )  # raises where the answer is not as documented

    holds()
    assert answers


def test_every_endpoint_has_an_operation_of_its_own() -> None:
    names = [re.sub(r"\W+", "_", f"{one.method}{one.path}") for one in endpoints(LIMITS)]
    assert len(set(names)) == len(names)
