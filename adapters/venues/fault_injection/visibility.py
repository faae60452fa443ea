"""Send times of orders and stop moves, for a venue that delays their visibility."""

import time
from collections.abc import Callable
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters import clock
from trading.orders.orders import OpenOrder
from trading.structs import replace

_CREATE_LOCK = 0x6C79_696E_67  # an arbitrary number, the same in every process

metadata = sa.MetaData()
sends_table = sa.Table(
    "lying_sends",
    metadata,
    sa.Column("client_order_id", sa.String, primary_key=True),
    sa.Column("sent_ms", sa.BigInteger, nullable=False),
)
_c = sends_table.c


class Sends(Protocol):
    """Real times at which orders were sent."""

    def note(self, client_order_id: str) -> None:
        """Record that an order is sent now."""
        ...

    def age_s(self, client_order_id: str) -> float | None:
        """Return the seconds since an order was sent; None if unknown here."""
        ...


class MemorySends:
    """Send times of this process."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._sent_s: dict[str, float] = {}

    def note(self, client_order_id: str) -> None:
        self._sent_s[client_order_id] = self._now_s()

    def age_s(self, client_order_id: str) -> float | None:
        sent_s = self._sent_s.get(client_order_id)
        return None if sent_s is None else self._now_s() - sent_s


class ShownStops:
    """Reports a moved stop at its last reported price for a while; a new process reports the present price."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._reported: dict[str, float] = {}
        self._moved: dict[str, tuple[float, float]] = {}

    def note(self, client_order_id: str, stop_loss: float, *, delay_s: float) -> None:
        """Record that a stop was moved now, and becomes visible `delay_s` later."""
        moved = self._moved.get(client_order_id)
        if moved is None or moved[0] != stop_loss:
            self._moved[client_order_id] = (stop_loss, self._now_s() + delay_s)

    def shown(self, order: OpenOrder) -> OpenOrder:
        """Return an order with its visible price."""
        identity = order.client_order_id
        _, until_s = self._moved.get(identity, (0.0, 0.0))
        if order.price is None:
            return order
        if identity in self._reported and self._now_s() < until_s:
            return replace(order, price=self._reported[identity])
        self._reported[identity] = order.price
        return order


class SqlSends:
    """Send times of all processes, killed ones included."""

    def __init__(self, engine: Engine, now_ms: Callable[[], int] = clock.now_ms) -> None:
        """Open the table, and create it if it is missing; several processes may do so at once.

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
