"""When orders were sent and stops moved: what a venue that shows them late must remember."""

import time
from collections.abc import Callable
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters import clock
from trading.orders.orders import OpenOrder
from trading.structs import replace

_CREATE_LOCK = 0x6C79_696E_67  # any number that every process agrees on

metadata = sa.MetaData()
sends_table = sa.Table(
    "lying_sends",
    metadata,
    sa.Column("client_order_id", sa.String, primary_key=True),
    sa.Column("sent_ms", sa.BigInteger, nullable=False),
)
_c = sends_table.c


class Sends(Protocol):
    """The times of real time at which orders were sent."""

    def note(self, client_order_id: str) -> None:
        """Note that an order is sent now."""
        ...

    def age_s(self, client_order_id: str) -> float | None:
        """Return for how many seconds an order is on its way or at the venue; None when it is not known here."""
        ...


class MemorySends:
    """Knows what this process has sent."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._sent_s: dict[str, float] = {}

    def note(self, client_order_id: str) -> None:
        self._sent_s[client_order_id] = self._now_s()

    def age_s(self, client_order_id: str) -> float | None:
        sent_s = self._sent_s.get(client_order_id)
        return None if sent_s is None else self._now_s() - sent_s


class ShownStops:
    """Tells a stop that was moved at the price that it told last, for a while; a new process tells what is."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._told: dict[str, float] = {}
        self._moved: dict[str, tuple[float, float]] = {}

    def note(self, client_order_id: str, stop_loss: float, *, delay_s: float) -> None:
        """Note that a stop was moved now, and is to be shown where it is `delay_s` later."""
        moved = self._moved.get(client_order_id)
        if moved is None or moved[0] != stop_loss:
            self._moved[client_order_id] = (stop_loss, self._now_s() + delay_s)

    def shown(self, order: OpenOrder) -> OpenOrder:
        """Return an order as it is shown."""
        identity = order.client_order_id
        _, until_s = self._moved.get(identity, (0.0, 0.0))
        if order.price is None:
            return order
        if identity in self._told and self._now_s() < until_s:
            return replace(order, price=self._told[identity])
        self._told[identity] = order.price
        return order


class SqlSends:
    """Knows what any process has sent, those that were killed too."""

    def __init__(self, engine: Engine, now_ms: Callable[[], int] = clock.now_ms) -> None:
        """Open the table, and create it where there is none; several processes may do so at once.

        Raises:
            Transient: The database did not answer.
        """
        self._engine = engine
        self._now_ms = now_ms
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATE_LOCK)))
            metadata.create_all(connection)

    def note(self, client_order_id: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(sends_table.delete().where(_c.client_order_id == client_order_id))
            connection.execute(sends_table.insert().values(client_order_id=client_order_id, sent_ms=self._now_ms()))

    def age_s(self, client_order_id: str) -> float | None:
        with self._engine.connect() as connection:
            query = sa.select(_c.sent_ms).where(_c.client_order_id == client_order_id)
            sent_ms = connection.execute(query).scalar_one_or_none()
        return None if sent_ms is None else (self._now_ms() - sent_ms) / 1000
