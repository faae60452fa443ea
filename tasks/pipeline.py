"""The four steps of the chain, each on its symbol's own queue."""

from celery import Task

from tasks import app
from tasks.engine.stage_runner import run_stage
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
    new_candle = NewCandle.model_validate_json(message)
    return run_stage(self, symbol, deadline_ms, lambda to: to.indicators.handle(new_candle))


@app.task(bind=True, resultrepr_maxsize=LOGGED_CHARACTERS, **step_options("tasks.strategy"))
def strategy(self: Task, message: str, symbol: str, deadline_ms: int) -> str:
    """Evaluate the strategies and validate their signals, as SIGNAL_GENERATED."""
    updated = IndicatorsUpdated.model_validate_json(message)
    return run_stage(self, symbol, deadline_ms, lambda to: to.strategy.handle(updated))


@app.task(bind=True, resultrepr_maxsize=LOGGED_CHARACTERS, **step_options("tasks.execute"))
def execute(self: Task, message: str, symbol: str, deadline_ms: int) -> str:
    """Pass the candles to the venue, record its fills, decide on the signals and send the orders."""
    generated = SignalGenerated.model_validate_json(message)
    return run_stage(self, symbol, deadline_ms, lambda to: to.execute.handle(generated))
