"""A column that names brand kits: each row gets everything of its own brand, and no other."""

from pathlib import Path

import pytest

from sdxl_lora import inputs
from sdxl_lora.brands import kits
from sdxl_lora.brands.kit import BrandKit, KitLogo, Swatch
from sdxl_lora.catalog.planning import Plan, Settings, plan
from sdxl_lora.catalog.tables import parse
from sdxl_lora.request import LoraSpec

STAR = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9H0z" fill="#c00"/></svg>'
NORTHPEAK = BrandKit(
    name="Northpeak Outdoor",
    palette=(Swatch(name="navy", hex="#1F2A44"), Swatch(name="Moss", hex="#4A5D23")),
    logos=(KitLogo(file="star.svg", at="chest"),),
    words=("matte fabric",),
    avoid=("glitter",),
    lora="/loras/northpeak.safetensors",
    lora_weight=0.8,
)
OTHER = BrandKit(name="Other", avoid=("fur",))


@pytest.fixture(autouse=True)
def brands(home: Path) -> None:
    kits.save(NORTHPEAK, {"star.svg": STAR})
    kits.save(OTHER)


def planned(text: str, settings: Settings | None = None) -> Plan:
    return plan(parse(text.encode(), "a.csv"), settings or Settings(template="jacket"))


def test_each_row_gets_lora_words_words_to_avoid_logo_and_colour_of_its_own_kit() -> None:
    one, other, none = planned(
        "sku,colour,Brand Kit\nA,NAVY,northpeak outdoor\nB,navy,Other\nC,navy,\n"
    ).items
    assert one.request.loras == (LoraSpec(path="/loras/northpeak.safetensors", weight=0.8),)
    assert one.request.recolour == "#1F2A44"
    assert "matte fabric" in one.request.prompt
    assert "glitter" in one.request.negative_prompt
    [logo] = one.request.logos
    assert (inputs.read(logo.hash), logo.at) == (STAR, "chest")
    assert one.request.brand == "Northpeak Outdoor"
    assert dict(one.request.slots)["brand"] == "Northpeak Outdoor"
    assert "Northpeak Outdoor" in one.alt
    assert (other.request.loras, other.request.logos, other.request.recolour) == ((), (), "")
    assert "fur" in other.request.negative_prompt
    assert "glitter" not in other.request.negative_prompt
    assert (none.request.brand, none.request.loras, none.request.recolour) == ("", (), "")


def test_an_unknown_kit_fails_its_row_with_the_reason_and_the_others_go_on() -> None:
    found = planned("sku,kit\nA,Nobody\nB,Other\nC,-\n")
    assert [item.sku for item in found.items] == ["B", "C"]
    assert "no brand kit named 'Nobody'" in found.problems[2]


def test_a_logo_that_is_gone_from_the_kit_fails_its_rows(home: Path) -> None:
    (kits.folder() / "northpeak-outdoor" / "star.svg").unlink()
    found = planned("sku,brand_kit\nA,Northpeak Outdoor\nB,Other\n")
    assert "has no logo 'star.svg'" in found.problems[2]
    assert [item.sku for item in found.items] == ["B"]


def test_a_kit_for_all_rows_is_one_setting_which_a_row_may_leave() -> None:
    settings = Settings(template="jacket", values={"brand_kit": "Other"})
    all_of_it, without = planned("sku,brand_kit\nA,\nB,-\n", settings).items
    assert (all_of_it.request.brand, without.request.brand) == ("Other", "")


def test_combinations_get_the_colour_of_each_and_others_are_said_to_be_words() -> None:
    found = planned("sku,colour,brand_kit\nA,{moss|marineblau|red},Northpeak Outdoor\n")
    assert [item.request.recolour for item in found.items] == ["#4A5D23", "#1F2A44", ""]
    assert any("red is not in the palette of Northpeak Outdoor" in note for note in found.notes)
    said = planned("sku,colour,recolour,brand_kit\nA,moss,#010203,Northpeak Outdoor\n").items
    assert said[0].request.recolour == "#010203"


def test_what_a_row_says_itself_is_not_said_twice() -> None:
    [item] = planned("sku,prompt,brand,brand_kit\nA,matte fabric,Own,Northpeak Outdoor\n").items
    assert item.request.prompt.count("matte fabric") == 1
    assert dict(item.request.slots)["brand"] == "Own"


def test_a_kit_that_changes_changes_what_is_made_again() -> None:
    before = planned("sku,brand_kit\nA,Other\nB,\n").items
    kits.save(BrandKit(name="Other", avoid=("fur", "lace")))
    after = planned("sku,brand_kit\nA,Other\nB,\n").items
    assert before[0].key != after[0].key
    assert before[0].request.seed == after[0].request.seed
    assert before[1].key == after[1].key
