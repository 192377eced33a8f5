"""Signals that ask a run to stop: it saves what it has at the end of the running update, and ends.

SIGTERM (spot machines, `kill`), SIGHUP (a terminal that is gone), SIGUSR1 (SLURM, before the time is over) and SIGINT
(Ctrl-C). A second one of any kind ends the process at once, as it would have without this.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Whether a signal has come."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """As a shell reports it: 128 and the signal's number."""
        return 128 + int(self.signal or 0)


@contextmanager
def on_signals() -> Iterator[StopRequest]:
    """Inside, the first signal is noted. Only for the main thread."""
    request = StopRequest()

    def note(number: int, _: FrameType | None) -> None:
        request.signal = signal.Signals(number)
        for each in SIGNALS:
            signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)

    before = {each: signal.signal(each, note) for each in SIGNALS}
    try:
        yield request
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
