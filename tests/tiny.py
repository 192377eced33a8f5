"""Tiny pipelines of the real classes, randomly initialised: all a test needs of SDXL in a second, offline.

The tokenizer is CLIP's byte-level BPE without merges: every UTF-8 byte is one token, so any text works and
the limit of 77 tokens is reached after 75 letters. Pictures are noise; what they show is never asserted on.
"""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    EulerDiscreteScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from sdxl_lora.config import Architecture

SIDE = 64  # px, the size the tiny models draw at by default
LATENT_FACTOR = 4  # px of a side per latent, as the tiny models have it unless a test asks for another


def tokenizer(max_length: int = 77, pad_token: str = "<|endoftext|>") -> CLIPTokenizer:
    """CLIP's tokenizer whose vocabulary is the 256 bytes, in and at the end of a word, and the two marks."""
    alphabet = sorted(ByteLevel.alphabet())
    symbols = [*alphabet, *(f"{symbol}</w>" for symbol in alphabet), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], pad_token=pad_token, model_max_length=max_length)


def text_config(hidden_size: int = 32, projection_dim: int = 32) -> CLIPTextConfig:
    """A two-layer CLIP text tower over `tokenizer()`."""
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=hidden_size,
        intermediate_size=hidden_size * 2,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        projection_dim=projection_dim,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def vae(factor: int = LATENT_FACTOR) -> AutoencoderKL:
    """Four latent channels; one latent stands for `factor` x `factor` pixels (a power of two)."""
    blocks = factor.bit_length()
    return AutoencoderKL(
        block_out_channels=(8, *[16] * (blocks - 1)),
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=SIDE,
    )


def scheduler() -> EulerDiscreteScheduler:
    """The one SDXL ships with, discrete Euler on a scaled-linear schedule."""
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing="leading",
    )


def sdxl_pipeline(factor: int = LATENT_FACTOR, channels: int = 4) -> StableDiffusionXLPipeline:
    """A randomly initialised SDXL: cross attention 64 wide (two towers of 32), `text_time` condition.

    `channels`: of the UNet; 9 = an inpainting model.
    """
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=channels,
        sample_size=SIDE // factor,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
        cross_attention_dim=64,
    )
    pipeline = StableDiffusionXLPipeline(
        vae=vae(factor),
        text_encoder=CLIPTextModel(text_config()),
        text_encoder_2=CLIPTextModelWithProjection(text_config()),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(pad_token="!"),
        unet=unet,
        scheduler=scheduler(),
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sd_pipeline(channels: int = 4) -> StableDiffusionPipeline:
    """A randomly initialised Stable Diffusion 1.x: one tower, cross attention 32 wide; 9 `channels`: for inpainting."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=channels,
        sample_size=SIDE // LATENT_FACTOR,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        cross_attention_dim=32,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(text_config()),
        tokenizer=tokenizer(),
        unet=unet,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_sdxl(folder: Path, factor: int = LATENT_FACTOR) -> Path:
    """Saves `sdxl_pipeline(factor)` as a folder of safetensors."""
    sdxl_pipeline(factor).save_pretrained(folder, safe_serialization=True)
    return folder


def save_sd(folder: Path) -> Path:
    """Saves `sd_pipeline()` as a folder of safetensors."""
    sd_pipeline().save_pretrained(folder, safe_serialization=True)
    return folder


def save_inpainting(folder: Path, architecture: Architecture = "sdxl") -> Path:
    """Saves a model whose UNet has nine channels, as diffusers' inpainting pipelines are saved."""
    if architecture == "sdxl":
        StableDiffusionXLInpaintPipeline(
            **sdxl_pipeline(channels=9).components, add_watermarker=False
        ).save_pretrained(folder, safe_serialization=True)
    else:
        StableDiffusionInpaintPipeline(
            **sd_pipeline(channels=9).components, requires_safety_checker=False
        ).save_pretrained(folder, safe_serialization=True)
    return folder


def vision_config(projection: int) -> CLIPVisionConfig:
    """A picture tower for 32 px, whose results are `projection` wide."""
    return CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        projection_dim=projection,
    )


