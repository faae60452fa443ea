"""The settings of a candle source: the bases for real-time and played ones, and those of the built-in sources."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, ValidationInfo

from configs.plugins.candle_files import CandleFileOptions
from configs.services import ConfigModel

Speed = Literal["max"] | Annotated[float, Field(strict=True, gt=0)]
Price = Annotated[float, Field(strict=True, gt=0)]


def _from_config_dir(path: Path, info: ValidationInfo) -> Path:
    base: Path | None = (info.context or {}).get("config_dir")
    return (base / path.expanduser()).resolve() if base else path


def _is_text(instant: object) -> object:
    if not isinstance(instant, str | datetime):
        raise ValueError("an ISO instant with its offset, such as 2025-01-06T00:00:00Z")
    return instant


ConfigPath = Annotated[Path, AfterValidator(_from_config_dir)]
"""A path, from the folder of symbols.yaml where it is not absolute."""


class SourceConfig(ConfigModel):
    """Base of the settings of a source; the members below describe a market in real time.

    Attributes:
        kind: Name of its entry point; a subclass narrows it to a `Literal`.
    """

    kind: str

    @property
    def pace(self) -> float | None:
        """Seconds of market time that pass in one real second; None for as fast as the candles are read."""
        return 1.0

    @property
    def is_realtime(self) -> bool:
        """Whether the market's time is the wall clock; a market of another pace has a time of its own."""
        return self.pace == 1.0

    @property
    def bars_shown(self) -> int | None:
        """Most bars that one answer shows, the forming one included; None for no limit."""
        return None

    @property
    def recorded_file(self) -> Path | None:
        """The file whose candles a backtest uses; None if the source plays no file."""
        return None

    @property
    def recorded_options(self) -> CandleFileOptions:
        """How to read that file."""
        return CandleFileOptions()

    def describe(self) -> str:
        """Return a short description of the source, for a table."""
        return self.kind


class PlayedSourceConfig(SourceConfig):
    """Base of the settings of a source that plays candles at a speed of its own."""

    speed: Speed = Field(
        default=1.0,
        description="Seconds of market time that pass in one real second; max: as fast as the candles are read.",
    )
    step: Annotated[int, Field(strict=True, ge=1)] = Field(
        default=1, description="Number of candles that become visible at each fetch when speed is max."
    )

    @property
    def is_realtime(self) -> bool:
        return False

    @property
    def pace(self) -> float | None:
        return None if isinstance(self.speed, str) else self.speed

    @property
    def bars_shown(self) -> int | None:
        return self.step + 1 if self.pace is None else None

    def describe(self) -> str:
        return f"{self._title()} {self.speed if isinstance(self.speed, str) else f'x{self.speed:g}'}"

    def _title(self) -> str:
        return self.kind


class FileSource(PlayedSourceConfig, CandleFileOptions):
    """Candles recorded in a file, played as if they came from an exchange."""

    kind: Literal["file"] = Field(description="file: candles recorded in a file.")
    path: ConfigPath = Field(
        description="Path of a CSV file (plain or gzipped), Parquet, Feather or JSON; from the folder of symbols.yaml "
        "when not absolute."
    )

    @property
    def recorded_options(self) -> CandleFileOptions:
        return CandleFileOptions(**{name: getattr(self, name) for name in CandleFileOptions.model_fields})

    @property
    def recorded_file(self) -> Path | None:
        return self.path

    def _title(self) -> str:
        return self.path.name


class SimulatedSource(PlayedSourceConfig):
    """A random walk, the same for the same seed."""

    kind: Literal["simulated"] = Field(description="simulated: a random walk, the same for the same seed.")
    seed: Annotated[int, Field(strict=True, ge=0)] = Field(description="Seed of the random numbers, a whole number.")
    start_price: Price = Field(description="Price at which the walk begins, in quote currency.")
    start: Annotated[AwareDatetime, BeforeValidator(_is_text)] = Field(
        description="Market time at which the simulation begins: "
        "an ISO instant with its offset, such as 2025-01-06T00:00:00Z."
    )
    annual_volatility: Annotated[float, Field(strict=True, gt=0, le=10)] = Field(
        default=0.5,
        description="Standard deviation of a year's logarithmic return, as a fraction: 0.5 is 50 % a year. "
        "That of a candle follows with the square root of time.",
    )
    tick_size: Price = Field(default=0.01, description="Smallest step of the price, in quote currency.")
