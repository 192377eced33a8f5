"""A logo that is shown to the model while it draws: what diffusers' own pipelines draw, and nothing in secret."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, StableDiffusionXLControlNetPipeline
from diffusers.models import attention_processor
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from sdxl_lora import inputs
from sdxl_lora.errors import InputError, MemoryLimitError, RequestError, StudioError
from sdxl_lora.generation import PictureDone, Started, check, cueing, generate, handoff, resolve
from sdxl_lora.logos import asked, cues, keeping, typical
from sdxl_lora.models import engines, room
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load, unload
from sdxl_lora.request import GenerationRequest, LogoSpec, LoraSpec, ResolvedRequest
from tests import tiny
from tests.logos import marks


@pytest.fixture(scope="session")
def controlnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_controlnet(tmp_path_factory.mktemp("cues") / "controlnet")


@pytest.fixture(scope="session")
def ip_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_ip_adapter(tmp_path_factory.mktemp("cues") / "ip-adapter")


@pytest.fixture
def wish(tiny_sdxl: Path, controlnet: Path, ip_adapter: Path) -> GenerationRequest:
    """A request with a logo and the networks for it, which says nothing of a cue."""
    logo = LogoSpec(hash=keeping.keep(marks.PEAK, "peak.svg").hash, name="peak.svg")
    return GenerationRequest(
        prompt="a navy jacket",
        model=str(tiny_sdxl),
        steps=3,
        seed=5,
        guidance=5.0,
        precision="fp32",
        logos=(logo,),
        controlnet=str(controlnet),
        ip_adapter=str(ip_adapter),
    )


def drawn(request: GenerationRequest) -> Image.Image:
    resolved = resolve(request)
    events = generate(load(ModelConfig.of(resolved)), resolved)
    return next(event.image for event in events if isinstance(event, PictureDone))


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / max(1e-9, np.square(difference).mean())))


@pytest.mark.parametrize("cue", ["controlnet", "ip-adapter", "both"])
def test_a_cue_changes_the_picture_and_the_same_seed_gives_the_same(
    wish: GenerationRequest, cue: str
) -> None:
    plain, first, again = drawn(wish), drawn(replace(wish, logo_cue=cue)), drawn(replace(wish, logo_cue=cue))
    assert first.tobytes() == again.tobytes()
    assert psnr(plain, first) < 40
    assert drawn(wish).tobytes() == plain.tobytes()  # the model is what it was


def test_with_a_strength_of_0_nothing_is_loaded_and_the_picture_is_the_plain_one(
    wish: GenerationRequest,
) -> None:
    unload()
    off = replace(wish, logo_cue="both", controlnet_conditioning_scale=0.0, ip_adapter_scale=0.0)
    assert drawn(off).tobytes() == drawn(wish).tobytes()
    assert not {"controlnet", "ip_adapter"} & set(load(ModelConfig.of(resolve(off))).base.cache)


@pytest.mark.parametrize("guidance", [5.0, 1.0])
@pytest.mark.parametrize("cue", ["controlnet", "both"])
def test_a_cued_picture_is_the_one_of_diffusers_own_pipeline(
    wish: GenerationRequest, controlnet: Path, ip_adapter: Path, cue: str, guidance: float
) -> None:
    request = resolve(replace(wish, logo_cue=cue, guidance=guidance))
    logo = asked.read(request.logos[0])
    size = (request.width, request.height)
    edges = cues.edges([(logo, typical.corners(request.logos[0], logo.aspect, size))], size)
    stock = StableDiffusionXLControlNetPipeline(
        **tiny.sdxl_pipeline().components,
        controlnet=ControlNetModel.from_pretrained(controlnet),
        add_watermarker=False,
    )
    stock.set_progress_bar_config(disable=True)
    more: dict[str, Any] = {}
    if cue == "both":
        encoder = CLIPVisionModelWithProjection.from_pretrained(ip_adapter / "image_encoder").eval()
        stock.register_modules(
            image_encoder=encoder, feature_extractor=CLIPImageProcessor(size=32, crop_size=32)
        )
        stock.load_ip_adapter(str(ip_adapter), subfolder="", weight_name="ip-adapter.safetensors")
        stock.set_ip_adapter_scale(request.ip_adapter_scale)
        more["ip_adapter_image"] = cues.alone(logo)
    theirs = stock(
        request.prompt,
        image=edges,
        controlnet_conditioning_scale=request.controlnet_conditioning_scale,
        guidance_scale=guidance,
        num_inference_steps=request.steps,
        width=request.width,
        height=request.height,
        generator=torch.Generator().manual_seed(request.seed),
        **more,
    ).images[0]
    assert psnr(drawn(request), theirs) > 60


def test_models_of_stable_diffusion_1_are_cued_by_networks_of_their_own(
    wish: GenerationRequest, tiny_sd: Path, tmp_path: Path
) -> None:
    own = replace(
        wish,
        model=str(tiny_sd),
        controlnet=str(tiny.save_controlnet(tmp_path / "controlnet", "sd")),
        ip_adapter=str(tiny.save_ip_adapter(tmp_path / "adapter", "sd")),
    )
    plain = drawn(own)
    request = resolve(replace(own, logo_cue="controlnet"))
    logo = asked.read(request.logos[0])
    size = (request.width, request.height)
    stock = StableDiffusionControlNetPipeline(
        **tiny.sd_pipeline().components,
        controlnet=ControlNetModel.from_pretrained(own.controlnet),
        requires_safety_checker=False,
    )
    stock.set_progress_bar_config(disable=True)
    theirs = stock(
        request.prompt,
        image=cues.edges([(logo, typical.corners(request.logos[0], logo.aspect, size))], size),
        controlnet_conditioning_scale=0.5,
        guidance_scale=request.guidance,
        num_inference_steps=request.steps,
        generator=torch.Generator().manual_seed(request.seed),
    ).images[0]
    assert psnr(drawn(request), theirs) > 60
    assert psnr(drawn(replace(own, logo_cue="ip-adapter")), plain) < 40


def test_on_a_start_picture_the_cue_stands_where_the_garment_has_the_place(
    wish: GenerationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def edges(placed: Any, size: tuple[int, int]) -> Image.Image:
        seen.append(placed)
        return Image.new("RGB", size, "white")

    monkeypatch.setattr(cues, "edges", edges)
    photo = Image.new("RGB", (64, 64), "white")
    photo.paste("#203060", (4, 20, 34, 62))  # a garment on the left
    begun = replace(wish, logo_cue="controlnet", start_picture=inputs.keep(photo).hash, strength=0.5)
    drawn(begun)
    [[(_, corners)]] = seen
    assert corners[:, 0].max() < 36
    assert psnr(drawn(begun), drawn(replace(begun, logo_cue="none"))) < 40


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_other_precisions_draw_the_same_cued_picture(wish: GenerationRequest, precision: Any) -> None:
    cued = replace(wish, logo_cue="both")
    assert psnr(drawn(replace(cued, precision=precision)), drawn(cued)) > 40


def test_guidance_that_ends_early_and_loras_go_with_a_cue(wish: GenerationRequest, tmp_path: Path) -> None:
    lora = tiny.save_lora(tmp_path / "lora.safetensors")
    both = replace(wish, logo_cue="both", guidance_end=0.5)
    with_lora = replace(both, loras=(LoraSpec(path=str(lora)),))
    plain = drawn(both)
    assert psnr(plain, drawn(with_lora)) < 40
    assert drawn(both).tobytes() == plain.tobytes()  # taken out of the mirror as well


def test_every_picture_of_a_cued_batch_is_the_one_drawn_alone(wish: GenerationRequest) -> None:
    request = resolve(replace(wish, logo_cue="both", count=2))
    events = generate(load(ModelConfig.of(request)), request)
    pictures = [event.image for event in events if isinstance(event, PictureDone)]
    assert pictures[1].tobytes() == drawn(replace(wish, logo_cue="both", seed=6)).tobytes()


def test_a_record_says_by_contents_which_networks_it_was(
    wish: GenerationRequest, controlnet: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(controlnet, tmp_path / "mine")
    cued = replace(wish, logo_cue="controlnet", controlnet=str(folder))
    request = resolve(cued)
    assert len(request.controlnet_sha256) == 64
    assert request.ip_adapter_sha256 == ""
    tiny.save_controlnet(folder)  # the same again
    model = load(ModelConfig.of(request))
    net = ControlNetModel.from_pretrained(folder)
    torch.nn.init.ones_(net.controlnet_mid_block.weight)
    net.save_pretrained(folder)
    with pytest.raises(RequestError, match="has changed since this was asked for"):
        list(generate(model, request))
    assert resolve(cued).controlnet_sha256 != request.controlnet_sha256


def test_a_sketch_of_one_cue_is_not_finished_with_another(wish: GenerationRequest) -> None:
    one = resolve(replace(wish, logo_cue="controlnet"))
    moved = replace(one, logos=(replace(one.logos[0], at="hem"),))
    assert handoff.key_of(one, 2) != handoff.key_of(moved, 2)
    plain = resolve(wish)
    assert handoff.key_of(plain, 2) == handoff.key_of(replace(plain, logos=moved.logos), 2)


def test_other_engines_leave_a_cued_picture_to_torch_and_say_so(wish: GenerationRequest) -> None:
    request = resolve(replace(wish, logo_cue="controlnet", engine="compiled"))
    started = next(iter(generate(load(ModelConfig.of(request)), request)))
    assert isinstance(started, Started)
    assert started.request.engine == "torch"
    assert "a logo is shown while drawing, which compiled cannot" in started.note
    assert engines.choose("auto", "cpu", "bf16", 1, cued=True) == "torch"


def wrong(wish: GenerationRequest, **fields: Any) -> str:
    """The one line about a request that cannot be drawn."""
    with pytest.raises(StudioError) as caught:
        drawn(replace(wish, **{"logo_cue": "controlnet", **fields}))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_cannot_be_shown_is_told_in_one_line(
    wish: GenerationRequest, tiny_sdxl: Path, tmp_path: Path
) -> None:
    assert "there is no logo to show" in wrong(wish, logos=())
    expected = (replace(wish.logos[0], at="expected"),)
    assert "needs a place" in wrong(wish, logos=expected)
    assert "use cache interval 1" in wrong(wish, cache_interval=2)
    assert "made for SDXL; use --model sdxl" in wrong(wish, controlnet="")
    assert "made for SDXL" in wrong(wish, logo_cue="ip-adapter", ip_adapter="h94/IP-Adapter")
    assert "made for SDXL" in wrong(wish, model="mini", controlnet="")
    assert "there is no ControlNet at" in wrong(wish, controlnet=str(tmp_path / "nothing"))
    assert "holds no ControlNet" in wrong(wish, controlnet=str(tmp_path))
    assert "no ControlNet; name another" in wrong(wish, controlnet=str(tiny_sdxl / "unet"))
    photo = inputs.keep(Image.new("RGB", (64, 64))).hash
    mask = inputs.keep(Image.new("L", (64, 64), 255)).hash
    assert "leave out the mask" in wrong(wish, start_picture=photo, mask=mask)


def test_networks_for_another_model_are_refused_with_what_differs(
    wish: GenerationRequest, tmp_path: Path, controlnet: Path
) -> None:
    theirs = tiny.save_controlnet(tmp_path / "sd", "sd")
    assert "cross attention dim 32, not 64" in wrong(wish, controlnet=str(theirs))
    coarse = tiny.save_controlnet(tmp_path / "coarse", factor=8)
    assert "reads 8 px per latent" in wrong(wish, controlnet=str(coarse))
    adapter = tiny.save_ip_adapter(tmp_path / "adapter", "sd")
    assert "text [32], not" in wrong(wish, logo_cue="ip-adapter", ip_adapter=str(adapter))
    assert "is no IP-Adapter" in wrong(
        wish, logo_cue="ip-adapter", ip_adapter=str(controlnet / "diffusion_pytorch_model.safetensors")
    )
    shutil.rmtree(adapter / "image_encoder")
    assert "has no image encoder 32 wide" in wrong(wish, logo_cue="ip-adapter", ip_adapter=str(adapter))


def test_weights_that_could_run_code_or_are_damaged_are_never_opened(
    wish: GenerationRequest, controlnet: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(controlnet, tmp_path / "pickled")
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.rename(folder / "diffusion_pytorch_model.bin")
    assert "other formats can run code" in wrong(wish, controlnet=str(folder))
    pickle = tmp_path / "adapter.bin"
    pickle.write_bytes(b"no")
    assert "other formats can run code" in wrong(wish, logo_cue="ip-adapter", ip_adapter=str(pickle))
    weights.write_bytes(b"\x08" * 100)
    assert "cannot be loaded" in wrong(wish, controlnet=str(folder))


def test_too_little_memory_for_a_network_is_told_before_it_is_loaded(
    wish: GenerationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = resolve(replace(wish, logo_cue="controlnet"))
    model = load(ModelConfig.of(request))
    monkeypatch.setattr(room, "free_bytes", lambda device: 1)
    with pytest.raises(MemoryLimitError, match="draw without the logo's cue"):
        list(generate(model, request))


def test_an_adapter_leaves_the_networks_own_attention_alone(wish: GenerationRequest) -> None:
    request = resolve(replace(wish, logo_cue="ip-adapter"))
    model: LoadedModel = load(ModelConfig.of(request))
    list(generate(model, request))
    unet = model.engine.pipeline.unet
    assert not any(
        isinstance(one, attention_processor.IPAdapterAttnProcessor2_0)
        for one in unet.attn_processors.values()
    )
    assert unet.config.encoder_hid_dim_type is None
    assert sum(key == "ip_adapter" for key in model.base.cache) == 1


def test_checking_fetches_nothing(wish: GenerationRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of the hub that is not here is fetched when the request is decided, and not before."""
    named = replace(
        wish, logo_cue="both", controlnet="someone/canny", ip_adapter="someone/looks/adapter.safetensors"
    )
    check(named)
    with pytest.raises(StudioError, match="not on this machine"):
        resolve(named)


def test_nothing_is_prepared_without_a_cue(wish: GenerationRequest) -> None:
    request: ResolvedRequest = resolve(wish)
    assert cueing.prepare(load(ModelConfig.of(request)), request, None) is None
    with pytest.raises(InputError):
        replace(wish, logo_cue="shout")
