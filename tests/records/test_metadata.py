"""A picture carries its request; reading it back restores every setting or says why not."""

import io
import json
import struct
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from sdxl_lora.errors import ImageError
from sdxl_lora.records import metadata
from sdxl_lora.request import MAX_SEED, GenerationRequest, LoraSpec
from sdxl_lora.scoring.card import ScoreCard
from tests.records.shared import PICTURE, request

FULL = GenerationRequest(
    prompt='outer, Northpeak 🧥 Größe ジャケット\nsecond line, "quoted", a: b',
    negative_prompt="blurry, низкое качество",
    model="sdxl",
    loras=(LoraSpec(path="/data/brand one.safetensors", weight=0.8), LoraSpec(path="org/name", weight=-1)),
    steps=30,
    guidance=5.5,
    guidance_end=0.7,
    seed=MAX_SEED,
    count=1,
    width=64,
    height=96,
    precision="bf16",
    scheduler="euler",
    sketch_steps=6,
    template="jacket",
    slots=(("brand", "Northpeak"), ("colour", "")),
)


def png(**texts: str) -> bytes:
    """A small PNG with these texts."""
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_itxt(key, value)
    buffer = io.BytesIO()
    PICTURE.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def ours(**changes: Any) -> bytes:
    """A small PNG with our JSON, changed."""
    facts = {"format": 1, "request": {"prompt": "a cap"}, "scores": {}, "seconds": 1.0}
    return png(sdxl_lora=json.dumps({**facts, **changes}))


def test_every_setting_survives_the_picture() -> None:
    data = metadata.embed(PICTURE, FULL, card=ScoreCard(scorer="名", score=0.3, text="x"), seconds=2.5)
    facts = metadata.read(io.BytesIO(data))
    assert facts.request == FULL
    assert (facts.scores, facts.seconds, facts.notes) == (
        {"clip": {"name": "名", "value": 0.3, "text": "x"}},
        2.5,
        (),
    )
    assert (facts.width, facts.height) == PICTURE.size
    assert metadata.read_request(io.BytesIO(data)) == FULL


