"""The status of each symbol, read from Redis and the ledger: for the live table, `trading status`, `tasks.status`."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import redis
from msgspec import Struct

from adapters.clock import now_ms
from adapters.redis import keys
from adapters.redis.applied_config import Launcher
from adapters.redis.client import talking_to_redis
from adapters.redis.last_errors import read_errors
from adapters.symbol_store.redis import feed_history
from adapters.wiring.market_time import ahead
from configs.fetch_interval import fetch_interval_s, longest_pause_s
from configs.loading import SystemConfig
from configs.services import DataFetchingConfig
from configs.symbols import SymbolConfig
from trading.events.decisions import Decisions, decode, describe
from trading.formatting import format_second
from trading.incidents.incident import OF_POSITION, IncidentKind
from trading.lifecycle import DesiredState, ServiceState
from trading.market.feed_health import feed_issue
from trading.orchestration.phase import Phase, PhaseKind, phase_of
from trading.portfolio.positions import Position
from trading.services.status import LastError, ServiceStatus
from trading.structs import asdict
from trading.tolerance import total_units

FILLS_COUNTED = 1_000
INCIDENTS_READ = 1_000
STALE_FETCHES = 3
STALE_AT_LEAST_S = 20.0
LEFT_OPEN = "add it to {file} again and flatten it, then remove it; or close it at the venue"
"""Remedy for a symbol that has an open position or order and is not configured in `file`."""


class LedgerReader(Protocol):
    """The queries that the table makes of the ledger."""

    def positions(self) -> Sequence[Position]: ...

    def balance(self) -> float: ...

    def fences(self) -> Mapping[str, int]: ...

    def exposures(self) -> Mapping[str, tuple[float, int]]: ...

    def fills(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]: ...

    def incidents(
        self, symbol: str | None = None, *, only_open: bool = True, limit: int = 100
    ) -> list[dict[str, Any]]: ...


class StatusState(StrEnum):
    """The state of a symbol as it is shown; of several, the first one listed."""

    HALTED = "halted"
    """An incident keeps it from sending."""
    QUARANTINED = "quarantined"
    PAUSED = "paused"
    STOPPED = "stopped"
    ERROR = "error"
    """A service has failed, or the process of its worker ends at once."""
    STARTING = "starting"
    """Its source has not answered yet."""
    RECORDING_ENDED = "recording_ended"
    STALE = "stale"
    """No fetch has succeeded for long."""
    MARKET_CLOSED = "market_closed"
    WARMING_UP = "warming_up"
    RUNNING = "running"


_STATE_OF: Mapping[PhaseKind, StatusState] = {
    PhaseKind.RECORDING_ENDED: StatusState.RECORDING_ENDED,
    PhaseKind.MARKET_CLOSED: StatusState.MARKET_CLOSED,
    PhaseKind.WARMING_UP: StatusState.WARMING_UP,
    PhaseKind.RUNNING: StatusState.RUNNING,
}


_PRINTED = {"last_action": "said", "last_action_ms": "said_ms"}
"""Names in JSON of fields that are renamed here."""


class SymbolStatus(Struct, frozen=True):
    """The status of one symbol. Prices and profits are in quote currency; an unknown value is None.

    Attributes:
        state: A `StatusState`.
        last_error: Its last error, kept for `TRADING__ERRORS_KEPT_S` after it passed; None without one.
        market_opens_ms: While `market_closed`: market time of the next opening, milliseconds since the epoch, UTC.
        warmup_candles: While `warming_up`: candles there are.
        warmup_needed: While `warming_up`: candles that the strategies need.
        progress_age_s: Seconds since its last fetch.
        candle_ms: Open time of the last candle decided, milliseconds since the epoch, UTC.
        candles: How many candles were decided.
        units: Position, negative when short.
        orders_filled: Orders among its newest `FILLS_COUNTED` fills.
        decision: Last decision, with its reason.
        last_action: Last decision other than "no signal".
        last_action_ms: Open time of that candle.
        error: Last error of its worker that has ended, else of a failed service.
        halted: The newest incident that halts it, with its number; empty while none does.
        at_risk: The newest incident of an open position (an exit failed, or its stop is not at the venue), with its
            number; empty while there is none.
        feed: Fault of a feed that answers, such as no candle or a repeated one; empty for none.
        ahead: Why it decides nothing until the market has come as far as its cursor or fence; else empty.
        rejected: The newest rejected message, with its incident's number, until that is resolved; else empty.
    """

    symbol: str
    state: str
    desired: str
    timeframe: str
    strategy: str
    progress_age_s: float | None = None
    candle_ms: int | None = None
    candles: int = 0
    close: float | None = None
    units: float = 0.0
    average_price: float = 0.0
    realised: float = 0.0
    unrealised: float = 0.0
    orders_filled: int = 0
    regime: str = ""
    decision: str = ""
    last_action: str = ""
    last_action_ms: int | None = None
    error: str = ""
    halted: str = ""
    at_risk: str = ""
    feed: str = ""
    ahead: str = ""
    rejected: str = ""
    last_error: LastError | None = None
    market_opens_ms: int | None = None
    warmup_candles: int | None = None
    warmup_needed: int | None = None

    @property
    def last_error_words(self) -> str:
        """The last error with its time, as a person reads it; empty without one."""
        last = self.last_error
        if last is None:
            return ""
        return f"last error {format_second(last.at_ms)} UTC ({last.count} in all): {last.text}"

    @property
    def state_words(self) -> str:
        """The state as a person reads it."""
        found = next((phase for phase, state in _STATE_OF.items() if state == self.state), None)
        if found is None:
            return self.state
        return str(Phase(found, self.market_opens_ms, self.warmup_candles or 0, self.warmup_needed or 0))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by the names that `status --json` prints, JSON-safe."""
        return {_PRINTED.get(name, name): value for name, value in asdict(self).items()}


