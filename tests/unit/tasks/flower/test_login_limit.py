"""How often an address may try a login."""

from tasks.flower import login_limit
from tasks.flower.login_limit import FAILURES, WINDOW_S, LoginLimit


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_address_waits_after_the_last_allowed_failure_until_the_first_is_old() -> None:
    clock = Clock()
    limit = LoginLimit(clock)
    for count in range(1, FAILURES):
        assert limit.failed("10.0.0.1") == count
        assert limit.wait_s("10.0.0.1") == 0
        clock.now_s += 1

    limit.failed("10.0.0.1")

    assert limit.wait_s("10.0.0.1") == WINDOW_S - (FAILURES - 1)
    assert limit.wait_s("10.0.0.2") == 0
    clock.now_s = WINDOW_S
    assert limit.wait_s("10.0.0.1") == 0


def test_address_that_logs_in_starts_anew() -> None:
    limit = LoginLimit(Clock())
    for _ in range(FAILURES):
        limit.failed("10.0.0.1")

    limit.succeeded("10.0.0.1")

    assert limit.wait_s("10.0.0.1") == 0
    assert limit.failed("10.0.0.1") == 1


def test_addresses_of_one_ipv6_network_count_together() -> None:
    limit = LoginLimit(Clock())
    for number in range(FAILURES):
        limit.failed(f"2001:db8::{number:x}")

    assert limit.wait_s("2001:db8::ffff") == WINDOW_S
    assert limit.wait_s("2001:db8:0:1::1") == 0


def test_number_of_remembered_addresses_is_bounded() -> None:
    limit = LoginLimit(Clock())
    for number in range(login_limit.ADDRESSES + 1):
        for _ in range(FAILURES if number == 0 else 1):
            limit.failed(f"10.0.{number // 250}.{number % 250}")

    assert limit.wait_s("10.0.0.0") == 0
