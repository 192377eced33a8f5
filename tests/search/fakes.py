"""A generator and a judge whose luck the tests decide: the loop's logic needs no model."""

import threading
from collections.abc import Callable, Iterator, Sequence

from PIL import Image

from sdxl_lora.errors import Cancelled
from sdxl_lora.generation import Event, PictureDone, Started, StepDone
from sdxl_lora.request import OWN_SCHEDULER, ResolvedRequest
from sdxl_lora.scoring.card import Finding, Gate, ScoreCard

STEPS = 10
REQUEST = ResolvedRequest(
    prompt="a navy jacket",
    model="mini",
    model_sha256="0" * 64,
    seed=100,
    steps=STEPS,
    guidance=3.0,
    guidance_end=0.6,
    cleanup_timestep=99,
    width=64,
    height=64,
    precision="fp32",
    engine="torch",
    scheduler=OWN_SCHEDULER,
    sketch_steps=0,
    strength=1.0,
    mask_feather=0,
)


class FakeGenerator:
    """Gives a picture that remembers with how many steps it was drawn: its width. Finishing a sketch takes half."""

    def __init__(self, failing: Callable[[ResolvedRequest], None] = lambda _: None) -> None:
        self.requests: list[ResolvedRequest] = []
        self.steps = 0
        self._failing = failing

    def __call__(self, request: ResolvedRequest, *, cancel: threading.Event | None = None) -> Iterator[Event]:
        self.requests.append(request)
        yield Started(request=request, count=1)
        self._failing(request)
        steps = request.steps
        image = Image.new("RGB", (steps, 8))
        if request.sketch_steps:
            steps = steps // 2
        for step in range(1, steps + 1):
            if cancel is not None and cancel.is_set():
                raise Cancelled("cancelled")
            self.steps += 1
            yield StepDone(picture=0, step=step, steps=steps, eta=0.0, preview=image)
        yield PictureDone(index=0, seed=request.seed, image=image, seconds=0.0)


class FakeJudge:
    """Scores by a function of the request; `sketched` says what sketches score instead."""

    def __init__(
        self,
        score: Callable[[ResolvedRequest], float],
        colour: Callable[[ResolvedRequest], float] = lambda _: 0.9,
        failed: Callable[[ResolvedRequest], bool] = lambda _: False,
        sketched: Callable[[ResolvedRequest], float] | None = None,
    ) -> None:
        self._score, self._colour, self._failed = score, colour, failed
        self._sketched = sketched or score

    @property
    def notices(self) -> tuple[str, ...]:
        return ("BLIP is left out",)

    def judge(
        self, images: Sequence[Image.Image], request: ResolvedRequest, *, sketch: bool = False
    ) -> list[ScoreCard]:
        assert all((image.width < STEPS) == sketch for image in images)
        probability = self._colour(request)
        finding = Finding(
            attribute="colour",
            wanted="navy",
            probability=probability,
            rival="black",
            rival_probability=1 - probability,
        )
        gates = (Gate(name="colour", passed=not self._failed(request), reason=str(finding)),)
        score = self._sketched(request) if sketch else self._score(request)
        made = ScoreCard(score=score, scorer="fake", text="a navy jacket", findings=(finding,), gates=gates)
        return [made] * len(images)
