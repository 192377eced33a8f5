"""The Simple view has no terms of the trade; the Expert view has all of them, and nothing works in secret."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from tests.pages.test_create import headlines, press

Open = Callable[..., AppTest]
Finish = Callable[[AppTest], AppTest]
TERMS = ("token", "Seed ", "guidance", "scheduler", "latent")


def labels(at: AppTest) -> set[str]:
    return {widget.label for widget in (*at.number_input, *at.selectbox, *at.text_input)}


def test_the_simple_view_has_no_terms_of_the_trade(open_app: Open, finish: Finish) -> None:
    at = finish(press(open_app(view="Simple")))
    assert not labels(at) & {"Steps", "Guidance", "Guidance end", "Scheduler", "Sketch steps", "Precision"}
    assert [term for term in TERMS if term in headlines(at)] == []
    assert "Fits the words" in headlines(at)


def test_the_switch_brings_every_setting(open_app: Open) -> None:
    at = open_app(view="Simple")
    at.button_group(key="view").set_value("Expert").run()
    assert {"Steps", "Guidance", "Guidance end", "Scheduler", "Sketch steps", "Precision"} <= labels(at)
    assert "tokens" in headlines(at)


def test_a_setting_that_is_set_is_shown_in_the_simple_view_too(open_app: Open) -> None:
    at = open_app()
    at.number_input(key="create.steps").set_value(3)
    at.button_group(key="view").set_value("Simple").run()
    assert at.number_input(key="create.steps").value == 3
    assert "Guidance" not in labels(at)
