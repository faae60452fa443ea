"""Parameters of the blast radius measurement, and the figures of a case."""

from dataclasses import dataclass
from enum import StrEnum

GOAL = 1.1


@dataclass(frozen=True, slots=True)
class Terms:
    """Parameters of the measurement.

    Attributes:
        seconds: Length of a phase.
        rounds: Number of rounds of all cases.
        rate: Candles a second of each symbol.
    """

    seconds: float
    rounds: int
    rate: float


class Kind(StrEnum):
    """The origin of a case."""

    NOBODY = "nobody"
    SYMBOL = "symbol"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Figures:
    """Decision latency of the healthy symbols in one phase, in milliseconds.

    Attributes:
        busy_cores: Processor cores that the whole machine kept busy meanwhile.
    """

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    busy_cores: float


@dataclass(frozen=True, slots=True)
class Row:
    """A case: before, during and after it.

    Attributes:
        kind: Origin of the fault.
        told: Result, as text.
    """

    title: str
    kind: Kind
    before: Figures
    during: Figures
    after: Figures
    told: str

    @property
    def is_ours(self) -> bool:
        return self.kind is Kind.SYMBOL

    @property
    def is_nothing(self) -> bool:
        return self.kind is Kind.NOBODY

    @property
    def is_other_program(self) -> bool:
        return self.kind is Kind.STRANGER

    @property
    def p50_ratio(self) -> float:
        """During to before, of the median."""
        return self.during.p50_ms / self.before.p50_ms

    @property
    def p99_ratio(self) -> float:
        """During to before, of the 99th percentile."""
        return self.during.p99_ms / self.before.p99_ms

    @property
    def p99_after_ratio(self) -> float:
        """After to before, of the 99th percentile."""
        return self.after.p99_ms / self.before.p99_ms

    @property
    def more_cores(self) -> float:
        """Additional processor cores that were busy during the case."""
        return self.during.busy_cores - self.before.busy_cores
