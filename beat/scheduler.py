"""Celery beat's scheduler: one message per slot, sent by the leading beat."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import redis
from celery import Celery
from celery.beat import Scheduler
from kombu.exceptions import OperationalError

from adapters.redis.client import connect
from adapters.redis.leader_lease import Leadership
from adapters.wiring.config_follower import ConfigFollower
from beat.overdue import overdue
from beat.schedule import Interval, Kind, ScheduledMessage, Slots, Timetable, timetable
from configs.loading import load_system
from configs.settings import load_settings, resolve_redis_url
from tasks.engine.send_tick import send_tick
from tasks.engine.stages import HEALTH, LOG_STATUS, RECONCILE
from trading.errors import Transient

logger = logging.getLogger(__name__)

_RETRY_S = 0.5
_LOOK_S = 1.0
_TASKS = {Kind.RECONCILE: RECONCILE, Kind.HEALTH: HEALTH, Kind.STATUS: LOG_STATUS}
Due = tuple[ScheduledMessage, int, Interval]


class SymbolScheduler(Scheduler):  # type: ignore[misc]  # Celery ships no types
    """Send due messages. Two beats may run: the one without the lease waits for it.

    A beat that was frozen checks its lease before each message, so it may send at most one after another beat has taken
    over. That is harmless. A tick names no candle: its chain does the remaining work, if any, and stops when its
    deadline, read from the clock before sending, has passed. The other tasks read the present state when they run. All
    messages expire.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._settings = load_settings()
        self._client = connect(resolve_redis_url(self._settings))
        self._leadership = Leadership(self._client, self._settings.namespace)
        self._config = ConfigFollower(self._settings, load_system(self._settings.config_dir), self._client)
        self._slots = Slots(timetable(self._config.system))
        self._revision: str | None = None
        self._looked_s = 0.0
        self._epoch: int | None = None
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        logger.info("beat_started symbols=%s", shown(timetable(self._config.system)))

    @property
    def schedule(self) -> dict[str, Any]:
        """An empty schedule: Celery itself schedules nothing."""
        return {}

    @property
    def info(self) -> str:
        return "       . one tick for each symbol and slot, sent by the leading beat"

    def tick(self, *_: Any, **__: Any) -> float:
        """Send due messages, and return the seconds until the next one."""
        try:
            if not self._leads():
                return _RETRY_S
            self._send_due()
        except (Transient, OperationalError, redis.RedisError) as error:
            logger.warning("tick_failed reason=%s retry_s=%s", error, _RETRY_S)
            return _RETRY_S
        most = min(self.max_interval, self._leadership.lease_s / 3)
        return self._slots.wait_s(time.time(), most=most)

    def _leads(self) -> bool:
        """Acquire or renew the lease, and detect configuration changes on the way."""
        epoch = self._leadership.epoch()
        if epoch and epoch != self._epoch:
            logger.info("beat_leads epoch=%s", epoch)
        elif epoch != self._epoch:
            logger.log(logging.WARNING if self._epoch else logging.INFO, "beat_waits lost_epoch=%s", self._epoch)
        self._epoch = epoch
        self._follow_config(self._leadership.config_revision)
        return bool(epoch)

    def _follow_config(self, revision: str) -> None:
        """Follow the applied configuration; an unusable one is logged once and read again periodically.

        The first revision seen counts as a change too: it may be newer than the files that were read.
        """
        now_s = time.monotonic()
        if revision == self._revision and not (self._config.trouble and now_s >= self._looked_s + _LOOK_S):
            return
        self._looked_s = now_s
        if self._config.refresh():
            planned = timetable(self._config.system)
            self._slots.adopt(planned)
            logger.info("timetable_changed revision=%s symbols=%s", revision, shown(planned))
        self._revision = revision

    def _send_due(self) -> None:
        """Publish through one connection, without retries: the next slot replaces a slot that cannot be sent now."""
        now_s = time.time()
        due = self._without_unneeded_repeats(list(self._slots.due(now_s)), now_s)
        if not due:
            return
        with self.app.pool.acquire(block=True) as connection, self.app.amqp.Producer(connection) as producer:
            options = {"producer": producer, "retry": False, "headers": {"epoch": self._epoch}}
            for message, slot, interval in due:
                if not self._still_leads():
                    logger.warning("lease_ended epoch=%s unsent=%s", self._epoch, message.message_id(slot))
                    return
                send(self.app, message, slot, interval, **options)
                self._slots.sent(message, slot)

    def _still_leads(self) -> bool:
        """Check the lease, and renew it early if there are many messages."""
        leadership = self._leadership
        return leadership.left_s > leadership.lease_s / 2 or leadership.epoch() == self._epoch

    def _without_unneeded_repeats(self, due: Sequence[Due], now_s: float) -> Sequence[Due]:
        """Leave out repeated ticks of symbols that get a regular one now, or that wait for no candle."""
        again = [(message, slot) for message, slot, _ in due if message.kind is Kind.AGAIN]
        if not again:
            return due
        ticked = {message.symbol for message, _, _ in due if message.kind is Kind.TICK}
        repeated = [message.symbol for message, _ in again if message.symbol not in ticked]
        late = overdue(self._client, self._settings.namespace, self._config.system, repeated, now_s)
        for message, slot in again:
            if message.symbol not in late:
                self._slots.sent(message, slot)
        return [one for one in due if one[0].kind is not Kind.AGAIN or one[0].symbol in late]


def send(app: Celery, message: ScheduledMessage, slot: int, interval: Interval, **options: Any) -> None:
    """Publish the message of one slot."""
    message_id, life_s = message.message_id(slot), interval.life_s or interval.every_s
    if message.kind in (Kind.TICK, Kind.AGAIN):
        send_tick(app, message.symbol, tick_id=message_id, life_s=max(life_s, 1.0), **options)
        return
    kwargs = {"symbol": message.symbol, "reason": "beat"} if message.symbol else {}
    app.send_task(
        _TASKS[message.kind], kwargs=kwargs, task_id=message_id, expires=life_s, ignore_result=True, **options
    )


def shown(planned: Timetable) -> str:
    """Format the tick interval of each symbol for the log: `XAUUSD:30s,BTCUSD:60s+2s`."""
    ticks = {message.symbol: interval for message, interval in planned.items() if message.kind is Kind.TICK}
    return ",".join(
        f"{symbol}:{interval.every_s:g}s" + (f"+{interval.offset_s:g}s" if interval.offset_s else "")
        for symbol, interval in ticks.items()
    )
