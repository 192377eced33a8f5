"""Every bad request is answered by one line that says what is wrong, before any picture is begun."""

from pathlib import Path
from typing import Any

import pytest

from sdxl_lora.errors import (
    InputError,
    LoraError,
    ModelUnavailableError,
    PromptError,
    RequestError,
    StudioError,
    UnknownNameError,
)
from sdxl_lora.generation import PictureDone, generate, resolve
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest, LoraSpec

NAN = float("nan")


def _run(folder: Path, **changes: Any) -> list[Any]:
    """What a page or the command line does with a request."""
    values: dict[str, Any] = {"prompt": "a jacket", "model": str(folder), "steps": 1, **changes}
    request = resolve(GenerationRequest(**values))
    return list(generate(load(ModelConfig.of(request)), request))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"prompt": ""}, PromptError, "the prompt is empty"),
        ({"prompt": " \n\t"}, PromptError, "the prompt is empty"),
        ({"prompt": "x" * 10_000}, PromptError, "the prompt has 10,000 characters; shorten it"),
        ({"prompt": "a\x00b"}, PromptError, r"control characters \(U\+0000\)"),
        ({"prompt": "a\x1bb"}, PromptError, r"control characters \(U\+001B\)"),
        ({"prompt": "a\ud800b"}, PromptError, r"control characters \(U\+D800\)"),
        ({"negative_prompt": "x" * 10_000}, PromptError, "the negative prompt has 10,000 characters"),
        ({"width": 100}, RequestError, "width 100 is not a multiple of 8; use 96"),
        ({"height": 0}, RequestError, "height 0 is not between"),
        ({"width": 100_000}, RequestError, "width 100000 is not between"),
        ({"width": 4096, "height": 4096}, RequestError, "4096 x 4096 is too large"),
        ({"recolour": "navy"}, RequestError, "the recolour 'navy' is no colour; write it as #1F2A44"),
        ({"background": "a beach"}, RequestError, "is not one of transparent, white, and no colour"),
        ({"fill": 5}, RequestError, "fill 5 is not between 10 and 100"),
        ({"detail": 0.3}, RequestError, "detail is drawn into enlarged pictures; add upscale"),
        ({"detail": 0.01, "upscale": 2}, RequestError, "a detail of 0.01 leaves none of"),
        ({"upscale": 3}, RequestError, "upscale 3 is not one of 1, 2, 4"),
        (
            {"upscale": 4, "width": 2048, "height": 2048, "model": "sdxl"},
            RequestError,
            "would make pictures of 8192x8192 px; at most 50 megapixels",
        ),
        ({"steps": 0}, RequestError, "steps 0 is not between 1 and"),
        ({"steps": 10_000}, RequestError, "steps 10000 is not between 1 and"),
        ({"steps": 2.5}, RequestError, "steps 2.5 is not a whole number"),
        ({"guidance": NAN}, RequestError, "guidance nan is not a number between"),
        ({"guidance": float("inf")}, RequestError, "guidance inf is not a number between"),
        ({"guidance": -1.0}, RequestError, r"guidance -1\.0 is not a number between"),
        ({"seed": -1}, RequestError, "seed -1 is not between"),
        ({"seed": 2**64}, RequestError, f"seed {2**64} is not between"),
        ({"count": 0}, RequestError, "count 0 is not between"),
        ({"precision": "fp8"}, RequestError, "precision 'fp8' is not one of"),
        ({"precision": "fp16"}, RequestError, "precision fp16 needs a GPU; use auto, bf16, fp32 or int8"),
        ({"scheduler": "oiler"}, UnknownNameError, "did you mean 'euler'"),
        ({"model": "minni"}, UnknownNameError, "did you mean 'mini'"),
        ({"model": "/no/such/folder"}, InputError, "there is no model folder /no/such/folder"),
        ({"model": "someone/unheard-of"}, ModelUnavailableError, "unset HF_HUB_OFFLINE"),
        ({"loras": (LoraSpec(path="/no/such.safetensors"),)}, LoraError, "there is no LoRA at"),
        ({"loras": (LoraSpec(path="/no/such.ckpt"),)}, LoraError, "can run code"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else "",
)
def test_bad_input_is_answered_in_one_line(
    changes: dict[str, Any], error: type[StudioError], message: str, tiny_sdxl: Path
) -> None:
    with pytest.raises(error, match=message) as raised:
        _run(tiny_sdxl, **changes)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "prompt", ["夹克 🧥", "veste d'été à capuche", "سترة زرقاء", "👩‍🎤", "a\njacket\twith tabs", "'\"<b>%s{}"]
)
def test_other_scripts_emoji_and_odd_characters_simply_work(prompt: str, tiny_sdxl: Path) -> None:
    assert isinstance(_run(tiny_sdxl, prompt=prompt, negative_prompt=prompt)[-1], PictureDone)


@pytest.mark.parametrize(
    "changes", [{"seed": 2**63 - 1, "count": 2}, {"guidance": 0.0}, {"guidance": 30.0}, {"steps": 1}]
)
def test_the_ends_of_the_ranges_work(changes: dict[str, Any], tiny_sdxl: Path) -> None:
    assert isinstance(_run(tiny_sdxl, **changes)[-1], PictureDone)
