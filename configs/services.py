"""Models of `services.yaml`: settings of the four services and the orchestrator."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

Count = Annotated[int, Field(strict=True, ge=1)]
Switch = Annotated[bool, Field(strict=True)]
Seconds = Annotated[float, Field(strict=True, gt=0)]


class ConfigModel(BaseModel):
    """Base of all configuration: frozen, rejects unknown keys and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def _at_least(limit_name: str, limit: int | None, value: int) -> None:
    if limit is not None and value < limit:
        raise PydanticCustomError(
            "too_few", "at least {limit_name}, which is {limit}", {"limit_name": limit_name, "limit": limit}
        )


class DataFetchingConfig(ConfigModel):
    """Fetching candles."""

    enabled: Switch = Field(default=True, description="Whether candles are fetched; without them nothing else runs.")
    fetch_interval: Seconds = Field(
        default=30.0,
        description="Seconds of market time between two ticks."
        " A source played n times faster is asked n times as often.",
    )
    tick_alignment: Literal["interval", "candle_close"] = Field(
        default="interval",
        description="When a symbol is woken. interval: each fetch_interval. candle_close: tick_offset after each "
        "candle's close by the clock (UTC, multiples of the timeframe), and each fetch_interval only while one that "
        "should have closed is not decided. A source played at another speed than 1 keeps to interval.",
    )
    tick_offset: Annotated[float, Field(strict=True, ge=0, lt=60)] = Field(
        default=2.0,
        description="Seconds of real time between a candle's close and its tick, for tick_alignment candle_close: "
        "exchanges show a closed candle a moment later.",
    )
    retry_attempts: Annotated[int, Field(strict=True, ge=0, le=5)] = Field(
        default=3, description="Number of tries after a fetch that failed, before it counts as failed."
    )
    candle_index: Count = Field(
        default=2,
        description="Which bar, counted from the newest, is the last closed one: "
        "1 the newest, 2 the one before a forming bar.",
    )
    nbr_bars: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        default=2, description="Number of newest bars asked for in each fetch; at least candle_index."
    )

    @field_validator("nbr_bars")
    @classmethod
    def _reaches_the_closed_bar(cls, nbr_bars: int, info: ValidationInfo) -> int:
        _at_least("candle_index", info.data.get("candle_index"), nbr_bars)
        return nbr_bars


class IndicatorCalculationConfig(ConfigModel):
    """Computing indicators."""

    enabled: Switch = Field(default=True, description="Whether indicators are computed.")
    recent_rows_limit: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        default=6, description="Number of indicator rows (one for each candle) handed to the strategy."
    )
    track_regime_changes: Switch = Field(
        default=True, description="Whether REGIME_CHANGED is published when the kind of market changes."
    )


class StrategyEvaluationConfig(ConfigModel):
    """Evaluating the strategy."""

    enabled: Switch = Field(default=True, description="Whether the strategy is asked for signals.")
    evaluation_mode: Literal["on_new_candle", "every_tick"] = Field(
        default="on_new_candle",
        description="When the strategy is asked: once for each closed candle, or also at ticks without a new one.",
    )
    min_rows_required: Count = Field(
        default=3, description="Number of indicator rows below which nothing is evaluated; at most recent_rows_limit."
    )


class TradeExecutionConfig(ConfigModel):
    """Sending orders."""

    enabled: Switch = Field(default=True, description="Whether signals are acted on.")
    execution_mode: Literal["immediate", "dry"] = Field(
        default="immediate",
        description="immediate: orders are sent; dry: decisions are written down and no order is made.",
    )


class ServicesConfig(ConfigModel):
    """The four services, in the order in which they run."""

    data_fetching: DataFetchingConfig = Field(
        default_factory=DataFetchingConfig, description="Fetching candles: the first service."
    )
    indicator_calculation: IndicatorCalculationConfig = Field(
        default_factory=IndicatorCalculationConfig, description="Computing indicators: the second service."
    )
    strategy_evaluation: StrategyEvaluationConfig = Field(
        default_factory=StrategyEvaluationConfig, description="Asking the strategy: the third service."
    )
    trade_execution: TradeExecutionConfig = Field(
        default_factory=TradeExecutionConfig, description="Sending orders: the last service."
    )

    @model_validator(mode="after")
    def _rows_suffice(self) -> Self:
        required, limit = self.strategy_evaluation.min_rows_required, self.indicator_calculation.recent_rows_limit
        if required > limit:
            raise PydanticCustomError(
                "too_many",
                "at most indicator_calculation.recent_rows_limit, which is {limit}",
                {"limit": limit, "at": ("strategy_evaluation", "min_rows_required"), "found": required},
            )
        return self


class OrchestratorConfig(ConfigModel):
    """Monitoring of the symbols."""

    enable_auto_restart: Switch = Field(
        default=True, description="Whether sick services and symbols are restarted; without it they are only reported."
    )
    health_check_interval: Seconds = Field(default=60.0, description="Seconds of real time between two health checks.")
    reconcile_interval: Seconds = Field(
        default=60.0, description="Seconds of real time between two comparisons of ledger and venue, for each symbol."
    )
    status_log_interval: Seconds = Field(
        default=10.0, description="Seconds of real time between two status lines in the log."
    )


class ServicesFile(ConfigModel):
    """The complete `services.yaml`."""

    services: ServicesConfig = Field(description="The four services.")
    orchestrator: OrchestratorConfig = Field(description="The orchestrator that watches over them.")
