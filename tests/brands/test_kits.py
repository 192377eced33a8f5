"""Brand kits: kept, passed on as a ZIP, put into requests, and refused where they are none."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from sdxl_lora import inputs
from sdxl_lora.brands import kits
from sdxl_lora.brands.applying import applied
from sdxl_lora.brands.kit import BrandError, BrandKit, KitLogo, Swatch
from sdxl_lora.errors import InputError, LogoError, NotFoundError
from sdxl_lora.request import GenerationRequest, LoraSpec
from tests.logos.marks import PEAK, svg

KIT = BrandKit(
    name="North Peak",
    palette=(Swatch(name="navy", hex="#1F2A44"), Swatch(name="rust", hex="#B0532A")),
    logos=(KitLogo(file="peak.svg", at="left-chest"),),
    words=("outdoor style",),
    avoid=("fur",),
    backgrounds=("studio background",),
    lora="north-peak.safetensors",
    lora_weight=0.8,
)


def test_a_kit_is_kept_and_found_again_in_a_folder_of_its_own(home: Path) -> None:
    kits.save(KIT, {"peak.svg": PEAK})
    assert kits.names() == ["North Peak"]
    assert kits.get("North Peak") == KIT
    assert kits.logo_data(KIT, "peak.svg") == PEAK
    assert sorted(path.name for path in (home / "brands" / "north-peak").iterdir()) == [
        "kit.json",
        "peak.svg",
    ]


def test_a_logo_that_is_taken_out_is_deleted_and_a_kit_too(home: Path) -> None:
    kits.save(KIT, {"peak.svg": PEAK})
    kits.save(replace(KIT, logos=()))
    assert [path.name for path in (home / "brands" / "north-peak").iterdir()] == ["kit.json"]
    kits.delete("North Peak")
    kits.delete("North Peak")
    assert kits.names() == []
    with pytest.raises(NotFoundError, match="no brand kit named 'North Peak'"):
        kits.get("North Peak")


def test_a_zip_carries_everything_to_another_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kits.save(KIT, {"peak.svg": PEAK})
    data = kits.export(KIT)
    monkeypatch.setenv("SDXL_LORA_HOME", str(tmp_path / "other"))
    assert kits.take(data, "north.zip") == KIT
    assert kits.logo_data(KIT, "peak.svg") == PEAK


def zipped(**contents: bytes | str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name.replace("_", "."), data)
    return buffer.getvalue()


WHOLE = json.dumps(KIT.to_dict())
WRONG = {
    "no zip": b"PK nonsense",
    "no kit": zipped(a_txt="hello"),
    "no json": zipped(kit_json="{"),
    "other json": zipped(kit_json='{"name": "a", "sparkle": 1}'),
    "no logo": zipped(kit_json=WHOLE),
    "a bad logo": zipped(kit_json=WHOLE, peak_svg=svg("<script/>")),
    "a bomb": zipped(kit_json=WHOLE, peak_svg=b"0" * 60_000_000),
    "a way out": zipped(kit_json=WHOLE.replace("peak.svg", "../../peak.svg")),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_zip_that_is_no_kit_is_refused_in_one_line_and_nothing_is_written(case: str, home: Path) -> None:
    with pytest.raises(InputError) as caught:
        kits.take(WRONG[case], "kit.zip")
    assert "\n" not in str(caught.value)
    assert not list((home / "brands").rglob("*"))


def test_what_is_no_brand_is_refused() -> None:
    for wrong in (
        {"name": " "},
        {"name": "x" * 200},
        {"name": "a", "palette": (Swatch(name="navy", hex="blue"),)},
        {"name": "a", "logos": (KitLogo(file="a.exe"),)},
        {"name": "a", "logos": (KitLogo(file="a.svg", at="nowhere"),)},
        {"name": "a", "words": ("",)},
        {"name": "a", "words": ("x",) * 100},
        {"name": "a", "lora": "a", "lora_weight": 99.0},
    ):
        with pytest.raises(InputError):
            BrandKit(**wrong)
    with pytest.raises(LogoError):
        kits.save(KIT, {"peak.svg": b"no svg"})
    with pytest.raises(BrandError, match="has no file"):
        kits.save(KIT)


def test_a_request_says_all_of_the_kit_and_is_complete_without_it() -> None:
    kits.save(KIT, {"peak.svg": PEAK})
    request = applied(KIT, GenerationRequest(prompt="a navy jacket", negative_prompt="blurry"))
    assert request.prompt == "a navy jacket, outdoor style"
    assert request.negative_prompt == "blurry, fur"
    assert request.loras == (LoraSpec(path="north-peak.safetensors", weight=0.8),)
    assert (request.logos[0].at, request.logos[0].name) == ("left-chest", "peak.svg")
    assert applied(KIT, request) == request
    kits.delete(KIT.name)
    assert inputs.read(request.logos[0].hash) == PEAK


def test_brands_of_nearly_the_same_name_do_not_overwrite_each_other() -> None:
    kits.save(replace(KIT, logos=()))
    with pytest.raises(BrandError, match="too like"):
        kits.save(replace(KIT, name="north peak", logos=()))
