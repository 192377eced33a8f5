"""What a person says is wrong becomes an edit that can be read before it runs, and undone after."""

import pytest

from sdxl_lora.config import GenerationRequest
from sdxl_lora.errors import InputError, PromptError, UnknownNameError
from sdxl_lora.feedback.corrections import TAGS, correct, correct_text
from sdxl_lora.feedback.history import History

REQUEST = GenerationRequest(
    prompt="a navy cap with a white star logo, in a forest", negative_prompt="blurry", seed=1
)


def test_a_wrong_colour_is_said_louder() -> None:
    found = correct(REQUEST, "wrong colour")
    assert found.request.prompt == "a (navy:1.4) cap with a white star logo, in a forest"
    assert found.words == "wrong colour: emphasised navy (1.4)"
    assert found.request.seed == 1


def test_the_products_name_stays_as_it_is() -> None:
    request = GenerationRequest(prompt="top, Velora Cap Navy, a photo of a navy cap")
    found = correct(request, "wrong colour")
    assert found.request.prompt == "top, Velora Cap Navy, a photo of a (navy:1.4) cap"
    assert found.words == "wrong colour: emphasised navy (1.4)"


def test_a_small_logo_is_said_louder_and_its_smallness_kept_out() -> None:
    found = correct(REQUEST, "logo too small")
    assert "(star:1.4) logo" in found.request.prompt
    assert found.request.negative_prompt == "blurry, small logo, tiny logo"
    assert "added small logo, tiny logo to the negative prompt" in found.words


def test_what_is_said_already_is_not_said_twice() -> None:
    once = correct(REQUEST, "logo too small")
    assert correct(once.request, "logo too small").request == once.request
    assert correct(REQUEST, "blurry").request.negative_prompt == "blurry, out of focus"


@pytest.mark.parametrize("tag", sorted(TAGS))
def test_every_tag_changes_something_or_says_that_it_is_there(tag: str) -> None:
    found = correct(REQUEST, tag)
    assert found.request != REQUEST or "the prompt" in found.words
    assert found.words.startswith(f"{tag}: ")


def test_an_unknown_tag_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'wrong colour'"):
        correct(REQUEST, "wrong color")


def test_free_text_may_say_several_things() -> None:
    found = correct_text(REQUEST, "The logo is too small and the background is busy")
    assert [one.words.split(":")[0] for one in found] == ["logo too small", "background busy"]
    assert "(star:1.4)" in found[-1].request.prompt
    assert found[-1].request.negative_prompt.endswith("busy background, clutter")


def test_free_text_may_say_what_should_go() -> None:
    [found] = correct_text(REQUEST, "no hood please")
    assert found.request.negative_prompt == "blurry, hood"


@pytest.mark.parametrize("text", ["", "hmm", "もっと"])
def test_what_is_not_understood_is_said(text: str) -> None:
    with pytest.raises(PromptError, match="it is not clear what to change"):
        correct_text(REQUEST, text)


def test_history_is_a_tree_in_which_nothing_is_lost() -> None:
    red = correct(REQUEST, "wrong colour")
    busy = correct(REQUEST, "background busy")
    tree = History.begin(REQUEST).made("one").change(red.request, red.words).made("two").undo()
    assert tree.current.request == REQUEST
    assert tree.current.records == ("one",)
    tree = tree.change(busy.request, busy.words).change(REQUEST, "back")
    assert list(tree.outline()) == [(0, 0), (1, 1), (1, 2), (2, 3)]
    assert tree.go_to(1).current.records == ("two",)
    assert tree.go_to(0).undo().current.request == REQUEST
    again = tree.go_to(0).change(red.request, red.words)
    assert (again.at, len(again.steps)) == (1, 4)
    with pytest.raises(InputError, match="no step 9; it has 4"):
        tree.go_to(9)
