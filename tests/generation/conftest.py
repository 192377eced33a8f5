"""The tiny model, loaded in single precision, for the tests of generation."""

from pathlib import Path

import pytest

from sdxl_lora.generation import resolve
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load
from sdxl_lora.request import GenerationRequest, ResolvedRequest


@pytest.fixture
def model(tiny_sdxl: Path) -> LoadedModel:
    return load(ModelConfig(model=str(tiny_sdxl), precision="fp32"))


@pytest.fixture
def request_(tiny_sdxl: Path) -> ResolvedRequest:
    """A small request for that model."""
    return resolve(
        GenerationRequest(prompt="a navy jacket", model=str(tiny_sdxl), steps=3, seed=5, precision="fp32")
    )
