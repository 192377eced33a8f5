"""Pictures that begin from a picture: the stock pipelines' to the bit, and nothing changes outside a mask."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
)
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.errors import Cancelled, ImageError, NotFoundError, RequestError
from sdxl_lora.generation import PictureDone, StepDone, check, generate, resolve
from sdxl_lora.generation.starting import drawn_size
from sdxl_lora.models import registry, schedulers
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest, LoraSpec, ResolvedRequest
from tests import tiny

STOCK = {
    ("sdxl", False): StableDiffusionXLImg2ImgPipeline,
    ("sdxl", True): StableDiffusionXLInpaintPipeline,
    ("sd", False): StableDiffusionImg2ImgPipeline,
    ("sd", True): StableDiffusionInpaintPipeline,
}


@pytest.fixture(scope="session")
def inpainting_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_inpainting(tmp_path_factory.mktemp("models") / "inpainting-sdxl", "sdxl")


@pytest.fixture(scope="session")
def inpainting_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_inpainting(tmp_path_factory.mktemp("models") / "inpainting-sd", "sd")


def photo(width: int = 64, height: int = 64, seed: int = 1) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(noise)


def mask_of(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def kept(picture: Image.Image) -> str:
    return inputs.keep(picture).hash


def wish(model: Path, **fields: Any) -> GenerationRequest:
    usual: dict[str, Any] = {"steps": 4, "seed": 11, "precision": "fp32", "guidance": 5.0}
    return GenerationRequest(prompt="a navy jacket", model=str(model), **(usual | fields))


def drawn(request: ResolvedRequest) -> list[Image.Image]:
    events = generate(load(ModelConfig.of(request)), request)
    return [event.image for event in events if isinstance(event, PictureDone)]


def outside(picture: Image.Image, mask: Image.Image) -> np.ndarray:
    return np.asarray(picture)[np.asarray(mask) == 0]


@pytest.mark.parametrize("guidance", [5.0, 1.0])
@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("kind", ["sdxl", "sd"])
def test_image_to_image_is_bit_for_bit_the_stock_pipelines(
    kind: str, strength: float, guidance: float, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(f"tiny_{kind}")
    start = photo()
    stock = STOCK[kind, False].from_pretrained(folder)
    stock.set_progress_bar_config(disable=True)
    expected = stock(
        "a navy jacket",
        image=start,
        strength=strength,
        num_inference_steps=4,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(11),
    ).images[0]
    ours = drawn(resolve(wish(folder, start_picture=kept(start), strength=strength, guidance=guidance)))
    assert ours[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("folder", ["tiny_sdxl", "tiny_sd", "inpainting_sdxl", "inpainting_sd"])
def test_what_is_drawn_in_a_mask_is_bit_for_bit_the_stock_pipelines(
    folder: str, strength: float, request: pytest.FixtureRequest
) -> None:
    model: Path = request.getfixturevalue(folder)
    start, mask = photo(), mask_of((64, 64), (16, 8, 48, 40))
    stock = STOCK[folder.split("_")[1], True].from_pretrained(model)
    stock.set_progress_bar_config(disable=True)
    expected = stock(
        "a navy jacket",
        image=start,
        mask_image=mask,
        width=64,
        height=64,
        strength=strength,
        num_inference_steps=4,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(11),
    ).images[0]
    given = {"start_picture": kept(start), "mask": kept(mask), "strength": strength, "mask_feather": 0}
    [ours] = drawn(resolve(wish(model, **given)))
    inside = Image.composite(ours, Image.new("RGB", (64, 64)), mask)
    assert inside.tobytes() == Image.composite(expected, Image.new("RGB", (64, 64)), mask).tobytes()
    assert outside(ours, mask).tobytes() == outside(start, mask).tobytes()


def test_a_model_of_nine_channels_loads_says_so_and_draws_from_noise_too(inpainting_sdxl: Path) -> None:
    assert registry.describe(str(inpainting_sdxl)).capabilities.inpainting
    [picture] = drawn(resolve(wish(inpainting_sdxl)))
    [varied] = drawn(resolve(wish(inpainting_sdxl, start_picture=kept(photo()))))
    assert picture.tobytes() != varied.tobytes()


@pytest.mark.parametrize("size", [(64, 64), (97, 131), (400, 90), (333, 500)])
def test_pixels_outside_a_mask_are_the_photos_at_its_own_size(size: tuple[int, int], tiny_sdxl: Path) -> None:
    start = photo(*size)
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 4, size[1] // 3, size[0] // 2, size[1] // 2))
    [made] = drawn(resolve(wish(tiny_sdxl, start_picture=kept(start), mask=kept(mask))))
    assert made.size == size
    assert outside(made, mask).tobytes() == outside(start, mask).tobytes()
    assert (np.asarray(made) != np.asarray(start)).any()


def test_the_edge_of_a_mask_is_blended_inside_it(tiny_sdxl: Path) -> None:
    start, mask = Image.new("RGB", (64, 64), "white"), mask_of((64, 64), (8, 8, 56, 56))
    given = {"start_picture": kept(start), "mask": kept(mask)}
    [hard] = drawn(resolve(wish(tiny_sdxl, **given, mask_feather=0)))
    [soft] = drawn(resolve(wish(tiny_sdxl, **given, mask_feather=8)))
    assert np.asarray(hard)[32, 32].tolist() == np.asarray(soft)[32, 32].tolist()
    distance = [int(np.abs(np.asarray(soft)[32, x].astype(int) - 255).sum()) for x in range(8)]
    assert distance == [0] * 8
    at_edge = [np.abs(np.asarray(made)[8:56, 8].astype(int) - 255).mean() for made in (soft, hard)]
    assert at_edge[0] < at_edge[1] / 4


def test_a_mark_thinner_than_a_latent_is_drawn_all_the_same(tiny_sdxl: Path) -> None:
    start, mask = photo(), mask_of((64, 64), (31, 5, 32, 60))
    [made] = drawn(resolve(wish(tiny_sdxl, start_picture=kept(start), mask=kept(mask))))
    changed = np.asarray(made) != np.asarray(start)
    assert changed.any()
    assert not changed[:, :31].any()
    assert not changed[:, 32:].any()


@pytest.mark.parametrize("scheduler", schedulers.NAMES)
def test_a_seed_gives_the_same_edit_again_with_every_sampler(scheduler: str, tiny_sdxl: Path) -> None:
    given = {"start_picture": kept(photo()), "mask": kept(mask_of((64, 64), (8, 8, 40, 40)))}
    request = resolve(wish(tiny_sdxl, scheduler=scheduler, strength=0.75, **given))
    assert drawn(request)[0].tobytes() == drawn(request)[0].tobytes()
    assert drawn(replace(request, seed=12))[0].tobytes() != drawn(request)[0].tobytes()


def test_the_third_of_four_edits_made_alone_is_the_same_picture(tiny_sdxl: Path) -> None:
    request = resolve(wish(tiny_sdxl, start_picture=kept(photo()), count=4))
    assert drawn(request)[2].tobytes() == drawn(request.for_picture(2))[0].tobytes()


def test_a_lora_a_prompts_weights_and_a_long_prompt_reach_an_edit(tiny_sdxl: Path, tmp_path: Path) -> None:
    plain = wish(tiny_sdxl, start_picture=kept(photo()), mask=kept(mask_of((64, 64), (0, 0, 64, 64))))
    lora = LoraSpec(path=str(tiny.save_lora(tmp_path / "brand.safetensors")))
    wishes = [
        plain,
        replace(plain, loras=(lora,)),
        replace(plain, prompt="a (navy:1.6) jacket"),
        replace(plain, prompt=f"a navy jacket {'with a zip ' * 20}"),
        replace(plain, negative_prompt="blurry"),
    ]
    assert len({drawn(resolve(one))[0].tobytes() for one in wishes}) == len(wishes)


def test_an_edit_uses_the_weights_that_are_loaded_and_leaves_them_as_they_were(tiny_sdxl: Path) -> None:
    plain = resolve(wish(tiny_sdxl, precision="bf16"))
    edit = resolve(wish(tiny_sdxl, precision="bf16", start_picture=kept(photo()), mask=kept(photo(seed=2))))
    before = drawn(plain)[0].tobytes()
    base = load(ModelConfig.of(plain)).base
    kinds = {
        name: part.dtype for name, part in base.engine.pipeline.components.items() if hasattr(part, "dtype")
    }
    drawn(edit)
    assert load(ModelConfig.of(edit)).base is base
    assert kinds == {
        name: part.dtype for name, part in base.engine.pipeline.components.items() if hasattr(part, "dtype")
    }
    assert drawn(plain)[0].tobytes() == before


def test_an_edit_is_previewed_and_cancelled_within_a_step(tiny_sdxl: Path) -> None:
    request = resolve(wish(tiny_sdxl, steps=40, start_picture=kept(photo()), mask=kept(photo(seed=2))))
    cancel, steps, previews = threading.Event(), 0, 0
    model = load(ModelConfig.of(request))
    with pytest.raises(Cancelled):
        for event in generate(model, request, cancel=cancel):
            if isinstance(event, StepDone):
                steps += 1
                previews += event.preview is not None
                if steps == 6:
                    cancel.set()
                    stopped = time.perf_counter()
    assert time.perf_counter() - stopped < 2.0
    assert previews >= 1


def test_a_strength_says_how_many_steps_are_gone(tiny_sdxl: Path) -> None:
    request = resolve(wish(tiny_sdxl, steps=10, strength=0.3, start_picture=kept(photo())))
    events = list(generate(load(ModelConfig.of(request)), request))
    assert [(e.step, e.steps) for e in events if isinstance(e, StepDone)] == [(n, 3) for n in (1, 2, 3)]


def test_a_start_picture_decides_shape_strength_and_soft_edge(tiny_sdxl: Path) -> None:
    tall = kept(photo(300, 600))
    varied = resolve(wish(tiny_sdxl, start_picture=tall))
    assert (varied.width, varied.height, varied.strength) == (64, 96, 0.6)
    masked = resolve(wish(tiny_sdxl, start_picture=tall, mask=kept(mask_of((300, 600), (0, 0, 300, 600)))))
    assert (masked.strength, masked.mask_feather) == (1.0, 5)
    plain = resolve(wish(tiny_sdxl))
    assert (plain.width, plain.height, plain.strength, plain.mask_feather) == (64, 64, 1.0, 0)
    said = resolve(wish(tiny_sdxl, start_picture=tall, width=64, height=72, strength=0.8))
    assert (said.width, said.height, said.strength) == (64, 72, 0.8)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [((256, 256), (256, 256)), ((320, 256), (320, 256)), ((4000, 3000), (288, 224)), ((64, 64), (192, 192)),
     ((5000, 64), (2272, 64))],
)  # fmt: skip
def test_a_picture_is_drawn_in_its_own_shape_at_what_the_model_was_made_for(
    sides: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert drawn_size(sides, registry.describe("mini")) == expected


def test_a_small_part_of_a_large_photo_is_seen_with_its_surroundings_at_full_size(tiny_sdxl: Path) -> None:
    start = photo(640, 480)
    mask = mask_of((640, 480), (300, 200, 330, 230))
    request = resolve(wish(tiny_sdxl, start_picture=kept(start), mask=kept(mask)))
    assert (request.width, request.height) == (64, 64)  # of 640 x 480, at 1 : 1
    [made] = drawn(request)
    assert outside(made, mask).tobytes() == outside(start, mask).tobytes()


def test_what_cannot_begin_from_a_picture_is_said_before_a_model_is_loaded(tiny_sdxl: Path) -> None:
    start, mask = kept(photo()), kept(mask_of((64, 64), (8, 8, 40, 40)))
    for fields, error, said in (
        ({"mask": mask}, RequestError, "a mask needs a start picture"),
        ({"strength": 0.5}, RequestError, "a strength needs a start picture"),
        ({"start_picture": "0" * 64}, NotFoundError, "choose the picture or file again"),
        ({"start_picture": start, "mask": "0" * 64}, NotFoundError, "choose the picture or file again"),
        (
            {"start_picture": start, "mask": kept(photo(64, 72))},
            ImageError,
            "the mask is 64x72 px, the picture 64x64",
        ),
        ({"start_picture": start, "mask": kept(Image.new("L", (64, 64)))}, ImageError, "the mask is empty"),
        ({"start_picture": start, "strength": 0.2}, RequestError, "leaves none of 4 steps; use 0.25 or more"),
        ({"start_picture": start, "steps": 8, "sketch_steps": 4}, RequestError, "finishes no sketch"),
    ):
        with pytest.raises(error, match=said):
            check(wish(tiny_sdxl, **fields))
    for bad in ("x", "../" * 20, 5, None):
        with pytest.raises(RequestError):
            wish(tiny_sdxl, start_picture=bad)
