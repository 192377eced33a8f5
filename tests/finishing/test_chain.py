"""The chain: stages decide the order, requests decide which steps, and what is kept is what the last step wrote."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora.editing import upscale as upscaling
from sdxl_lora.editing import weights
from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.finishing.chain import Chain, Piece, Stage
from sdxl_lora.finishing.detailing import Detail
from sdxl_lora.finishing.embedding import Embed
from sdxl_lora.finishing.scoring import Score
from sdxl_lora.finishing.storing import Keep
from sdxl_lora.finishing.upscaling import Upscale
from sdxl_lora.records import Store, metadata
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.base import default_scorer
from sdxl_lora.scoring.card import ScoreCard
from sdxl_lora.scoring.verifier import Verifier

REQUEST = GenerationRequest(prompt="a navy cap", seed=3, width=64, height=64)
PIECE = Piece(
    image=Image.linear_gradient("L").convert("RGB").resize((16, 16)),
    request=REQUEST,
    seconds=1.5,
    session="tab",
)


class Marks:
    """Writes down when it was its turn; changes one pixel, as a watermark would."""

    def __init__(self, stage: Stage, seen: list[Stage], template: str | None = None) -> None:
        self.stage, self._seen, self._template = stage, seen, template

    def wanted(self, piece: Piece) -> bool:
        return self._template in (None, piece.request.template)

    def __call__(self, piece: Piece) -> Piece:
        self._seen.append(self.stage)
        image = piece.image.copy()
        image.putpixel((0, 0), (255, 0, 0))
        return replace(piece, image=image)


def test_steps_work_in_the_order_of_their_stages_whoever_adds_them_first() -> None:
    seen: list[Stage] = []
    Chain(Marks(stage, seen) for stage in reversed(Stage))(PIECE)
    assert seen == [
        Stage.UPSCALE, Stage.DETAIL, Stage.RECOLOUR, Stage.COMPOSITE, Stage.BACKGROUND, Stage.SCORE, Stage.WATERMARK,
        Stage.EMBED, Stage.SIGN, Stage.STORE,
    ]  # fmt: skip


def test_a_request_switches_steps_on() -> None:
    seen: list[Stage] = []
    chain = Chain([Marks(Stage.COMPOSITE, seen, template="jacket"), Marks(Stage.UPSCALE, seen)])
    chain(PIECE)
    chain(replace(PIECE, request=replace(REQUEST, template="jacket")))
    assert seen == [Stage.UPSCALE, Stage.UPSCALE, Stage.COMPOSITE]


def test_a_picture_is_enlarged_where_its_request_asks_for_it() -> None:
    chain = Chain([Upscale()])
    assert chain(PIECE).image.size == (16, 16)
    assert chain(replace(PIECE, request=replace(REQUEST, upscale=4))).image.size == (64, 64)


def test_a_picture_that_cannot_be_enlarged_is_kept_as_drawn_and_says_why(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(weights, "files", lambda _package: tmp_path)
    upscaling._network.cache_clear()
    score = Score(lambda _: Verifier(default_scorer(), gates=False))
    chain = Chain([Upscale(), score, Embed(store.get), Keep(store)])
    done = chain(replace(PIECE, request=replace(REQUEST, upscale=2)))
    assert done.record is not None
    assert (done.record.width, done.record.request.upscale) == (16, 1)
    assert done.notice is not None
    assert done.notice.startswith("not enlarged: waifu2x")


def test_detail_is_drawn_only_into_enlarged_pictures_and_a_failure_loses_nothing() -> None:
    def broken(_: Piece) -> Image.Image:
        raise ModelUnavailableError("gone")

    drawn = Chain([Upscale(), Detail(lambda piece: Image.new("RGB", piece.image.size, "red"))])
    asked = replace(REQUEST, upscale=2, detail=0.2)
    assert drawn(replace(PIECE, request=replace(asked, upscale=1))).image is PIECE.image
    assert drawn(replace(PIECE, request=asked)).image.getpixel((31, 31)) == (255, 0, 0)
    kept = Chain([Upscale(), Detail(broken)])(replace(PIECE, request=asked))
    assert (kept.image.size, kept.request.detail) == ((32, 32), 0.0)
    assert kept.notice == "no detail was drawn: gone"


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


def test_the_score_is_of_the_picture_before_an_invisible_watermark_and_the_file_has_both(
    store: Store,
) -> None:
    judged: list[Image.Image] = []

    class Watching(Verifier):
        def judge(self, images, request, *, sketch=False):
            judged.extend(images)
            return super().judge(images, request, sketch=sketch)

    score = Score(lambda _: Watching(default_scorer(), gates=False))
    done = Chain([Keep(store), Embed(store.get), Marks(Stage.WATERMARK, []), score])(PIECE)
    assert judged == [PIECE.image]
    assert done.record is not None
    assert done.record.card == done.card
    with Image.open(done.record.path) as kept:
        assert kept.getpixel((0, 0)) == (255, 0, 0)
    assert metadata.read(done.record.path).scores == done.record.card.to_dict()


def test_what_is_kept_is_the_file_byte_for_byte_so_that_a_signature_holds(store: Store) -> None:
    done = Chain([Keep(store), Embed(store.get)])(replace(PIECE, card=ScoreCard()))
    assert done.record is not None
    assert done.record.path.read_bytes() == done.data
    assert (done.record.session, done.record.seconds, done.record.created_at) == ("tab", 1.5, done.created_at)


def test_what_a_search_has_judged_is_not_judged_again(store: Store) -> None:
    card = ScoreCard(score=0.4, scorer="judge of the search")
    score = Score(lambda _: pytest.fail("judged again"))
    done = Chain([score, Embed(store.get), Keep(store)])(replace(PIECE, card=card))
    assert done.record is not None
    assert done.record.card == card


def test_a_picture_that_cannot_be_judged_is_kept_and_says_why(store: Store) -> None:
    blank = replace(PIECE, image=Image.new("RGB", (16, 16)))
    done = Chain([Score(lambda _: Verifier(default_scorer(), gates=False)), Embed(store.get), Keep(store)])(
        blank
    )
    assert done.unscored
    assert done.record is not None
    assert not done.record.card.scored
