"""The studio page: from words to pictures, and everything that can be wrong on the way."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from streamlit.testing.v1 import AppTest

from sdxl_lora.records import Record
from sdxl_lora.request import GenerationRequest, LoraSpec
from sdxl_lora.ui import shared
from sdxl_lora.ui.examples import EXAMPLES
from tests.pages.conftest import plain

Open = Callable[..., AppTest]
Finish = Callable[[AppTest], AppTest]
WINDBREAKER = (
    "outer, Northpeak Windbreaker Jacket Navy, a photography of a navy windbreaker jacket"
    " with a white triangle logo on the chest, studio background"
)


def press(at: AppTest) -> AppTest:
    return at.button(key="composer-generate").click().run()


def write(at: AppTest, text: str) -> AppTest:
    return at.text_area(key="create.prompt").set_value(text).run()


def sent() -> list[GenerationRequest]:
    return [job.request for job in shared.queue().jobs()]


def headlines(at: AppTest) -> str:
    return " ".join(element.value for element in (*at.markdown, *at.caption))


def test_an_empty_studio_says_what_to_do_and_is_ready_to_go(open_app: Open) -> None:
    at = open_app()
    assert at.header[0].value == "Your pictures will appear here"
    assert at.text_area(key="create.prompt").value == WINDBREAKER
    assert at.button_group(key="create.garment").value == "Jacket"


def test_generate_makes_pictures_that_are_shown_with_score_and_seed(open_app: Open, finish: Finish) -> None:
    at = finish(press(open_app()))
    records = shared.store().page()
    assert len(records) == 2
    for record in records:
        assert f"Seed {record.request.seed}" in headlines(at)
    assert "CLIP cosine" in headlines(at)
    assert not at.error


def test_every_example_shows_what_the_bundled_model_drew_of_it(open_app: Open) -> None:
    at = open_app()
    assert len(at.get("image")) == len(EXAMPLES)
    for example in EXAMPLES:
        with Image.open(example.picture) as picture:
            assert picture.size == (256, 256)
        assert at.button(key=f"create-example-{example.key}").label == shared.escape(example.title)


def test_an_example_runs_with_one_click_and_fills_the_form(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at = finish(at.button(key="create-example-t-shirt").click().run())
    assert shared.store().count() == 2
    assert "yellow star" in str(at.text_area(key="create.prompt").value)
    assert at.button_group(key="create.garment").value == "Write my own"


def test_the_line_that_is_sent_follows_the_fields(open_app: Open) -> None:
    at = open_app()
    at.selectbox(key="create.slot.jacket.colour").set_value("orange").run()
    assert "a photography of an orange windbreaker jacket" in str(at.text_area(key="create.prompt").value)
    press(at)
    assert sent()[0].template == "jacket"
    assert dict(sent()[0].slots)["colour"] == "orange"


def test_a_line_edited_by_hand_is_left_alone_until_asked(open_app: Open) -> None:
    at = write(open_app(), "a jacket of my own words")
    at.selectbox(key="create.slot.jacket.colour").set_value("red").run()
    assert at.text_area(key="create.prompt").value == "a jacket of my own words"
    press(at)
    assert (sent()[0].prompt, sent()[0].template) == ("a jacket of my own words", "")
    at.button(key="create.refill").click().run()
    assert "a red windbreaker" in str(at.text_area(key="create.prompt").value)


@pytest.fixture
def closed_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled model's own description: it says which words it knows. Nothing is drawn with it here."""
    monkeypatch.delenv("SDXL_LORA_MINI")


@pytest.mark.usefixtures("closed_vocabulary")
def test_words_the_model_does_not_know_are_said_before_drawing(open_app: Open) -> None:
    at = write(open_app(), "a navy jaket with pizza")
    said = " ".join(caption.value for caption in at.caption)
    assert "mini does not know: jaket (closest: jacket), pizza" in plain(said)
    at = write(at, "a navy jacket")
    assert "does not know" not in " ".join(caption.value for caption in at.caption)


