"""Rows become items: columns by their names, combinations, seeds that stay, and a reason for each row that is none."""

import json
from dataclasses import replace

import pytest

from sdxl_lora.catalog import planning
from sdxl_lora.catalog.alt_text import alt_text
from sdxl_lora.catalog.columns import choose
from sdxl_lora.catalog.planning import Item, Plan, Settings, plan
from sdxl_lora.catalog.tables import parse
from sdxl_lora.errors import DataError, InputError, UnknownNameError
from sdxl_lora.request import GenerationRequest, LoraSpec

JACKET = Settings(template="jacket")


def planned(text: str, settings: Settings = JACKET, salt: str = "s") -> Plan:
    return plan(parse(text.encode(), "a.csv"), settings, salt=salt)


def slots(item: Item) -> dict[str, str]:
    return {name: value for name, value in item.request.slots if value}


# ---------------------------------------------------------------- columns


def test_columns_are_understood_by_their_names_in_any_spelling() -> None:
    found = choose(["Artikelnummer", "COLOR", "Second Color", "Max. attempts", "Price", "couleur", "problem"])
    assert dict(found.targets) == {
        "Artikelnummer": "sku",
        "COLOR": "colour",
        "Second Color": "second_colour",
        "Max. attempts": "max_attempts",
        "problem": "ignore",
    }
    assert found.unused == ("Price", "couleur")
    assert [choose([name]).targets for name in ("Article No.", "Variant SKU")] == [
        {"Article No.": "sku"},
        {"Variant SKU": "sku"},
    ]


def test_a_column_can_be_mapped_and_wrong_maps_name_the_nearest() -> None:
    assert choose(["No", "Ton"], {"No": "sku", "ton": "Colour"}).targets == {"No": "sku", "Ton": "colour"}
    with pytest.raises(UnknownNameError, match="did you mean 'Ref'"):
        choose(["Ref"], {"Reff": "sku"})
    with pytest.raises(UnknownNameError, match="no slot or field named 'colr'; did you mean 'colour'"):
        choose(["Ref"], {"Ref": "colr"})
    with pytest.raises(DataError, match="'A' and 'B' are both mapped to sku"):
        choose(["A", "B"], {"A": "sku", "B": "sku"})
    assert choose(["sku", "Ref"], {"Ref": "sku"}).targets == {"Ref": "sku"}


# ---------------------------------------------------------------- rows


def test_a_row_fills_the_template_and_the_fields_of_its_request() -> None:
    text = (
        "sku,product,colour,steps,width,height,guidance,lora,seed,avoid,level,shop,alt\n"
        'A,coat,red,4,128,192,2.5,a.safetensors:0.5;b,9,blur,Draft,"amazon, Shopify",A red coat\n'
    )
    [item] = planned(text).items
    assert slots(item)["product"] == "coat"
    request = item.request
    assert "a red coat" in request.prompt
    assert (request.steps, request.width, request.height, request.guidance) == (4, 128, 192, 2.5)
    assert request.loras == (LoraSpec(path="a.safetensors", weight=0.5), LoraSpec(path="b"))
    assert (request.seed, request.negative_prompt, request.count) == (9, "blur", 1)
    assert (item.effort.level, item.presets, item.alt) == ("draft", ("amazon", "shopify"), "A red coat")


def test_what_holds_for_all_rows_gives_way_to_what_a_row_says() -> None:
    settings = replace(
        JACKET, values={"colour": "grey", "logo": ""}, request={"steps": 3, "seed": 7}, presets=("etsy",)
    )
    first, second = planned("sku,colour,steps,preset\nA,,,\nB,red,5,google\n", settings).items
    assert (slots(first)["colour"], first.request.steps, first.presets) == ("grey", 3, ("etsy",))
    assert (slots(second)["colour"], second.request.steps, second.presets) == ("red", 5, ("google",))
    assert first.request.seed == second.request.seed == 7


def test_a_hyphen_empties_what_the_template_would_fill() -> None:
    first, second = planned("sku,logo\nA,\nB,-\n").items
    assert "triangle logo" in first.request.prompt
    assert "logo" not in second.request.prompt


def test_choices_make_combinations_that_are_named_after_what_differs() -> None:
    settings = replace(JACKET, values={"colour": "{navy|red}", "setting": "{studio background|city street}"})
    items = planned("sku,count\nA,2\n", settings).items
    assert [item.name for item in items] == [
        *("A-navy-studio-background-1", "A-navy-studio-background-2"),
        *("A-navy-city-street-1", "A-navy-city-street-2"),
        *("A-red-studio-background-1", "A-red-studio-background-2"),
        *("A-red-city-street-1", "A-red-city-street-2"),
    ]
    assert items[1].request.seed == (items[0].request.seed or 0) + 1
    only_words = planned("sku,prompt\nA,{hooded|short}\n").items
    assert [item.name for item in only_words] == ["A-1", "A-2"]


