"""Reports of finished steps, in their order; on a GPU made by a thread of their own.

A preview brings latents to the processor, for which it waits until the device has done all that it was given. Who
denoises must not wait: the device would have nothing to do until the next step's kernels are started.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

Report = Callable[[], None]


class Reports:
    """Makes reports at once, or in a thread."""

    def __init__(self, thread: ThreadPoolExecutor | None) -> None:
        self._thread = thread
        self._begun: list[Future[None]] = []

    def make(self, report: Report) -> None:
        """Makes a report, after those before it."""
        if self._thread is None:
            report()
        else:
            self._begun.append(self._thread.submit(report))

    def wait(self) -> None:
        """Until all reports are made. Raises what one of them raised."""
        begun, self._begun = self._begun, []
        for report in begun:
            report.result()


@contextmanager
def reporting(*, beside: bool) -> Iterator[Reports]:
    """`beside`: in a thread of their own, which ends here; what is not made by then is not made."""
    if not beside:
        yield Reports(None)
        return
    thread = ThreadPoolExecutor(1, thread_name_prefix="preview")
    try:
        yield Reports(thread)
    finally:
        thread.shutdown(cancel_futures=True)
