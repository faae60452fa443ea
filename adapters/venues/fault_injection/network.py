"""Network faults between the system and a venue: drawn at each call, with a limit in a row."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from configs.fault_injection import Faults
from trading.errors import Transient
from trading.orders.orders import Fill

T = TypeVar("T")

WHERE = "fault-injecting venue"
SUBMIT, CANCEL, SYNC, MOVE_STOP = "submit", "cancel", "sync", "move_stop"
_EFFECTIVE = (SUBMIT, CANCEL, SYNC, MOVE_STOP)
"""Methods that change the venue's state: an error may occur before or after the change."""


class FaultyConnection:
    """Fails calls and malforms reported fills, as configured by `Faults`.

    A fault is drawn from the seed, its kind, the method, the id and the number of such calls in this process.
    """

    def __init__(self, faults: Faults, sleep_s: Callable[[float], None] = time.sleep) -> None:
        self._faults = faults
        self._sleep_s = sleep_s
        self._counts: Counter[tuple[str, str]] = Counter()
        self._in_a_row: Counter[tuple[str, str]] = Counter()
        self._left_out: Counter[str] = Counter()

    def call(
        self, method: str, identity: str, method_call: Callable[[], T], spoil: Callable[[T, random.Random], T]
    ) -> T:
        """Call the venue, or fail before or after the call, or malform the answer.

        Raises:
            Transient: Raised by an injected fault, or by the venue.
        """
        kind, rng = self._draw(method, identity)
        is_done = kind in {"timeout_after", "malformed"}
        if kind in ("server_error", "cancel_race") and method in _EFFECTIVE:
            is_done = rng.random() < 0.5
        if kind is None or is_done:
            answer = method_call()
            if kind is None:
                return answer
            if kind == "malformed":
                return spoil(answer, rng)
        raise Transient(WHERE, self._error_text(kind, method))

    def garble(self, fills: Sequence[Fill]) -> list[Fill]:
        """Omit fills that have a later one, repeat some, and shuffle them."""
        faults, reported = self._faults, []
        newest = max((fill.sequence for fill in fills), default=0)
        answer = self._count("fills", "answer")
        for fill in fills:
            nth = self._count("fill", fill.fill_id)
            if fill.sequence < newest and self._is_left_out(fill.fill_id, nth):
                continue
            is_double = self._random("duplicate_fill", fill.fill_id, nth).random() < faults.duplicate_fill_probability
            reported += [fill] * (2 if is_double else 1)
        rng = self._random("shuffled_fills", "answer", answer)
        if rng.random() < faults.shuffled_fills_probability:
            rng.shuffle(reported)
        return reported

    def _is_left_out(self, fill_id: str, nth: int) -> bool:
        if self._left_out[fill_id] >= self._faults.most_in_a_row:
            return False
        is_late = self._random("late_fill", fill_id, nth).random() < self._faults.late_fill_probability
        self._left_out[fill_id] += is_late
        return is_late

    def _draw(self, method: str, identity: str) -> tuple[str | None, random.Random]:
        """Choose one of the drawn faults; none after `most_in_a_row` faults."""
        nth, key = self._count(method, identity), (method, identity)
        rng = self._random("which", f"{method}/{identity}", nth)
        kinds = [
            kind
            for kind, probability in self._kinds(method).items()
            if self._random(kind, f"{method}/{identity}", nth).random() < probability
        ]
        if not kinds or self._in_a_row[key] >= self._faults.most_in_a_row:
            self._in_a_row[key] = 0
            return None, rng
        self._in_a_row[key] += 1
        return rng.choice(kinds), rng

    def _kinds(self, method: str) -> Mapping[str, float]:
        faults = self._faults
        kinds = {
            "server_error": faults.server_error_probability,
            "rate_limit": faults.rate_limit_probability,
            "malformed": faults.malformed_probability,
        }
        if method in (SUBMIT, MOVE_STOP):
            kinds["timeout_before"] = faults.timeout_before_probability
            kinds["timeout_after"] = faults.timeout_after_probability
        if method == CANCEL:
            kinds["cancel_race"] = faults.cancel_race_probability
        return kinds

    def _error_text(self, kind: str, method: str) -> str:
        if kind == "rate_limit":
            return f"{method}: 429 too many requests, retry in {self._faults.retry_after_s:g} s"
        if kind == "server_error":
            return f"{method}: 503 service unavailable"
        self._sleep_s(self._faults.timeout_s)
        return f"{method}: no answer within {self._faults.timeout_s:g} s"

    def _count(self, method: str, identity: str) -> int:
        self._counts[method, identity] += 1
        return self._counts[method, identity]

    def _random(self, kind: str, identity: str, nth: int) -> random.Random:
        return random.Random(f"{self._faults.seed}/{kind}/{identity}/{nth}")
