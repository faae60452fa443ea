"""Names of symbols and accounts that would collide with keys of Celery and kombu in Redis."""

import pytest
from pydantic import ValidationError

from configs.names import symbol_fault
from tasks.engine.routing import route
from tasks.engine.stages import FIRST_STAGE, RECONCILE
from trading.errors import Broken
from trading.risk.limits import AccountLimits

OF_CELERY = [
    *("control", "Control", "celery", "CELERY", "celeryev", "celery.pidbox", "celery-task-meta-1", "celery_x"),
    *("unacked", "unacked_index", "unacked_mutex", "Unacked", "unacked.XAUUSD", "x.celery.pidbox"),
]
MALFORMED = [
    *("", "_kombu.binding.x", "XAUUSD\x06\x163", "X AU", "X/AU", "X*", "X?", "[X]", "XAUUSD\n", "X\x00", "é", "X" * 21),
    *(".", "..", "-x", "a:b", "a,b", "{a}"),
]


@pytest.mark.parametrize("name", OF_CELERY)
def test_name_that_celery_uses_in_redis_is_no_symbol(name: str) -> None:
    assert symbol_fault(name).startswith("any other name")


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_name_is_no_symbol(name: str) -> None:
    assert "letters, digits" in symbol_fault(name)


@pytest.mark.parametrize("name", ["XAUUSD", "BTC-USD", "BRK.B", "1INCH", "CELERYX", "UNACK", "controls", "a_b"])
def test_ordinary_name_is_a_symbol(name: str) -> None:
    assert symbol_fault(name) == ""


@pytest.mark.parametrize("name", [*OF_CELERY, *MALFORMED])
@pytest.mark.parametrize("task", [FIRST_STAGE, RECONCILE])
def test_task_for_a_name_that_is_no_symbol_is_not_sent(task: str, name: str) -> None:
    with pytest.raises(Broken, match="has no queue for the symbol"):
        route(task, None, {"symbol": name}, {})


@pytest.mark.parametrize("name", ["", " a", "a/b", "a*", "a\n", "a\x06\x16b", "a\x1b[2K", "a" * 65])
def test_account_with_a_name_that_is_no_plain_text_is_rejected(name: str) -> None:
    with pytest.raises(ValidationError):
        AccountLimits(name=name, starting_balance=1)


@pytest.mark.parametrize("name", ["demo", "Demo account 1", "me@broker", "Müller-2"])
def test_account_with_a_plain_name_is_accepted(name: str) -> None:
    assert AccountLimits(name=name, starting_balance=1).name == name
