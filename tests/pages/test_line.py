"""The line in the studio: one's own jobs can be stopped there, others' words are not shown."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora.jobs.store import JobStore
from sdxl_lora.ui import shared
from tests.jobs.drawing import spec


def text(at: AppTest) -> str:
    return " ".join(str(element.value) for element in at.markdown)


@pytest.mark.parametrize("mine", [True, False])
def test_who_waits_sees_the_line_and_stops_what_is_theirs(
    open_app: Callable[..., AppTest], mine: bool
) -> None:
    at = open_app()
    session = at.session_state["session"]
    # pinned to a process of another machine that lives: nobody here takes it
    [job_id] = JobStore(shared.database()).submit(
        [spec("a secret scarf", 2, user=session if mine else "other")], pinned="elsewhere|cpu|1.1|a"
    )
    at = at.run()
    assert not at.exception
    assert "a secret scarf" in text(at) if mine else "Somebody else's pictures" in text(at)
    cancel = f"line.{job_id}.cancel"
    if not mine:
        assert cancel not in [button.key for button in at.button]
        return
    at.button(key=cancel).click().run()
    job = shared.queue().get(job_id)
    assert job is not None
    assert job.state == "cancelled"
