"""The loop stops early, keeps the best, changes words only when luck fails, and never returns nothing."""

import math
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from sdxl_lora.errors import Cancelled, InputError, RequestError, StudioError
from sdxl_lora.request import ResolvedRequest
from sdxl_lora.search import Attempt, Begun, Finished, Policy, best_of_n
from tests.search.fakes import REQUEST, STEPS, FakeGenerator, FakeJudge


def by_seed(*scores: float) -> Callable[[ResolvedRequest], float]:
    """The n-th seed's score, whatever the prompt."""
    return lambda request: scores[(request.seed or 0) - 100]


def run(
    judge: FakeJudge, policy: Policy, generator: FakeGenerator | None = None
) -> tuple[list[Attempt], Finished]:
    events = list(best_of_n(REQUEST, generator or FakeGenerator(), judge, policy))
    begun, end = events[0], events[-1]
    assert isinstance(begun, Begun)
    assert isinstance(end, Finished)
    assert begun.steps == policy.max_attempts * STEPS
    assert end.steps <= begun.steps
    assert end.attempts <= begun.attempts
    return [event for event in events if isinstance(event, Attempt)], end


def test_the_first_picture_that_is_good_enough_ends_it() -> None:
    generator = FakeGenerator()
    attempts, end = run(FakeJudge(by_seed(0.1, 0.5, 0.9)), Policy(threshold=0.4), generator)
    assert [a.accepted for a in attempts] == [False, True]
    assert (end.best.number, end.accepted, end.attempts, end.steps) == (2, True, 2, 2 * STEPS)
    assert [request.seed for request in generator.requests] == [100, 101]


def test_the_best_so_far_is_returned_when_the_budget_is_spent() -> None:
    attempts, end = run(FakeJudge(by_seed(0.1, 0.3, 0.2)), Policy(threshold=0.4, max_attempts=3))
    assert [a.best for a in attempts] == [True, True, False]
    assert (end.best.number, end.accepted) == (2, False)
    assert end.summary == "none of 3 attempts reached 0.400; attempt 2 is the best"
    assert end.notices == ("BLIP is left out",)


def test_without_a_threshold_every_attempt_is_made_and_the_best_taken() -> None:
    _, end = run(FakeJudge(by_seed(0.1, 0.9, 0.2, 0.3)), Policy(max_attempts=4))
    assert (end.best.number, end.attempts) == (2, 4)


def test_a_failed_gate_outweighs_any_score() -> None:
    judge = FakeJudge(by_seed(0.9, 0.2), failed=lambda request: request.seed == 100)
    attempts, end = run(judge, Policy(threshold=0.1, max_attempts=2))
    assert not attempts[0].accepted
    assert attempts[0].verdict.startswith("colour: ")
    assert (end.best.number, end.accepted) == (2, True)


def test_nan_is_never_the_best() -> None:
    attempts, end = run(FakeJudge(by_seed(math.nan, 0.1, math.nan)), Policy(threshold=0.5, max_attempts=3))
    assert [a.best for a in attempts] == [False, True, False]
    assert end.best.number == 2


def test_nothing_but_nan_names_the_cause() -> None:
    judge = FakeJudge(lambda _: math.nan, failed=lambda _: True)
    with pytest.raises(StudioError, match="none of 2 attempts gave a picture: colour: navy"):
        run(judge, Policy(max_attempts=2))


def test_a_seed_that_breaks_the_model_does_not_end_the_loop() -> None:
    def fail_first(request: ResolvedRequest) -> None:
        if request.seed == 100:
            raise StudioError("the model gave no valid numbers (NaN)")

    attempts, end = run(FakeJudge(lambda _: 0.9), Policy(threshold=0.5), FakeGenerator(fail_first))
    assert (attempts[0].image, attempts[0].verdict) == (None, "the model gave no valid numbers (NaN)")
    assert end.best.number == 2