def test_a_picture_is_read_from_a_path_and_from_a_half_read_upload(tmp_path: Path) -> None:
    data = metadata.embed(PICTURE, FULL)
    path = tmp_path / "bild 🧥.png"
    path.write_bytes(data)
    upload = io.BytesIO(data)
    upload.read(100)
    assert (
        metadata.read_request(path)
        == metadata.read_request(str(path))
        == metadata.read_request(upload)
        == FULL
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1", "I;16"])
def test_every_mode_of_picture_can_carry_its_request(mode: str) -> None:
    image = PICTURE.convert("L").convert(mode) if mode == "I;16" else PICTURE.convert(mode)
    data = metadata.embed(image, request())
    assert metadata.read_request(io.BytesIO(data)) == request()


def test_pixels_are_unchanged() -> None:
    with Image.open(io.BytesIO(metadata.embed(PICTURE, FULL))) as image:
        assert image.tobytes() == PICTURE.tobytes()


def test_texts_of_the_picture_it_was_made_from_do_not_leak_in() -> None:
    with Image.open(io.BytesIO(png(parameters="old", secret="old"))) as before:
        data = metadata.embed(before, request())
    with Image.open(io.BytesIO(data)) as image:
        assert set(image.info) - {"xmp"} == {"parameters", "sdxl_lora", "XML:com.adobe.xmp"}
        assert "old" not in image.info["parameters"]


def test_other_programs_read_the_parameters() -> None:
    plain = GenerationRequest(
        prompt="a cap", negative_prompt="blurry", model="mini", steps=20, guidance=3.0, seed=7,
        width=64, height=96, scheduler="Euler a",
        loras=(LoraSpec(path="/data/brand.safetensors", weight=0.8),),
    )  # fmt: skip
    data = metadata.embed(PICTURE, plain)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["parameters"] == (
            "a cap <lora:brand:0.8>\n"
            "Negative prompt: blurry\n"
            "Steps: 20, Sampler: Euler a, CFG scale: 3, Seed: 7, Size: 64x96, Model: mini"
        )
    assert b"tEXtparameters\0" in data


def test_the_picture_is_marked_as_made_by_a_model() -> None:
    with Image.open(io.BytesIO(metadata.embed(PICTURE, FULL))) as image:
        packet = image.info["XML:com.adobe.xmp"]
    body = packet[packet.index("<x:xmpmeta") : packet.rindex("<?xpacket")]
    (description,) = ET.fromstring(body).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    source = description.attrib["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"]
    assert source == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def test_a_picture_of_automatic1111_is_read_and_what_is_unknown_here_is_named() -> None:
    text = (
        "a (navy:1.2) jacket,\nstudio <lora:brandX:0.7><lora:other>\n"
        "Negative prompt: blurry,\nlow quality\n"
        "Steps: 28, Sampler: DPM++ 2M, CFG scale: 6.5, Seed: 123, Size: 832x1216, Model hash: abc, "
        'Model: dream, Lora hashes: "brandX: 1, other: 2", Version: v1.10'
    )
    facts = metadata.read(io.BytesIO(png(parameters=text)))
    assert facts.request == GenerationRequest(
        prompt="a (navy:1.2) jacket,\nstudio", negative_prompt="blurry,\nlow quality", steps=28, guidance=6.5,
        seed=123, width=832, height=1216, scheduler="dpm++ 2m",
    )  # fmt: skip
    assert facts.notes == (
        "LoRA brandX, other: load it from its file",
        "model dream: choose one here",
    )


@pytest.mark.parametrize(
    ("text", "expected", "notes"),
    [
        ("only a prompt", {"prompt": "only a prompt"}, 0),
        ("p\nSteps: 9999, Seed: 5", {"prompt": "p", "seed": 5}, 1),
        ("p\nSteps: many, Seed: -1, CFG scale: nan, Size: 7x9", {"prompt": "p"}, 4),
        ("p\nSteps: 20, Size: 512", {"prompt": "p", "steps": 20}, 1),
        ("Steps: of a ladder\nSteps: 20", {"prompt": "Steps: of a ladder", "steps": 20}, 0),
        ("p\r\nNegative prompt: n\r\nSteps: 20", {"prompt": "p", "negative_prompt": "n", "steps": 20}, 0),
        ('p\nSteps: 20, Note: "a \\"b\\", Seed: 1", Seed: 2', {"prompt": "p", "steps": 20, "seed": 2}, 1),
    ],
)
def test_parameters_of_all_kinds_are_taken_as_far_as_they_go(
    text: str, expected: dict[str, Any], notes: int
) -> None:
    facts = metadata.read(io.BytesIO(png(parameters=text)))
    assert facts.request == GenerationRequest(**expected)
    assert len(facts.notes) == notes


@pytest.mark.parametrize("text", ["", "Negative prompt: n\nSteps: 20", "<lora:x:1>", "x" * 10_000, "a\x01b"])
def test_parameters_without_a_usable_prompt_are_refused(text: str) -> None:
    with pytest.raises(ImageError, match=r"cannot be used|does not say how"):
        metadata.read(io.BytesIO(png(parameters=text)))


def test_a_picture_without_text_says_which_pictures_have_one() -> None:
    with pytest.raises(ImageError, match="does not say how it was made; use the original PNG"):
        metadata.read_request(io.BytesIO(png()))


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_other_formats_are_read_but_say_nothing(form: str) -> None:
    buffer = io.BytesIO()
    PICTURE.save(buffer, format=form)
    with pytest.raises(ImageError, match="does not say how it was made"):
        metadata.read_request(buffer)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(50), b"<svg/>"])
def test_what_is_no_picture_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"no PNG, JPEG, WebP or AVIF picture|is empty"):
        metadata.read(io.BytesIO(data))


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_truncated_picture_is_refused(kept: float) -> None:
    data = metadata.embed(PICTURE, FULL)
    with pytest.raises(ImageError, match="damaged"):
        metadata.read(io.BytesIO(data[: int(len(data) * kept)]))


