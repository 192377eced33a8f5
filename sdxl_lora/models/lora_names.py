"""Keys of LoRA files -> which layer of a model they change, in every spelling that trainers use.

A key is a layer's name and what is kept for it. Layers are looked up among all names that the model's own modules have:
diffusers' and Stability's, with dots or underscores, behind the prefixes of diffusers, peft, kohya's sd-scripts,
OneTrainer, SimpleTuner, LyCORIS and ComfyUI. Nothing is guessed: a name that no layer has is told.
"""

import contextlib
import re
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from diffusers import DiffusionPipeline

from sdxl_lora.errors import LoraError
from sdxl_lora.models.layouts import to_stability

Layer = tuple[str, str]  # part ("unet", "text_encoder", "text_encoder_2") and module in it

_PREFIXES = {
    "unet": ("unet", "lora_unet", "lycoris", "lycoris_unet", "diffusion_model", "model_diffusion_model", ""),
    "text_encoder": ("text_encoder", "lora_te1", "lycoris_te1", "text_encoders_clip_l_transformer", "clip_l"),
    "text_encoder_2": (
        "text_encoder_2",
        "lora_te2",
        "lycoris_te2",
        "text_encoders_clip_g_transformer",
        "clip_g",
    ),
}
_ONLY_ENCODER = ("lora_te", "lycoris_te", "te")  # of models with one text encoder

_ADAPTER = r"(?:\.(?!weight$|bias$)[\w-]+)?"  # peft puts the adapter's name in between, e.g. ".default"
_KINDS = [
    (rf"\.lora_A{_ADAPTER}\.weight|[._]lora_down\.weight|[._]lora(?:_linear_layer)?\.down\.weight", "down"),
    (rf"\.lora_B{_ADAPTER}\.weight|[._]lora_up\.weight|[._]lora(?:_linear_layer)?\.up\.weight", "up"),
    (r"\.lora_mid\.weight", "mid"),
    (r"\.alpha", "alpha"),
    (rf"\.lora_magnitude_vector{_ADAPTER}(?:\.weight)?", "magnitude_vector"),
    (r"\.dora_scale", "magnitude"),
]
_SUFFIX = re.compile(
    "|".join(f"(?P<{kind}>{pattern})" for pattern, kind in _KINDS)
    + r"|\.(?P<other>hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)|diff_b|diff|[wb]_norm|scalar)"
)
_AT_END = re.compile(rf"^(?P<base>.+?)(?:{_SUFFIX.pattern})$")
_WRAPPERS = re.compile(
    r"(?<![^.])(?:_orig_mod|base_model\.model|processor)\."
)  # torch.compile, peft, old diffusers
_REFUSED = [  # part of a key -> what the file holds
    ("bundle_emb", "a bundled text embedding (pivotal tuning), which is not supported"),
    ("string_to_param", "a text embedding, no LoRA"),
    ("emb_params", "a text embedding, no LoRA"),
    ("oft_", "an OFT, which is not supported"),
    ("boft_", "a BOFT, which is not supported"),
    ("on_input", "an (IA)^3, which is not supported"),
    ("glora", "a GLoRA, which is not supported"),
    ("lora_embedding_", "a LoRA of token embeddings, which is not supported"),
    ("lora_A.bias", "a LoRA with biases, which is not supported"),
    ("lora_B.bias", "a LoRA with biases, which is not supported"),
    ("lora_up.bias", "a LoRA with biases, which is not supported"),
    ("scale_weight", "scaled fp8 numbers, which are not supported"),
    ("scaled_fp8", "scaled fp8 numbers, which are not supported"),
]


def split(key: str) -> tuple[str, str]:
    """(name of the layer, kind of part) of a key; kinds are those of `lora_changes.KINDS` and `magnitude_vector`.

    Raises `LoraError` saying what the key is of, where it is of no kind that is read.
    """
    for sign, what in _REFUSED:
        if sign in key:
            raise LoraError(f"it holds {what}")
    match = _AT_END.match(_WRAPPERS.sub("", key).removeprefix("module."))
    if match is None:
        raise LoraError(f"it holds no LoRA, or one of an unknown kind ({key[:80]})")
    found = {name: value for name, value in match.groupdict().items() if value and name != "base"}
    return match["base"], found.get("other") or next(iter(found))


def grouped(keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """Name of a layer -> kind of part -> key. Raises `LoraError`, also where two keys say the same."""
    found: dict[str, dict[str, str]] = {}
    for key in sorted(keys):
        base, kind = split(key)
        parts = found.setdefault(base, {})
        if kind in parts:
            raise LoraError(f"{parts[kind]} and {key} are for the same factor; keep one adapter in the file")
        parts[kind] = key
    return found


_tables: weakref.WeakKeyDictionary[Any, dict[str, Layer]] = weakref.WeakKeyDictionary()


def layer_of(base: str, pipeline: DiffusionPipeline) -> Layer | None:
    """The layer of the model that a name from `split` means; None = the model has none of that name."""
    if pipeline.unet not in _tables:
        _tables[pipeline.unet] = dict(_all_names(pipeline))
    return _tables[pipeline.unet].get(_flat(base))


def module_of(layer: Layer, pipeline: DiffusionPipeline) -> Any:
    """The module of a layer that `layer_of` gave."""
    return getattr(pipeline, layer[0]).get_submodule(layer[1])


def _all_names(pipeline: DiffusionPipeline) -> Iterator[tuple[str, Layer]]:
    one_encoder = getattr(pipeline, "text_encoder_2", None) is None
    for part, prefixes in _PREFIXES.items():
        model = getattr(pipeline, part, None)
        if model is None:
            continue
        if part == "text_encoder" and one_encoder:
            prefixes += _ONLY_ENCODER
        for module, inner in model.named_modules():
            if getattr(inner, "weight", None) is None:
                continue
            names = _unet_names(module, model) if part == "unet" else _encoder_names(module)
            for name in names:
                for prefix in prefixes:
                    yield _flat(f"{prefix}.{name}" if prefix else name), (part, module)


def _unet_names(module: str, unet: Any) -> Iterator[str]:
    yield module
    if module.endswith(".to_out.0"):
        yield module.removesuffix(".0")  # of diffusers before 0.21
    layers = unet.config.layers_per_block
    if isinstance(layers, int):
        attention = frozenset(
            f"up_blocks.{i}" for i, block in enumerate(unet.up_blocks) if hasattr(block, "attentions")
        )
        with contextlib.suppress(LoraError):  # a layer that Stability's code does not have
            yield to_stability(module, layers, attention)


def _encoder_names(module: str) -> Iterator[str]:
    """transformers 5 dropped "text_model" from the names of modules; files keep it."""
    plain = module.removeprefix("text_model.")
    yield plain
    yield f"text_model.{plain}"


def _flat(name: str) -> str:
    return name.replace(".", "_")
