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

    enabled: Switch = Field(default=True, description="Whether candles are fetched; without it nothing else runs.")
    fetch_interval: Seconds = Field(
        default=30.0,
        description="Seconds of market time between two ticks."
        " A source played n times faster is polled n times as often.",
    )
    tick_alignment: Literal["interval", "candle_close"] = Field(
        default="interval",
        description="Schedule of a symbol's ticks. interval: every fetch_interval. candle_close: tick_offset after "
        "each candle's close by the clock (UTC, multiples of the timeframe), and every fetch_interval only while a "
        "candle that should have closed is not decided. A source with a speed other than 1 always uses interval.",
    )
    tick_offset: Annotated[float, Field(strict=True, ge=0, lt=60)] = Field(
        default=2.0,
        description="Seconds of real time between a candle's close and its tick, for tick_alignment candle_close: "
        "exchanges publish a closed candle a moment later.",
    )
    retry_attempts: Annotated[int, Field(strict=True, ge=0, le=5)] = Field(
        default=3, description="Number of retries of a failed fetch, before it counts as failed."
    )
    candle_index: Count = Field(
        default=2,
        description="Position of the last closed bar, counted from the newest: "
        "1 the newest, 2 the one before a forming bar.",
    )
    nbr_bars: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        default=2, description="Number of newest bars requested in each fetch; at least candle_index."
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
        default=6, description="Number of indicator rows (one per candle) passed to the strategy."
    )
    track_regime_changes: Switch = Field(
        default=True, description="Whether REGIME_CHANGED is published when the market regime changes."
    )


class StrategyEvaluationConfig(ConfigModel):
    """Evaluating the strategy."""

    enabled: Switch = Field(default=True, description="Whether the strategy is evaluated.")
    evaluation_mode: Literal["on_new_candle", "every_tick"] = Field(
        default="on_new_candle",
        description="When the strategy is evaluated: once per closed candle, or also at ticks without a new one.",
    )
    min_rows_required: Count = Field(
        default=3, description="Minimum number of indicator rows for an evaluation; at most recent_rows_limit."
    )


class TradeExecutionConfig(ConfigModel):
    """Sending orders."""

    enabled: Switch = Field(default=True, description="Whether signals are executed.")
    execution_mode: Literal["immediate", "dry"] = Field(
        default="immediate",
        description="immediate: orders are sent; dry: decisions are recorded, but no orders are created.",
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
        default_factory=StrategyEvaluationConfig, description="Evaluating the strategy: the third service."
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
        default=True, description="Whether unhealthy services and symbols are restarted, or only reported."
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
    orchestrator: OrchestratorConfig = Field(description="The orchestrator that monitors them.")
