"""Result of one check, made by `trading doctor` and by a starting worker."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class Health(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(Struct, frozen=True):
    """Finding and action of one check; `remedy` is empty when the check passed.

    Attributes:
        endangers_orders: No worker may start while this check fails.
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
    """Return whether no check failed; warnings do not count."""
    return all(check.health is not Health.FAIL for check in checks)
