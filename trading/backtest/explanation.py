"""Why a candle led to a trade or to none: one value for live runs and replays, made of what was recorded of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from trading.backtest.headline import Headline, HeadlineKind, UnfilledOrder
from trading.backtest.result import Booked, Trade, trades_of
from trading.errors import Broken
from trading.events.decisions import (
    NO_SIGNAL,
    CandleDecision,
    DecisionKind,
    Decisions,
    describe,
    has_no_signal,
    is_of_stops,
)
from trading.events.journal import Entry
from trading.formatting import format_price
from trading.indicators import compute
from trading.indicators.regime import Regime
from trading.indicators.rows import IndicatorRows
from trading.market.candles import Candles, timeframe_ms
from trading.orders.orders import PROTECTIVE_LEGS, Fill, Leg, OrderRequest, OrderState, protective_order_id
from trading.portfolio.positions import Position
from trading.risk.signal_filters import EntryRules, checks
from trading.risk.verdict import OK, Check
from trading.strategies import Strategy
from trading.strategies.invocation import signals_of
from trading.strategies.signal import Signal
from trading.trading_state import permissions


@dataclass(frozen=True, slots=True)
class Terms:
    """What a symbol is decided by, as configured now.

    Attributes:
        config: Short digest of it.
        is_only_strategy: The symbol has no other strategy.
    """

    strategy_name: str
    strategy: Strategy
    entry_rules: EntryRules
    recent_rows_limit: int
    min_rows_required: int
    config: str = ""
    is_only_strategy: bool = True


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules said of a signal: outcome `accepted`, `refused` or `dry`, and the rule that decided."""

    outcome: str
    rule: str
    reason: str
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderFate:
    """An order that was decided on, and how it stands; `note` says why."""

    request: OrderRequest
    state: OrderState
    filled_units: float
    note: str | None = None
    venue_order_id: str | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """An event: wall clock in milliseconds since the epoch, type, and why."""

    at_ms: int
    type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is still known of a candle.

    Attributes:
        entry: What the journal has of it, or what a replay decided.
        candles: Those up to it, itself included, as far as they are recorded.
        ruling: None where the strategy was silent, or the ledger was never asked.
        own: Ids of the orders that this candle was decided to cause.
        orders: Of the symbol, this candle's at least, and those of the positions that they opened or closed.
        fills: Of the same positions from flat to flat, or of more, in the order in which they make positions.
        events: Of this candle, as far as they are kept; None for a replay, which makes none.
    """

    symbol: str
    timeframe: str
    entry: Entry
    candles: Candles
    ruling: Ruling | None = None
    own: Collection[str] = ()
    orders: Sequence[OrderFate] = ()
    fills: Sequence[Fill] = ()
    events: Sequence[Happening] | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """An indicator at the candle and at the one before it; None where it has no whole window."""

    name: str
    indicator: str
    now: float | None
    before: float | None


@dataclass(frozen=True, slots=True)
class Protective:
    """A stop or target that an entry brought; state `resting`, `filled` or `canceled`."""

    client_order_id: str
    leg: Leg
    price: float
    state: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a candle led to what it led to.

    Attributes:
        headline: The answer: what was traded, or why nothing was; its text is `str(headline)`.
        values: Indicators that the strategy's conditions look at.
        said: What the strategy said and why, or that it was silent.
        signal: What it asked for, worked out anew; None where it was silent or cannot be asked any more.
        checks: Each rule that was asked, those of the entry first.
        orders: What was decided on this candle, with `fills` of them and of their stops and targets.
        trades: Positions that those orders opened or closed, and what became of them.
        notes: What could not be worked out, and under which condition the rest holds.
    """

    symbol: str
    timeframe: str
    strategy: str
    entry: Entry
    headline: Headline
    values: Sequence[Value]
    said: str
    signal: Signal | None
    ruling: Ruling | None
    checks: Sequence[Check]
    orders: Sequence[OrderFate]
    protective: Sequence[Protective]
    fills: Sequence[Fill]
    trades: Sequence[Trade]
    events: Sequence[Happening] | None
    notes: Sequence[str] = field(default=())


