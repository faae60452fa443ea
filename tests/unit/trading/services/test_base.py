"""The base of the services: a rejected message is no error of the service."""

import itertools
from collections.abc import Callable

import pytest

from trading.errors import InvalidMessage, Transient
from trading.events.bus import LocalBus, Outbox
from trading.events.event import EventType
from trading.lifecycle import ServiceState
from trading.services.base import Service
from trading.services.chain import ChainResult


class Doubling(Service[int, int]):
    """Doubles a number; negative ones are invalid, 0 has no answer."""

    def check(self, message: int) -> None:
        if message < 0:
            raise InvalidMessage("message_negative", f"found {message}")

    def process(self, message: int) -> int | ChainResult:
        if not message:
            raise Transient("source", "no answer")
        if message > 100:
            raise InvalidMessage("fence_jump", f"found {message}")
        return 2 * message


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def reasons_of(bus: LocalBus) -> Callable[[EventType], list[str]]:
    outbox = Outbox(bus)
    return lambda kind: [event.reason for event in outbox.waiting() if event.type is kind]


@pytest.fixture
def service(bus: LocalBus) -> Doubling:
    seconds = itertools.count()
    service = Doubling("XAUUSD", bus, now_s=lambda: float(next(seconds)))
    service.start()
    return service


@pytest.mark.parametrize("message", [-1, 101])
def test_rejected_message_leaves_the_service_running_and_is_counted(service: Doubling, message: int) -> None:
    with pytest.raises(InvalidMessage):
        service.handle(message)

    status = service.status
    assert (status.state, status.error_count, status.rejected_count) == (ServiceState.RUNNING, 0, 1)
    assert str(message) in (status.last_rejection or "")
    assert service.handle(4) == 8


def test_message_rejected_outside_of_the_service_is_counted_once(service: Doubling) -> None:
    with pytest.raises(InvalidMessage) as error:
        service.handle(-1)
    service.reject(error.value)

    assert service.status.rejected_count == 1


def test_rejection_is_published_once_for_each_reason(
    service: Doubling, reasons_of: Callable[[EventType], list[str]]
) -> None:
    for message in (-1, -1, -1, -2):
        with pytest.raises(InvalidMessage):
            service.handle(message)

    assert service.status.rejected_count == 4
    assert reasons_of(EventType.MESSAGE_REJECTED) == ["message_negative: found -1", "message_negative: found -2"]


@pytest.mark.parametrize("message", [-1, 101])
def test_rejected_message_during_an_error_leaves_the_next_one_to_recover(service: Doubling, message: int) -> None:
    with pytest.raises(Transient):
        service.handle(0)
    with pytest.raises(InvalidMessage):
        service.handle(message)

    assert service.handle(4) == 8
    assert service.state is ServiceState.RUNNING