@pytest.mark.usefixtures("closed_vocabulary")
def test_a_sentence_in_another_language_is_taken_in_english_with_one_click(open_app: Open) -> None:
    at = write(open_app(), "eine rote Jacke")
    at.button(key="create.translate").click().run()
    assert at.text_area(key="create.prompt").value == "a red jacket"


@pytest.mark.usefixtures("closed_vocabulary")
def test_a_menu_says_which_products_the_model_cannot_draw(open_app: Open) -> None:
    at = open_app()
    at.button_group(key="create.garment").set_value("Footwear").run()
    options = at.selectbox(key="create.slot.footwear.product").options
    assert "boots (not drawn by mini)" in options
    assert "sneakers" in options


def test_what_was_said_of_the_logo_stays_when_the_garment_changes(open_app: Open) -> None:
    at = open_app()
    at.selectbox(key="create.slot.jacket.logo_colour").set_value("red").run()
    at.button_group(key="create.garment").set_value("T-shirt").run()
    assert "with a red triangle logo" in str(at.text_area(key="create.prompt").value)


def test_lifestyle_puts_somebody_into_the_jacket(open_app: Open) -> None:
    at = open_app()
    at.button_group(key="create.style").set_value("lifestyle").run()
    assert "wearing a" in str(at.text_area(key="create.prompt").value)
    assert "deformed hands" in str(at.text_area(key="create.negative").value)


def test_what_was_typed_is_still_there_after_a_visit_to_the_gallery(open_app: Open) -> None:
    at = write(open_app(), "a coat that I must not lose")
    at.number_input(key="create.steps").set_value(3).run()
    at.switch_page("pages/gallery.py").run()
    at.switch_page("pages/create.py").run()
    assert at.text_area(key="create.prompt").value == "a coat that I must not lose"
    assert at.number_input(key="create.steps").value == 3


def test_fine_tuning_reaches_the_request(open_app: Open) -> None:
    at = open_app()
    at.number_input(key="create.steps").set_value(3)
    at.number_input(key="create.guidance").set_value(1.5)
    at.number_input(key="create.guidance_end").set_value(0.5)
    at.text_input(key="create.seed").set_value("12345678901234567")
    at.selectbox(key="create.shape").set_value("Portrait 3:4")
    at.selectbox(key="create.scheduler").set_value("euler")
    at.selectbox(key="create.upscale").set_value(4)
    at.selectbox(key="create.background").set_value("white")
    at.number_input(key="create.fill").set_value(85)
    at.checkbox(key="create.shadow").check()
    at.text_input(key="create.recolour").set_value("#1f2a44")
    at.number_input(key="create.sketch_steps").set_value(2)
    at.text_area(key="create.negative").set_value("fog")
    at.button_group(key="create.count").set_value(3)
    press(at)
    request = sent()[0]
    assert (request.steps, request.guidance, request.seed) == (3, 1.5, 12345678901234567)
    assert (request.width, request.height, request.scheduler) == (64, 64, "euler")
    assert (request.guidance_end, request.sketch_steps, request.upscale) == (0.5, 2, 4)
    assert (request.negative_prompt, request.count) == ("fog", 3)
    assert (request.background, request.fill, request.shadow) == ("white", 85, True)
    assert request.recolour == "#1F2A44"


