"""`trading pause`, `resume`, `start`, `stop` and `restart`: send control tasks and print their results."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as NoAnswer
from celery.result import AsyncResult
from kombu.exceptions import OperationalError
from msgspec import Struct

from adapters.redis.client import talking_to_redis
from tasks import app
from trading.errors import Transient
from trading.formatting import format_price
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.output import print_json
from trading_orchestrator.cli.params import Finite

PING_S = 1.0
MOST_S = 86_400.0
"""One day, the longest timeout that --timeout allows."""

Answer = Any
"""Result of a task: a dictionary, or None."""


class Request(Struct, frozen=True):
    """One control task to send.

    Attributes:
        about: Symbol, incident or group that it concerns, for messages.
    """

    about: str
    task: str
    kwargs: dict[str, Any]


TIMEOUT = click.option(
    "--timeout",
    "timeout_s",
    type=Finite(min=0.1, max=MOST_S),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the result; the request then expires.",
)


def _control_command(name: str, summary: str, details: str, *, task_for_all: str | None = None) -> click.Command:
    @click.command(name, help=f"{summary}\n\n{details}")
    @click.argument("symbols", nargs=-1, metavar="SYMBOL...")
    @click.option("--all", "is_all", is_flag=True, help="All symbols.")
    @click.option("--reason", default="requested on the command line", show_default=True, help="Reason to record.")
    @TIMEOUT
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON array with an object for each symbol.")
    def control(symbols: tuple[str, ...], is_all: bool, reason: str, timeout_s: float, as_json: bool) -> None:
        if is_all == bool(symbols):
            raise click.UsageError("name one or more symbols, or pass --all alone")
        with Access() as access:
            names = list(access.system.symbols) if is_all else [access.known(symbol) for symbol in symbols]
            require_redis(access)
        requests = [Request(one, f"tasks.{name}_symbol", {"symbol": one, "reason": reason}) for one in names]
        if is_all and task_for_all:
            requests = [Request("all symbols", task_for_all, {"reason": reason})]
        _print(send_requests(requests, timeout_s=timeout_s), as_json=as_json)

    return control


pause = _control_command(
    "pause",
    "Pause symbols: open no new positions.",
    "Open positions stay protected and exits continue. --all pauses every running symbol.",
    task_for_all="tasks.pause_all",
)
resume = _control_command(
    "resume",
    "Resume paused symbols.",
    "They may open positions again. --all resumes every paused symbol; a stopped one stays stopped.",
    task_for_all="tasks.resume_all",
)
start = _control_command("start", "Start stopped symbols.", "They continue with the candle after the last decided one.")
stop = _control_command(
    "stop", "Stop processing symbols.", "Open positions are then protected only by the orders resting at the venue."
)
restart = _control_command(
    "restart",
    "Rebuild the services of symbols.",
    "Each symbol restarts at its next tick and then runs, even if it was paused.",
)


def require_redis(access: Access) -> None:
    """Check that Redis answers, because Celery would retry for a while first.

    Raises:
        Transient: Redis does not answer.
    """
    with talking_to_redis():
        access.redis.ping()


def send_requests(requests: Sequence[Request], *, timeout_s: float) -> list[Answer]:
    """Send the requests together and return their results.

    Raises:
        Failed: A worker rejected a request, or none answered in time.
        Transient: Redis did not answer, or the worker could not reach the ledger.
    """
    deadline_s = time.monotonic() + timeout_s
    answers: list[Answer] = []
    with _talking_to_broker():
        sent = [(request, _send(request, timeout_s)) for request in requests]
        for request, result in sent:
            answer = _answer(request, result, deadline_s)
            answers += answer if isinstance(answer, list) else [answer]
    return answers


def _send(request: Request, life_s: float) -> AsyncResult:
    return app.send_task(request.task, kwargs=request.kwargs, expires=life_s, retry=False)


def _answer(request: Request, result: AsyncResult, deadline_s: float) -> Any:
    try:
        answer = result.get(timeout=max(0.01, deadline_s - time.monotonic()), propagate=False)
    except NoAnswer:
        raise Failed(ExitCode.UNANSWERED, _unanswered(request)) from None
    if isinstance(answer, TaskRevokedError):
        raise Failed(ExitCode.UNANSWERED, _unanswered(request))
    if isinstance(answer, Transient):
        raise answer
    if isinstance(answer, BaseException):
        raise Failed(ExitCode.NO, f"{request.task} for {request.about} was rejected: {answer}")
    return answer


def _unanswered(request: Request) -> str:
    """Return the message for a request without an answer, with the running workers."""
    workers = sorted(name for reply in app.control.ping(timeout=PING_S) for name in reply)
    if workers:
        return (
            f"no answer to {request.task} for {request.about} in time, though workers run: {', '.join(workers)}\n"
            "they are busy or hung: check celery -A tasks trading status, then retry with a longer --timeout"
        )
    return (
        f"no worker is running to execute {request.task} for {request.about}; the request has expired and nothing was "
        "changed\nstart the system (celery -A tasks trading up) or a worker, then retry"
    )


@contextmanager
def _talking_to_broker() -> Iterator[None]:
    """Raise Celery's errors of a lost Redis connection as `Transient`."""
    try:
        with talking_to_redis():
            yield
    except OperationalError as error:
        raise Transient("redis", str(error)) from error


def _print(answers: Sequence[Answer], *, as_json: bool) -> None:
    if as_json:
        print_json(answers)
        return
    for answer in answers:
        before, now = answer["before"], answer["now"]
        click.echo(
            f"{answer['symbol']}: {now}, as before" if before == now else f"{answer['symbol']}: {before} -> {now}"
        )
        for line in _left_open(answer):
            click.secho(f"  {line}", fg="red")
    if not answers:
        click.echo("nothing to change")


def _left_open(answer: Answer) -> Iterator[str]:
    """Yield the lines of a stopped symbol whose position stays open."""
    positions = answer.get("positions", ())
    for held in positions:
        stop = held["stop_loss"]
        guard = (
            "nothing protects it: it has no stop"
            if stop is None
            else f"only its stop at {format_price(stop)} at the venue protects it"
        )
        yield (
            f"warning: a position of {held['units']:+.10g} units at {format_price(held['average_price'])} "
            f"({held['strategy']}) stays open and is not managed; {guard}"
        )
    if positions:
        yield f"to close it: celery -A tasks trading flatten {answer['symbol']} --pause --reason ..."