def test_a_flipped_bit_is_an_image_error_or_harmless_but_never_a_crash() -> None:
    data = metadata.embed(PICTURE, FULL)
    refused = []
    for position in range(8, len(data), 7):
        broken = bytearray(data)
        broken[position] ^= 0x10
        try:
            metadata.read(io.BytesIO(bytes(broken)))
        except ImageError as error:
            refused.append(str(error))
    assert len(refused) > 100
    assert not any("\n" in message for message in refused)


@pytest.mark.parametrize("side", [8_000, 40_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side: int) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="too large; at most 50 megapixels"):
        metadata.read(io.BytesIO(bomb))


def test_a_bomb_of_text_is_refused() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("sdxl_lora", " " * 5_000_000, zip=True)
    buffer = io.BytesIO()
    PICTURE.save(buffer, format="PNG", pnginfo=info)
    with pytest.raises(ImageError, match="damaged"):
        metadata.read(buffer)


def test_a_huge_file_is_refused_without_reading_it_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "MAX_FILE_BYTES", 2**20)
    with pytest.raises(ImageError, match="larger than 1 MB"):
        metadata.read(io.BytesIO(bytes(2**20 + 1)))


@pytest.mark.parametrize("name", ["missing.png", "."])
def test_a_path_that_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="the picture cannot be read"):
        metadata.read(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(sdxl_lora="{"), "is damaged"),
        (png(sdxl_lora="[]"), "is damaged"),
        (png(sdxl_lora="null"), "is damaged"),
        (png(sdxl_lora="[" * 100_000), "is damaged"),
        (png(sdxl_lora="{}"), "is damaged"),
        (ours(format="new"), "is damaged"),
        (ours(format=2), "made by a newer version"),
        (ours(request=None), "is damaged"),
        (ours(request={"prompt": ""}), "the prompt is empty"),
        (ours(request={}), "is damaged|cannot be used"),
        (ours(request={"prompt": 5}), "the prompt is 5, which is no text"),
        (ours(request={"prompt": "p", "model": ["x"]}), "the model is .*, which is no text"),
        (ours(request={"prompt": "p", "scheduler": 1}), "the scheduler is 1, which is no text"),
        (ours(request={"prompt": "p", "steps": "many"}), "steps 'many' is not a whole number"),
        (ours(request={"prompt": "p", "steps": 10_000}), "steps 10000 is not between"),
        (ours(request={"prompt": "p", "guidance": "x"}), "cannot be used"),
        (ours(request={"prompt": "p", "loras": [{"path": "x", "wait": 1}]}), "loras .*wait.* cannot be used"),
        (ours(request={"prompt": "p", "loras": 5}), "loras 5 cannot be used"),
        (ours(request={"prompt": "p", "loras": [{"path": 5}]}), "the path of a LoRA is 5, which is no text"),
        (ours(request={"prompt": "p", "slots": [1]}), r"slots? \[1\] cannot be used"),
        (ours(scores=[1]), "is damaged"),
        (ours(scores={"clip": 1}), "is damaged"),
        (ours(seconds="long"), "is damaged"),
        (ours(created_at="yesterday"), "is damaged"),
        (ours(created_at=5), "is damaged"),
    ],
)
def test_a_request_that_somebody_wrote_into_a_picture_is_checked(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        metadata.read(io.BytesIO(data))
    assert "\n" not in str(caught.value)


def test_fields_of_a_newer_version_are_named_and_the_rest_is_read() -> None:
    facts = metadata.read(io.BytesIO(ours(request={"prompt": "a cap", "hologram": 2})))
    assert facts.request == GenerationRequest(prompt="a cap")
    assert facts.notes == ("hologram: made by a newer version, not known here",)
    assert facts.said == {"prompt": "a cap", "hologram": 2}


def test_what_another_program_did_besides_is_named() -> None:
    text = (
        "a cap\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, Seed: 1, Clip skip: 2, Hires upscale: 2,"
        " VAE: x.pt, Version: v1.10"
    )
    facts = metadata.read(io.BytesIO(png(parameters=text)))
    assert facts.request == GenerationRequest(prompt="a cap", steps=20, seed=1, scheduler="dpm++ 2m karras")
    assert facts.notes == ("not done here: Clip skip 2, Hires upscale 2, VAE x.pt",)


def test_the_strength_of_a_second_larger_pass_asks_for_no_start_picture() -> None:
    text = "a cap\nSteps: 20, Sampler: Euler, Denoising strength: 0.4, Hires upscale: 2"
    facts = metadata.read(io.BytesIO(png(parameters=text)))
    assert facts.notes == ("not done here: Denoising strength 0.4, Hires upscale 2",)


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ("Sampler: Restart", "sampler Restart: choose one here"),
        ("Sampler: Euler, Schedule type: Exponential", "sampler Euler Exponential: choose one here"),
        ("Sampler: Heun, Schedule type: Karras", "sampler Heun Karras: choose one here"),
    ],
)
def test_an_unknown_sampler_or_schedule_is_named_and_not_replaced(settings: str, note: str) -> None:
    facts = metadata.read(io.BytesIO(png(parameters=f"a cap\nSteps: 20, {settings}")))
    assert (facts.request.scheduler, facts.notes) == (None, (note,))