def read_status(
    client: redis.Redis,
    ledger: LedgerReader,
    system: SystemConfig,
    namespace: str,
    *,
    names: Sequence[str] | None = None,
) -> list[SymbolStatus]:
    """Read the status of symbols; two round trips to Redis.

    Args:
        names: Configured symbols; None for all of them, in the order of `symbols.yaml`.

    Raises:
        Transient: Redis or the ledger does not answer.
    """
    names = list(system.symbols) if names is None else names
    with talking_to_redis():
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(keys.state(namespace, name))
            pipeline.hgetall(keys.service(namespace, name))
        pipeline.get(keys.launcher(namespace))
        *answers, launcher = pipeline.execute()
    processes = Launcher.from_json(launcher).ended if launcher else ()
    ended = {symbol: str(one) for one in processes for symbol in one.symbols}
    errors = read_errors(client, namespace, names)
    positions, fences = ledger.positions(), ledger.fences()
    incidents = ledger.incidents(limit=INCIDENTS_READ)
    halted = _newest([row for row in incidents if row["halts"]])
    at_risk = _newest([row for row in incidents if row["kind"] in OF_POSITION])
    rejected = _newest([row for row in incidents if row["kind"] == IncidentKind.MESSAGE_REJECTED])
    fetching = system.services.data_fetching
    return [
        _status(
            name,
            system.symbols[name],
            _text(answers[2 * at]),
            [ServiceStatus.from_json(service) for service in _text(answers[2 * at + 1]).values()],
            [position for position in positions if position.symbol == name],
            orders_filled=_orders_filled(ledger, name),
            halted=halted.get(name, ""),
            ended=ended.get(name, ""),
            at_risk=at_risk.get(name, ""),
            rejected=rejected.get(name, ""),
            fence_ms=fences.get(name),
            last_error=errors[name],
            stale_s=stale_after_s(fetching, system.symbols[name]),
        )
        for at, name in enumerate(names)
    ]


def unconfigured(ledger: LedgerReader, system: SystemConfig) -> dict[str, str]:
    """Describe the open position and orders of each symbol that is no longer configured: no service handles them."""
    found = {name: what for name, what in ledger.exposures().items() if name not in system.symbols}
    return {
        name: f"{units:+g} units, {orders} unsettled orders, and it is not configured"
        for name, (units, orders) in found.items()
    }


def stale_after_s(fetching: DataFetchingConfig, config: SymbolConfig) -> float:
    """Return the real seconds without a fetch after which a symbol counts as stale."""
    missed_s = STALE_FETCHES * fetch_interval_s(fetching, config)
    return max(STALE_AT_LEAST_S, longest_pause_s(fetching, config) + missed_s)