def explain(recorded: Recorded, terms: Terms) -> Explanation:
    """Explain a candle by what is recorded of it and of one strategy."""
    entry, notes = recorded.entry, _conditions(recorded, terms)
    rows, lost = _rows(recorded, terms)
    signal = _signal(rows, terms) if rows is not None else None
    orders = [one for one in recorded.orders if one.request.client_order_id in recorded.own]
    trades = _trades(recorded)
    mine = [one for one in trades if {one.entry_order_id, one.exit_order_id} & set(recorded.own)]
    protective = [leg for one in orders for leg in _protective(one, trades, recorded.fills)]
    ids = set(recorded.own) | {one.client_order_id for one in protective}
    fills = [fill for fill in recorded.fills if fill.client_order_id in ids]
    return Explanation(
        recorded.symbol,
        recorded.timeframe,
        terms.strategy_name,
        entry,
        _headline(recorded, orders, fills, mine),
        _values(rows, terms),
        _said(entry, signal, recorded.ruling),
        signal,
        recorded.ruling,
        _checks(recorded, signal, terms),
        orders,
        protective,
        fills,
        mine,
        recorded.events,
        [*notes, *lost, *_contradictions(entry, signal, terms)],
    )


def of_strategy(
    entry: Entry, strategy: str, ruling: Ruling | None, *, has_signals: bool, strategies: Collection[str]
) -> Entry:
    """Return what the journal has of a candle as one of several strategies has to do with it.

    Args:
        has_signals: Some strategy of the symbol gave a signal at this candle.
        strategies: All of the symbol; of one alone is all that the journal has.
    """
    if len(strategies) == 1:
        return entry
    if ruling is not None:
        return replace(entry, decisions=decisions_of(ruling.rule, ruling.reason))
    own = tuple(msgspec.structs.replace(one, strategy="") for one in entry.decisions if one.strategy == strategy)
    is_told = has_signals or any(one.strategy in strategies for one in entry.decisions)
    return replace(entry, decisions=own or NO_SIGNAL) if is_told else entry


def decisions_of(rule: str, reason: str) -> Decisions:
    """Return the decisions on a candle of which no more is known than what the risk rules said."""
    kind = DecisionKind.ACCEPTED if rule == OK else DecisionKind.REJECTED
    return (CandleDecision(kind, rule="" if rule == OK else rule, reason=reason),)


def _conditions(recorded: Recorded, terms: Terms) -> list[str]:
    entry = recorded.entry
    if not entry.config or entry.config == terms.config:
        return []
    return [
        f"decided with another configuration ({entry.config}) than the one in force ({terms.config}): values, signal "
        "and entry rules are those of the one in force"
    ]


def _rows(recorded: Recorded, terms: Terms) -> tuple[IndicatorRows | None, list[str]]:
    """Work the indicators out anew; a line says so where their window is not all there."""
    needed, candles = terms.strategy.startup_candle_count, recorded.candles
    if not len(candles) or candles.last_open_ms != recorded.entry.open_ms:
        return None, ["no indicator values: the candle was decided before candles were recorded"]
    if len(candles) < needed:
        found = f"their window is {needed} candles, and {len(candles)} are recorded up to this one"
        return None, [f"no indicator values: {found}"]
    try:
        rows = compute(candles, terms.strategy.indicators(), window=needed, rows=terms.recent_rows_limit)
    except Broken as error:
        return None, [f"no indicator values: {error}"]
    short = f"{len(rows)} of {terms.min_rows_required} rows of indicators are whole: the strategy was not asked anew"
    return rows, [short] if len(rows) < terms.min_rows_required else []


def _signal(rows: IndicatorRows, terms: Terms) -> Signal | None:
    if len(rows) < terms.min_rows_required:
        return None
    said, _ = signals_of(terms.strategy, rows.frame(), last=1, name=terms.strategy_name)
    return next(iter(said), None)


def _values(rows: IndicatorRows | None, terms: Terms) -> list[Value]:
    named: Mapping[str, object] = terms.strategy.indicators()
    table = rows.values.tolist() if rows is not None else []
    now, before = (table[-1] if table else None), (table[-2] if len(table) > 1 else None)
    return [
        Value(name, str(indicator), now[place] if now else None, before[place] if before else None)
        for place, (name, indicator) in enumerate(named.items(), start=1)
    ]


def _said(entry: Entry, signal: Signal | None, ruling: Ruling | None) -> str:
    if signal is not None:
        prices = ((" stop", signal.stop_loss), (" target", signal.take_profit), (" size", signal.size_units))
        told = ",".join(f"{name} {format_price(value)}" for name, value in prices if value is not None)
        return f"{signal.side.value} at {format_price(signal.price)}: {signal.reason}{f';{told}' if told else ''}"
    if ruling is not None:
        return describe(entry.decisions)
    is_silent = has_no_signal(entry.decisions) or is_of_stops(entry.decisions)
    return "nothing" if is_silent else f"was not asked: {describe(entry.decisions)}"


