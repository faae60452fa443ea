"""How a verb ends: its exit code, and one message on stderr for what went wrong."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

import click

from configs.errors import ConfigError
from configs.settings import PREFIX
from trading.errors import TradingError, Transient, UnknownSymbol
from trading.strategies import StrategyFault
from trading_orchestrator.launcher.console import without_control


class ExitCode(IntEnum):
    """What the exit codes of all verbs mean."""

    OK = 0
    NO = 1
    USAGE = 2
    OUTSIDE = 3
    UNANSWERED = 4
    INTERRUPTED = 130


REMEDIES = {
    "redis": f"start the system (celery -A tasks trading up), or correct {PREFIX}REDIS_URL",
    "ledger": f"start its database, or correct {PREFIX}LEDGER_URL",
}
LOOK = "celery -A tasks trading doctor looks at everything"


class Failed(Exception):
    """The end of a verb that could not do its work: what was found, and what to do about it."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(exit_code, message)
        self.exit_code = exit_code
        self.message = message


@contextmanager
def telling_faults() -> Iterator[None]:
    """Tell `Failed` and the errors of the project in one message; an error that nobody foresaw keeps its traceback."""
    try:
        yield
    except Failed as error:
        _end(error.exit_code, error.message)
    except ConfigError as error:
        _end(ExitCode.USAGE, f"the configuration cannot be used\n{fault_lines(error.faults)}")
    except UnknownSymbol as error:
        _end(ExitCode.USAGE, str(error))
    except Transient as error:
        _end(ExitCode.OUTSIDE, f"{error}\n{REMEDIES.get(error.where, 'try again')}; {LOOK}")
    except StrategyFault as error:
        _end(ExitCode.NO, "\n".join([error.summary, *(f"  {line}" for line in error.lines)]))
    except TradingError as error:
        _end(ExitCode.NO, str(error))
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(ExitCode.OK) from None
    except KeyboardInterrupt:
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None


def fault_lines(faults: Sequence[str]) -> str:
    """Return each fault on a line of its own."""
    return "\n".join(f"  {fault}" for fault in faults)


def _end(exit_code: ExitCode, message: str) -> NoReturn:
    click.echo(click.style("error: ", fg="red", bold=True) + without_control(message), err=True)
    raise click.exceptions.Exit(exit_code) from None