def _status(
    name: str,
    config: SymbolConfig,
    state: Mapping[str, str],
    services: Sequence[ServiceStatus],
    positions: Sequence[Position],
    *,
    orders_filled: int,
    halted: str,
    ended: str,
    at_risk: str,
    rejected: str,
    fence_ms: int | None,
    last_error: LastError | None,
    stale_s: float,
) -> SymbolStatus:
    close = float(state["close"]) if "close" in state else None
    units = total_units(position.units for position in positions)
    value = sum(position.units * position.average_price for position in positions)
    fetched_ms = state.get("fetched_at_ms")
    age_s = None if fetched_ms is None else max(0.0, (now_ms() - int(fetched_ms)) / 1000)
    failed = [service for service in services if service.state is ServiceState.ERROR]
    lies_ahead = ahead(name, config, state, fence_ms, now_ms())
    phase = _phase(state, config)
    shown = _state(state, age_s, phase, is_failed=bool(failed or ended or lies_ahead), stale_s=stale_s)
    is_warming_up = shown is StatusState.WARMING_UP
    return SymbolStatus(
        symbol=name,
        state=(StatusState.HALTED if halted else shown).value,
        desired=state.get("desired", DesiredState.RUNNING),
        timeframe=config.timeframe,
        strategy=", ".join(config.books),
        progress_age_s=age_s,
        candle_ms=int(state.get("cursor_ms", 0)) or None,
        candles=int(state.get("candles", 0)),
        close=close,
        units=units,
        average_price=value / units if units else 0.0,
        realised=sum(position.realised for position in positions),
        unrealised=0.0 if close is None else sum(position.unrealised(close) for position in positions),
        orders_filled=orders_filled,
        regime=state.get("regime", ""),
        decision=_described(state, "decisions", "decision"),
        last_action=_described(state, "said_decisions", "said"),
        last_action_ms=int(state.get("said_ms", 0)) or None,
        error=ended or next((service.last_error for service in failed if service.last_error), lies_ahead),
        halted=halted,
        at_risk=at_risk,
        last_error=last_error,
        feed=str(feed_issue(feed_history(state), config.feed_terms, now_ms=now_ms()) or ""),
        ahead=lies_ahead,
        rejected=rejected,
        market_opens_ms=phase.opens_ms if shown is StatusState.MARKET_CLOSED else None,
        warmup_candles=phase.candles if is_warming_up else None,
        warmup_needed=phase.candles_needed if is_warming_up else None,
    )


def _state(
    state: Mapping[str, str], age_s: float | None, phase: Phase, *, is_failed: bool, stale_s: float
) -> StatusState:
    if state.get("quarantine"):
        return StatusState.QUARANTINED
    desired = state.get("desired", DesiredState.RUNNING)
    if desired != DesiredState.RUNNING:
        return StatusState(desired)
    if is_failed:
        return StatusState.ERROR
    if age_s is None:
        return StatusState.STARTING
    if age_s > stale_s and phase.kind is not PhaseKind.RECORDING_ENDED:
        return StatusState.STALE
    return _STATE_OF[phase.kind]


def _phase(state: Mapping[str, str], config: SymbolConfig) -> Phase:
    return phase_of(feed_history(state), config.feed_terms, last_decisions(state), now_ms=now_ms())


def last_decisions(state: Mapping[str, str]) -> Decisions:
    """Return the decisions on a symbol's last candle by its state hash; empty before the first one."""
    return decode(state["decisions"]) if "decisions" in state else ()


def _described(state: Mapping[str, str], name: str, old_name: str) -> str:
    """Return decisions as text; version 0.1.0 stored the text itself, under the old name."""
    return describe(decode(state[name])) if name in state else state.get(old_name, "")


def _orders_filled(ledger: LedgerReader, symbol: str) -> int:
    rows = ledger.fills(symbol, limit=FILLS_COUNTED)
    return len({fill["client_order_id"] for fill in rows if not fill["adjustment"]})


def _newest(newest_first: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the newest of some incidents, by symbol."""
    return {row["symbol"]: f"incident {row['id']}, {row['kind']}: {row['reason']}" for row in reversed(newest_first)}


def _text(answer: Mapping[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in answer.items()}