def save_clip(folder: Path) -> Path:
    """Saves a randomly initialised `CLIPModel` (32 px pictures) with its processor."""
    torch.manual_seed(0)
    vision = vision_config(32)
    text = text_config()
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=32)
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(image_processor=images, tokenizer=tokenizer()).save_pretrained(folder)
    return folder


def save_controlnet(folder: Path, architecture: Architecture = "sdxl", factor: int = LATENT_FACTOR) -> Path:
    """Saves a `ControlNetModel` for the tiny model, trained in nothing, but not silent as a new one is."""
    unet = (sdxl_pipeline(factor) if architecture == "sdxl" else sd_pipeline()).unet
    torch.manual_seed(2)
    channels = (4, 8, 16, 32)[: factor.bit_length()]
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=channels)
    with torch.no_grad():
        for part in (
            *net.controlnet_down_blocks,
            net.controlnet_mid_block,
            net.controlnet_cond_embedding.conv_out,
        ):
            part.weight.normal_(std=0.2)
    net.save_pretrained(folder, safe_serialization=True)
    return folder


def save_ip_adapter(folder: Path, architecture: Architecture = "sdxl", width: int = 32) -> Path:
    """Saves an IP-Adapter for the tiny model in the layout of h94/IP-Adapter's files, and its encoder, `width` wide."""
    unet = (sdxl_pipeline() if architecture == "sdxl" else sd_pipeline()).unet
    torch.manual_seed(3)
    text = unet.config.cross_attention_dim
    state = {
        "image_proj.proj.weight": torch.randn(4 * text, width),
        "image_proj.proj.bias": torch.zeros(4 * text),
        "image_proj.norm.weight": torch.ones(text),
        "image_proj.norm.bias": torch.zeros(text),
    }
    for place, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            hidden = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
            for part in ("to_k_ip", "to_v_ip"):
                state[f"ip_adapter.{place}.{part}.weight"] = torch.randn(hidden, text)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "ip-adapter.safetensors")
    encoder = CLIPVisionModelWithProjection(vision_config(width))
    encoder.save_pretrained(folder / "image_encoder", safe_serialization=True)
    return folder


def lora_state(pipeline: StableDiffusionPipeline | StableDiffusionXLPipeline) -> dict[str, torch.Tensor]:
    """A LoRA of rank 2 with random weights on the attention of UNet and first text encoder, peft's layout."""
    torch.manual_seed(1)
    for part, targets in (
        (pipeline.unet, ["to_q", "to_k", "to_v", "to_out.0"]),
        (pipeline.text_encoder, ["q_proj", "k_proj", "v_proj", "out_proj"]),
    ):
        part.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=targets))
    unet = get_peft_model_state_dict(pipeline.unet)
    encoder = get_peft_model_state_dict(pipeline.text_encoder)
    # transformers 5 dropped "text_model" from the names of the modules; LoRA files keep it
    return {f"unet.{key}": value for key, value in unet.items()} | {
        f"text_encoder.text_model.{key}": value for key, value in encoder.items()
    }


def save_lora(
    file: Path, architecture: Architecture = "sdxl", layout: str = "peft", scale: float = 8.0
) -> Path:
    """Saves `lora_state` for the tiny model; `layout` "kohya" is what AUTOMATIC1111 and ComfyUI read.

    `scale` makes it strong enough to be seen in a picture of noise.
    """
    state = lora_state(sdxl_pipeline() if architecture == "sdxl" else sd_pipeline())
    state = {key: value * scale if "lora_B" in key else value for key, value in state.items()}
    if layout == "kohya":
        state = convert_state_dict_to_kohya(state)
        if architecture == "sd":  # kohya numbers the text encoders only where there are two
            state = {key.replace("lora_te1_", "lora_te_"): value for key, value in state.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in state.items()}, file)
    return file
