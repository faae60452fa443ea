"""What `trading replay` prints: a few lines for people, everything for programs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from trading.replay import Replay, Trade
from worker.commands.output import Column, make_console, minute, profit, table


@dataclass(frozen=True, slots=True)
class Row:
    """One symbol of a replay, or all of them; money in quote currency."""

    symbol: str
    candles: int
    signals: int
    refused: int
    trades: int
    won: int
    fees: float
    profit: float


def as_dict(result: Replay) -> dict[str, Any]:
    """Return a replay JSON-safe, as its dataclasses name things; arrays become lists."""
    return {
        "account": result.account,
        "starting_balance": result.starting_balance,
        "symbols": {
            symbol: {
                "timeframe": result.timeframes[symbol],
                "candle_count": len(candles),
                "first_open_ms": int(candles.open_ms[0]),
                "last_open_ms": candles.last_open_ms,
            }
            for symbol, candles in result.candles.items()
        },
        "decisions": _dicts(result.decisions),
        "orders": _dicts(result.orders),
        "fills": _dicts(result.fills),
        "trades": _dicts(result.trades),
        "positions": _dicts(result.positions),
        "equity": {name: column.tolist() for name, column in asdict(result.equity).items()},
    }


def tell(result: Replay, took_s: float) -> None:
    """Print what a replay came to, and how long it took."""
    console = make_console()
    count = sum(len(candles) for candles in result.candles.values())
    for symbol, candles in result.candles.items():
        span = f"{minute(int(candles.open_ms[0]))} to {minute(candles.last_open_ms)} UTC"
        console.tell(Text(f"{symbol} {result.timeframes[symbol]}: {len(candles):,} candles, {span}"))
    console.tell(table(COLUMNS, _rows(result), width=console.width))
    equity = result.equity.equity
    end, lowest = float(equity[-1]), float(equity.min())
    console.tell(
        Text(
            f"account {result.account}: {result.starting_balance:,.2f} at the beginning, {end:,.2f} at the end, "
            f"{lowest:,.2f} at the lowest close"
        )
    )
    rules = Counter(one.rule for one in result.decisions if one.outcome == "refused")
    if rules:
        console.tell(Text("refused by: " + ", ".join(f"{rule} {number}" for rule, number in rules.most_common())))
    console.tell(Text(f"{took_s:.2f} s, {count / took_s:,.0f} candles a second", style="dim"))


def _rows(result: Replay) -> list[Row]:
    rows = [_row(result, symbol, [symbol]) for symbol in result.candles]
    return rows if len(rows) == 1 else [*rows, _row(result, "all", result.candles)]


def _row(result: Replay, name: str, symbols: Iterable[str]) -> Row:
    chosen = set(symbols)
    trades: list[Trade] = [trade for trade in result.trades if trade.symbol in chosen]
    decisions = [one for one in result.decisions if one.symbol in chosen]
    return Row(
        name,
        sum(len(result.candles[symbol]) for symbol in chosen),
        len(decisions),
        sum(one.outcome == "refused" for one in decisions),
        len(trades),
        sum(trade.profit > 0 for trade in trades),
        sum(trade.fees for trade in trades),
        sum(trade.profit for trade in trades),
    )


def _dicts(rows: Iterable[Any]) -> list[Mapping[str, Any]]:
    return [asdict(row) for row in rows]


COLUMNS = (
    Column("symbol", lambda row: row.symbol, style="bold"),
    Column("candles", lambda row: f"{row.candles:,}", is_number=True),
    Column("signals", lambda row: f"{row.signals:,}", is_number=True),
    Column("refused", lambda row: f"{row.refused:,}", is_number=True),
    Column("trades", lambda row: f"{row.trades:,}", is_number=True),
    Column("won", lambda row: f"{row.won:,}", is_number=True),
    Column("fees", lambda row: f"{row.fees:,.2f}", is_number=True),
    Column("profit", lambda row: profit(row.profit), is_number=True),
)
