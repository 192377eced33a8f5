"""How many machines there are: more while jobs wait, fewer when they stand idle, never fewer than said."""

from sdxl_lora.cluster.fleet import Scaler


class Fake:
    """A machine that is there as soon as it was started, and idle since a moment."""

    def __init__(self, clock: list[float]) -> None:
        self.clock = clock
        self.started = False
        self.busy = False
        self.since = 0.0
        self.coming = False  # started, and not there yet

    def start(self) -> None:
        self.started, self.since = True, self.clock[0]

    def close(self) -> None:
        self.started = False

    def idle(self) -> float | None:
        if self.coming:
            return 0.0
        return None if self.busy else self.clock[0] - self.since


class Scene:
    def __init__(self, most: int, least: int = 1) -> None:
        self.clock = [0.0]
        self.waiting = 0
        self.machines = [Fake(self.clock) for _ in range(most)]
        self.scaler = Scaler(
            self.machines,
            lambda: self.waiting,
            least=least,
            up_after=5,
            down_after=300,
            clock=lambda: self.clock[0],
        )

    def after(self, seconds: float) -> int:
        """How many are started then, having looked every second."""
        for _ in range(int(seconds)):
            self.clock[0] += 1
            self.scaler.look()
        return sum(machine.started for machine in self.machines)

    def all_busy(self) -> None:
        for machine in self.machines:
            machine.busy = machine.started


def test_the_least_are_there_at_once_and_no_more_without_work() -> None:
    assert Scene(4).after(60) == 1
    assert Scene(4, least=2).after(60) == 2
    assert Scene(1, least=3).after(60) == 1


def test_jobs_that_wait_bring_one_machine_after_another_up_to_the_most() -> None:
    scene = Scene(3)
    scene.waiting = 9
    scene.all_busy()
    assert scene.after(5) == 1
    assert scene.after(1) == 2
    scene.all_busy()
    assert scene.after(5) == 3
    scene.all_busy()
    assert scene.after(60) == 3


def test_a_machine_that_is_free_takes_the_job_before_another_is_started() -> None:
    scene = Scene(3)
    scene.waiting = 1
    assert scene.after(60) == 1


def test_one_that_is_still_to_come_is_waited_for_before_another_is_started() -> None:
    scene = Scene(3)
    scene.waiting = 9
    scene.all_busy()
    scene.after(6)
    scene.machines[1].coming = True
    assert scene.after(600) == 2
    scene.machines[1].coming, scene.machines[1].busy = False, True
    assert scene.after(6) == 3


def test_a_line_that_is_empty_now_and_then_brings_none() -> None:
    scene = Scene(3)
    scene.all_busy()
    for _ in range(20):
        scene.waiting = 1
        assert scene.after(3) == 1
        scene.waiting = 0
        assert scene.after(1) == 1


def test_what_stands_idle_is_ended_but_not_what_draws_and_never_the_least() -> None:
    scene = Scene(3)
    scene.waiting = 9
    for _ in range(3):
        scene.all_busy()
        scene.after(6)
    scene.waiting = 0
    first, second, third = scene.machines
    first.busy = third.busy = False
    first.since = third.since = scene.clock[0]
    assert scene.after(299) == 3
    assert scene.after(2) == 2
    assert [machine.started for machine in scene.machines] == [True, True, False]
    second.busy = False
    second.since = scene.clock[0]
    assert scene.after(301) == 1
    assert first.started
