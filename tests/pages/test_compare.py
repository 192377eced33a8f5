"""The compare page: a new comparison, votes without names, results with them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora.comparing import columns, engine
from sdxl_lora.comparing.prompts import EXAMPLES, Row
from sdxl_lora.records.comparisons import ComparisonRecord, ComparisonStore
from tests.comparing.conftest import file_of
from tests.pages.conftest import plain

ROOT = Path(__file__).parents[2]
ROWS = (Row(key="a", prompt="a red hoodie"), Row(key="b", prompt="a blue cap"))
Open = Callable[[], AppTest]


@pytest.fixture
def open_page(open_alone: Callable[[str], AppTest]) -> Open:
    return partial(open_alone, "compare")


@pytest.fixture
def record(home: Path) -> ComparisonRecord:
    """Two systems, both with pictures for both rows; scored."""
    systems = [
        columns.of_pictures(name, {"1.png": file_of(c), "2.png": file_of(c)}, ROWS, source=f"{name}.zip")
        for name, c in (("Alpha", "red"), ("Beta", "blue"))
    ]
    with ComparisonStore(home) as store:
        made = engine.begin(store, ROWS, systems)
        engine.score(store, made, metrics=("clip_mini",))
        return made


def text(at: AppTest) -> str:
    parts = [*at.markdown, *at.caption, *at.info, *at.success, *at.warning, *at.header, *at.error]
    return "\n".join(str(part.value) for part in parts)


def vote_buttons(at: AppTest) -> list[str]:
    return [button.label for button in at.button if str(button.key).startswith("compare.vote")]


def test_a_new_comparison_starts_with_the_originals_five_prompts(open_page: Open) -> None:
    at = open_page()
    assert str(at.text_area(key="compare.prompts").value).splitlines() == [row.prompt for row in EXAMPLES]


def test_what_is_missing_in_the_form_is_said_in_one_line(open_page: Open) -> None:
    at = open_page()
    at.button(key="compare.start").click().run()
    assert not at.exception
    assert "system 2 has no pictures yet" in at.error[0].value


def test_two_models_are_compared_from_the_form(open_page: Open, home: Path) -> None:
    at = open_page()
    at.text_area(key="compare.prompts").set_value("a red hoodie")
    first, second = at.session_state["compare.systems"]
    at.selectbox(key=f"{second}.kind").set_value("model").run()
    at.text_input(key=f"{first}.label").set_value("One")
    at.text_input(key=f"{second}.label").set_value("Two")
    at.button(key="compare.start").click().run()
    assert not at.exception
    assert at.error == []
    assert vote_buttons(at) == ["A is best", "B is best", "None is better"]
    with ComparisonStore(home) as store:
        [(identifier, title, _)] = store.all()
        assert title == "One · Two"
        assert store.get(identifier).missing == []


def test_a_key_is_a_password_field_and_is_asked_for_again(
    open_page: Open, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ComparisonStore(home) as store:
        made = engine.begin(
            store, ROWS, [columns.of_provider("A", "openai"), columns.of_provider("B", "google")]
        )
    at = open_page()
    field = at.text_input(key=f"compare.again.{made.id}.0")
    assert field.proto.type == field.proto.PASSWORD
    at.button(key="compare.again").click().run()
    assert "A: OpenAI: no key; set OPENAI_API_KEY" in text(at).replace("\\", "")
    assert "4 of 4 pictures are not made yet" in text(at)


def test_names_are_nowhere_while_votes_are_open(record: ComparisonRecord, open_page: Open) -> None:
    at = open_page()
    assert vote_buttons(at) == ["A is best", "B is best", "None is better"]
    images = at.get("image")
    assert len(images) >= 2
    shown = text(at) + "".join(str(image.proto) for image in images)
    assert "Alpha" not in shown
    assert "Beta" not in shown


def test_votes_are_kept_and_lead_to_the_results(
    record: ComparisonRecord, open_page: Open, home: Path
) -> None:
    at = open_page()
    for _ in ROWS:
        button = next(
            b for b in at.button if str(b.key).startswith("compare.vote") and b.label == "A is best"
        )
        button.click().run()
        assert not at.exception
    with ComparisonStore(home) as store:
        votes = store.votes(record.id)
    assert sorted(vote.row for vote in votes) == [0, 1]
    assert all(vote.blind and vote.choice == vote.columns[0] for vote in votes)
    assert "you have voted on every row" in text(at)


def test_results_have_names_wins_scores_pictures_and_what_was_paired(
    record: ComparisonRecord, open_page: Open, home: Path
) -> None:
    with ComparisonStore(home) as store:
        for row in range(2):
            store.vote(record.id, row, "ann", choice=0, columns=[1, 0], blind=True)
    at = open_page()
    at.segmented_control(key=f"compare.view.{record.id}").set_value("Results").run()
    assert not at.exception
    shown = text(at)
    assert "2 blind votes of 1 person" in shown
    assert plain(shown).count("Alpha · 2.5 × mini-CLIP cosine") == 2
    assert plain(shown).count("(trained beside mini)") == 4  # said wherever that judge is
    assert "Alpha.zip: paired by number: 1.png → a, 2.png → b" in shown.replace("\\", "")
    assert "Beta" in at.dataframe[0].value.columns
    assert len(at.get("download_button")) == 2
    assert [code.value.split("?")[1] for code in at.code] == [f"comparison={record.id}"]


def test_votes_after_the_names_were_seen_are_kept_apart(
    record: ComparisonRecord, open_page: Open, home: Path
) -> None:
    at = open_page()
    view = at.segmented_control(key=f"compare.view.{record.id}")
    view.set_value("Results").run()
    at.segmented_control(key=f"compare.view.{record.id}").set_value("Vote without names").run()
    next(b for b in at.button if b.label == "None is better").click().run()
    with ComparisonStore(home) as store:
        [vote] = store.votes(record.id)
    assert not vote.blind
