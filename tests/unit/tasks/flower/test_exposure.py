"""Exposure of Flower without a login: allowed addresses and rejected settings."""

import pytest

from tasks.flower.exposure import Exposure, is_loopback


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_address_of_this_machine_needs_no_password(address: str) -> None:
    assert is_loopback(address)
    assert Exposure(address).fault == ""


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "192.168.1.7", "example.org", "localhost.example.org"])
def test_other_address_without_a_password_is_rejected_with_the_setting_to_set(address: str) -> None:
    fault = Exposure(address).fault

    assert (address or "every address") in fault
    assert "TRADING__FLOWER_PASSWORD" in fault


def test_other_address_with_a_password_or_oauth_is_accepted() -> None:
    assert Exposure("0.0.0.0", logins=("trader:secret",)).fault == ""
    assert Exposure("0.0.0.0", has_oauth=True).fault == ""


@pytest.mark.parametrize("login", ["trader:", "trader", ""])
def test_login_without_a_password_is_rejected_on_every_address(login: str) -> None:
    assert "without a password" in Exposure("127.0.0.1", logins=("a:b", login)).fault


def test_socket_and_open_api_without_a_password_are_rejected() -> None:
    assert "/run/flower.sock" in Exposure("127.0.0.1", unix_socket="/run/flower.sock").fault
    assert "FLOWER_UNAUTHENTICATED_API" in Exposure("127.0.0.1", has_open_api=True).fault
    assert Exposure("127.0.0.1", unix_socket="/run/flower.sock", logins=("a:b",), has_open_api=True).fault == ""
