"""Exit codes of the commands, and one error message on stderr."""

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
    """Exit codes of all commands."""

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
LOOK = "celery -A tasks trading doctor checks everything"


class Failed(Exception):
    """A command cannot do its work; the message holds the finding and the action."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(exit_code, message)
        self.exit_code = exit_code
        self.message = message


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Print `Failed` and the project's errors as one message; an unexpected error keeps its traceback."""
    try:
        yield
    except Failed as error:
        _end(error.exit_code, error.message)
    except ConfigError as error:
        _end(ExitCode.USAGE, f"the configuration is invalid\n{fault_lines(error.faults)}")
    except UnknownSymbol as error:
        _end(ExitCode.USAGE, str(error))
    except Transient as error:
        _end(ExitCode.OUTSIDE, f"{error}\n{REMEDIES.get(error.where, 'retry')}; {LOOK}")
    except StrategyFault as error:
        _end(ExitCode.NO, "\n".join([error.summary, *(f"  {line}" for line in error.lines)]))
    except TradingError as error:
        _end(ExitCode.NO, str(error))
    except BrokenPipeError:  # the reader has exited, as `head` does
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
