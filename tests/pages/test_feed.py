"""The strips beside the form: what is drawn, what waits, and variants side by side."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from sdxl_lora.ui import shared
from tests.pages.test_create import headlines, press, write

Open = Callable[..., AppTest]
Finish = Callable[[AppTest], AppTest]


def test_the_job_that_is_drawn_stands_above_those_that_wait(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at.number_input(key="create.steps").set_value(150)
    at = press(press(press(at)))
    keys = [
        button.key
        for button in at.button
        if str(button.key).startswith("job.") and str(button.key).endswith(".cancel")
    ]
    assert keys == [f"job.{job.id}.cancel" for job in shared.queue().jobs()]  # in the order they are served
    for job in shared.queue().jobs():
        shared.queue().cancel(job.id)
    finish(at)


def test_other_colours_are_one_click_of_the_same_seed_side_by_side(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at.button_group(key="create.count").set_value(1)
    at = finish(press(write(at, "a photography of a navy cap with a white star logo")))
    button = next(button for button in at.button if button.key and button.key.endswith(".colours"))
    at = finish(button.click().run())
    first, *others = shared.queue().jobs()
    assert [job.request.prompt.split()[4] for job in others] == ["black", "red", "green", "grey"]
    record = shared.store().get(first.record_ids[0])
    assert {job.request.seed for job in others} == {record.request.seed}
    assert len({job.spec.group for job in others}) == 1
    assert "Side by side: 4 variants" in headlines(at)
    assert "**Red cap**" in headlines(at)
