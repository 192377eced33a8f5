"""Where a logo goes: what is understood, and what is refused in one line."""

import pytest

from sdxl_lora.errors import RequestError
from sdxl_lora.request import GenerationRequest, LogoSpec
from sdxl_lora.request.logo_spec import FREE, MAX_LOGOS

HASH = "ab" * 32


def test_every_way_to_say_a_place_is_understood() -> None:
    parse = LogoSpec.parse
    assert parse("chest", hash=HASH) == LogoSpec(hash=HASH, at="chest")
    assert parse("left-sleeve, 0.4, -5", hash=HASH) == LogoSpec(
        hash=HASH, at="left-sleeve", width=0.4, angle=-5
    )
    assert parse("0.5,0.4,0.2", hash=HASH) == LogoSpec(hash=HASH, at=FREE, x=0.5, y=0.4, width=0.2)
    assert parse("0.5,0.4,0.2,30", hash=HASH).angle == 30
    assert parse("0,0,1,0,1,1,0,1", hash=HASH).corners == ((0, 0), (1, 0), (1, 1), (0, 1))


@pytest.mark.parametrize(
    "text",
    ["", "Chest", "chest,wide", "chest,0.1,2,3", "0.5", "0.5,0.4", "0.5,0.4,0.2,1,2", "50,40,20", "0.5,0.4,nan",
     "0.5,0.4,-1", "0.5,0.4,0.2,1e9", "0,0,1,0,1,1,0", "0,0,1,0,1,1,0,2", "chest,inf", "../x"],
)  # fmt: skip
def test_what_is_no_place_is_refused_in_one_line_that_says_how_to_write_one(text: str) -> None:
    with pytest.raises(RequestError, match="POSITION") as caught:
        LogoSpec.parse(text, hash=HASH)
    assert "\n" not in str(caught.value)


def test_a_request_with_logos_survives_json() -> None:
    logos = (
        LogoSpec.parse("chest,0.3", hash=HASH, name="a.svg"),
        LogoSpec.parse("0,0,1,0,1,1,0,1", hash=HASH),
    )
    request = GenerationRequest(prompt="a cap", logos=logos)
    assert GenerationRequest.from_dict(request.to_dict()) == request


WRONG = [
    {}, {"hash": 3}, {"hash": "short"}, {"hash": HASH, "angle": "much"}, {"hash": HASH, "sparkle": 1}, 5,
    {"hash": HASH, "corners": 5}, {"hash": HASH, "at": "free"}, {"hash": HASH, "name": 7}, {"hash": HASH, "at": None},
]  # fmt: skip


@pytest.mark.parametrize("entry", WRONG)
def test_json_that_is_no_logo_is_refused(entry: object) -> None:
    with pytest.raises(RequestError):
        GenerationRequest.from_dict({"prompt": "a cap", "logos": [entry]})


def test_there_is_an_end_to_the_number_of_logos() -> None:
    with pytest.raises(RequestError, match="too many"):
        GenerationRequest(prompt="a cap", logos=(LogoSpec(hash=HASH),) * (MAX_LOGOS + 1))


def test_a_print_is_written_as_ever_and_embroidery_is_said() -> None:
    sewn = LogoSpec.parse("chest,0.3,embroidered", hash=HASH)
    assert (sewn.at, sewn.width, sewn.embroidered) == ("chest", 0.3, True)
    assert LogoSpec.parse("0.5,0.4,0.2,embroidered", hash=HASH).embroidered
    assert LogoSpec.parse("chest,print", hash=HASH) == LogoSpec.parse("chest", hash=HASH)
    assert "embroidered (approximate)" in str(sewn)
    request = GenerationRequest(prompt="a cap", logos=(sewn, LogoSpec(hash=HASH)))
    written = request.to_dict()["logos"]
    assert [entry.get("look") for entry in written] == ["embroidered", None]
    assert GenerationRequest.from_dict(request.to_dict()) == request
    with pytest.raises(RequestError, match="neither print nor embroidered"):
        LogoSpec(hash=HASH, look="painted")
