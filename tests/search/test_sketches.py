"""Beside the plain picture the loop draws sketches, finishes the best, and never delivers less than one shot gives."""

import math
import random
from dataclasses import replace

import pytest

from sdxl_lora.scoring.card import rank
from sdxl_lora.search import Policy, Sketching
from tests.search.fakes import REQUEST, STEPS, FakeGenerator, FakeJudge
from tests.search.test_best_of_n import by_seed, emphasised, run

SKETCHING = Sketching(steps=2, gain=0.1)  # what is finished is drawn anew
FINISHING = replace(SKETCHING, finishing=STEPS // 2)


def test_a_plain_picture_that_is_good_enough_costs_no_more_than_one_shot() -> None:
    generator = FakeGenerator()
    attempts, end = run(FakeJudge(lambda _: 0.6), Policy(threshold=0.5, sketching=FINISHING), generator)
    assert [(a.request, a.sketch, a.accepted) for a in attempts] == [(REQUEST, False, True)]
    assert (end.best.number, end.steps, generator.requests) == (1, STEPS, [REQUEST])


def test_the_plain_picture_wins_where_no_other_is_better() -> None:
    judge = FakeJudge(by_seed(0.45, *[0.4] * 20), sketched=lambda _: 0.48)
    attempts, end = run(judge, Policy(threshold=0.9, sketching=FINISHING))
    assert (end.best.number, end.best.request, end.accepted) == (1, REQUEST, False)
    assert end.summary == f"none of {len(attempts)} attempts reached 0.900; attempt 1 is the best"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("sketching", [None, SKETCHING, FINISHING])
def test_whatever_the_luck_no_level_is_worse_than_one_shot(seed: int, sketching: Sketching | None) -> None:
    rng = random.Random(seed)
    scores, early = [rng.gauss(0.5, 0.1) for _ in range(100)], [rng.gauss(0.4, 0.1) for _ in range(100)]
    failing = {100 + index for index in range(100) if rng.random() < 0.2}
    judge = FakeJudge(
        by_seed(*scores), failed=lambda request: request.seed in failing, sketched=by_seed(*early)
    )
    policy = Policy(
        threshold=rng.choice([None, 0.5, 0.65]), max_attempts=rng.randint(1, 8), sketching=sketching
    )
    attempts, end = run(judge, policy)
    plain = attempts[0].judgement
    assert plain is not None
    assert end.best.judgement is not None
    assert rank(end.best.judgement) >= rank(plain)


@pytest.mark.parametrize("budget", [2, 4, 8])
def test_while_nothing_is_good_enough_the_budget_is_used(budget: int) -> None:
    _, end = run(FakeJudge(lambda _: 0.1), Policy(threshold=0.9, max_attempts=budget, sketching=FINISHING))
    assert budget * STEPS - end.steps < STEPS // 2 + 2  # not enough for one more sketch and its whole picture


def test_the_best_of_three_sketches_is_drawn_whole_and_ends_it_if_it_promises_enough() -> None:
    generator = FakeGenerator()
    judge = FakeJudge(by_seed(0.1, 0.5, 0.6, 0.3), sketched=by_seed(0, 0.4, 0.45, 0.2))
    attempts, end = run(judge, Policy(threshold=0.5, sketching=SKETCHING), generator)
    assert [(a.sketch, a.steps, a.finishes) for a in attempts] == [
        (False, STEPS, 0), (True, 2, 0), (True, 2, 0), (True, 2, 0), (False, STEPS, 3),
    ]  # fmt: skip
    assert [a.verdict for a in attempts] == [
        "fake 0.100 is below 0.500", "sketch of fake 0.500 reaches 0.500", "sketch of fake 0.550 reaches 0.500",
        "sketch of fake 0.300 is below 0.500", "fake 0.600 reaches 0.500",
    ]  # fmt: skip
    assert (end.best.number, end.accepted, end.steps) == (5, True, generator.steps)


def test_where_the_sampler_allows_it_a_sketch_is_finished_from_its_middle() -> None:
    generator = FakeGenerator()
    judge = FakeJudge(by_seed(0.1, 0.2, 0.3, 0.9, 0.1), sketched=by_seed(0, 0.1, 0.2, 0.3, 0.1))
    _, end = run(judge, Policy(threshold=0.5, max_attempts=3, sketching=FINISHING), generator)
    assert end.best.request == replace(REQUEST, seed=103, sketch_steps=2)  # makes it again
    assert [(request.steps, request.sketch_steps) for request in generator.requests] == [
        (STEPS, 0), *[(2, 0)] * 4, (STEPS, 2),
    ]  # fmt: skip
    guided = [request.guidance_end for request in generator.requests]
    assert guided == [REQUEST.guidance_end, *[1.0] * 4, REQUEST.guidance_end]  # large steps need it
    assert {request.cleanup_timestep for request in generator.requests} == {99}


def test_what_finishing_saves_is_left_for_other_sketches() -> None:
    judge = FakeJudge(lambda _: 0.1)
    anew, _ = run(judge, Policy(threshold=0.5, max_attempts=3, sketching=Sketching(steps=4)))
    finished, _ = run(judge, Policy(threshold=0.5, max_attempts=3, sketching=Sketching(steps=4, finishing=5)))
    assert [a.sketch for a in anew] == [False, True, True, False]
    assert [a.sketch for a in finished] == [False, True, True, True, False]


def test_the_request_of_what_is_delivered_has_all_its_steps() -> None:
    generator = FakeGenerator()
    judge = FakeJudge(by_seed(0.1, 0.9, 0.9, 0.9))
    _, end = run(judge, Policy(threshold=0.5, sketching=SKETCHING), generator)
    assert end.best.request == replace(REQUEST, seed=101)
    assert [request.steps for request in generator.requests] == [STEPS, 2, 2, 2, STEPS]
    assert end.best.image is not None
    assert end.best.image.width == STEPS


def test_where_no_sketch_promises_enough_the_best_are_finished_one_by_one() -> None:
    scores = (0.1, 0.1, 0.3, 0.2, 0.1)
    judge = FakeJudge(by_seed(*scores), sketched=by_seed(*scores))
    attempts, end = run(judge, Policy(threshold=0.9, max_attempts=3, sketching=FINISHING))
    assert [a.finishes for a in attempts] == [0] * 5 + [3, 4]
    assert [a.best for a in attempts] == [True, True, True, False, False, True, False]
    assert (end.best.finishes, end.best.request.seed, end.accepted) == (3, 102, False)


def test_a_sketch_that_promised_too_much_does_not_end_it() -> None:
    judge = FakeJudge(by_seed(0.1, 0.4, 0.6, 0.2, 0.2), sketched=by_seed(0, 0.7, 0.6, 0.2, 0.2))
    attempts, end = run(judge, Policy(threshold=0.5, sketching=SKETCHING))
    assert [(a.sketch, a.accepted) for a in attempts[1:]] == [
        (True, False), (True, False), (True, False), (False, False), (True, False), (False, True),
    ]  # fmt: skip
    assert end.best.request.seed == 102


def test_a_sketch_that_promised_too_much_makes_the_next_promise_less() -> None:
    judge = FakeJudge(by_seed(0.1, 0.1, 0.1, 0.3, 0.4, 0.6), sketched=by_seed(0, 0.1, 0.1, 0.45, 0.5, 0.7))
    attempts, end = run(judge, Policy(threshold=0.5, max_attempts=6, sketching=SKETCHING))
    # 0.45 promised 0.55 and gave 0.3, so that the gain of the others is taken as (0.1 - 0.15) / 2
    assert [a.verdict for a in attempts[3:]] == [
        "sketch of fake 0.550 reaches 0.500", "fake 0.300 is below 0.500", "sketch of fake 0.475 is below 0.500",
        "sketch of fake 0.675 reaches 0.500", "fake 0.600 reaches 0.500",
    ]  # fmt: skip
    assert end.accepted


def test_a_gate_that_says_no_to_a_sketch_is_no_promise() -> None:
    judge = FakeJudge(by_seed(0.1, 0.9, 0.6, 0.1), failed=lambda request: request.seed == 101)
    attempts, end = run(judge, Policy(threshold=0.5, sketching=SKETCHING))
    assert attempts[1].verdict.startswith("colour: ")
    assert (end.best.request.seed, end.accepted, end.attempts) == (102, True, 5)


def test_other_words_are_tried_on_the_best_sketch() -> None:
    judge = FakeJudge(lambda r: 0.3 + 0.4 * emphasised(r), colour=lambda r: 0.8 if emphasised(r) else 0.4)
    attempts, end = run(judge, Policy(threshold=0.6, sketching=SKETCHING))
    assert [a.steps for a in attempts] == [STEPS, 2, 2, 2, STEPS]
    assert (attempts[2].kept, attempts[2].request.seed) == (
        True,
        101,
    )  # the plain picture and one sketch failed
    assert end.best.request == replace(REQUEST, seed=101, prompt="a (navy:1.3) jacket")


def test_words_are_left_alone_while_a_sketch_promises_enough() -> None:
    judge = FakeJudge(by_seed(0.1, *[0.6] * 3), colour=lambda _: 0.4, sketched=lambda _: 0.5)
    attempts, _ = run(judge, Policy(threshold=0.5, sketching=SKETCHING))
    assert [(a.request.seed, a.change) for a in attempts] == [
        (100, ""), (101, ""), (102, ""), (103, ""), (101, ""),
    ]  # fmt: skip


def test_a_budget_too_small_for_a_sketch_beside_the_plain_picture_is_used_for_another_seed() -> None:
    one, end = run(FakeJudge(lambda _: 0.1), Policy(threshold=0.5, max_attempts=1, sketching=SKETCHING))
    assert [a.sketch for a in one] == [False]
    assert end.steps == STEPS
    two, _ = run(FakeJudge(lambda _: 0.1), Policy(threshold=0.5, max_attempts=2, sketching=SKETCHING))
    assert [(a.sketch, a.request.seed) for a in two] == [(False, 100), (False, 101)]


def test_where_no_sketch_can_be_judged_one_is_drawn_whole_nevertheless() -> None:
    judge = FakeJudge(by_seed(0.3, 0.4, *[0.2] * 9), sketched=lambda _: math.nan)
    attempts, end = run(judge, Policy(threshold=0.5, max_attempts=2, sketching=FINISHING))
    assert [a.sketch for a in attempts] == [False, True, True, False]
    assert end.best.request.seed == 101
