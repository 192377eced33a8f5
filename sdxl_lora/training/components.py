"""The loaded parts of a run: adapter on the UNet, batch builder, noise scheduler; encoders only as long as they are
needed.

Text encoders, VAE and UNet are loaded one after the other; the first two fill the caches and are let go before the
next comes, so that the peak of memory is the largest of the three and not their sum.
"""

import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler
from diffusers.models.attention_processor import AttnProcessor
from torch.utils.checkpoint import checkpoint

from sdxl_lora.models import compiling
from sdxl_lora.models.int8 import quantise_layers
from sdxl_lora.training import base_model, starting
from sdxl_lora.training.adapter import Adapter, LoraSettings
from sdxl_lora.training.batches import (
    BatchBuilder,
    CachedLatents,
    CachedText,
    LatentSource,
    LiveLatents,
    LiveText,
    TextSource,
)
from sdxl_lora.training.cpu import attention, blocks, memory, packed
from sdxl_lora.training.events import Encoded, Event, Notice
from sdxl_lora.training.latents import posterior, require_finite
from sdxl_lora.training.setup import Setup
from sdxl_lora.training.text import TextCondition, TextEncoding

_TEXT_BATCH = 64
_FEW_TOKENS = 4096  # latents a picture; up to here plain products beat PyTorch's fused attention on CPUs
# the VAE takes 3 GB for them in fp32, less than training; more at once is no faster
_PIXELS_AT_ONCE = 1024 * 1024
_PICTURES_AT_ONCE = 16


@dataclass(kw_only=True)
class Components:
    """What the loop works with. The VAE and the encoded prompts are there when pictures are to be drawn."""

    unet: Any  # called in the loop; compiled, if asked for
    adapter: Adapter
    builder: BatchBuilder
    scheduler: DDPMScheduler
    encoding: TextEncoding | None  # kept where it is trained or captions are encoded in every step
    vae: AutoencoderKL | None
    prompts: tuple[TextCondition, TextCondition] | None  # validation prompts, unconditional; on the CPU


def load(setup: Setup) -> Iterator[Event | Components]:
    """Loads everything and fills the caches; yields progress, and the `Components` last.

    The space of the caches is taken first: a full disk is found before any weights are loaded.
    """
    config, base, device = setup.config, setup.base, setup.accelerator.device
    on_cpu = device.type == "cpu"
    if on_cpu:
        memory.keep_freed()
    with setup.accelerator.local_main_process_first():
        text_cache, latent_cache = _open_text_cache(setup), _open_latent_cache(setup)
    encoding = TextEncoding(base.architecture, base.tokenizers(), base.text_encoders(setup.dtype), device)
    prompts = _encode_prompts(encoding, config.validation_prompts)
    text, keep_encoding = yield from _text_source(setup, encoding, text_cache)
    if not keep_encoding:
        encoding.encoders.clear()
    vae = base.vae(setup.dtype).to(device)
    if on_cpu:
        vae.to(memory_format=torch.channels_last)  # oneDNN's own
    latents, keep_vae = yield from _latent_source(setup, vae, latent_cache)
    if not keep_vae:
        vae.to("cpu")  # validation brings it back for as long as it draws
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the blocks that fitted the VAE do not fit the UNet
    unet = base.unet(setup.dtype)
    if config.base_precision == "int8":
        quantise_layers(unet)
    unet.to(device).to(memory_format=torch.channels_last)
    parts = {"unet": unet}
    if config.train_text_encoder:
        parts |= dict(zip(base_model.TEXT_ENCODERS, encoding.encoders, strict=False))
    cached = isinstance(text, CachedText) and isinstance(latents, CachedLatents)
    adapter = Adapter(parts, lora_settings(setup), setup.seed, setup.compute)
    if setup.start is not None and setup.checkpoint is None:
        yield Notice(text=starting.load(setup.start, adapter))
    _switch_on(setup, parts)
    builder = BatchBuilder(
        setup.data_index,
        latents,
        text,
        time_ids=base.architecture == "sdxl",
        caption_dropout=config.caption_dropout,
        keep_tags=config.keep_tokens if config.shuffle_tags else None,
        original_size=config.original_size,
        vae_factor=base.vae_factor,
        device=torch.device("cpu") if cached else device,  # on a GPU a thread makes the next batch
    )
    yield Components(
        unet=unet,
        adapter=adapter,
        builder=builder,
        scheduler=base.noise_scheduler(setup.prediction_type),
        encoding=encoding if keep_encoding else None,
        vae=vae if keep_vae or config.validation_prompts else None,
        prompts=prompts,
    )


def lora_settings(setup: Setup) -> LoraSettings:
    """Shape of the run's LoRA: as set, and on all that the LoRA changes from which it starts."""
    config, start = setup.config, setup.start
    more = {part: start.modules(part) for part in ("unet", *base_model.TEXT_ENCODERS)} if start else {}
    return LoraSettings(
        rank=config.rank,
        alpha=config.alpha,
        dora=config.use_dora,
        target=config.lora_target,
        dropout=config.lora_dropout,
        more=more,
    )


def _open_text_cache(setup: Setup) -> CachedText | None:
    if not setup.config.text_cached:
        return None
    parts = ["text_encoder", "tokenizer"]
    if setup.base.architecture == "sdxl":
        parts += ["text_encoder_2", "tokenizer_2"]
    key, shape = setup.base.fingerprint(*parts), setup.base.text_shape()
    return CachedText(setup.data_index.captions, setup.cache_dir, key, shape, setup.dtype)


