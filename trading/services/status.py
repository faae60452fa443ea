"""The status of a service: one record, its defaults, and its JSON."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

import msgspec

from trading.errors import BadCandle, Interrupted, Rejected, Transient
from trading.formatting import shortened
from trading.lifecycle import ServiceState
from trading.strategies import StrategyFault


class ErrorKind(StrEnum):
    """The class of an error, which decides the reaction."""

    TIME_LIMIT = "time_limit"
    """A step ran longer than its time limit."""
    PROCESS_LOST = "process_lost"
    """The process of a step died or was killed."""
    TRANSIENT = "transient"
    """An external system did not answer."""
    BAD_CANDLE = "bad_candle"
    """The source delivered an invalid candle."""
    STRATEGY = "strategy"
    """The code of a strategy raised an error, or its answer is invalid."""
    REJECTED = "rejected"
    """A rule forbids the work, for example a change of the configuration."""
    INTERNAL = "internal"
    """Every other error."""

    @property
    def is_outside(self) -> bool:
        """Whether the cause lies outside of the system, so that a restart does not reach it."""
        return self in (ErrorKind.TRANSIENT, ErrorKind.BAD_CANDLE)


_KIND_OF_CLASS: Mapping[type[Exception], ErrorKind] = {
    Interrupted: ErrorKind.TIME_LIMIT,
    Transient: ErrorKind.TRANSIENT,
    BadCandle: ErrorKind.BAD_CANDLE,
    StrategyFault: ErrorKind.STRATEGY,
    Rejected: ErrorKind.REJECTED,
}


def error_kind(error: Exception) -> ErrorKind:
    """Return the kind of an error by its class."""
    return next((kind for of, kind in _KIND_OF_CLASS.items() if isinstance(error, of)), ErrorKind.INTERNAL)


LONGEST_ERROR = 2_000
"""Characters of an error in statuses, events and the journal; a venue or a source may send any text."""


def describe_error(error: Exception) -> str:
    """Return class and message of an error, at most `LONGEST_ERROR` characters of it."""
    return shortened(f"{type(error).__name__}: {error}", LONGEST_ERROR)


class LastError(msgspec.Struct, frozen=True, kw_only=True):
    """The last error of a symbol, which may have passed.

    Attributes:
        service: Service that raised it.
        at_ms: Wall clock, milliseconds since the epoch, UTC.
        count: Errors of the symbol while its last error is kept.
    """

    service: str
    text: str
    kind: ErrorKind
    at_ms: int
    count: int = 1


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one service of one symbol; the defaults are those of a service that never reported.

    Attributes:
        uptime: Seconds since its start.
        last_error: Class and message of the newest error, for people; it stays after a recovery.
        error_kind: The kind of `last_error`, None without one.
        consecutive_errors: Errors since the last success.
        rejected_count: Messages that were rejected since its start; they are no errors of the service.
        last_rejection: Rule and reason of the newest one.
        reported_at_ms: Wall clock of the report, milliseconds since the epoch, UTC; 0 for one that was not stored.
    """

    service_name: str
    symbol: str
    state: ServiceState = ServiceState.CREATED
    is_healthy: bool = False
    error_count: int = 0
    uptime: float = 0.0
    processed_count: int = 0
    recovery_attempts: int = 0
    last_error: str | None = None
    error_kind: ErrorKind | None = None
    consecutive_errors: int = 0
    rejected_count: int = 0
    last_rejection: str | None = None
    reported_at_ms: int = 0

    @property
    def is_transient(self) -> bool:
        """Whether an external system did not answer: waiting helps, a restart does not."""
        return self.error_kind is ErrorKind.TRANSIENT

    @property
    def is_outside(self) -> bool:
        """Whether the cause of the last error lies outside of the system."""
        return self.error_kind is not None and self.error_kind.is_outside

    def with_error(self, text: str, kind: ErrorKind) -> Self:
        """Return the status after one more error, in state ERROR."""
        return msgspec.structs.replace(
            self,
            state=ServiceState.ERROR,
            is_healthy=False,
            error_count=self.error_count + 1,
            consecutive_errors=self.consecutive_errors + 1,
            last_error=text,
            error_kind=kind,
        )

    def reported(self, at_ms: int) -> Self:
        """Return the status as it is reported at `at_ms`."""
        return msgspec.structs.replace(self, reported_at_ms=at_ms)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, JSON-safe; `reported_at_ms` only where the status was reported."""
        fields: dict[str, Any] = msgspec.to_builtins(self) | {"is_transient": self.is_transient}
        if not self.reported_at_ms:
            del fields["reported_at_ms"]
        return fields

    def to_json(self) -> str:
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse a status stored by this version or an older one."""
        fields = json.loads(text)
        if "error_kind" not in fields:
            fields["error_kind"] = _error_kind_of_version_0_1_0(fields)
        return msgspec.convert(fields, cls)


def _error_kind_of_version_0_1_0(fields: Mapping[str, Any]) -> ErrorKind | None:
    """Return the kind of the error in a status of version 0.1.0, which stored the error as text only."""
    text = fields.get("last_error")
    if not text:
        return None
    if fields.get("is_transient"):
        return ErrorKind.TRANSIENT
    name = text.partition(":")[0]
    return {
        "SoftTimeLimitExceeded": ErrorKind.TIME_LIMIT,
        "TimeLimitExceeded": ErrorKind.TIME_LIMIT,
        "WorkerLostError": ErrorKind.PROCESS_LOST,
        "Terminated": ErrorKind.PROCESS_LOST,
        "BadCandle": ErrorKind.BAD_CANDLE,
        "StrategyFault": ErrorKind.STRATEGY,
        "Rejected": ErrorKind.REJECTED,
        "UnknownSymbol": ErrorKind.REJECTED,
    }.get(name, ErrorKind.INTERNAL)
