"""What a look at one part of the system found: the word of `trading doctor` and of a worker that starts."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found, and what to do about it; `remedy` is empty when all is well.

    Attributes:
        endangers_orders: Of a failed one: no worker may start while it is so.
    """

    name: str
    health: Health
    found: str
    remedy: str = ""
    endangers_orders: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.found}" + (f"; {self.remedy}" if self.remedy else "")

    @property
    def is_refusal(self) -> bool:
        """Whether a worker must not start."""
        return self.endangers_orders and self.health is Health.FAIL


def is_fit(checks: Iterable[Check]) -> bool:
    """Return whether nothing failed; warnings do not count."""
    return all(check.health is not Health.FAIL for check in checks)
