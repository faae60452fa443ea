"""Fields of a forged message that have another type than Celery writes: each is a rejection, not an error."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Task

from tasks.engine.delivery_checks import check_delivery, check_signature
from tasks.engine.signatures import SIGNATURE_HEADER
from trading.errors import InvalidMessage

SYMBOL, DEADLINE_MS = "XAUUSD", 1_790_000_000_000
HALF = "\ud800"
"""Half of a surrogate pair, which JSON may hold and UTF-8 cannot."""


def delivered(name: str = "tasks.strategy", **fields: Any) -> Task:
    request = {
        "delivery_info": {"routing_key": SYMBOL},
        "callbacks": None,
        "errbacks": None,
        "chord": None,
        "chain": None,
    }
    task = Task()
    task.name = name
    request |= fields
    task.request_stack = SimpleNamespace(top=SimpleNamespace(**request, get=request.get))
    return task


@pytest.mark.parametrize(
    "chain",
    [
        5,
        {"task": "tasks.execute"},
        "tasks.execute",
        [5],
        [{"task": "tasks.execute", "kwargs": [1]}],
        [{"task": "tasks.execute", "kwargs": {"symbol": SYMBOL, "deadline_ms": DEADLINE_MS}, "options": [1]}],
    ],
)
def test_chain_of_another_type_is_rejected(chain: object) -> None:
    with pytest.raises(InvalidMessage, match="message_chain"):
        check_delivery(delivered(chain=chain), SYMBOL, DEADLINE_MS)


@pytest.mark.parametrize(("signature", "text"), [(HALF, "{}"), ("00", HALF)])
def test_signature_and_text_that_utf_8_cannot_encode_are_rejected(signature: str, text: str) -> None:
    task = delivered(**{SIGNATURE_HEADER: signature})

    with pytest.raises(InvalidMessage, match="message_signature"):
        check_signature(task, b"key", symbol=SYMBOL, deadline_ms=DEADLINE_MS, text=text)
