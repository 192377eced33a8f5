"""The loop on the page: levels, attempts with reasons, votes, and choices in prompts."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora.generation import tokens
from sdxl_lora.jobs.job import Job
from sdxl_lora.prompts import rewriting
from sdxl_lora.prompts.rewriting import Proposal
from sdxl_lora.search import Attempt
from sdxl_lora.search.calibration import Calibration, Calibrations, SketchSample
from sdxl_lora.ui import composer, shared
from tests.pages.conftest import plain

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
    assert (job.spec.effort.level, len(shared.queue().attempts(job.id)), job.error) == (
        "draft",
        2,
        None,
    )  # nothing is calibrated: all are made
    assert "2 attempts" in [expander.label for expander in at.expander]
    told = " ".join(element.help or "" for element in at.caption)
    assert "no threshold" in told
    [record] = shared.store().page()
    assert record.card.search
    assert record.card.search.count == 2
    assert not at.exception


def test_another_attempt_can_be_kept_with_a_reason(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at = at.button_group(key="create.level").set_value("Draft").run()
    at = generated(at, finish)
    [job] = shared.queue().jobs()
    [other] = [
        index for index, attempt in enumerate(shared.queue().attempts(job.id)) if attempt != winner(job)
    ]
    place = f"attempt.{job.id}.0.{shared.queue().attempts(job.id)[other].number}"
    with pytest.raises(KeyError):
        at.text_input(key=f"attempt.{job.id}.0.{winner(job).number}.reason")  # it is in the gallery already
    at.text_input(key=f"{place}.reason").set_value("I like the light").run()
    at.button(key=f"{place}.keep").click().run()
    newest = shared.store().page()[0]
    assert newest.card.search
    assert newest.card.search.reason == "I like the light"
    assert newest.request.seed == shared.queue().attempts(job.id)[other].request.seed
    assert len(newest.card.search.attempts) == 2
    at = at.switch_page("pages/gallery.py").run()
    at.button(key=f"gallery.{newest.id}.details").click().run()
    assert "Kept by hand: I like the light" in " ".join(element.value for element in at.markdown)


def test_of_a_cancelled_job_even_the_best_attempt_can_be_taken(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at.button_group(key="create.level").set_value("Strict").run()
    at.number_input(key="create.steps").set_value(40).run()
    at = press(at)
    [job] = shared.queue().jobs()
    deadline = time.monotonic() + 60
    while not shared.queue().attempts(job.id) and time.monotonic() < deadline:
        time.sleep(0.01)
    shared.queue().cancel(job.id)
    at = finish(at)
    [job] = shared.queue().jobs()
    assert (job.state, shared.store().count()) == ("cancelled", 0)
    at.button(key=f"attempt.{job.id}.0.1.keep").click().run()
    [record] = shared.store().page()
    assert record.request.seed == shared.queue().attempts(job.id)[0].request.seed
    assert record.card.search
    assert record.card.search.reason == "chosen by hand"


def test_sketches_are_told_apart_and_one_that_is_liked_can_be_drawn_whole(
    open_app: Open, finish: Finish, home: Path
) -> None:
    scores = tuple(0.9 + i / 1000 for i in range(20))  # out of reach, and sketches foretell them
    Calibrations(home).keep(
        Calibration(
            model="mini",
            template="jacket",
            scorer="mini-CLIP cosine",
            scores=scores,
            prompts=("a",) * 20,
            sketches=(SketchSample(steps=1, scores=scores),),
        )
    )
    at = open_app()
    at.number_input(key="create.steps").set_value(6).run()
    at = at.button_group(key="create.level").set_value("Standard").run()
    at = generated(at, finish)
    [job] = shared.queue().jobs()
    assert [attempt.sketch for attempt in shared.queue().attempts(job.id)] == [False] + [True] * 6 + [
        False
    ] * 2
    assert "6 sketches, 3 whole pictures" in [expander.label for expander in at.expander]
    [record] = shared.store().page()
    assert record.request.steps == 6
    finished = shared.queue().attempts(job.id)[-1].finishes
    told = [element.value for element in at.caption]
    assert any(f"**9** Sketch {finished}, whole: " in words for words in told)
    assert record.card.search
    kept = record.card.search.kept
    assert any(f"**{kept}** " in words and "kept" in words for words in told)
    whole = {attempt.finishes for attempt in shared.queue().attempts(job.id)}
    other = next(
        attempt
        for attempt in shared.queue().attempts(job.id)
        if attempt.sketch and attempt.number not in whole
    )
    with pytest.raises(KeyError):
        at.button(key=f"attempt.{job.id}.0.{finished}.whole")
    at.button(key=f"attempt.{job.id}.0.{other.number}.whole").click().run()
    at = finish(at)
    assert shared.queue().jobs()[1].request == other.request
    assert shared.store().page()[0].request == other.request.wish()
    at = at.switch_page("pages/gallery.py").run()
    at.button(key=f"gallery.{record.id}.details").click().run()
    tried = " ".join(element.value for element in at.markdown)
    assert "Try 1: the first seed" in tried
    assert "Sketch 2: another seed" in tried
    assert f"Try 9: sketch {finished}, finished]" in tried
    assert not at.exception


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("  ", "the prompt is empty"),
        ("x" * 10_000, "the prompt has 10,000 characters"),
        ("a cap\x07", "control characters"),
        ("a {red|navy cap", "'{' without '}' at character 3"),
        ("a __nowhere__ cap", "no word list named 'nowhere'"),
    ],
)
def test_words_that_cannot_be_sent_are_one_line_and_make_no_attempt(
    open_app: Open, prompt: str, message: str
) -> None:
    at = open_app()
    at.button_group(key="create.level").set_value("Draft").run()
    at.text_area(key="create.prompt").set_value(prompt).run()
    at = press(at)
    assert [message in plain(error.value) for error in at.error] == [True]
    assert not shared.queue().jobs()
    assert not at.exception


@pytest.mark.parametrize(
    "prompt",
    ["紺色の帽子 🧢", "a cap; ${HOME} {% import os %} <script>alert(1)</script> [x](javascript:1) :red[y]"],
)
def test_any_script_and_anybodys_syntax_are_only_words(open_app: Open, finish: Finish, prompt: str) -> None:
    at = open_app()
    at.button_group(key="create.level").set_value("Draft").run()
    at.text_area(key="create.prompt").set_value(prompt.replace("{", "\\{").replace("}", "\\}")).run()
    at = generated(at, finish)
    [job] = shared.queue().jobs()
    assert (job.state, job.request.prompt) == ("done", prompt)
    headline = next(e.value for e in at.markdown if "cap" in e.value or "帽" in e.value)
    assert headline == shared.escape(prompt)


def winner(job: Job) -> Attempt:
    """The attempt that was kept."""
    return next(attempt for attempt in reversed(shared.queue().attempts(job.id)) if attempt.best)


def test_votes_are_kept_and_a_complaint_becomes_an_edit_that_is_seen_first(
    open_app: Open, finish: Finish
) -> None:
    at = generated(open_app(), finish)
    [job], [record] = shared.queue().jobs(), shared.store().page()
    key = f"job.{job.id}.{record.id}"
    at.button(key=f"{key}.approve").click().run()
    assert at.button(key=f"{key}.approve").label == "Approved"
    assert [vote.approved for vote in shared.reviews().votes("Northpeak")] == [True]
    at.button(key=f"{key}.reject").click().run()
    at.text_input(key=f"{key}.wrong").set_value("the wrong colour").run()
    at.button_group(key=f"{key}.tags").set_value(["background busy"]).run()
    [vote] = shared.reviews().votes("Northpeak")
    assert (vote.approved, vote.tags, vote.text) == (False, ("background busy",), "the wrong colour")
    told = " ".join(element.value for element in at.markdown)
    assert "**Colour**: navy, said louder" in told
    assert "**Avoid**: add busy background, clutter" in told
    at.button(key=f"{key}.correct").click().run()
    assert at.selectbox(key="create.slot.jacket.colour").value == "(navy:1.4)"
    assert "(navy:1.4)" in str(at.text_area(key="create.prompt").value)
    assert str(at.text_area(key="create.negative").value).endswith("busy background, clutter")
    assert len(shared.queue().jobs()) == 1


def steps(at: AppTest) -> list[str]:
    """What the rows of the history say."""
    return [b.label.replace("\\", "").strip("*") for b in at.button if b.key and b.key.startswith("history.")]


def test_a_vote_pressed_again_is_taken_back(open_app: Open, finish: Finish) -> None:
    at = generated(open_app(), finish)
    [job], [record] = shared.queue().jobs(), shared.store().page()
    for votes in ([True], []):
        at.button(key=f"job.{job.id}.{record.id}.approve").click().run()
        assert [vote.approved for vote in shared.reviews().votes("Northpeak")] == votes


def test_a_change_is_made_with_the_same_seed_and_undo_brings_the_words_back(
    open_app: Open, finish: Finish
) -> None:
    at = generated(open_app(), finish)
    before = at.text_area(key="create.prompt").value
    [job], [record] = shared.queue().jobs(), shared.store().page()
    key = f"job.{job.id}.{record.id}"
    at.button(key=f"{key}.reject").click().run()
    at.text_input(key=f"{key}.wrong").set_value("make it red").run()
    assert "**Colour**: navy → red" in " ".join(element.value for element in at.markdown)
    at.button(key=f"{key}.make").click().run()
    at = finish(at)
    again = shared.queue().jobs()[1].request
    assert (again.seed, dict(again.slots)["colour"], again.template) == (record.request.seed, "red", "jacket")
    assert at.selectbox(key="create.slot.jacket.colour").value == "red"
    at.button(key="create.undo").click().run()
    assert at.text_area(key="create.prompt").value == before
    assert at.selectbox(key="create.slot.jacket.colour").value == "navy"
    assert steps(at)[1:] == ["Colour: navy → red"]
    at.button(key="history.1").click().run()
    assert at.selectbox(key="create.slot.jacket.colour").value == "red"
    assert not at.exception


def test_what_was_typed_but_not_sent_survives_undo_as_a_step(open_app: Open, finish: Finish) -> None:
    at = generated(open_app(), finish)
    at.selectbox(key="create.slot.jacket.colour").set_value("red").run()
    at = generated(at, finish)
    at.selectbox(key="create.slot.jacket.colour").set_value("teal").run()
    at.button(key="create.undo").click().run()
    assert at.selectbox(key="create.slot.jacket.colour").value == "red"
    assert steps(at)[1:] == ["Colour: navy → red", "Colour: red → teal"]


def test_words_that_could_not_be_sent_do_no_harm_in_the_history(open_app: Open, finish: Finish) -> None:
    at = generated(open_app(), finish)
    at.selectbox(key="create.slot.jacket.colour").set_value("red").run()
    at = generated(at, finish)
    at.text_area(key="create.prompt").set_value("a {red cap").run()
    at.button(key="create.undo").click().run()
    assert steps(at)[-1].endswith("a {red cap")
    at.text_area(key="create.prompt").set_value("a {red|teal} cap").run()
    at = generated(at, finish)
    assert not at.exception


def test_the_history_is_there_again_after_a_reload(open_app: Open, finish: Finish) -> None:
    at = generated(open_app(), finish)
    at.selectbox(key="create.slot.jacket.colour").set_value("red").run()
    at = generated(at, finish)
    session = at.query_params["session"]
    again = open_app(session=session[0] if isinstance(session, list) else session)
    assert again.selectbox(key="create.slot.jacket.colour").value == "red"
    again.button(key="create.undo").click().run()
    assert "navy" in str(again.text_area(key="create.prompt").value)


def test_the_keys_are_for_one_picture_and_move(open_app: Open, finish: Finish) -> None:
    at = finish(press(open_app()))
    [job] = shared.queue().jobs()
    keyed = lambda: [b.key for b in at.button if b.key and b.key.endswith(".approve") and b.proto.shortcut]  # noqa: E731
    first, second = (f"job.{job.id}.{identifier}.approve" for identifier in job.record_ids)
    assert keyed() == [first]
    at.button(key="votes.next").click().run()
    assert keyed() == [second]
    assert at.button(key="votes.next").disabled
    at.button(key="votes.previous").click().run()
    assert keyed() == [first]


def test_a_new_picture_gets_the_keys_but_not_while_somebody_says_what_is_wrong(
    open_app: Open, finish: Finish
) -> None:
    at = generated(open_app(), finish)
    [first] = shared.queue().jobs()[0].record_ids
    at = generated(at, finish)
    [second] = shared.queue().jobs()[1].record_ids
    assert at.session_state["votes.selected"] == second
    at.button(key=f"job.{shared.queue().jobs()[1].id}.{second}.reject").click().run()
    at = generated(at, finish)
    assert at.session_state["votes.selected"] == second
    at.button_group(key=f"job.{shared.queue().jobs()[1].id}.{second}.tags").set_value(["blurry"]).run()
    at = generated(at, finish)
    assert at.session_state["votes.selected"] not in (first, second)


def test_every_picture_says_what_of_the_words_shows(open_app: Open, finish: Finish) -> None:
    at = generated(open_app(), finish)
    [record] = shared.store().page()
    assert [found.wanted for found in record.card.findings][:2] == ["navy", "windbreaker jacket"]
    told = " ".join(element.value for element in at.markdown)
    assert "**What you asked for**" in told
    assert [gate.name for gate in record.card.gates][:2] == ["garment", "colour"]


def test_the_length_of_the_prompt_is_said_and_chunks_are_announced(open_app: Open) -> None:
    at = open_app()
    prompt = str(at.text_area(key="create.prompt").value)
    told = [element.value for element in at.caption]
    assert f"{tokens.count('mini', prompt).tokens} tokens, sent in 2 chunks" in " ".join(told)  # type: ignore[union-attr]  # it is there
    at.text_area(key="create.prompt").set_value("a {red|navy} cap").run()
    assert "10 of 77 tokens · 2 prompts × 2 = 4 pictures" in [element.value for element in at.caption]


def test_choices_in_a_prompt_become_jobs_and_too_many_are_refused(open_app: Open, finish: Finish) -> None:
    at = open_app()
    at.text_area(key="create.prompt").set_value("a {red|navy} cap").run()
    at = generated(at, finish)
    assert [job.request.prompt for job in shared.queue().jobs()] == ["a red cap", "a navy cap"]
    made = {identifier for job in shared.queue().jobs() for identifier in job.record_ids}
    session = at.query_params["session"]
    history = shared.histories().read(session[0] if isinstance(session, list) else session)
    assert set(history.current.records) == made  # all hang on the one step they were sent from
    at.text_area(key="create.prompt").set_value("__colours__ __colours__ cap").run()
    at = press(at)
    assert f"the most is {composer.MAX_EXPANDED}" in at.error[0].value
    assert len(shared.queue().jobs()) == 2


def test_details_tell_how_well_the_taste_of_the_brand_is_known(open_app: Open, finish: Finish) -> None:
    at = generated(open_app(), finish)
    [job], [record] = shared.queue().jobs(), shared.store().page()
    key = f"job.{job.id}.{record.id}"
    at.button(key=f"{key}.approve").click().run()
    at.button(key=f"{key}.details").click().run()
    told = [element.value for element in at.caption if element.value.startswith("Taste for")]
    assert len(told) == 1
    assert "1 approvals and 0 rejections" in told[0]


def test_richer_words_are_proposed_by_a_local_model_seen_first_and_undone(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_app()
    before = at.text_area(key="create.prompt").value
    assert at.button(key="create.enrich.propose").disabled  # off until a model is named
    at.text_input(key="create.enrich.model").set_value("nowhere/at-all").run()
    at.button(key="create.enrich.propose").click().run()
    assert "nowhere/at-all is not here or not whole; run `hf download" in at.error[0].value.replace("\\", "")
    found = Proposal(
        prompt="a navy windbreaker jacket of ripstop nylon, soft light", lost=("logo: triangle",)
    )
    monkeypatch.setattr(rewriting, "propose", lambda source, prompt: found)
    at.button(key="create.enrich.propose").click().run()
    assert at.text_area(key="create.prompt").value == before
    assert "Lost on the way: logo: triangle." in [element.value for element in at.caption]
    at.button(key="create.enrich.use").click().run()
    assert at.text_area(key="create.prompt").value == found.prompt
    at.button(key="create.undo").click().run()
    assert at.text_area(key="create.prompt").value == before
    assert not at.exception
