"""The four steps of the chain, each on its symbol's own queue."""

from celery import Task

from tasks import app
from tasks.engine.stage_runner import run_received, run_stage
from tasks.engine.stages import step_options
from trading.events.messages import IndicatorsUpdated, NewCandle, SignalGenerated
from trading.services.chain import AdvanceSymbol

LOGGED_CHARACTERS = 160
"""Characters of a step's result that the log and Flower show."""


@app.task(bind=True, resultrepr_maxsize=LOGGED_CHARACTERS, **step_options("tasks.fetch"))
def fetch(self: Task, symbol: str, deadline_ms: int, expected_ms: int | None = None) -> str:
    """Fetch and check the candles after the last decided one, as NEW_CANDLE."""
    return run_stage(self, symbol, deadline_ms, lambda to: to.fetch_or_protect(AdvanceSymbol(symbol, expected_ms)))


@app.task(bind=True, resultrepr_maxsize=LOGGED_CHARACTERS, **step_options("tasks.indicators"))
def indicators(self: Task, message: str, symbol: str, deadline_ms: int) -> str:
    """Compute indicators and regime at those candles, as INDICATORS_UPDATED."""
    return run_received(self, NewCandle, message, symbol, deadline_ms, lambda to, given: to.indicators.handle(given))


@app.task(bind=True, resultrepr_maxsize=LOGGED_CHARACTERS, **step_options("tasks.strategy"))
def strategy(self: Task, message: str, symbol: str, deadline_ms: int) -> str:
    """Evaluate the strategies and validate their signals, as SIGNAL_GENERATED."""
    return run_received(
        self, IndicatorsUpdated, message, symbol, deadline_ms, lambda to, given: to.strategy.handle(given)
    )


@app.task(bind=True, resultrepr_maxsize=LOGGED_CHARACTERS, **step_options("tasks.execute"))
def execute(self: Task, message: str, symbol: str, deadline_ms: int) -> str:
    """Pass the candles to the venue, record its fills, decide on the signals and send the orders."""
    return run_received(self, SignalGenerated, message, symbol, deadline_ms, lambda to, given: to.execute.handle(given))
