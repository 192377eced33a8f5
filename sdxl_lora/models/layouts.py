"""The two layouts LoRA files come in, and the way from each to the other.

diffusers: `unet.<module>.lora_A.weight`, modules named as in diffusers and transformers; alpha in the
file's header. kohya (AUTOMATIC1111, ComfyUI): `lora_unet_<module>.lora_down.weight`, dots as underscores,
an `.alpha` per module; SDXL's UNet modules are named as in Stability's own code (`input_blocks_4_1_...`),
SD 1.x's as in diffusers. Pure dictionaries of tensors; knows nothing of models or files.

diffusers has no public converter that would do: `convert_state_dict_to_kohya` keeps diffusers' names for SDXL's UNet
and takes the rank for alpha, and the way back is private functions of its loaders.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from sdxl_lora.config import Architecture
from sdxl_lora.errors import LoraError

State = Mapping[str, Tensor]

_TO_KOHYA = {
    "lora_A.weight": "lora_down.weight",
    "lora_B.weight": "lora_up.weight",
    "lora_magnitude_vector": "dora_scale",
}
_PREFIXES: dict[Architecture, dict[str, str]] = {
    "sd": {"unet": "lora_unet", "text_encoder": "lora_te"},
    "sdxl": {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"},
}
# segments of module names that have underscores of their own
_SEGMENTS = sorted(
    [
        "down_blocks",
        "up_blocks",
        "mid_block",
        "transformer_blocks",
        "to_q",
        "to_k",
        "to_v",
        "to_out",
        "proj_in",
        "proj_out",
        "conv_shortcut",
        "conv_in",
        "conv_out",
        "time_emb_proj",
        "time_embedding",
        "add_embedding",
        "linear_1",
        "linear_2",
        "text_model",
        "self_attn",
        "q_proj",
        "k_proj",
        "v_proj",
        "out_proj",
        "text_projection",
    ],
    key=len,
    reverse=True,
)
_RESNET = {  # diffusers -> Stability
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}


def to_kohya(
    state: State, alphas: Mapping[str, float], architecture: Architecture, layers_per_block: int = 2
) -> dict[str, Tensor]:
    """diffusers -> kohya. `alphas`: module -> alpha; a module that is not named has alpha = rank."""
    result: dict[str, Tensor] = {}
    attention_blocks = _blocks_with_attention(state)
    for key, value in sorted(state.items()):
        module, kind = _split(key)
        part, _, name = module.partition(".")
        if part not in _PREFIXES[architecture]:
            raise LoraError(f"{key} belongs to no part of {architecture}; is the architecture right?")
        if part == "unet" and architecture == "sdxl":
            name = to_stability(name, layers_per_block, attention_blocks)
        flat = f"{_PREFIXES[architecture][part]}_{name.replace('.', '_')}"
        result[f"{flat}.{_TO_KOHYA[kind]}"] = _kohya_shape(value, kind)
        if kind == "lora_A.weight":
            result[f"{flat}.alpha"] = torch.tensor(float(alphas.get(module, value.shape[0])))
    return result


def to_diffusers(state: State, layers_per_block: int = 2) -> tuple[dict[str, Tensor], dict[str, float]]:
    """kohya -> (diffusers, module -> alpha)."""
    back = {kohya: ours for ours, kohya in _TO_KOHYA.items()}
    result: dict[str, Tensor] = {}
    alphas: dict[str, float] = {}
    for key, value in sorted(state.items()):
        flat, _, kind = key.partition(".")
        module = _module_of(flat, layers_per_block)
        if kind == "alpha":
            alphas[module] = float(value)
        elif kind in back:
            result[f"{module}.{back[kind]}"] = _diffusers_shape(value, back[kind])
        else:
            raise LoraError(
                f"{key} is not of a plain LoRA or DoRA; LoHa, LoKr and the like cannot be converted"
            )
    return result, alphas


def to_stability(name: str, layers_per_block: int, attention_blocks: frozenset[str] = frozenset()) -> str:
    """A module of diffusers' UNet by the name it has in Stability's code, for example
    input_blocks.4.1.proj_in.

    `attention_blocks`: the up blocks with attention (`up_blocks.0`), whose upsampler comes third and not
    second.
    """
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    width = layers_per_block + 1
    if match := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)", name):
        kind, index, rest = match[1], int(match[2]), match[3]
        return f"middle_block.{2 * index if kind == 'resnets' else 1}.{_inner(kind, rest)}"
    match = re.fullmatch(
        r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)", name
    )
    if match is None:
        raise LoraError(f"the module {name} has no place in SDXL's original code")
    side, block, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if kind == "downsamplers":
        return f"input_blocks.{block * width + width}.0.op"
    if kind == "upsamplers":
        place = 2 if f"up_blocks.{block}" in attention_blocks else 1
        return f"output_blocks.{block * width + layers_per_block}.{place}.conv"
    start = "input_blocks" if side == "down" else "output_blocks"
    number = block * width + layer + (1 if side == "down" else 0)
    return f"{start}.{number}.{0 if kind == 'resnets' else 1}.{_inner(kind, rest)}"


def from_stability(name: str, layers_per_block: int) -> str:
    """Inverse of `to_stability`; other names are returned as they are."""
    for ours, theirs in _OUTSIDE.items():
        if name == theirs:
            return ours
    width = layers_per_block + 1
    if match := re.fullmatch(r"middle_block\.(\d)\.(.+)", name):
        index, rest = int(match[1]), match[2]
        return f"mid_block.{'attentions.0' if index == 1 else f'resnets.{index // 2}'}.{_outer(rest)}"
    match = re.fullmatch(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)", name)
    if match is None:
        return name
    down, number, place, rest = match[1] == "input", int(match[2]), int(match[3]), match[4]
    block, layer = divmod(number - 1 if down else number, width)
    if rest == "op":
        return f"down_blocks.{block}.downsamplers.0.conv"
    if rest == "conv":
        return f"up_blocks.{block}.upsamplers.0.conv"
    kind = "attentions" if place == 1 else "resnets"
    return f"{'down' if down else 'up'}_blocks.{block}.{kind}.{layer}.{_outer(rest)}"


def is_kohya(state: State) -> bool:
    """Whether the keys are of the kohya layout."""
    return any(key.startswith(("lora_unet_", "lora_te")) for key in state)


def architecture_of(state: State) -> Architecture:
    """SDXL or SD 1.x, from the width of the text features that the attention reads, or its second text
    encoder.
    """
    for key, value in state.items():
        if "text_encoder_2" in key or "lora_te2" in key:
            return "sdxl"
        if re.search(r"attn2[._]to_k\.(lora_A|lora_down)", key):
            return "sd" if value.shape[1] in (768, 1024) else "sdxl"
    raise LoraError("this file does not show whether it is for SD 1.x or SDXL; name the architecture")


def _split(key: str) -> tuple[str, str]:
    for kind in _TO_KOHYA:
        if key.endswith((f".{kind}", f".{kind}.weight")):
            return key[: key.index(f".{kind}")], kind
    raise LoraError(f"{key} is not of a plain LoRA or DoRA in the diffusers layout")


def _module_of(flat: str, layers_per_block: int) -> str:
    """`lora_te1_text_model_encoder_layers_0_self_attn_q_proj` ->
    `text_encoder.text_model.encoder.layers.0...`.
    """
    parts = {
        "lora_unet": "unet",
        "lora_te1": "text_encoder",
        "lora_te2": "text_encoder_2",
        "lora_te": "text_encoder",
    }
    for prefix, part in parts.items():
        if flat.startswith(f"{prefix}_"):
            name = flat.removeprefix(f"{prefix}_")
            if part != "unet":
                return f"{part}.{_dotted(name)}"
            if name.startswith(
                ("input_blocks", "middle_block", "output_blocks", "out_2", "time_embed_", "label_emb")
            ):
                return f"unet.{from_stability(_dotted(name), layers_per_block)}"
            return f"unet.{_dotted(name)}"
    raise LoraError(f"{flat} belongs to no part of SD 1.x or SDXL")


_STABILITY_SEGMENTS = [
    "input_blocks",
    "output_blocks",
    "middle_block",
    "in_layers",
    "out_layers",
    "emb_layers",
    "skip_connection",
    "time_embed",
    "label_emb",
]


def _dotted(name: str) -> str:
    """Underscores that stand for dots become dots again."""
    pattern = "|".join([*_SEGMENTS, *_STABILITY_SEGMENTS])
    kept = re.sub(rf"(?<![^_])({pattern})(?![^_])", lambda match: match[0].replace("_", "\0"), name)
    return kept.replace("_", ".").replace("\0", "_")


def _blocks_with_attention(state: State) -> frozenset[str]:
    return frozenset(
        match[1] for key in state if (match := re.match(r"unet\.(up_blocks\.\d+)\.attentions\.", key))
    )


def _inner(kind: str, rest: str) -> str:
    return _RESNET.get(rest, rest) if kind == "resnets" else rest


def _outer(rest: str) -> str:
    return next((ours for ours, theirs in _RESNET.items() if theirs == rest), rest)


def _kohya_shape(value: Tensor, kind: str) -> Tensor:
    """DoRA's magnitudes, one per output: out (linear) or 1 x out x 1 x 1 (convolution) -> out x 1 (x 1 x
    1).
    """
    if kind != "lora_magnitude_vector":
        return value.contiguous().clone()
    return value.reshape(-1, *[1] * (1 if value.dim() == 1 else 3)).clone()


def _diffusers_shape(value: Tensor, kind: str) -> Tensor:
    if kind != "lora_magnitude_vector":
        return value.contiguous().clone()
    return value.flatten().clone() if value.dim() == 2 else value.reshape(1, -1, 1, 1).clone()
