"""The page Brand, and the brand and logo of the studio's form."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora.brands import kits
from sdxl_lora.brands.kit import BrandKit, KitLogo, Swatch
from sdxl_lora.request import GenerationRequest
from sdxl_lora.ui import composer
from tests.logos.marks import PEAK

Open = Callable[..., AppTest]

KIT = BrandKit(
    name="North Peak",
    palette=(Swatch(name="navy", hex="#1F2A44"),),
    logos=(KitLogo(file="peak.svg", at="left-chest"),),
    words=("outdoor style",),
)


def save(page: AppTest) -> AppTest:
    return next(button for button in page.button if button.label == "Save").click().run()


def test_a_kit_is_made_on_the_page(open_app: Open) -> None:
    page = open_app("pages/brand.py")
    page.text_input(key="brand.new.name").set_value("North Peak")
    page.text_area(key="brand.new.Colours, each as name #RRGGBB").set_value("deep navy #1F2A44")
    page.text_area(key="brand.new.Words for every picture").set_value("outdoor style")
    page = save(page)
    assert not page.exception
    assert [one.value for one in page.success] == ["North Peak is saved."]
    assert kits.get("North Peak").palette == (Swatch(name="deep navy", hex="#1F2A44"),)


def test_what_is_wrong_is_said_in_one_line(open_app: Open) -> None:
    page = save(open_app("pages/brand.py"))
    assert "name of a brand is missing" in page.error[0].value
    page.text_input(key="brand.new.name").set_value("A")
    page.text_area(key="brand.new.Colours, each as name #RRGGBB").set_value("navy blue")
    assert "no colour" in save(page).error[0].value
    assert kits.names() == []


def test_a_kit_is_changed_and_keeps_its_logos(open_app: Open) -> None:
    kits.save(KIT, {"peak.svg": PEAK})
    page = open_app("pages/brand.py")
    page.selectbox(key="brand.chosen").set_value("North Peak").run()
    page.text_area(key="brand.north-peak.Words to avoid").set_value("fur")
    page = save(page)
    assert not page.exception
    assert kits.get("North Peak").avoid == ("fur",)
    assert kits.get("North Peak").logos == KIT.logos


@pytest.mark.parametrize("name", ["North Peak", None])
def test_the_studio_sends_what_the_brand_says(
    name: str | None, open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[GenerationRequest] = []
    monkeypatch.setattr(composer, "submit", lambda request, _: sent.append(request))
    kits.save(KIT, {"peak.svg": PEAK})
    page = open_app("pages/create.py")
    page.selectbox(key="create.brand").set_value(name).run()
    page.button(key="composer-generate").click().run()
    assert not page.exception
    assert ("outdoor style" in sent[0].prompt, len(sent[0].logos)) == ((True, 1) if name else (False, 0))


def test_a_colour_and_a_background_of_the_brand_are_one_click_each(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[GenerationRequest] = []
    monkeypatch.setattr(composer, "submit", lambda request, _: sent.append(request))
    palette = (Swatch(name="olive", hex="#556B2F"), Swatch(name="red", hex="#C3272B"))
    kits.save(replace(KIT, palette=palette, backgrounds=("beige wall",)), {"peak.svg": PEAK})
    page = open_app("pages/create.py")
    page.selectbox(key="create.brand").set_value("North Peak").run()
    page.pills(key="create.brand_colour").set_value("olive").run()
    page.pills(key="create.brand_background").set_value("beige wall").run()
    page.button(key="composer-generate").click().run()
    assert not page.exception
    assert dict(sent[0].slots)["colour"] == "olive"
    assert "beige wall" in sent[0].prompt
    assert sent[0].recolour == "#556B2F"  # the very colour, whatever the model takes for olive
    page.pills(key="create.brand_colour").set_value(None).run()
    page.button(key="composer-generate").click().run()
    assert sent[1].recolour == ""


def _write(home: Path, pattern: str, data: bytes) -> None:
    for path in [path for path in (home / "brands").rglob(pattern) if path.is_file()]:
        path.write_bytes(data)


HARMS: dict[str, Callable[[Path], None]] = {
    "deleted": lambda home: shutil.rmtree(home / "brands"),
    "damaged": lambda home: _write(home, "*", b"[" * 1000),
    "of another shape": lambda home: _write(home, "*.json", b'{"name": 5}'),
    "without its logo": lambda home: _write(home, "*.svg", b""),
}


@pytest.mark.parametrize(("page", "key"), [("create", "create.brand"), ("brand", "brand.chosen")])
@pytest.mark.parametrize("harm", HARMS)
def test_a_kit_that_another_program_harms_breaks_no_page(
    open_app: Open, home: Path, harm: str, page: str, key: str
) -> None:
    kits.save(KIT, {"peak.svg": PEAK})
    at = open_app(f"pages/{page}.py")
    at.selectbox(key=key).set_value("North Peak").run()
    HARMS[harm](home)
    assert not at.run().exception
    button = next(one for one in at.button if one.key == "composer-generate" or one.label == "Save")
    assert not button.click().run().exception


def test_a_model_that_can_is_shown_the_logo_while_it_draws_and_others_are_not_offered_it(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[GenerationRequest] = []
    monkeypatch.setattr(composer, "submit", lambda request, _: sent.append(request))
    kits.save(KIT, {"peak.svg": PEAK})
    page = open_app("pages/create.py")
    page.selectbox(key="create.brand").set_value("North Peak").run()
    assert not any(group.key == "create.logo_cue" for group in page.segmented_control)
    page.selectbox(key="create.model").set_value("sdxl").run()
    page.segmented_control(key="create.logo_cue").set_value("ip-adapter").run()
    assert not any(slider.key == "create.controlnet_conditioning_scale" for slider in page.slider)
    page.slider(key="create.ip_adapter_scale").set_value(0.3).run()
    page.button(key="composer-generate").click().run()
    assert not page.exception
    assert (sent[0].logo_cue, sent[0].ip_adapter_scale, len(sent[0].logos)) == ("ip-adapter", 0.3, 1)
