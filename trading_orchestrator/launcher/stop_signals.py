"""Count stop signals, such as Ctrl-C, instead of raising an exception."""

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Self

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Within its context, the first SIGINT, SIGTERM or SIGHUP requests a stop, the second forces it.

    A signal that was ignored before (SIGHUP under nohup) stays ignored. SIGCHLD only ends a `wait`.
    """

    def __init__(self) -> None:
        self._count = 0
        self._previous: dict[signal.Signals, object] = {}
        self._last: signal.Signals | None = None

    @property
    def is_stop_requested(self) -> bool:
        return self._count >= 1

    @property
    def last(self) -> signal.Signals | None:
        """The newest of the stopping signals."""
        return self._last

    def is_forced(self) -> bool:
        return self._count > 1

    def wait(self, seconds: float) -> None:
        """Wait for `seconds`, or until a signal arrives."""
        readable, _, _ = select.select([self._reader], [], [], seconds)
        if readable:
            os.read(self._reader, 4096)

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._previous_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._count_one)
        self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _only_wake)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # signal.signal accepts its own results
        signal.set_wakeup_fd(self._previous_fd)
        os.close(self._reader)
        os.close(self._writer)

    def _count_one(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        self._last = signal.Signals(number)


def _only_wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: a handler must exist for the system to write to the wake-up pipe."""
