"""What a model can do is said by its own files, not by its name."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdxl_lora.errors import InputError
from sdxl_lora.models import capabilities, registry
from sdxl_lora.models.capabilities import Capabilities
from sdxl_lora.scoring.base import scorer_for

CLOSED = capabilities.read(
    {
        "letters": False,
        "products": {
            "jacket": ["windbreaker jacket", "windbreaker"],
            "sneakers": ["running shoe"],
            "dress": [],
        },
        "words": ["a", "navy", "jacket", "dress", "t-shirt", "Studio"],
    }
)


@pytest.fixture
def model(tiny_sdxl: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_sdxl, tmp_path / "own"))


def _say(model: Path, **values: Any) -> str:
    (model / "studio.json").write_text(json.dumps({"steps": 4, "capabilities": values}))
    return str(model)


def test_a_model_that_says_nothing_can_do_what_sdxl_can(model: Path) -> None:
    found = registry.describe(str(model)).capabilities
    assert found == Capabilities()
    assert (found.letters, found.people, found.judge) == (True, True, None)
    assert found.unknown_words("ein Pullover mit 犬") == ()
    assert found.draws("boots") is None


def test_a_folder_of_the_users_says_its_own(model: Path) -> None:
    name = _say(
        model, letters=False, people=False, products_per_picture=1, largest_area=2.5, from_the_future=1
    )
    found = registry.describe(name).capabilities
    assert (found.letters, found.people, found.products_per_picture) == (False, False, 1)
    assert found.largest_area == 2.5
    assert registry.describe(name).defaults.steps == 4


def test_the_multiple_of_sizes_is_a_fact_that_no_file_can_change(model: Path) -> None:
    assert registry.describe(_say(model, multiple=1)).capabilities.multiple == 8


@pytest.mark.parametrize(
    "wrong",
    [{"letters": "no"}, {"products": ["jacket"]}, {"words": "navy"}, {"judge": 3}, {"largest_area": True}],
)
def test_a_wrong_entry_is_told_in_one_line(model: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"studio.json cannot be read: capabilities.{next(iter(wrong))} is"):
        registry.describe(_say(model, **wrong))


def test_capabilities_that_are_no_object_are_told(model: Path) -> None:
    (model / "studio.json").write_text('{"capabilities": []}')
    with pytest.raises(InputError, match="must be JSON objects"):
        registry.describe(str(model))


def test_words_that_a_closed_vocabulary_lacks_are_named_once_in_their_order() -> None:
    assert CLOSED.unknown_words("A golden retriever, navy jackets, golden t-shirt, 85") == (
        "golden",
        "retriever",
    )
    assert CLOSED.unknown_words("ein Pullover") == ("ein", "pullover")
    assert CLOSED.unknown_words("studio-navy dress") == ()


def test_the_longest_word_for_a_product_decides() -> None:
    assert CLOSED.product_of("a navy Windbreaker Jacket") == "jacket"
    assert CLOSED.product_of("two running shoes") == "sneakers"
    assert CLOSED.draws("dresses and boots") is False  # neither word stands there
    assert CLOSED.draws("leather boots") is False
    assert CLOSED.draws("summer dress") is True


@given(st.text(), st.lists(st.text()))
def test_no_text_breaks_the_look_up(text: str, words: list[str]) -> None:
    found = capabilities.read({"words": words, "products": {"x": words}})
    assert set(found.unknown_words(text)) <= set(capabilities.split(text))
    assert found.product_of(text) in (None, "x")
    assert found.unknown_words(" ".join(words)) == ()


def test_a_model_that_brings_a_judge_is_judged_by_it(model: Path, tiny_clip: Path, home: Path) -> None:
    shutil.copytree(tiny_clip, home / "metrics" / "clip")
    assert scorer_for(str(model)).name == "CLIP ViT-B/32 cosine"
    shutil.copytree(tiny_clip, model / "judge")
    own = scorer_for(_say(model, judge="judge"))
    assert (own.name, own.source) == ("own-CLIP cosine", str(model / "judge"))
    assert own.logit_scale() > 0


def test_a_model_that_is_gone_has_the_usual_ones() -> None:
    assert registry.capabilities_of("/nowhere/at all") == Capabilities()


def test_the_bundled_model_says_what_it_draws() -> None:
    found = registry.describe("mini").capabilities
    assert (found.letters, found.people, found.products_per_picture, found.judge) == (False, False, 1, "clip")
    assert found.draws("windbreaker jacket")
    assert not found.draws("leather boots")
    assert found.unknown_words("a navy hoodie and a pizza") == ("pizza",)


def test_a_bundled_model_of_an_earlier_version_keeps_its_judge(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_MINI", str(model))
    assert registry.describe("mini").capabilities.judge == "clip"
    assert not registry.describe("mini").capabilities.letters


def test_no_code_asks_for_a_name() -> None:
    package = Path(registry.__file__).parents[1]
    asking = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if any(f'{sign} "mini"' in path.read_text(encoding="utf-8") for sign in ("model ==", "model !="))
    ]
    assert asking == []