def _open_latent_cache(setup: Setup) -> CachedLatents | None:
    if setup.config.no_latent_cache:
        return None
    return CachedLatents(
        setup.data_index,
        setup.cache_dir,
        f"{setup.base.fingerprint('vae')} {setup.base.vae_dtype(setup.dtype)}",
        setup.base.latent_channels,
        setup.base.vae_factor,
        setup.config.image_interpolation_mode,
    )


def _text_source(
    setup: Setup, encoding: TextEncoding, cache: CachedText | None
) -> Generator[Event, None, tuple[TextSource, bool]]:
    """Returns (source, whether the encoders stay)."""
    config = setup.config
    why = "--train_text_encoder" if config.train_text_encoder else "--shuffle_tags"
    if cache is None and not config.no_text_cache:
        yield Notice(text=f"{why}: captions are encoded in every step, the text cache is off")
    if config.train_text_encoder:
        return LiveText(encoding, setup.autocast), True
    if cache is None:
        return LiveText(encoding), True
    for done, total in cache.fill(encoding, _TEXT_BATCH, _share(setup)):
        yield Encoded(what="captions", done=done, total=total)
    setup.accelerator.wait_for_everyone()
    return cache, False


def _latent_source(
    setup: Setup, vae: AutoencoderKL, cache: CachedLatents | None
) -> Generator[Event, None, tuple[LatentSource, bool]]:
    """Returns (source, whether the VAE stays)."""
    config, data_index = setup.config, setup.data_index
    live = LiveLatents(data_index, vae, config.image_interpolation_mode, config.dataloader_num_workers)
    require_finite(posterior(vae, live.pixels([0], [0])), data_index.source.keys[0])
    if cache is None:
        return live, True
    for done, total in cache.fill(live, pictures_at_once(vae.device, setup.resolution), _share(setup)):
        yield Encoded(what="pictures", done=done, total=total)
    setup.accelerator.wait_for_everyone()
    return cache, False


def pictures_at_once(device: torch.device, resolution: int) -> int:
    """How many pictures the VAE encodes together. Never of what is free: a batch rounds differently from its parts, and
    a cache that was interrupted must go on with the batches it began with.
    """
    if device.type == "cpu":
        return 1
    return max(1, min(_PICTURES_AT_ONCE, _PIXELS_AT_ONCE // resolution**2))


def _share(setup: Setup) -> tuple[int, int]:
    """(this process, processes) on this machine: every machine fills its own cache."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", setup.accelerator.num_processes))
    return setup.accelerator.local_process_index, max(1, local)


@torch.no_grad()
def _encode_prompts(
    encoding: TextEncoding, prompts: Sequence[str]
) -> tuple[TextCondition, TextCondition] | None:
    if not prompts:
        return None
    cpu = torch.device("cpu")
    return encoding.encode(prompts).to(cpu), encoding.unconditional(1).to(cpu)


def _switch_on(setup: Setup, parts: dict[str, Any]) -> None:
    config, unet = setup.config, parts["unet"]
    for part in parts.values():
        part.train()
    tokens = (setup.resolution // setup.base.vae_factor) ** 2
    if setup.accelerator.device.type == "cpu" and tokens <= _FEW_TOKENS:
        unet.set_attn_processor(AttnProcessor())
    if config.allow_tf32:
        torch.backends.cuda.matmul.allow_tf32 = True
    if config.enable_xformers_memory_efficient_attention:
        unet.enable_xformers_memory_efficient_attention()
    if config.enable_npu_flash_attention:
        unet.enable_npu_flash_attention()
    if config.gradient_checkpointing:
        unet.enable_gradient_checkpointing(
            _checkpointed_with_dropout if config.lora_dropout else _checkpointed
        )
        for name, part in parts.items():
            if name != "unet":
                part.gradient_checkpointing_enable()
    on_cpu = setup.accelerator.device.type == "cpu" and setup.accelerator.mixed_precision == "no"
    if config.compile:
        compiling.compile_blocks(unet, one_size=len(setup.data_index.buckets) == 1)
    elif on_cpu and packed.pack(unet):  # kernels for small models
        if tokens <= _FEW_TOKENS and not config.enable_xformers_memory_efficient_attention:
            attention.install(unet)
            blocks.install(unet)
        _use_once(setup, unet)


def _checkpointed(module: Any, *inputs: Any) -> Any:
    """`module(*inputs)`, computed again in the backward pass. Nothing in it is random: no generator has to be read."""
    return checkpoint(module.__call__, *inputs, use_reentrant=False, preserve_rng_state=False)


def _checkpointed_with_dropout(module: Any, *inputs: Any) -> Any:
    """The same, leaving out the same inputs both times."""
    return checkpoint(module.__call__, *inputs, use_reentrant=False, preserve_rng_state=True)


def _use_once(setup: Setup, unet: Any) -> None:
    """One step on zeros. Weights are packed for the shapes of the first use, which must not be those of whatever batch
    a continued run begins with.
    """
    base, batch, side = setup.base, setup.config.train_batch_size, setup.resolution // setup.base.vae_factor
    tokens, width, pooled = base.text_shape()
    added = {"text_embeds": torch.zeros(batch, pooled), "time_ids": torch.zeros(batch, 6)} if pooled else None
    noisy, times = torch.zeros(batch, base.latent_channels, side, side), torch.zeros(batch, dtype=torch.int64)
    answer = unet(noisy, times, torch.zeros(batch, tokens, width), added_cond_kwargs=added, return_dict=False)
    answer[0].sum().backward()
    for parameter in unet.parameters():
        parameter.grad = None
