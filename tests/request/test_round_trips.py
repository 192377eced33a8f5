"""What is written of a request reads back as the same: JSON, the text of a PNG, AUTOMATIC1111's lines, templates."""

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sdxl_lora import prompts
from sdxl_lora.errors import RequestError
from sdxl_lora.records import a1111, metadata
from sdxl_lora.request import FIELDS, GenerationRequest, ResolvedRequest, schema
from tests.request.strategies import REQUESTS, WORDS
from tests.search.fakes import REQUEST

PICTURE = Image.new("RGB", (8, 8))


@given(REQUESTS)
def test_json(request: GenerationRequest) -> None:
    assert GenerationRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request


@given(REQUESTS)
@settings(max_examples=50, deadline=None)
def test_png_text(request: GenerationRequest) -> None:
    assert metadata.read_request(io.BytesIO(metadata.embed(PICTURE, request))) == request


@given(REQUESTS)
def test_numbers_in_the_lines_of_automatic1111(request: GenerationRequest) -> None:
    steps = request.steps or 20  # the lines are known by them; what is written is resolved
    plain = replace(request, prompt="a cap", negative_prompt="a hood", loras=(), steps=steps)
    read, _ = a1111.read(a1111.write(plain, (640, 480)))
    assert (read.prompt, read.negative_prompt) == ("a cap", "a hood")
    assert (read.steps, read.seed, read.width, read.height) == (plain.steps, plain.seed, 640, 480)
    if plain.guidance is not None:
        assert read.guidance == pytest.approx(plain.guidance, rel=1e-5, abs=1e-5)


@given(
    st.dictionaries(
        st.sampled_from(["colour", "brand", "logo"]), WORDS.filter(lambda w: len(w.strip(" ,")) > 0)
    )
)
def test_a_filled_template_fills_the_same_again(values: dict[str, str]) -> None:
    template = prompts.get("jacket")
    complete = template.complete(values)
    assert template.complete(complete) == complete
    assert prompts.fill(template, complete) == prompts.fill(template, values)


def test_an_old_record_opens_without_the_fields_it_could_not_know() -> None:
    old = {"prompt": "a cap", "loras": [{"path": "x", "weight": 0.5}], "template": None, "scheduler": None}
    request = GenerationRequest.from_dict(old)
    assert (request.template, request.model_sha256, request.loras[0].sha256) == ("", "", "")


def test_a_resolved_request_from_before_a_field_was_there_means_what_it_meant_then() -> None:
    old = REQUEST.to_dict()
    del old["cleanup_timestep"]
    assert ResolvedRequest.from_dict(old) == replace(REQUEST, cleanup_timestep=0)


def test_nothing_of_a_resolved_request_is_open() -> None:
    assert set(ResolvedRequest.__annotations__) >= {field.name for field in FIELDS if field.open}
    with pytest.raises(RequestError, match=r"not decided: seed; see generation\.resolve"):
        ResolvedRequest(
            prompt="p", steps=1, guidance=1.0, guidance_end=1.0, seed=None, width=64, height=64,  # type: ignore[arg-type]
            cleanup_timestep=0, precision="fp32", engine="torch", scheduler="own", sketch_steps=0, strength=1.0,
            mask_feather=0, model_sha256="",
        )  # fmt: skip


def test_the_schema_names_every_field_and_what_it_allows() -> None:
    found = schema.json_schema()
    assert list(found["properties"]) == [field.name for field in FIELDS]
    assert found["required"] == ["prompt"]
    assert found["properties"]["steps"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 150}
