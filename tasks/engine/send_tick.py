"""Send a tick: the chain of four steps that advances one symbol to now."""

from typing import Any

from celery import Celery, Signature

from adapters.clock import now_ms
from tasks.engine.stages import FIRST_STAGE, STAGES, TICK_LIFE_S


def send_tick(
    app: Celery, symbol: str, *, tick_id: str, life_s: float, expected_ms: int | None = None, **options: Any
) -> None:
    """Publish a tick: the first step, with the three that follow.

    Args:
        tick_id: Id of the first step, and the root id of all four.
        life_s: Seconds after which an unconsumed tick expires.
        expected_ms: Cursor that the sender saw; the tick ends if another one has moved it.
        options: Passed to `send_task`, such as `producer`, `retry=False` or `headers`.
    """
    common = {"symbol": symbol, "deadline_ms": now_ms() + int(TICK_LIFE_S * 1000)}
    rest = [Signature(name, kwargs=common, app=app) for name in reversed(STAGES[1:])]
    app.send_task(
        FIRST_STAGE,
        kwargs={**common, "expected_ms": expected_ms},
        task_id=tick_id,
        root_id=tick_id,
        chain=rest,
        expires=life_s,
        ignore_result=True,
        **options,
    )
