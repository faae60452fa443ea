"""The symbols of the recording: their prices, their scripts, and the rules that their entries meet."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

STRATEGY = "tests.recordings.scripted:Scripted"
DAY_MS = 86_400_000
FIRST_DAY_MS = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)
"""A Monday."""

MINUTES = 24
ACCOUNT = {
    "name": "recorded",
    "starting_balance": 100_000,
    "max_open_positions": 10,
    "max_daily_loss": 5_000,
    "max_drawdown": 0.2,
}

Row = tuple[float, float]
"""Open and close of a candle."""

Day = Mapping[str, tuple[dict[str, Any], Sequence[Row]]]
"""By symbol: its configuration, and the candles of one day."""


def closes(*prices: float) -> list[Row]:
    """Return a day's candles that open where the one before closed; the last price lasts to the end."""
    padded = [*prices, *[prices[-1]] * (MINUTES - len(prices))]
    return list(zip([padded[0], *padded[:-1]], padded, strict=True))


def line(minute: int, act: str, reason: str = "", **terms: float) -> dict[str, Any]:
    return {"minute": minute, "act": act, "reason": reason, **terms}


def entry(minute: int, reason: str = "in") -> dict[str, Any]:
    """Return a purchase at 100 whose stop and target are out of reach."""
    return line(minute, "buy", reason, stop=98.0, target=106.0)


