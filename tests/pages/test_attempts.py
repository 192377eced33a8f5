"""The loop on the page: levels, attempts with reasons, votes, and choices in prompts."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from sdxl_lora.ui import composer, shared

Open = Callable[..., AppTest]
Finish = Callable[[AppTest], AppTest]


def press(at: AppTest) -> AppTest:
    return at.button(key="composer-generate").click().run()


def generated(at: AppTest, finish: Finish) -> AppTest:
    at = at.button_group(key="create.count").set_value(1).run()
    return finish(press(at))


def test_a_level_makes_attempts_that_are_told_with_their_reasons(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at = at.button_group(key="create.level").set_value("Draft").run()
    at = generated(at, finish)
    [job] = shared.queue().jobs()
    assert (job.level, len(job.attempts), job.error) == (
        "draft",
        2,
        None,
    )  # nothing is calibrated: all are made
    assert "2 attempts" in [expander.label for expander in at.expander]
    told = " ".join(element.value for element in at.markdown)
    assert "no threshold" in told
    [record] = shared.studio().store.page()
    assert record.scores["attempts"]["value"] == 2
    assert not at.exception


def test_another_attempt_can_be_kept_with_a_reason(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at = at.button_group(key="create.level").set_value("Draft").run()
    at = generated(at, finish)
    [job] = shared.queue().jobs()
    place = f"attempt.{job.id}.0"
    at.text_input(key=f"{place}.reason").set_value("I like the light").run()
    at.button(key=f"{place}.keep").click().run()
    newest = shared.studio().store.page()[0]
    assert newest.scores["attempts"]["reason"] == "I like the light"


def test_votes_are_kept_and_a_complaint_becomes_an_edit_that_is_seen_first(
    open_app: Open, finish: Finish
) -> None:
    at = generated(open_app(), finish)
    [job], [record] = shared.queue().jobs(), shared.studio().store.page()
    key = f"job.{job.id}.{record.id}"
    at.button(key=f"{key}.approve").click().run()
    brand = dict(record.request.slots).get("brand", "")
    assert [vote.approved for vote in shared.reviews().votes(brand)] == [True]
    at.text_input(key=f"{key}.wrong").set_value("the wrong colour").run()
    assert any("emphasised navy" in element.value for element in at.markdown)
    at.button(key=f"{key}.correct").click().run()
    assert "(navy:1.4)" in at.text_area(key="create.prompt").value
    assert len(shared.queue().jobs()) == 1


def test_choices_in_a_prompt_become_jobs_and_too_many_are_refused(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at.text_area(key="create.prompt").set_value("a {red|navy} cap").run()
    at = generated(at, finish)
    assert [job.request.prompt for job in shared.queue().jobs()] == ["a red cap", "a navy cap"]
    at.text_area(key="create.prompt").set_value("__colours__ __colours__ cap").run()
    at = press(at)
    assert f"more than the {composer.MAX_EXPANDED}" in at.error[0].value
    assert len(shared.queue().jobs()) == 2


def test_details_tell_how_well_the_taste_of_the_brand_is_known(open_app: Open, finish: Finish) -> None:
    at = generated(open_app(), finish)
    [job], [record] = shared.queue().jobs(), shared.studio().store.page()
    key = f"job.{job.id}.{record.id}"
    at.button(key=f"{key}.approve").click().run()
    at.button(key=f"{key}.details").click().run()
    told = [element.value for element in at.caption if element.value.startswith("Taste for")]
    assert len(told) == 1
    assert "1 approvals and 0 rejections" in told[0]
