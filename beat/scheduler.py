"""Celery beat's scheduler: one tick for each symbol's slot, sent by the one beat that leads."""

import logging
import time
from typing import Any

from celery.beat import Scheduler
from kombu.exceptions import OperationalError

from adapters.leader import Leadership
from adapters.redis_client import connect
from beat.schedule import Slots, reconcile_intervals, tick_intervals
from configs.load import load_system
from configs.settings import load_settings, resolve_redis_url
from tasks.flow import RECONCILE
from tasks.ticks import send_tick
from trading.errors import Transient

logger = logging.getLogger(__name__)

_RETRY_S = 0.5


class SymbolScheduler(Scheduler):  # type: ignore[misc]  # Celery ships no types
    """Sends `tick:<symbol>:<slot>` when it is due. Two beats may run: the one without the lease waits for it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = load_settings()
        self._leadership = Leadership(connect(resolve_redis_url(settings)), settings.namespace)
        system = load_system(settings.config_dir)
        self._intervals = tick_intervals(system)
        self._slots = Slots(self._intervals)
        self._reconcile_slots = Slots(reconcile_intervals(system))
        self._epoch = 0
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        logger.info(
            "beat_started symbols=%s", ",".join(f"{name}:{every:g}s" for name, every in self._intervals.items())
        )

    @property
    def schedule(self) -> dict[str, Any]:
        """Nothing that Celery should schedule by itself."""
        return {}

    @property
    def info(self) -> str:
        return "       . one tick for each symbol and slot, sent by the leading beat"

    def tick(self, *_: Any, **__: Any) -> float:
        """Send what is due, and return the seconds until something will be."""
        try:
            if not self._leads():
                return _RETRY_S
            self._send_due()
        except (Transient, OperationalError) as trouble:
            logger.warning("tick_failed reason=%s retry_s=%s", trouble, _RETRY_S)
            return _RETRY_S
        most = min(self.max_interval, self._leadership.lease_s / 3)
        now_s = time.time()
        return self._reconcile_slots.wait_s(now_s, most=self._slots.wait_s(now_s, most=most))

    def _leads(self) -> bool:
        epoch = self._leadership.epoch()
        if epoch and epoch != self._epoch:
            logger.info("beat_leads epoch=%s", epoch)
        self._epoch = epoch
        return bool(epoch)

    def _send_due(self) -> None:
        """Publish through one connection, without retries: a slot that can't be sent now gives way to the next one."""
        now_s = time.time()
        due, to_reconcile = list(self._slots.due(now_s)), list(self._reconcile_slots.due(now_s))
        if not due and not to_reconcile:
            return
        with self.app.pool.acquire(block=True) as connection, self.app.amqp.Producer(connection) as producer:
            for symbol, slot, interval_s in due:
                send_tick(
                    self.app,
                    symbol,
                    tick_id=f"tick:{symbol}:{slot}",
                    life_s=max(interval_s, 1.0),
                    producer=producer,
                    retry=False,
                    headers={"epoch": self._epoch},
                )
                self._slots.sent(symbol, slot)
            for symbol, slot, interval_s in to_reconcile:
                self.app.send_task(
                    RECONCILE,
                    kwargs={"symbol": symbol, "reason": "beat"},
                    task_id=f"reconcile:{symbol}:{slot}",
                    expires=interval_s,
                    ignore_result=True,
                    producer=producer,
                    retry=False,
                )
                self._reconcile_slots.sent(symbol, slot)
