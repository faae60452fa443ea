"""Kill a worker that hangs: `python watchdog.py WORKER_PID LAST_WORDS`, started by the worker itself.

Standard input is a pipe from the worker's event loop. Each line is the number of seconds of silence that may follow.
After that the worker is killed, with its group if it leads one; on Linux its pool dies with it. Only time in which this
process could run counts, so a suspended machine or a stopped group does not count as silence.

The process exits when the pipe closes, and `die_with_parent.py` makes it die with the worker. It imports nothing of the
project and little else, to take only a few megabytes per worker.
"""

import os
import select
import signal
import sys
import time

LOOK_S = 1.0
FIRST_PATIENCE_S = 60.0
"""Seconds that the first line may take: the worker writes it before it continues."""

FOR_THE_WORKER = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Sent to the whole group by a terminal: the worker stops then, and that may hang as well."""

WHEN, HOW_LONG = "@when@", "@seconds@"
"""Placeholders for time and silence in the last words."""


def watch(worker_pid: int, final_line: str) -> None:
    """Listen until the worker ends or has been silent for too long."""
    patience_s, silent_s = FIRST_PATIENCE_S, 0.0
    while os.getppid() == worker_pid:
        began_s = time.monotonic()
        received = listen()
        if received == b"":
            return
        if received is not None:
            patience_s, silent_s = float(received.split()[-1]), 0.0
            continue
        was_too_long = silent_s > patience_s
        silent_s += min(time.monotonic() - began_s, 2 * LOOK_S)
        if was_too_long:  # and the pipe was read once more
            write_line(final_line, silent_s)
            end(worker_pid)


def listen() -> bytes | None:
    """Return the input from the pipe, empty at its end, None when no input arrived for a while."""
    ready, _, _ = select.select([0], [], [], LOOK_S)
    return os.read(0, 65_536) if ready else None


def write_line(final_line: str, silent_s: float) -> None:
    """Write to the worker's output, unless the worker hangs on that."""
    text = final_line.replace(WHEN, time.strftime("%Y-%m-%d %H:%M:%S")).replace(HOW_LONG, f"{silent_s:.0f}")
    try:
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{text}\n".encode())
    except OSError:  # the reader has exited
        pass


def end(worker_pid: int) -> None:
    """Kill the worker. While it is the parent of this process, its id cannot be reused."""
    if os.getppid() != worker_pid:
        return
    if os.getpgid(worker_pid) == worker_pid:
        os.killpg(worker_pid, signal.SIGKILL)
    else:
        os.kill(worker_pid, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    for number in FOR_THE_WORKER:
        signal.signal(number, signal.SIG_IGN)
    watch(int(arguments[0]), arguments[1])


if __name__ == "__main__":
    main(sys.argv[1:])
