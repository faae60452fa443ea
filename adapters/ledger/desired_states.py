"""Holding a symbol: it opens nothing while its configuration changes, whoever decides on it at that moment."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from adapters.clock import now_ms as wall_ms
from adapters.ledger.adoption import LedgerAdoption
from adapters.ledger.queries.reads import mine
from adapters.ledger.tables import symbols
from configs.diff import Exposure
from trading.lifecycle import DesiredState, HeldBy

_SAID = sa.select(symbols.c.desired, symbols.c.held_by).where(mine(symbols, "symbol"))
_SAY = (
    sa.update(symbols)
    .where(symbols.c.account == bindparam("of_account"), symbols.c.symbol == bindparam("of_symbol"))
    .values(
        desired=bindparam("wanted"),
        reason=bindparam("why"),
        changed_at_ms=bindparam("at_ms"),
        held_by=bindparam("holder"),
    )
)


class LedgerHolds(LedgerAdoption):
    """Says for a while what is wanted of a symbol, and never instead of a person."""

    def hold(self, symbol: str, state: DesiredState, *, held_by: HeldBy, reason: str) -> bool:
        """Keep a symbol that may open positions from doing so, and return whether it might.

        From the return on no decision that opens something can be written. One that is paused or stopped stays as it
        is.
        """
        with self._writing() as connection:
            row = connection.execute(_SAID, {"account": self._account, "symbol": symbol}).one_or_none()
            if row is None:
                said = {"desired": state.value, "reason": reason, "changed_at_ms": wall_ms(), "held_by": held_by.value}
                connection.execute(sa.insert(symbols), {"account": self._account, "symbol": symbol, **said})
            elif row.desired == DesiredState.RUNNING:
                connection.execute(_SAY, self._saying(symbol, state, reason, held_by.value))
            return row is None or row.desired == DesiredState.RUNNING

    def release(self, symbol: str, *, held_by: HeldBy, reason: str) -> bool:
        """Let a held symbol run again, and return whether it does; False where something else holds it, or a person."""
        with self._writing() as connection:
            row = connection.execute(_SAID, {"account": self._account, "symbol": symbol}).one_or_none()
            is_held = row is not None and row.held_by == held_by
            if is_held:
                connection.execute(_SAY, self._saying(symbol, DesiredState.RUNNING, reason, ""))
            return is_held

    def exposure(self, symbol: str) -> Exposure:
        """Return what is open of a symbol."""
        held = {one.strategy: one.units for one in self.positions() if one.symbol == symbol and one.is_open}
        unsettled = self.unsettled(symbol)
        pending = frozenset(intent.request.strategy for intent in unsettled) | self.owners(symbol)
        return Exposure(sum(held.values()), len(unsettled), self.has_exposure(symbol), held, pending)

    def _saying(self, symbol: str, state: DesiredState, reason: str, held_by: str) -> dict[str, Any]:
        key = {"of_account": self._account, "of_symbol": symbol}
        return {**key, "wanted": state.value, "why": reason, "at_ms": wall_ms(), "holder": held_by}
