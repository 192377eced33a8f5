"""What differs between two requests is said field by field, and seeds make no difference."""

from dataclasses import replace

from sdxl_lora import prompts
from sdxl_lora.feedback.changes import alike, changes, template_of
from sdxl_lora.feedback.history import History
from sdxl_lora.request import GenerationRequest, LoraSpec


def filled(**values: str) -> GenerationRequest:
    template = prompts.get("jacket")
    slots = template.complete(values)
    return GenerationRequest(
        prompt=prompts.fill(template, slots),
        negative_prompt=template.negative,
        template="jacket",
        slots=tuple(slots.items()),
    )


def test_slots_are_compared_by_their_labels() -> None:
    found = changes(filled(colour="navy"), filled(colour="red", logo=""))
    assert [str(change) for change in found] == ["Colour: navy → red", "Logo: triangle → nothing"]


def test_a_sentence_edited_by_hand_is_compared_as_a_whole() -> None:
    before, after = filled(), replace(filled(), prompt="a cap")
    assert template_of(after) is None
    [change] = changes(before, after)
    assert (change.what, change.before, change.after) == ("Words", before.prompt, "a cap")


def test_of_two_sentences_that_are_nearly_the_same_only_the_difference_is_named() -> None:
    one = GenerationRequest(prompt="a navy cap with a star logo in a forest")
    other = replace(one, prompt="a red cap with a star logo in the fog")
    [change] = changes(one, other)
    assert str(change) == "Words: navy … a forest → red … the fog"
    [added] = changes(one, replace(one, prompt=f"{one.prompt}, 8K"))
    assert str(added) == "Words: forest → forest, 8K"


def test_what_to_avoid_and_settings_are_compared_too() -> None:
    before = replace(filled(), negative_prompt="blurry", steps=20)
    after = replace(
        filled(), negative_prompt="blurry, clutter", steps=30, loras=(LoraSpec(path="x", weight=0.5),)
    )
    assert [str(c) for c in changes(before, after)] == [
        "Avoid: clutter",
        "Steps: 20 → 30",
        "LoRAs: none → x × 0.5",
    ]


def test_seed_number_and_what_the_model_decided_make_no_other_wish() -> None:
    asked = filled()
    made = replace(asked, seed=5, count=2, model="mini", steps=20, guidance=3.0, width=256, height=256)
    assert alike(asked, made)
    assert changes(asked, made) == ()
    assert not alike(replace(made, steps=30), made)


def test_history_knows_the_wish_a_picture_was_made_from() -> None:
    tree = History.begin(filled()).change(filled(colour="red"), "Colour: navy → red").undo()
    made = replace(filled(colour="red"), seed=1, model="mini")
    assert tree.find(made) == 1
    tree = tree.made("a", "b", at=1).made("a", at=1)
    assert tree.steps[1].records == ("a", "b")
    assert tree.find(filled(colour="teal")) is None
    assert tree.change(made, "again").at == 1


def test_every_setting_that_makes_another_picture_makes_another_wish() -> None:
    one = replace(filled(), guidance_end=0.6, sketch_steps=0)
    assert alike(one, replace(one, seed=5, count=2, model_sha256="0" * 64))
    assert not alike(one, replace(one, guidance_end=1.0))
    assert not alike(one, replace(one, sketch_steps=6))
    assert [str(c) for c in changes(one, replace(one, guidance_end=1.0, sketch_steps=6))] == [
        "Sketch steps: 0 → 6",
        "Guidance end: 0.6 → 1",
    ]
    assert alike(replace(one, sketch_steps=None), one)  # both are an even way