def test_more_pictures_than_a_row_may_stand_for_are_its_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    found = planned("sku,colour\nA,{a|b|c}{d|e|f}{g|h|i}{j|k|l}{m|n|o}{p|q|r}{s|t|u}\nB,red\n")
    assert "stands for 2,187 prompts" in found.problems[2]
    assert [item.sku for item in found.items] == ["B"]
    monkeypatch.setattr(planning, "MOST_PICTURES", 3)
    with pytest.raises(DataError, match="more than 3 pictures"):
        planned("sku,count\nA,2\nB,2\n")


def test_what_is_wrong_with_a_row_is_said_of_it_and_the_others_go_on() -> None:
    found = planned(
        "sku,product,colour,steps,level,preset,template,model,name\n"
        "A,coat,red,,,,,,\n"
        "a,coat,red,,,,,,\n"
        "A,coat,red,,,,,,back\n"
        "D,coat,red,many,,,,,\n"
        "E,coat,red,999,,,,,\n"
        "F,coat,red,,hard,,,,\n"
        "G,coat,red,,,amzon,,,\n"
        "H,coat,red,,,,jackett,,\n"
        "I,coat,{red,,,,,,\n"
        "..,coat,red,,,,,,\n"
        f"K,{'x' * 300},red,,,,,,\n"
        "L,coat,red,,,,footwear,,\n"
    )
    assert [item.sku for item in found.items] == ["A", "A", "L"]
    assert {row: problem.split(";")[0] for row, problem in found.problems.items()} == {
        3: "row 2 has the number 'a', too",
        5: "steps 'many' is no number",
        6: "steps 999 is not between 1 and 150",
        7: "no level named 'hard'",
        8: "no preset named 'amzon'",
        9: "no template named 'jackett'",
        10: "'{' without '}' at character 1 of the prompt",
        11: "'..' has no letter or digit to name a file after",
        12: "the product has 300 characters",
    }


def test_without_a_template_the_words_are_the_prompt_and_must_be_there() -> None:
    found = planned("sku,words,colour\nA,a red coat,\nB,,\nC,a coat,red\n", Settings())
    assert [item.request.prompt for item in found.items] == ["a red coat"]
    assert "the prompt is empty" in found.problems[3]
    assert "colour: these fill a template" in found.problems[4]


def test_without_numbers_files_are_named_after_rows_and_that_is_said() -> None:
    found = planned("product\ncoat\nvest\n")
    assert [item.name for item in found.items] == ["row-0002", "row-0003"]
    assert any("named after their rows" in note for note in found.notes)


def test_fields_in_another_language_are_translated_and_said() -> None:
    found = planned("sku,Farbe\nA,marineblau\n")
    assert slots(found.items[0])["colour"] == "navy"
    assert "colour: marineblau → navy" in found.notes


# ---------------------------------------------------------------- staying the same


def test_a_seed_belongs_to_the_product_and_not_to_its_row_or_words() -> None:
    before = planned("sku,colour\nA,red\nB,red\n").items
    after = planned("sku,colour\nB,green\nA,red\n").items
    assert before[1].request.seed == after[0].request.seed
    assert before[0].key == after[1].key
    assert before[1].key != after[0].key
    assert (
        planned("sku\nA\n", salt="other").items[0].request.seed != planned("sku\nA\n").items[0].request.seed
    )


def test_plans_and_settings_are_json() -> None:
    settings = replace(
        JACKET,
        columns={"x": "sku"},
        values={"colour": "red"},
        presets=("amazon",),
        min_score=0.2,
        request={"steps": 3, "loras": (LoraSpec(path="a", weight=0.5),)},
    )
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    found = planned("sku,x y\nA,1\n,\nC,\n")
    again = Plan.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    assert [item.key for item in again.items] == [item.key for item in found.items]
    wrongs: list[dict[str, object]] = [{}, {"items": 1}, {"meaning": {}, "items": [{}]}]
    for wrong in wrongs:
        with pytest.raises(InputError):
            Plan.from_dict(wrong)


def test_the_alternative_text_says_the_product_in_one_short_sentence() -> None:
    [item] = planned(
        "sku,product,colour,brand,logo,logo colour\nA,windbreaker jacket,navy,Northpeak,star,red\n"
    ).items
    assert item.alt == (
        "A navy windbreaker jacket by Northpeak with a red star logo on the chest, studio background"
    )
    plain = GenerationRequest(
        prompt="top, (Halden:1.4), a photography of an orange t-shirt, " + "studio, " * 40
    )
    assert alt_text(plain).startswith("An orange t-shirt, studio")
    assert len(alt_text(plain)) <= 125
    assert alt_text(GenerationRequest(prompt="x" * 300))
