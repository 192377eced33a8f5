"""Catalogues that are made while nobody watches: started, stopped, and gone on with by the next process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdxl_lora.catalog import runs
from sdxl_lora.catalog.background import Makers
from sdxl_lora.catalog.planning import Settings
from sdxl_lora.catalog.runs import Run
from sdxl_lora.jobs.front_door import FrontDoor, open_front_door
from tests.catalog.conftest import QUICK

WAIT = 60.0


@pytest.fixture
def makers(door: FrontDoor) -> Iterator[Makers]:
    opened = Makers(door)
    yield opened
    opened.close()


def new(rows: int) -> Run:
    text = "sku\n" + "".join(f"S{n}\n" for n in range(rows))
    settings = Settings(template="jacket", request=QUICK)
    return runs.create(runs.new_folder("p.csv"), text.encode(), "p.csv", settings)


def test_one_is_made_beside_whatever_else_happens(makers: Makers) -> None:
    run = new(3)
    assert (makers.running(run.folder), makers.progress(run.folder)) == (False, None)
    makers.start(run.folder)
    makers.start(run.folder)  # twice is once
    makers.wait(run.folder, WAIT)
    found = makers.progress(run.folder)
    assert found is not None
    assert (found.done, found.over, makers.reason(run.folder)) == (3, True, "")
    assert not runs.info(run.folder).running


def test_the_first_row_alone_leaves_the_others_unwanted(makers: Makers) -> None:
    run = new(3)
    makers.start(run.folder, most=1)
    makers.wait(run.folder, WAIT)
    assert [one.name for one in Run.open(run.folder).made] == ["S0"]
    assert not runs.info(run.folder).running


def test_stopped_by_a_person_it_stays_stopped(makers: Makers) -> None:
    run = new(30)
    makers.start(run.folder)
    while (now := makers.progress(run.folder)) is None or now.done < 1:
        makers.wait(run.folder, 0.01)
    makers.stop(run.folder)
    makers.wait(run.folder, WAIT)
    assert (makers.reason(run.folder), runs.info(run.folder).running) == ("", False)
    assert 1 <= len(Run.open(run.folder).made) < 30


def test_cut_off_by_the_end_of_the_process_the_next_one_goes_on(home: Path, makers: Makers) -> None:
    run = new(12)
    makers.start(run.folder)
    while (now := makers.progress(run.folder)) is None or now.done < 2:
        makers.wait(run.folder, 0.01)
    makers.close()
    assert runs.info(run.folder).running
    before = len(Run.open(run.folder).made)
    with open_front_door(home) as door:
        later = Makers(door)
        later.go_on()
        later.wait(run.folder, WAIT)
        assert door.studio.store.count() == 12
    again = Run.open(run.folder)
    assert (before < 12, len(again.made), again.problems) == (True, 12, {})


def test_what_goes_wrong_is_told_and_nothing_hangs(makers: Makers, begin: Callable[..., Run]) -> None:
    run = begin("sku\nA\n")
    (run.folder / runs.INSIDE / "plan.json").unlink()
    makers.start(run.folder)
    makers.wait(run.folder, WAIT)
    assert "damaged" in makers.reason(run.folder)
    assert not makers.running(run.folder)
