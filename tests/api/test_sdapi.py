"""AUTOMATIC1111's endpoints, asked by `webuiapi` as its users ask them."""

import io
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import requests
import webuiapi
from PIL import Image

from sdxl_lora.api.service import Service
from sdxl_lora.records import metadata
from tests import tiny
from tests.api.conftest import wait_until
from tests.api.test_edits import PHOTO, file_of

Http = Callable[..., requests.Response]
SMALL: dict[str, Any] = {"width": tiny.SIDE, "height": tiny.SIDE, "steps": 3}


@pytest.fixture
def webui(address: str) -> webuiapi.WebUIApi:
    return webuiapi.WebUIApi(baseurl=f"{address}/sdapi/v1")


def test_pictures_are_drawn_with_their_settings(webui: webuiapi.WebUIApi, service: Service) -> None:
    result = webui.txt2img(
        prompt="a navy jacket", negative_prompt="dark", seed=7, cfg_scale=4.0, n_iter=2, batch_size=1, **SMALL
    )
    assert [image.size for image in result.images] == [(tiny.SIDE, tiny.SIDE)] * 2
    assert result.info["all_seeds"] == [7, 8]
    record = service.store.get(result.info["ids"][0])
    request = record.request
    assert (request.prompt, request.negative_prompt, request.guidance) == ("a navy jacket", "dark", 4.0)
    assert request.scheduler == "euler-a"  # webuiapi's default, "Euler a"
    assert "Steps: 3, Sampler: Euler a" in result.info["infotexts"][0]
    assert metadata.read(io.BytesIO(record.path.read_bytes())).request.seed == 7


def test_a_seed_of_minus_one_is_drawn(webui: webuiapi.WebUIApi) -> None:
    seeds = {webui.txt2img(prompt="a cap", **SMALL).info["seed"] for _ in range(2)}
    assert len(seeds) == 2
    assert min(seeds) >= 0


def test_a_lora_in_the_prompt_is_used(webui: webuiapi.WebUIApi, service: Service) -> None:
    tiny.save_lora(service.home / "loras" / "crest.safetensors")
    assert "crest" in [lora["name"] for lora in webui.get_loras()]
    result = webui.txt2img(prompt="a tee <lora:crest:0.5>", seed=1, **SMALL)
    request = service.store.get(result.info["ids"][0]).request
    assert (request.prompt, [lora.weight for lora in request.loras]) == ("a tee", [0.5])
    with pytest.raises(RuntimeError, match="no LoRA named"):
        webui.txt2img(prompt="a tee <lora:/etc/passwd:1>", **SMALL)