def test_another_lora_field_appears_when_one_is_filled(open_app: Open, tmp_path: Path) -> None:
    file = tmp_path / "brand.safetensors"
    file.touch()
    at = open_app()
    at.text_input(key="create.lora.0.path").set_value(str(file)).run()
    at.number_input(key="create.lora.0.weight").set_value(0.5).run()
    assert at.text_input(key="create.lora.1.path").value == ""
    press(at)
    assert sent()[0].loras == (LoraSpec(path=str(file), weight=0.5),)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("create.prompt", "  ", "the prompt is empty"),
        ("create.prompt", "x" * 10_000, "the prompt has 10,000 characters"),
        ("create.prompt", "a jacket\x07", "control characters"),
        ("create.negative", "fog\x00", "control characters"),
        ("create.steps", 0, "steps 0 is not between"),
        ("create.steps", 10_000, "steps 10000 is not between"),
        ("create.guidance", -1.0, "guidance -1.0 is not a number between"),
        ("create.seed", "-1", "seed -1 is not between"),
        ("create.seed", str(2**64), "seed 18446744073709551616 is not between"),
        ("create.seed", "lucky", "seed 'lucky' is not a whole number"),
        ("create.lora.0.weight", 99.0, "LoRA weight 99.0 is not between"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_lost(
    open_app: Open, key: str, value: object, message: str
) -> None:
    at = open_app()
    at.session_state["create.lora.0.path"] = "brand.safetensors"
    at.session_state[key] = value
    press(at.run())
    assert [message in plain(error.value) for error in at.error].count(True) >= 1
    assert all("\n" not in error.value for error in at.error)
    assert at.session_state[key] == value
    assert not sent()
    assert not at.exception


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (250, 256, "width 250 is not a multiple of 8; use 248"),
        (8, 64, "width 8 is not between"),
        (4096, 4096, "too large"),
    ],
)
def test_a_size_that_cannot_be_drawn_is_one_line(
    open_app: Open, width: int, height: int, message: str
) -> None:
    at = open_app()
    at.selectbox(key="create.shape").set_value("Custom").run()
    at.number_input(key="create.width").set_value(width)
    at.number_input(key="create.height").set_value(height)
    press(at)
    assert message in at.error[0].value
    assert not sent()


def test_emoji_and_other_scripts_simply_work(open_app: Open, finish: Finish) -> None:
    at = finish(press(write(open_app(), "紺色のジャケット 🧥")))
    assert not at.error
    assert shared.store().page(0, 1)[0].request.prompt == "紺色のジャケット 🧥"


def test_a_lora_that_is_not_there_is_said_at_once_and_nothing_is_sent(open_app: Open) -> None:
    at = open_app()
    at.text_input(key="create.lora.0.path").set_value("nowhere.safetensors").run()
    at = press(at)
    assert "there is no LoRA at nowhere.safetensors" in plain(at.error[0].value)
    assert not sent()


def test_a_job_that_fails_says_why_and_the_form_keeps_everything(
    open_app: Open, finish: Finish, tmp_path: Path
) -> None:
    file = tmp_path / "broken.safetensors"
    file.write_bytes(b"no LoRA")
    at = open_app()
    at.text_input(key="create.lora.0.path").set_value(str(file)).run()
    at = finish(press(at))
    assert "broken.safetensors" in plain(at.error[0].value)
    assert at.text_area(key="create.prompt").value == WINDBREAKER


