"""Explanation of a candle: why it led to a trade or not, from the records of a live run or a backtest."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from trading.backtest.explanation.records import (
    CandleRecord,
    EventRecord,
    ExplainContext,
    OrderOutcome,
    RiskDecisionRecord,
)
from trading.backtest.headline import Headline, HeadlineKind, UnfilledOrder
from trading.backtest.result import Trade, trades_of
from trading.errors import Broken
from trading.events.decisions import (
    DecisionKind,
    describe,
    has_no_signal,
    is_of_stops,
    was_evaluated,
)
from trading.events.journal import Entry
from trading.execution.fill_booking import Booked
from trading.formatting import MONEY_DECIMALS, format_price
from trading.indicators import compute
from trading.indicators.regime import Regime
from trading.indicators.rows import IndicatorRows
from trading.orders.orders import PROTECTIVE_LEGS, Fill, Leg, protective_order_id
from trading.portfolio.positions import Position
from trading.risk.signal_filters import checks
from trading.risk.verdict import OK, Check
from trading.strategies import StrategyFault
from trading.strategies.invocation import signals_of
from trading.strategies.signal import Signal
from trading.structs import replace
from trading.trading_state import permissions


class Value(Struct, frozen=True):
    """An indicator at the candle and at the previous one; None without a complete window."""

    name: str
    indicator: str
    now: float | None
    before: float | None


class Protective(Struct, frozen=True):
    """The stop or target of an entry; state `resting`, `filled` or `canceled`."""

    client_order_id: str
    leg: Leg
    price: float
    state: str


class Explanation(Struct, frozen=True):
    """The reasons for the outcome of a candle.

    Attributes:
        headline: The answer: the trade, or the reason why there is none; its text is `str(headline)`.
        values: Indicators that the strategy's conditions use.
        signal_text: The strategy's signal and its reason, or that there was none.
        signal: The recomputed signal; None if there was none, if the strategy did not answer when the candle was
            decided (a quarantined symbol, a strategy that raised), or if it cannot be recomputed.
        checks: Each checked rule, entry rules first.
        orders: Orders decided at this candle, with `fills` of them and of their stops and targets.
        trades: Positions that those orders opened or closed, with their outcome.
        notes: Values that could not be recomputed, and conditions of the others.
        money_decimals: Decimals of money in the account's currency.
    """

    symbol: str
    timeframe: str
    strategy: str
    entry: Entry
    headline: Headline
    values: Sequence[Value]
    signal_text: str = field(name="said")
    signal: Signal | None
    ruling: RiskDecisionRecord | None
    checks: Sequence[Check]
    orders: Sequence[OrderOutcome]
    protective: Sequence[Protective]
    fills: Sequence[Fill]
    trades: Sequence[Trade]
    events: Sequence[EventRecord] | None
    notes: Sequence[str] = field(default=())
    money_decimals: int = MONEY_DECIMALS


def explain(record: CandleRecord, context: ExplainContext) -> Explanation:
    """Explain a candle from its records and those of one strategy."""
    entry, notes = record.entry, _conditions(record, context)
    rows, lost = _rows(record, context)
    signal, failed = _signal(entry, rows, context)
    orders = [one for one in record.orders if one.request.client_order_id in record.own]
    trades = _trades(record)
    mine = [one for one in trades if {one.entry_order_id, one.exit_order_id} & set(record.own)]
    protective = [leg for one in orders for leg in _protective(one, trades, record.fills)]
    ids = set(record.own) | {one.client_order_id for one in protective}
    fills = [fill for fill in record.fills if fill.client_order_id in ids]
    return Explanation(
        record.symbol,
        record.timeframe,
        context.strategy_name,
        entry,
        replace(_headline(record, orders, fills, mine), money_decimals=context.money_decimals),
        _values(rows, context),
        _signal_text(entry, signal, record.ruling),
        signal,
        record.ruling,
        _checks(record, signal, context),
        orders,
        protective,
        fills,
        mine,
        record.events,
        [*notes, *lost, *failed, *_contradictions(entry, signal, context)],
        context.money_decimals,
    )


def _conditions(record: CandleRecord, context: ExplainContext) -> list[str]:
    entry = record.entry
    if not entry.config or entry.config == context.config:
        return []
    return [
        f"decided with configuration {entry.config}; values, signal and entry rules are recomputed with the present "
        f"one, {context.config}"
    ]


def _rows(record: CandleRecord, context: ExplainContext) -> tuple[IndicatorRows | None, list[str]]:
    """Recompute the indicators; a note explains an incomplete window."""
    needed, candles = context.strategy.startup_candle_count, record.candles
    if not len(candles) or candles.last_open_ms != record.entry.open_ms:
        return None, ["no indicator values: the candle was decided before candles were recorded"]
    if len(candles) < needed:
        found = f"found {len(candles)} recorded candles up to this one; expected {needed}"
        return None, [f"no indicator values: {found}"]
    try:
        rows = compute(candles, context.strategy.indicators(), window=needed, rows=context.recent_rows_limit)
    except Broken as error:
        return None, [f"no indicator values: {error}"]
    short = f"{len(rows)} of {context.min_rows_required} indicator rows are complete: the signal was not recomputed"
    return rows, [short] if len(rows) < context.min_rows_required else []


def _signal(entry: Entry, rows: IndicatorRows | None, context: ExplainContext) -> tuple[Signal | None, list[str]]:
    """Recompute the signal of a candle that the strategy answered; a note explains why that fails."""
    is_answered = entry.quarantine is None and was_evaluated(entry.decisions)
    if not is_answered or rows is None or len(rows) < context.min_rows_required:
        return None, []
    try:
        signals, _ = signals_of(context.strategy, rows.frame(), last=1, name=context.strategy_name)
    except StrategyFault as fault:
        return None, [f"the signal cannot be recomputed: {fault.summary}"]
    return next(iter(signals), None), []


def _values(rows: IndicatorRows | None, context: ExplainContext) -> list[Value]:
    named: Mapping[str, object] = context.strategy.indicators()
    table = rows.values.tolist() if rows is not None else []
    now, before = (table[-1] if table else None), (table[-2] if len(table) > 1 else None)
    return [
        Value(name, str(indicator), now[place] if now else None, before[place] if before else None)
        for place, (name, indicator) in enumerate(named.items(), start=1)
    ]


def _signal_text(entry: Entry, signal: Signal | None, risk_decision: RiskDecisionRecord | None) -> str:
    if signal is not None:
        prices = ((" stop", signal.stop_loss), (" target", signal.take_profit), (" size", signal.size_units))
        levels = ",".join(f"{name} {format_price(value)}" for name, value in prices if value is not None)
        return f"{signal.side.value} at {format_price(signal.price)}: {signal.reason}{f';{levels}' if levels else ''}"
    if risk_decision is not None:
        return describe(entry.decisions)
    is_silent = has_no_signal(entry.decisions) or is_of_stops(entry.decisions)
    return "no signal" if is_silent else f"not evaluated: {describe(entry.decisions)}"


def _checks(record: CandleRecord, signal: Signal | None, context: ExplainContext) -> list[Check]:
    """Return the entry rules, recomputed from the records, then the risk rules as recorded."""
    entry, risk_decision = record.entry, record.ruling
    recomputed: list[Check] = []
    if risk_decision is not None and signal is not None:
        may_enter = permissions(entry.desired).entries
        reason = f"the symbol was {entry.desired.value} when the candle was fetched"
        recomputed.append(Check("paused", may_enter, reason))
        if entry.as_of_ms is not None:
            recomputed += checks(
                signal,
                context.entry_rules,
                timeframe=record.timeframe,
                as_of_ms=entry.as_of_ms,
                regime=Regime(entry.regime),
            )
    recorded = list(risk_decision.checks) if risk_decision else []
    if risk_decision is not None and not recorded:  # older versions did not record single rules
        recorded.append(Check(risk_decision.rule, risk_decision.rule == OK, risk_decision.reason))
    return recomputed + [one for one in recorded if one not in recomputed]


def _contradictions(entry: Entry, signal: Signal | None, context: ExplainContext) -> list[str]:
    if signal is not None and has_no_signal(entry.decisions):
        return [f"the recomputed signal differs: {signal.side.value}: {signal.reason}"]
    return []


def _trades(record: CandleRecord) -> list[Trade]:
    """Combine fills into trades; each begins with no realised profit, so that it is independent of earlier ones."""
    held: dict[tuple[str, str], Position] = {}
    booked: list[Booked] = []
    for fill in record.fills:
        key = (fill.symbol, fill.strategy)
        before = held.get(key)
        before = before if before is not None and before.is_open else Position(*key)
        held[key] = before.after(fill)
        booked.append((fill, before, held[key]))
    return trades_of(booked, [one.request for one in record.orders])


def _protective(order: OrderOutcome, trades: Sequence[Trade], fills: Sequence[Fill]) -> list[Protective]:
    """Return the stop and the target of a filled entry, with their states."""
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
    record: CandleRecord, orders: Sequence[OrderOutcome], fills: Sequence[Fill], trades: Sequence[Trade]
) -> Headline:
    risk_decision = record.ruling
    if not orders:
        return _without_orders(record.entry, risk_decision)
    done = [fill for fill in fills if fill.leg not in PROTECTIVE_LEGS]
    if not done:
        unfilled = [UnfilledOrder(one.request.leg, one.state, one.note) for one in orders]
        return Headline(HeadlineKind.NOT_FILLED, unfilled=unfilled)
    return Headline(
        HeadlineKind.CLOSED if risk_decision is None else HeadlineKind.TRADED,
        rule="" if risk_decision is None or risk_decision.rule == OK else risk_decision.rule,
        fills=done,
        opened=next((one for one in trades if one.entry_order_id in record.own), None),
        closed=next(iter(trades), None),
    )


def _without_orders(entry: Entry, risk_decision: RiskDecisionRecord | None) -> Headline:
    if risk_decision is not None:
        kind = HeadlineKind.DRY_RUN if risk_decision.outcome == "dry" else HeadlineKind.REJECTED
        return Headline(kind, rule=risk_decision.rule, reason=risk_decision.reason)
    if entry.quarantine is not None:
        return Headline(HeadlineKind.QUARANTINED, policy=entry.quarantine)
    if any(one.kind is DecisionKind.FAILED for one in entry.decisions):
        return Headline(HeadlineKind.FAILED, decisions=entry.decisions)
    return Headline(HeadlineKind.NO_DECISION, decisions=entry.decisions, desired=entry.desired)
