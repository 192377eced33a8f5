"""Own templates are made, changed and deleted on their page, and used in the studio at once."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora import prompts
from sdxl_lora.prompts import own

Open = Callable[..., AppTest]
PAGE = "pages/templates.py"
COPY = "jacket-copy-catalogue"


def said(at: AppTest) -> str:
    """The prompt that the template gives."""
    values = [element.value for element in at.markdown]
    return values[values.index("**With its defaults it says**") + 1]


def duplicated(open_app: Open) -> AppTest:
    at = open_app(PAGE)
    at.selectbox(key="templates.chosen").set_value("jacket").run()
    return at.button(key="templates.duplicate").click().run()


def test_a_shipped_template_can_be_looked_at_and_not_changed(open_app: Open) -> None:
    at = open_app(PAGE)
    at.selectbox(key="templates.chosen").set_value("jacket").run()
    assert at.text_area(key="templates.jacket.pattern").disabled
    assert not [b for b in at.button if b.key in ("templates.jacket.save", "templates.confirm")]
    assert "Northpeak Windbreaker Jacket Navy" in said(at)


def test_a_copy_is_changed_saved_and_used_in_the_studio(open_app: Open) -> None:
    at = duplicated(open_app)
    assert at.selectbox(key="templates.chosen").value == COPY
    assert at.button(key=f"templates.{COPY}.save").disabled  # nothing is changed yet
    at.text_input(key=f"templates.{COPY}.title").set_value("Rain jacket, catalogue").run()
    at.text_area(key=f"templates.{COPY}.pattern").set_value(
        "a photo of {a} {colour} rain jacket[ by {maker}]"
    ).run()
    assert said(at) == "a photo of a navy rain jacket"
    at.button(key=f"templates.{COPY}.save").click().run()
    assert [slot.name for slot in prompts.get(COPY).slots] == ["colour", "maker"]
    at.switch_page("pages/create.py").run()
    at.button_group(key="create.garment").set_value("Rain jacket").run()
    at.selectbox(key=f"create.slot.{COPY}.colour").set_value("orange").run()
    assert at.text_area(key="create.prompt").value == "a photo of an orange rain jacket"
    assert not at.exception


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("pattern", "a {colour", "Stray '{' in the pattern at character 3"),
        ("pattern", "a {Colour}", "is not a slot; slots are named in small letters"),
        ("pattern", "a [{colour}", "'\\[' without '\\]' in the pattern"),
    ],
)
def test_a_broken_pattern_is_one_line_and_nothing_is_saved(
    open_app: Open, field: str, text: str, message: str
) -> None:
    at = duplicated(open_app)
    at.text_area(key=f"templates.{COPY}.{field}").set_value(text).run()
    assert message in at.error[0].value.replace("\\{", "{").replace("\\}", "}")
    assert "\n" not in at.error[0].value
    assert not [b for b in at.button if b.key == f"templates.{COPY}.save"]
    assert prompts.get(COPY).pattern == prompts.get("jacket").pattern


def test_an_empty_title_is_refused_when_it_is_saved(open_app: Open) -> None:
    at = duplicated(open_app)
    at.text_input(key=f"templates.{COPY}.title").set_value(" ").run()
    at.button(key=f"templates.{COPY}.save").click().run()
    assert "the title is empty" in at.error[0].value


def test_a_new_template_begins_with_something_that_works(open_app: Open) -> None:
    at = open_app(PAGE)
    at.button(key="templates.new").click().run()
    assert own.is_own("new-template-catalogue")
    assert said(at) == "a photography of a navy jacket, studio background"


def test_the_simple_view_shows_a_shipped_template_without_its_pattern(open_app: Open) -> None:
    at = open_app(PAGE, view="Simple")
    at.selectbox(key="templates.chosen").set_value("jacket").run()
    assert list(at.text_area) == []
    assert said(at)
    at.button(key="templates.duplicate").click().run()
    assert [area.label for area in at.text_area] == ["Pattern"]  # whoever changes one needs it


def test_only_own_templates_are_deleted_and_after_a_second_click(open_app: Open) -> None:
    at = duplicated(open_app)
    assert own.is_own(COPY)
    at.button(key="templates.confirm").click().run()
    assert not own.is_own(COPY)
    assert at.selectbox(key="templates.chosen").value in prompts.templates()
    assert not at.exception


def test_a_file_that_cannot_be_read_is_named_and_hides_nothing(open_app: Open) -> None:
    own.folder().mkdir(parents=True)
    (own.folder() / "mine.yaml").write_text("title: [")
    at = open_app(PAGE)
    at.selectbox(key="templates.chosen").set_value("mine").run()
    assert "mine.yaml" in at.error[0].value
    at.switch_page("pages/create.py").run()
    assert any("mine.yaml" in error.value.replace("\\", "") for error in at.error)
    assert "jacket with a white triangle logo" in str(at.text_area(key="create.prompt").value)