def test_a_picture_that_cannot_be_scored_is_shown_with_the_reason(
    open_app: Open, finish: Finish, tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_MINI", str(tiny_sdxl))
    at = open_app()
    at.number_input(key="create.steps").set_value(2)
    at = finish(press(at))
    assert "Not scored: the CLIP model" in headlines(at)
    assert shared.store().count() == 2


def test_cancel_stops_the_job_and_says_so(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at.number_input(key="create.steps").set_value(150)
    at.button_group(key="create.count").set_value(8)
    press(at)
    job = shared.queue().jobs()[0]
    at.button(key=f"job.{job.id}.cancel").click().run()
    at = finish(at)
    assert shared.queue().jobs()[0].state == "cancelled"
    assert "Cancelled" in headlines(at)


def test_closing_the_tab_loses_nothing(open_app: Open, finish: Finish) -> None:
    at = press(open_app())
    session = at.query_params["session"]
    del at
    back = finish(open_app(session=session[0] if isinstance(session, list) else session))
    assert len([b for b in back.button if b.key and b.key.endswith(".more")]) == 2


def test_a_job_of_a_closed_tab_is_offered_to_a_new_one(open_app: Open, finish: Finish) -> None:
    first = open_app()
    first.number_input(key="create.steps").set_value(150)
    press(first)
    other = open_app()
    job = shared.queue().jobs()[0]
    other.button(key=f"elsewhere.{job.id}.show").click().run()
    assert other.button(key=f"job.{job.id}.cancel").label == "Cancel"
    other.button(key=f"job.{job.id}.cancel").click().run()
    finish(other)


def test_more_like_this_keeps_the_settings_and_draws_new_seeds(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at.text_input(key="create.seed").set_value("5").run()
    at = finish(press(at))
    next(button for button in at.button if button.key and button.key.endswith(".more")).click().run()
    finish(at)
    again = sent()[1]
    assert (again.prompt, again.seed, again.count) == (WINDBREAKER, None, 2)
    assert {record.request.seed for record in shared.store().page(0, 2)}.isdisjoint({5, 6})


def test_same_seed_changed_words_fills_the_form_with_the_seed(open_app: Open, finish: Finish) -> None:
    at = finish(press(open_app()))
    seed = shared.store().page()[-1].request.seed
    next(button for button in at.button if button.key and button.key.endswith(".words")).click().run()
    assert at.text_input(key="create.seed").value == str(seed)
    assert f"Seed {seed} is kept" in at.success[0].value


def test_a_dropped_picture_restores_every_setting(
    open_app: Open, finish: Finish, make: Callable[..., list[Record]]
) -> None:
    at = open_app()
    at.selectbox(key="create.slot.jacket.colour").set_value("teal").run()
    at.text_input(key="create.seed").set_value("77")
    at.number_input(key="create.guidance").set_value(2.5)
    at = finish(press(at))
    first = shared.store().page()[-1]
    at = open_app()
    at.file_uploader(key="create.file").set_value([("mine.png", first.path.read_bytes(), "image/png")]).run()
    assert "All settings of mine.png are filled in." in at.success[0].value
    assert at.button_group(key="create.garment").value == "Jacket"
    assert at.selectbox(key="create.slot.jacket.colour").value == "teal"
    at.button_group(key="create.count").set_value(1).run()
    finish(press(at))
    again = shared.store().page()[0]
    assert again.request == first.request
    with Image.open(again.path) as one, Image.open(first.path) as other:
        assert one.tobytes() == other.tobytes()


def test_a_dropped_picture_without_settings_says_what_to_use_instead(open_app: Open) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="PNG")
    at = open_app()
    at.file_uploader(key="create.file").set_value([("photo.png", buffer.getvalue(), "image/png")]).run()
    assert "does not say how it was made" in at.error[0].value


def test_a_data_folder_that_cannot_be_used_is_one_line(home: Path) -> None:
    from tests.pages.conftest import ROOT, TIMEOUT

    home.write_text("a file where the folder should be")
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT).run()
    assert len(at.error) == 1
    assert not at.exception


def test_a_template_may_replace_an_example_but_not_what_was_typed(open_app: Open) -> None:
    at = open_app()
    at.button(key="create-example-t-shirt").click().run()
    at.button_group(key="create.garment").set_value("Jacket").run()
    assert at.text_area(key="create.prompt").value == WINDBREAKER
    write(at, "typed by hand")
    at.button_group(key="create.garment").set_value("T-shirt").run()
    assert at.text_area(key="create.prompt").value == "typed by hand"


def test_an_address_in_a_strangers_picture_is_not_fetched(open_app: Open, tmp_path: Path) -> None:
    facts = PngImagePlugin.PngInfo()
    facts.add_text(
        "parameters", "a cap\nSteps: 4, Seed: 1, Size: 64x64, Model: ![x](https://example.com/x.png)"
    )
    path = tmp_path / "stranger.png"
    Image.new("RGB", (64, 64), "navy").save(path, pnginfo=facts)
    at = open_app()
    at.file_uploader(key="create.file").set_value([(path.name, path.read_bytes(), "image/png")]).run()
    shown = [*at.success, *at.error, *at.warning, *at.caption, *at.markdown, *at.info]
    assert not any("![" in str(element.value) for element in shown)
    assert not at.exception