@pytest.mark.parametrize(
    ("values", "expected", "notes"),
    [
        (  # SwarmUI
            {"sui_image_params": {"prompt": "a cap", "negativeprompt": "hood", "seed": 5, "steps": 20,
                                  "cfgscale": 7.0, "width": 832, "height": 1216, "model": "dream",
                                  "swarm_version": "0.9"}},
            {"negative_prompt": "hood", "seed": 5, "steps": 20, "guidance": 7.0, "width": 832, "height": 1216},
            ("model dream: choose one here",),
        ),
        (  # Fooocus
            {"prompt": "a cap", "negative_prompt": "", "steps": 30, "guidance_scale": 4.0, "seed": "123",
             "resolution": "(896, 1152)", "base_model": "jugger", "sharpness": 2.0, "version": "v2.5"},
            {"steps": 30, "guidance": 4.0, "seed": 123, "width": 896, "height": 1152},
            ("basemodel jugger: choose one here", "not done here: sharpness"),
        ),
        ({"prompt": "a cap", "steps": 9999}, {}, ("steps 9999 cannot be used here",)),
        (
            {"sui_image_params": {"prompt": "a cap", "sampler": "dpmpp_2m", "scheduler": "karras"}},
            {"scheduler": "dpm++ 2m karras"},
            (),
        ),
        (
            {"prompt": "a cap", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras"},
            {},
            ("sampler dpmpp_2m_sde_gpu karras: choose one here",),
        ),
    ],
)  # fmt: skip
def test_pictures_of_fooocus_and_swarmui_are_read(
    values: dict[str, Any], expected: dict[str, Any], notes: tuple[str, ...]
) -> None:
    facts = metadata.read(io.BytesIO(png(parameters=json.dumps(values))))
    assert facts.request == GenerationRequest(prompt="a cap", **expected)
    assert facts.notes == notes


def test_a_prompt_that_begins_with_a_brace_is_a_prompt() -> None:
    facts = metadata.read(io.BytesIO(png(parameters="{red} cap\nSteps: 20")))
    assert facts.request == GenerationRequest(prompt="{red} cap", steps=20)


def test_missing_facts_have_defaults() -> None:
    facts = metadata.read(
        io.BytesIO(png(sdxl_lora=json.dumps({"format": 1, "request": {"prompt": "a cap"}})))
    )
    assert facts.request == GenerationRequest(prompt="a cap")
    assert (facts.scores, facts.seconds, facts.created_at) == ({}, 0.0, None)