def test_a_request_that_is_wrong_ends_the_loop_at_once() -> None:
    def fail(_: ResolvedRequest) -> None:
        raise RequestError("the device is out of memory")

    generator = FakeGenerator(fail)
    with pytest.raises(RequestError):
        run(FakeJudge(lambda _: 0.9), Policy(), generator)
    assert len(generator.requests) == 1


@pytest.mark.parametrize("attempts", [0, -1, 65])
def test_a_budget_that_makes_no_sense_is_refused(attempts: int) -> None:
    with pytest.raises(InputError, match=f"a budget of {attempts} attempts"):
        Policy(max_attempts=attempts)


@pytest.mark.parametrize("score", [math.nan, math.inf, 1e6])
def test_a_threshold_that_is_no_number_is_refused(score: float) -> None:
    with pytest.raises(InputError, match="a least score of"):
        Policy(threshold=score)


def test_cancel_stops_within_one_step_and_what_was_yielded_stays() -> None:
    cancel, seen = threading.Event(), []
    generator = FakeGenerator()
    with pytest.raises(Cancelled):
        for event in best_of_n(
            REQUEST, generator, FakeJudge(lambda _: 0.1), Policy(threshold=0.5), cancel=cancel
        ):
            seen.append(event)
            if generator.steps == STEPS + 3:
                cancel.set()
    assert generator.steps == STEPS + 3
    assert [event.number for event in seen if isinstance(event, Attempt)] == [1]


# ---------------------------------------------------------------- the words


def emphasised(request: ResolvedRequest) -> bool:
    return "(navy:" in request.prompt


def test_after_two_failed_seeds_the_weakest_claim_is_emphasised_on_the_best_seed() -> None:
    judge = FakeJudge(
        lambda r: 0.3 + 0.1 * emphasised(r) - 0.01 * ((r.seed or 0) - 100),
        colour=lambda r: 0.8 if emphasised(r) else 0.4,
    )
    attempts, end = run(judge, Policy(threshold=0.9, max_attempts=4))
    assert [a.request.prompt for a in attempts] == [
        "a navy jacket", "a navy jacket", "a (navy:1.3) jacket", "a (navy:1.3) jacket",
    ]  # fmt: skip
    assert [a.request.seed for a in attempts] == [100, 101, 100, 102]
    assert attempts[2].change == "colour: navy 0.40 < black 0.60 -> emphasised navy (1.3)"
    assert attempts[2].kept
    assert attempts[2].verdict.endswith("; kept the change")
    assert end.best.number == 3


def test_a_change_that_does_not_help_is_undone_and_another_one_tried() -> None:
    judge = FakeJudge(lambda r: 0.3 - 0.1 * emphasised(r), colour=lambda _: 0.4)
    attempts, end = run(judge, Policy(threshold=0.9, max_attempts=5))
    assert [a.request.prompt for a in attempts] == [
        "a navy jacket", "a navy jacket", "a (navy:1.3) jacket", "a navy jacket", "a (navy:1.6) jacket",
    ]  # fmt: skip
    assert attempts[2].verdict.endswith("; undid the change")
    assert end.best.request.prompt == "a navy jacket"


def test_words_are_left_alone_where_every_claim_shows() -> None:
    attempts, _ = run(FakeJudge(lambda _: 0.1), Policy(threshold=0.9, max_attempts=6))
    assert {a.request.prompt for a in attempts} == {"a navy jacket"}


def test_words_are_left_alone_where_the_policy_says_so() -> None:
    judge = FakeJudge(lambda _: 0.1, colour=lambda _: 0.2)
    attempts, _ = run(judge, Policy(threshold=0.9, max_attempts=5, refine=False))
    assert {a.request.prompt for a in attempts} == {"a navy jacket"}
    assert [a.request.seed for a in attempts] == [100, 101, 102, 103, 104]


def test_the_loop_wants_one_picture() -> None:
    with pytest.raises(InputError, match="one picture"):
        list(best_of_n(replace(REQUEST, count=2), FakeGenerator(), FakeJudge(lambda _: 0.1), Policy()))
