"""Data folders of earlier versions open and keep everything; `folders/README.md` says how they were made."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora import prompts
from sdxl_lora.feedback.histories import Histories
from sdxl_lora.records import Store
from sdxl_lora.records.comparisons import ComparisonStore
from sdxl_lora.records.evaluations import EvaluationStore
from sdxl_lora.records.votes import Votes
from sdxl_lora.request import LoraSpec

FOLDERS = Path(__file__).with_name("folders")
JACKET, SHOES = "20261127-045110-187314-975191", "20261127-045114-550346-0cfa96"
COAT, WITH_LORA = "20261127-045114-752575-d13c2a", "20261127-045114-803363-65ea50"
COMPARISON, EVALUATION = "e366af251a1dfc53", "661e7aef24812a3e"
SESSION = "0123456789ab"


@pytest.fixture(params=["schema-4"])
def old(request: pytest.FixtureRequest, home: Path) -> Path:
    """A data folder of an earlier version, as the test's own one."""
    shutil.copytree(FOLDERS / request.param, home)
    return home


def test_every_picture_is_there_newest_first(old: Path) -> None:
    with Store(old) as store:
        records = store.page()
        assert store.notices == ()
    assert [record.id for record in records] == [WITH_LORA, COAT, SHOES, JACKET]
    for record in records:
        with Image.open(record.path) as image:
            assert image.size == (record.width, record.height) == (64, 64)


def test_requests_scores_marks_and_sessions_are_kept(old: Path) -> None:
    with Store(old) as store:
        jacket, shoes, coat, with_lora = map(store.get, (JACKET, SHOES, COAT, WITH_LORA))
    assert jacket.request.prompt == "a navy windbreaker jacket with a white star logo"
    assert (jacket.request.seed, jacket.request.steps, jacket.request.guidance_end) == (5, 4, 0.6)
    assert (jacket.session, coat.session, with_lora.session) == (SESSION, "", "fedcba987654")
    assert [record.favourite for record in (jacket, shoes, coat, with_lora)] == [False, True, False, False]
    assert (shoes.request.template, dict(shoes.request.slots)["brand"]) == ("footwear", "Nørdic")
    assert shoes.request.seed == 2**40 + 8  # the loop kept its second attempt
    assert shoes.card.search is not None
    assert [entry.seed for entry in shoes.card.search.attempts] == [2**40 + 7, 2**40 + 8]
    assert shoes.card.scorer == "mini-CLIP cosine"
    assert (coat.request.negative_prompt, coat.request.scheduler) == ("Knöpfe", "ddim")
    assert with_lora.request.loras == (LoraSpec(path="emblem.safetensors", weight=0.8),)
    assert jacket.created_at == datetime(2026, 11, 27, 4, 51, 10, 187314, UTC)
    assert jacket.seconds == pytest.approx(0.36469443999999385)


def test_votes_still_teach(old: Path) -> None:
    with Votes(old) as votes:
        assert votes.brands() == {"": 1, "Nørdic": 1}
        liked, disliked = votes.find(JACKET), votes.find(SHOES, "Nørdic")
    assert liked is not None
    assert disliked is not None
    assert (liked.approved, disliked.approved) == (True, False)
    assert (disliked.tags, disliked.text) == (("wrong colour",), "make it darker")
    assert liked.model == disliked.model == "mini-CLIP cosine"
    assert len(liked.features) == len(disliked.features) > 0
    assert sum(value**2 for value in liked.features) == pytest.approx(1.0, abs=1e-5)


def test_evaluations_keep_their_numbers(old: Path) -> None:
    with EvaluationStore(old) as store:
        [record] = store.all()
        report = store.report(EVALUATION)
    assert (record.id, record.label) == (EVALUATION, "first try")
    assert record.folders["generated"] == Path("/home/ada/photos/generated")
    assert report["metrics"]["psnr"]["n"] == 2
    assert report["metrics"]["psnr"]["mean"] == record.summary["psnr"]["mean"]


def test_comparisons_keep_pictures_and_votes(old: Path) -> None:
    with ComparisonStore(old) as store:
        record, votes = store.get(COMPARISON), store.votes(COMPARISON)
    assert (record.title, record.missing) == ("Ours · Theirs", [])
    assert [record.pictures(row) for row in range(2)] == [[0, 1], [0, 1]]
    assert [(vote.row, vote.choice, vote.blind) for vote in votes] == [(0, 0, True), (1, None, False)]


def test_the_history_of_a_session_goes_on(old: Path) -> None:
    history = Histories(old).read(SESSION)
    assert [step.words for step in history.steps] == ["", "navy -> red"]
    assert (history.at, history.steps[0].records) == (1, (JACKET,))


def test_templates_of_ones_own_are_listed(old: Path) -> None:
    [own] = [name for name in prompts.templates() if (old / "templates" / f"{name}.yaml").is_file()]
    assert prompts.get(own).title.startswith(prompts.get("footwear").title.partition(",")[0])
