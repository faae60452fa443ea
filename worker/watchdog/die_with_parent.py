"""Run a program that dies with its parent: `python die_with_parent.py PARENT_PID PROGRAM [ARGUMENT ...]`.

A `preexec_fn` would run Python between fork and exec, which can deadlock in a threaded process; this does the same
after the exec. It imports nothing of the project, so that it starts in milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_RUN = 127


def die_with_parent(parent_pid: int) -> None:
    """Make the kernel send SIGKILL to this process when the thread that started it ends.

    The setting survives an exec. Only Linux supports it; elsewhere a killed launcher leaves its children behind.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # it died before the call above, so no signal would arrive
        sys.exit(CANNOT_RUN)


def main(arguments: list[str]) -> None:
    parent_pid, program = int(arguments[0]), arguments[1:]
    die_with_parent(parent_pid)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.exit(f"cannot run {program[0]}: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