def symbol(script: Sequence[Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
    """Return the configuration of a symbol that follows a script; its candles stand beside the configuration."""
    return {
        "timeframe": "1m",
        "venue": {"kind": "paper", "fill_at": "next_open", "spread": 0.02, "commission_bps": 0.5},
        "strategy": {"name": STRATEGY, "params": {"script": list(script)}},
        "risk": {"sizing": "fixed_units", "units": 10.0},
        "session": {"kind": "always"},
        **changes,
    }


def scripted(*script: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {"name": STRATEGY, "params": {"script": list(script)}, **changes}


FLAT = closes(100.0)
UP = closes(*[100] * 8, 100.6, 101, 102, 102, 102.4, 102.4, *[103] * 4, 104, 105, 103)
AT_CLOSE = {"kind": "paper", "fill_at": "close", "spread": 0.02}

TRADE = (
    line(6, "buy", "breakout: above the range", stop=98.0, target=103.0),
    line(7, "buy", "again | the same way", stop=98.0, target=103.0),
    line(10, "close", "nothing is open"),
    line(11, "buy", "first part | second part: with a colon", stop=101.0, target=110.0),
    line(14, "sell", "refused by nobody: weak -> short", stop=102.0, target=95.0),
    line(16, "buy", "turned", stop=96.0, target=110.0),
    line(18, "close", "done: by the book | twice"),
    line(19, "buy", "stop above", stop=101.0, target=110.0),
    line(20, "buy", "stop at the price", stop=100.0, target=110.0),
    line(21, "sell", "target above", stop=102.0, target=103.0),
)
TRADE_PRICES = closes(100, 100, 100, 100, 100, 100, 100, 101, 102, 103.5, 103, 103, 102.5, 100.5, 100, 99, 99, 100)

FIRST_DAY: Day = {
    "TRADE": (symbol(TRADE), TRADE_PRICES),
    "TWO": (
        symbol(
            (),
            strategy=None,
            strategies={
                "first": scripted(
                    line(6, "buy", "second: not that one | really", stop=98.0, target=106.0),
                    line(10, "close", "enough"),
                    line(14, "buy", "alone: at this candle", stop=98.0, target=106.0),
                ),
                "second": scripted(
                    line(6, "sell", "first: the other way | too", stop=102.0, target=94.0),
                    line(12, "close", "enough: too"),
                    risk={"sizing": "fixed_units", "units": 3.0},
                ),
            },
            venue=AT_CLOSE,
        ),
        FLAT,
    ),
    "TRAIL": (
        symbol(
            (
                line(6, "buy", "trend", stop=98.0),
                line(11, "move", "more room: than before | please", stop=95.0),
                line(13, "move", "beyond | the close", stop=110.0),
                line(16, "buy", "trend again", stop=101.0),
                line(17, "move", "behind the candle", stop=102.0),
                line(21, "buy", "once more", stop=100.0),
                line(23, "exit", "time: is up | now"),
            ),
            exits={
                "trailing_stop": {"distance": 1.0, "from_profit": 0.8},
                "break_even": {"from_profit": 0.5, "offset": 0.1},
            },
        ),
        UP,
    ),
    "COOL": (
        symbol(
            (
                entry(6),
                line(8, "close", "out"),
                entry(10, "too soon"),
                line(17, "buy", "hardly worth it", stop=99.0, target=100.5),
            ),
            risk={"sizing": "fixed_units", "units": 10.0, "min_reward_risk": 1.5},
            protections=[{"method": "CooldownPeriod", "stop_duration_candles": 5}],
        ),
        FLAT,
    ),
    "HOURS": (symbol((entry(6),), entry_hours={"timezone": "Europe/London", "hours": ["07:00-11:00"]}), FLAT),
    "CLOSED": (
        symbol(
            (entry(6),),
            session={"kind": "weekly", "timezone": "UTC", "opens": "mon 06:00", "closes": "fri 17:00"},
        ),
        FLAT,
    ),
    "REGIME": (symbol((entry(6),), allowed_regimes=["trending_up", "ranging"]), FLAT),
    "SPREAD": (symbol((entry(6),), risk={"sizing": "fixed_units", "units": 10.0, "max_spread": 0.01}), FLAT),
    "IGNORE": (
        symbol(
            (entry(6), line(8, "sell", "the other way", stop=102.0)),
            risk={"sizing": "fixed_units", "units": 10.0, "on_opposite_signal": "ignore"},
        ),
        FLAT,
    ),
    "PAUSED": (symbol((entry(6), line(10, "close", "out, paused or not"), entry(13, "while paused: no"))), FLAT),
    "STOPPED": (symbol((entry(6), entry(9, "while stopped"))), FLAT),
    "HELD": (symbol((entry(9, "while held"),)), FLAT),
    "QUAR": (symbol((entry(5), line(10, "raise", "in a bad mood: really | truly"))), FLAT),
    "BAD": (symbol((entry(5, "before it"),)), FLAT),
    "SOFT": (symbol((line(9, "sleep"),)), FLAT),
    "HUNG": (symbol((line(9, "hang"),)), FLAT),
    "LOST": (symbol((line(9, "die"),)), FLAT),
    "LIMIT": (
        symbol(
            (
                entry(7, "one too many"),
                line(15, "buy", "too large a loss", stop=10.0, size=100.0),
                line(17, "buy", "too large a value", stop=99.9, size=300.0),
            ),
            risk={"sizing": "fixed_units", "units": 10.0, "max_notional": 20_000},
        ),
        FLAT,
    ),
}
SECOND_DAY: Day = {
    "REJECT": (
        symbol((entry(6),), venue={**AT_CLOSE, "faults": {"rejection_probability": 1.0}}),
        FLAT,
    ),
    "SETTLED": (
        symbol((entry(6),), venue={**AT_CLOSE, "faults": {"timeout_after_probability": 1.0, "most_in_a_row": 10}}),
        FLAT,
    ),
    "UNKNOWN": (
        symbol(
            (entry(MINUTES - 1),),
            venue={**AT_CLOSE, "faults": {"timeout_before_probability": 1.0, "most_in_a_row": 10, "visibility_s": 1e6}},
        ),
        FLAT,
    ),
    "HALTED": (symbol((entry(8, "while halted"),), venue=AT_CLOSE), FLAT),
    "ADOPT": (symbol((line(10, "close", "what was adopted"),), venue=AT_CLOSE), FLAT),
    "FLATTEN": (symbol((entry(6),)), FLAT),
}
THIRD_DAY: Day = {
    "LOSS": (
        symbol(
            (
                line(6, "buy", "before the gap", stop=98.0, size=1_000.0),
                entry(12, "after the loss of the day"),
            ),
        ),
        [*FLAT[:8], (70.0, 70.0), *[(70.0, 100.0)], *FLAT[10:]],
    ),
    "AFTER": (symbol((entry(16, "after the drawdown"),)), FLAT),
}
RUNS: Mapping[str, Sequence[Day]] = {
    "replayable": (FIRST_DAY,),
    "by_hand": (SECOND_DAY, THIRD_DAY),
}
"""By the name of its folder: what can be worked out from candles again, and what an operator or a faulty venue did."""


def csv_of(name: str, rows: Sequence[Row], *, day: int) -> str:
    """Return the candles of a symbol as the file that its source plays."""
    lines = ["timestamp,open,high,low,close,volume"]
    for minute, (opened, closed) in enumerate(rows):
        at = datetime.fromtimestamp((FIRST_DAY_MS + day * DAY_MS) / 1000 + 60 * minute, UTC)
        high, low = max(opened, closed) + 0.25, min(opened, closed) - 0.25
        low = high + 1 if (name, minute) == ("BAD", 8) else low
        lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{opened:g},{high:g},{low:g},{closed:g},10")
    return "\n".join(lines) + "\n"


def files_of(run: str) -> dict[str, str]:
    """Return the candle file of each symbol of a run."""
    return {
        name: csv_of(name, rows, day=day)
        for day, symbols in enumerate(RUNS[run])
        for name, (_, rows) in symbols.items()
    }


def symbols_of(run: str) -> dict[str, Any]:
    """Return the symbols of a run as `symbols.yaml` has them."""
    return {
        name: {**config, "source": {"kind": "file", "path": f"candles/{name}.csv", "speed": "max"}}
        for symbols in RUNS[run]
        for name, (config, _) in symbols.items()
    }