def test_a_picture_is_changed_inside_the_white_of_a_mask(webui: webuiapi.WebUIApi) -> None:
    mask = Image.new("L", PHOTO.size, 0)
    mask.paste(255, (0, 0, tiny.SIDE // 2, tiny.SIDE))
    for inverted in (0, 1):
        result = webui.img2img(
            images=[PHOTO],
            mask_image=mask,
            mask_blur=0,
            inpainting_mask_invert=inverted,
            denoising_strength=1.0,
            prompt="a cap",
            **SMALL,
        )
        changed = (np.asarray(result.image.convert("RGB")) != np.asarray(PHOTO)).any(axis=2)
        left, right = changed[:, : tiny.SIDE // 2], changed[:, tiny.SIDE // 2 :]
        drawn, kept = (right, left) if inverted else (left, right)
        assert drawn.mean() > 0.9
        assert not kept.any()


def test_progress_is_told_and_interrupting_hands_out_what_is_there(
    webui: webuiapi.WebUIApi, service: Service
) -> None:
    results: list[Any] = []
    drawing = threading.Thread(
        target=lambda: results.append(webui.txt2img(prompt="long", n_iter=4, **{**SMALL, "steps": 150}))
    )
    drawing.start()
    told = wait_until(lambda: (now := webui.get_progress())["state"]["sampling_step"] > 0 and now)
    assert told["state"]["sampling_steps"] == 150
    assert 0 < told["progress"] < 1
    assert told["state"]["job_count"] == 1
    webui.interrupt()
    drawing.join(30)
    [result] = results
    assert len(result.images) < 4
    assert webui.get_progress()["state"]["job_count"] == 0


def test_what_can_be_chosen_is_listed(webui: webuiapi.WebUIApi) -> None:
    assert "mini" in webui.util_get_model_names()
    assert {"Euler", "Euler a", "DPM++ 2M Karras"} <= set(webui.util_get_sampler_names())
    assert webui.util_get_scheduler_names() == ["automatic", "karras"]
    assert webui.get_cmd_flags() == {}
    assert webui.get_memory()["ram"]["total"] > 0
    for listing in (
        webui.get_hypernetworks,
        webui.get_face_restorers,
        webui.get_realesrgan_models,
        webui.get_prompt_styles,
        webui.get_sd_vae,
        webui.get_latent_upscale_modes,
    ):
        assert listing() == []
    assert webui.get_embeddings() == {"loaded": {}, "skipped": {}}
    assert webui.refresh_checkpoints() is None


def test_a_model_is_chosen_for_the_pictures_to_come(webui: webuiapi.WebUIApi, http: Http) -> None:
    webui.util_set_model("mini")
    assert webui.util_get_current_model() == "mini"
    refused = http("POST", "/sdapi/v1/options", json={"sd_model_checkpoint": "/etc"})
    assert refused.status_code == 422
    webui.util_wait_for_ready(0.1)


def test_a_picture_tells_how_it_was_made(webui: webuiapi.WebUIApi) -> None:
    made = webui.txt2img(prompt="a cap", seed=5, **SMALL)
    told = webui.png_info(made.image)
    assert told.info.startswith("a cap\n")
    assert told.parameters["Seed"] == "5"
    assert webui.png_info(PHOTO).info == ""


@pytest.mark.parametrize("name", ["Lanczos", "Nearest", "waifu2x photo"])
def test_a_picture_is_enlarged(webui: webuiapi.WebUIApi, name: str) -> None:
    result = webui.extra_single_image(PHOTO, upscaler_1=name, upscaling_resize=3)
    assert result.image.size == (3 * tiny.SIDE, 3 * tiny.SIDE)
    framed = webui.extra_single_image(
        PHOTO, upscaler_1=name, resize_mode=1, upscaling_resize_w=100, upscaling_resize_h=80
    )
    assert framed.image.size == (100, 80)


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("txt2img", {"enable_hr": True}, "Hires. fix"),
        ("txt2img", {"alwayson_scripts": {"controlnet": {}}}, "extensions"),
        ("txt2img", {"sampler_name": "Euler b"}, "no sampler named"),
        ("txt2img", {"n_iter": 3, "batch_size": 3}, "9 pictures are more than 4"),
        ("txt2img", {"prompt": ""}, "the prompt is empty"),
        ("txt2img", {"override_settings": {"sd_model_checkpoint": "/etc"}}, "no model named"),
        ("img2img", {"init_images": ["http://169.254.169.254/latest"]}, "none is ever fetched"),
        ("img2img", {"init_images": ["file:///etc/passwd"]}, "none is ever fetched"),
        ("img2img", {"init_images": ["%%%"]}, "no base64"),
        ("img2img", {"init_images": ["aGVsbG8="]}, "cannot be read as a picture"),
        ("img2img", {"init_images": []}, "init_images"),
        ("img2img", {}, "'init_images' is missing"),
        ("png-info", {"image": "aGVsbG8="}, "cannot be read as a picture"),
        ("extra-single-image", {"image": "x"}, "no base64"),
    ],
)
def test_what_is_not_done_here_is_said(http: Http, path: str, body: dict[str, Any], says: str) -> None:
    answer = http("POST", f"/sdapi/v1/{path}", json={"prompt": "a cap", **SMALL, **body})
    assert answer.status_code in (400, 422)
    assert says in answer.json()["error"]["message"]


def test_a_picture_that_would_become_too_large_is_refused(http: Http) -> None:
    import base64

    sent = base64.b64encode(file_of(Image.new("RGB", (1024, 1024)))).decode()
    answer = http("POST", "/sdapi/v1/extra-single-image", json={"image": sent, "upscaling_resize": 8})
    assert answer.json()["error"]["code"] == "too_large"
