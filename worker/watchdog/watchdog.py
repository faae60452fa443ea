"""Kill a worker that stands still: `python watchdog.py WORKER_PID LAST_WORDS`, started by the worker itself.

Standard input is a pipe from the worker's event loop. Each line in it is a number: so many seconds of silence may
follow. After more of them the worker is killed, with its group where it leads one; on Linux its pool dies with it. Only
time in which this process could run counts, so a machine that slept, or a group that was stopped, has not been silent.

It ends when the pipe does, and `shim.py` has it die with the worker. It imports nothing of the project, and little
else: it takes a few megabytes, for each worker.
"""

import os
import select
import signal
import sys
import time

LOOK_S = 1.0
FIRST_PATIENCE_S = 60.0
"""How long the first line may take: the worker writes it before it goes on."""

FOR_THE_WORKER = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Sent to the whole group by a terminal: the worker stops then, and that may hang as well."""

WHEN, HOW_LONG = "@when@", "@seconds@"
"""What stands for time and silence in the last words."""


def watch(worker_pid: int, last_words: str) -> None:
    """Listen until the worker ends, or is too silent."""
    patience_s, silent_s = FIRST_PATIENCE_S, 0.0
    while os.getppid() == worker_pid:
        began_s = time.monotonic()
        heard = listen()
        if heard == b"":
            return
        if heard is not None:
            patience_s, silent_s = float(heard.split()[-1]), 0.0
            continue
        was_too_long = silent_s > patience_s
        silent_s += min(time.monotonic() - began_s, 2 * LOOK_S)
        if was_too_long:  # and this was one look more
            say(last_words, silent_s)
            end(worker_pid)


def listen() -> bytes | None:
    """Return what came on the pipe, nothing at its end, None when nothing came for a while."""
    ready, _, _ = select.select([0], [], [], LOOK_S)
    return os.read(0, 65_536) if ready else None


def say(last_words: str, silent_s: float) -> None:
    """Write where the worker writes, unless that is what it hangs on."""
    text = last_words.replace(WHEN, time.strftime("%Y-%m-%d %H:%M:%S")).replace(HOW_LONG, f"{silent_s:.0f}")
    try:
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{text}\n".encode())
    except OSError:  # nobody reads it any more
        pass


def end(worker_pid: int) -> None:
    """Kill the worker. As long as it is our parent its id is its own."""
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
