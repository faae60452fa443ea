"""A clock that a test sets."""

WALL_MS = 1_800_000_000_000
"""Initial time of a `ManualClock`: 2027-01-15T08:00Z."""


class ManualClock:
    """A clock that a test moves; call it as `adapters.clock.now_ms`.

    Attributes:
        now_ms: Milliseconds since the epoch, UTC; a test may set it.
    """

    def __init__(self, now_ms: int = WALL_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += round(seconds * 1_000)
