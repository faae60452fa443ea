"""Checks of a delivered step before its message is read: where it came from, and what it would start."""

from collections.abc import Mapping
from typing import Any

from celery import Task
from pydantic import ValidationError

from tasks.engine.signatures import SIGNATURE_HEADER, is_signature, signature_of
from tasks.engine.stages import STAGES
from trading.errors import InvalidMessage
from trading.events.messages import M

_LONGEST = 120


def check_symbol(symbol: object) -> None:
    """Check that the symbol of a task is a text.

    Raises:
        InvalidMessage: It is not.
    """
    if not isinstance(symbol, str):
        raise InvalidMessage("message_symbol", f"found {_brief(symbol)}; expected the name of a symbol")


def check_delivery(task: Task, symbol: object, deadline_ms: object) -> None:
    """Check symbol, deadline, queue and chain of a step.

    Raises:
        InvalidMessage: It came through the queue of another symbol, or it would start other tasks than the next steps.
    """
    check_symbol(symbol)
    if not isinstance(deadline_ms, int):
        found = f"found {_brief(deadline_ms)} as deadline_ms; expected milliseconds since the epoch"
        raise InvalidMessage("message_format", found)
    check_queue(task, symbol)
    _check_chain(task, symbol, deadline_ms)


def check_queue(task: Task, symbol: object) -> None:
    """Check that a task came through the queue of its symbol, where nothing else asks the venue meanwhile.

    Raises:
        InvalidMessage: It came through another queue.
    """
    queue = (task.request.delivery_info or {}).get("routing_key", symbol)
    if queue != symbol:
        fault = f"{task.name} of {_brief(symbol)} came through the queue {_brief(queue)}"
        raise InvalidMessage("message_queue", f"{fault}; expected the queue of its symbol")


def check_signature(task: Task, key: bytes, *, symbol: str, deadline_ms: int, text: object) -> None:
    """Check that a step of this account wrote the message for this task.

    Raises:
        InvalidMessage: It has no signature, or one of another message or key.
    """
    if not isinstance(text, str):
        raise InvalidMessage("message_format", f"found {_brief(text)}; expected the JSON of a message")
    expected = signature_of(key, task=task.name, symbol=symbol, deadline_ms=deadline_ms, text=text)
    found = task.request.get(SIGNATURE_HEADER)
    if not is_signature(found, expected):
        fault = "has no signature" if found is None else "has a signature of another message or key"
        raise InvalidMessage("message_signature", f"the message {fault}: no step of this account sent it")


def read_message(kind: type[M], text: str) -> M:
    """Return the message in a text.

    Raises:
        InvalidMessage: It is no message of this kind.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"][:3]))
        fault = f"{error.error_count()} faults, the first in {where or 'the text'}: {first['msg']}"
        raise InvalidMessage("message_format", fault) from None


def drop_followers(task: Task) -> None:
    """Have Celery start nothing after a step whose message was rejected, neither a chain nor callbacks."""
    task.request.chain = task.request.callbacks = task.request.errbacks = task.request.chord = None


def _check_chain(task: Task, symbol: object, deadline_ms: int) -> None:
    """Check that nothing follows a step but the steps of the table, for the same symbol and deadline."""
    request = task.request
    if request.callbacks or request.errbacks or request.chord:
        raise InvalidMessage("message_chain", "the message has callbacks; a step of the chain has none")
    chain = request.chain or ()
    if not isinstance(chain, list | tuple):
        raise InvalidMessage("message_chain", f"found {_brief(chain)} as chain; expected a list of steps")
    names = [_field(one, "task") for one in reversed(chain)]
    expected = list(STAGES[STAGES.index(task.name) + 1 :])
    if names and names != expected:
        found = ", ".join(map(_brief, names))
        raise InvalidMessage("message_chain", f"found {found} after {task.name}; expected {', '.join(expected)}")
    for one in chain:
        _check_follower(one, symbol, deadline_ms)


def _check_follower(one: Mapping[str, Any], symbol: object, deadline_ms: int) -> None:
    kwargs, options = one.get("kwargs") or {}, one.get("options") or {}
    if not isinstance(options, Mapping):
        raise InvalidMessage(
            "message_chain", f"found {_brief(options)} as options of {one['task']}; expected an object"
        )
    expected = {"symbol": symbol, "deadline_ms": deadline_ms}
    if kwargs != expected or one.get("args"):
        raise InvalidMessage("message_chain", f"{one['task']} has arguments of its own; expected those of its chain")
    if any(options.get(name) for name in ("link", "link_error", "chord")):
        raise InvalidMessage("message_chain", f"{one['task']} has callbacks; a step of the chain has none")


def _field(one: object, name: str) -> object:
    return one.get(name) if isinstance(one, Mapping) else one


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
