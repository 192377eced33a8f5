"""Every name that a trainer gives a layer leads to that layer, and no other name to any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdxl_lora.errors import LoraError
from sdxl_lora.models import lora_names
from sdxl_lora.models.layouts import to_stability
from tests import tiny

PIPELINE = tiny.sdxl_pipeline()
ATTENTION = frozenset({"up_blocks.0"})
LAYERS = [
    (part, name)
    for part in ("unet", "text_encoder", "text_encoder_2")
    for name, module in getattr(PIPELINE, part).named_modules()
    if getattr(module, "weight", None) is not None
]
DOTTED = {
    "unet": ["unet.", "diffusion_model.", "base_model.model.", "unet.base_model.model.", "unet._orig_mod."],
    "text_encoder": ["text_encoder.", "text_encoders.clip_l.transformer.", "clip_l."],
    "text_encoder_2": ["text_encoder_2.", "text_encoders.clip_g.transformer.", "clip_g."],
}
FLAT = {"unet": ["lora_unet_", "lycoris_"], "text_encoder": ["lora_te1_"], "text_encoder_2": ["lora_te2_"]}
PAIRS = [
    (".lora_A.weight", ".lora_B.weight"),
    (".lora_A.default.weight", ".lora_B.default.weight"),
    (".lora_down.weight", ".lora_up.weight"),
    (".lora.down.weight", ".lora.up.weight"),
    (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
]


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, tuple[str, str]]:
    """A layer's name as some trainer writes it, and the layer."""
    part, module = draw(st.sampled_from(LAYERS))
    name = module
    if part == "unet" and draw(st.booleans()):
        try:
            name = to_stability(module, 1, ATTENTION)
        except LoraError:
            name = module  # norms have no LoRA and no place there
    elif part != "unet":
        plain = module.removeprefix("text_model.")
        name = draw(st.sampled_from([plain, f"text_model.{plain}"]))
    if draw(st.booleans()):
        return draw(st.sampled_from(FLAT[part])) + name.replace(".", "_"), (part, module)
    return draw(st.sampled_from(DOTTED[part])) + name, (part, module)


@given(spellings(), st.sampled_from(PAIRS))
def test_all_spellings_of_a_layer_lead_to_it(
    spelling: tuple[str, tuple[str, str]], pair: tuple[str, str]
) -> None:
    name, layer = spelling
    found = lora_names.grouped([name + pair[0], name + pair[1], f"{name}.alpha"])
    [(base, parts)] = found.items()
    assert lora_names.layer_of(base, PIPELINE) == layer
    assert parts == {"down": name + pair[0], "up": name + pair[1], "alpha": f"{name}.alpha"}


@given(st.text())
def test_any_other_key_is_refused_or_leads_nowhere(key: str) -> None:
    try:
        base, _ = lora_names.split(f"nowhere.{key}")
    except LoraError:
        return
    assert lora_names.layer_of(base, PIPELINE) is None


def test_no_two_layers_share_a_name() -> None:
    found: dict[str, tuple[str, str]] = {}
    for name, layer in lora_names._all_names(PIPELINE):
        assert found.setdefault(name, layer) == layer, name


@pytest.mark.parametrize("key", ["conv_in.weight", "text_model.embeddings.token_embedding.weight", ""])
def test_keys_of_a_whole_model_are_told(key: str) -> None:
    with pytest.raises(LoraError, match="holds no LoRA"):
        lora_names.split(key)
