"""What is scored is what can be seen, not the boilerplate around it."""

import time

import pytest

from sdxl_lora.config import MAX_PROMPT_CHARACTERS
from sdxl_lora.prompts import fill, templates
from sdxl_lora.scoring.spec import scored_text, subject_start


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            "outer, Northpeak Windbreaker Navy, a photography of a navy windbreaker jacket with a white"
            " triangle logo on the chest, studio background",
            "a photography of a navy windbreaker jacket with a white triangle logo on the chest, studio"
            " background",
        ),
        (
            "A male model wearing a Nike windbreaker jacket, standing on an urban street, ultra-detailed"
            " fabric textures, visible logo, fashion photography, 8K",
            "A male model wearing a Nike windbreaker jacket, standing on an urban street, visible logo",
        ),
        ("a navy jacket", "a navy jacket"),
        ("a (navy:1.3) jacket, ((best quality)), [red] cap", "a navy jacket, red cap"),
        ("a navy jacket <lora:brand:0.8>", "a navy jacket"),
        (
            "Brand X, Product photo of a red cap, highly detailed, 85mm lens, f/1.8",
            "Product photo of a red cap",
        ),
        ("masterpiece, a dress\nsharp focus\non a beach", "a dress, on a beach"),
        ("studio light, golden hour", "studio light, golden hour"),
        ("8K, masterpiece", "8K, masterpiece"),
        ("a shirt with a  photo of a cat", "a shirt with a photo of a cat"),
        ("ジャケット、紺色 🧥", "ジャケット、紺色 🧥"),
        ("((((", "(((("),
        (" , ,", ", ,"),
    ],
)
def test_boilerplate_goes_and_content_stays(prompt: str, expected: str) -> None:
    assert scored_text(prompt) == expected


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_template_keeps_its_product_and_loses_its_category(name: str) -> None:
    template = templates()[name]
    values = template.complete({})
    spec = scored_text(fill(template, {"style": "fashion photography", "camera": "85mm lens"}))
    for slot in ("product", "colour", "logo", "logo_position", "setting"):
        assert values[slot] in spec
    assert "8K" not in spec
    assert "photography," not in spec + ","
    assert "lens" not in spec
    if template.style == "catalogue":
        assert spec.startswith("a photography of ")


@pytest.mark.parametrize(
    "unit", ["(", "(a:1", ")", "<lora:", "a, ", "studio product photo ", "\n", "[(", "a-"]
)
def test_the_longest_prompt_takes_no_noticeable_time(unit: str) -> None:
    prompt = (unit * MAX_PROMPT_CHARACTERS)[:MAX_PROMPT_CHARACTERS]
    start = time.process_time()
    scored_text(prompt)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("prompt", "rest"),
    [
        ("outer, Velora Cap Navy, a photography of a navy cap", "a photography of a navy cap"),
        ("a navy cap, in a forest", "a navy cap, in a forest"),
        ("", ""),
    ],
)
def test_the_subject_begins_after_the_products_name(prompt: str, rest: str) -> None:
    assert prompt[subject_start(prompt) :] == rest
