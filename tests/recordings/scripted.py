"""A strategy that does what its parameters list for each minute: the recordings name it in their configuration."""

import ctypes
import os
import signal
import time
from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from trading.indicators import Indicator, sma
from trading.strategies import ExitNow, MoveStop, PositionView, SignalBuilder, Strategy

MINUTE_MS = 60_000
DAY_MINUTES = 1_440
FOREVER_S = 3_600
FAILS = "RECORDED_STRATEGY_FAILS"
"""Environment: whether the script's failures happen. They do while it is recorded; `explain` asks it again later."""

Act = Literal["buy", "sell", "close", "exit", "move", "raise", "sleep", "hang", "die"]


class Line(BaseModel):
    """One line of the script.

    Attributes:
        minute: Of the UTC day, of the candle's open time.
        act: A signal (buy, sell, close), an answer of the exit hook (exit, move), or a failure of the step: `raise` an
            error, `sleep` past the soft time limit, `hang` past the hard one, let the process `die`.
        stop: Stop price of a signal, or where `move` puts the stop.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minute: int
    act: Act
    reason: str = ""
    stop: float | None = None
    target: float | None = None
    size: float | None = None


class Scripted(Strategy):
    """Follows its script; without a line for a minute it is silent."""

    script: tuple[Line, ...] = ()

    def indicators(self) -> dict[str, Indicator]:
        return {"average": sma(3)}

    def signals(self, rows: pd.DataFrame) -> SignalBuilder:
        minutes = rows.index.to_numpy() // MINUTE_MS % DAY_MINUTES
        found = SignalBuilder(len(rows))
        for line in self.script:
            where = minutes == line.minute
            match line.act:
                case "buy" | "sell":
                    give_signal = found.buy if line.act == "buy" else found.sell
                    give_signal(
                        where, reason=line.reason, stop_loss=line.stop, take_profit=line.target, size_units=line.size
                    )
                case "close":
                    found.close(where, reason=line.reason)
                case "raise" | "sleep" | "hang" | "die" if where[-1] and FAILS in os.environ:
                    _fail(line)
        return found

    def manage_position(self, row: Mapping[str, float], position: PositionView) -> ExitNow | MoveStop | None:
        minute = int(row["open_ms"]) // MINUTE_MS % DAY_MINUTES
        for line in self.script:
            if line.minute == minute and line.act == "exit":
                return ExitNow(line.reason)
            if line.minute == minute and line.act == "move" and line.stop is not None:
                return MoveStop(line.stop, line.reason)
        return None


def _fail(line: Line) -> Any:
    match line.act:
        case "raise":
            raise ValueError(line.reason)
        case "sleep":
            time.sleep(FOREVER_S)
        case "hang":
            signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
            ctypes.CDLL(None).sleep(FOREVER_S)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