def _checks(recorded: Recorded, signal: Signal | None, terms: Terms) -> list[Check]:
    """Return the entry rules, asked anew with what was recorded, then the risk rules as they answered."""
    entry, ruling = recorded.entry, recorded.ruling
    asked: list[Check] = []
    if ruling is not None and signal is not None:
        may_enter = permissions(entry.desired).entries
        asked.append(Check("paused", may_enter, f"the symbol was {entry.desired.value} when the candle was fetched"))
        if entry.as_of_ms is not None:
            asked += checks(
                signal,
                terms.entry_rules,
                timeframe=recorded.timeframe,
                as_of_ms=entry.as_of_ms,
                regime=Regime(entry.regime),
            )
    told = list(ruling.checks) if ruling else []
    if ruling is not None and not told:  # decided before rules were written down one by one
        told.append(Check(ruling.rule, ruling.rule == OK, ruling.reason))
    return asked + [one for one in told if one not in asked]


def _contradictions(entry: Entry, signal: Signal | None, terms: Terms) -> list[str]:
    if signal is not None and has_no_signal(entry.decisions):
        return [f"worked out anew the strategy says: {signal.side.value}: {signal.reason}"]
    return []


def _trades(recorded: Recorded) -> list[Trade]:
    """Fold fills into trades; each begins with nothing realised, so its profit does not depend on those before it."""
    held: dict[tuple[str, str], Position] = {}
    booked: list[Booked] = []
    for fill in recorded.fills:
        key = (fill.symbol, fill.strategy)
        before = held.get(key)
        before = before if before is not None and before.is_open else Position(*key)
        held[key] = before.after(fill)
        booked.append((fill, before, held[key]))
    return trades_of(booked, [one.request for one in recorded.orders])


def _protective(order: OrderFate, trades: Sequence[Trade], fills: Sequence[Fill]) -> list[Protective]:
    """Return the stop and the target that a filled entry brought, and how they stand."""
    request = order.request
    if request.leg is not Leg.ENTRY or not order.filled_units:
        return []
    filled = {fill.client_order_id for fill in fills if fill.leg in PROTECTIVE_LEGS}
    is_open = any(one.entry_order_id == request.client_order_id and one.exit_ms is None for one in trades)
    prices = ((Leg.STOP_LOSS, request.stop_loss), (Leg.TAKE_PROFIT, request.take_profit))
    found = []
    for leg, price in prices:
        if price is not None:
            identity = protective_order_id(request.client_order_id, leg)
            state = "filled" if identity in filled else "resting" if is_open else "canceled"
            found.append(Protective(identity, leg, price, state))
    return found


def _headline(
    recorded: Recorded, orders: Sequence[OrderFate], fills: Sequence[Fill], trades: Sequence[Trade]
) -> Headline:
    ruling = recorded.ruling
    if not orders:
        return _without_orders(recorded.entry, ruling)
    done = [fill for fill in fills if fill.leg not in PROTECTIVE_LEGS]
    if not done:
        unfilled = [UnfilledOrder(one.request.leg, one.state, one.note) for one in orders]
        return Headline(HeadlineKind.NOT_FILLED, unfilled=unfilled)
    return Headline(
        HeadlineKind.CLOSED if ruling is None else HeadlineKind.TRADED,
        rule="" if ruling is None or ruling.rule == OK else ruling.rule,
        fills=done,
        opened=next((one for one in trades if one.entry_order_id in recorded.own), None),
        closed=next(iter(trades), None),
    )


def _without_orders(entry: Entry, ruling: Ruling | None) -> Headline:
    if ruling is not None:
        kind = HeadlineKind.DRY_RUN if ruling.outcome == "dry" else HeadlineKind.REJECTED
        return Headline(kind, rule=ruling.rule, reason=ruling.reason)
    if entry.quarantine is not None:
        return Headline(HeadlineKind.QUARANTINED, policy=entry.quarantine)
    return Headline(HeadlineKind.NO_DECISION, decisions=entry.decisions, desired=entry.desired)


def holds(open_ms: int, timeframe: str, at_ms: int) -> bool:
    """Return whether a time lies within a candle."""
    return open_ms <= at_ms < open_ms + timeframe_ms(timeframe)
