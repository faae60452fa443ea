"""Warnings of missing limits and costs: each names the key to set, and setting it ends the warning."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.loading import SystemConfig, load_system
from worker.checks.bounds import bounds_checks, missing_bounds
from worker.checks.check import Health, is_fit

SHIPPED = Path(__file__).parents[4] / "configs"


def loaded(changes: dict[str, Any]) -> SystemConfig:
    """Load the shipped configuration with other values at dotted keys; None removes a key."""
    content = yaml.safe_load((SHIPPED / "symbols.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        *path, last = key.split(".")
        node = content
        for name in path:
            node = node[name]
        node.pop(last, None)
        if value is not None:
            node[last] = value
    return load_system(SHIPPED, {}, texts={"symbols.yaml": yaml.safe_dump(content)})


def test_shipped_configuration_lacks_nothing() -> None:
    assert missing_bounds(loaded({})) == []


@pytest.mark.parametrize("value", [None, 0])
@pytest.mark.parametrize("key", ["account.max_daily_loss", "account.max_drawdown"])
def test_limit_that_is_missing_or_off_is_warned_of_with_its_key(key: str, value: int | None) -> None:
    (warning,) = missing_bounds(loaded({key: value}))

    assert (warning.name, warning.health) == (key, Health.WARN)
    assert key in warning.remedy


@pytest.mark.parametrize(("commission_bps", "counted"), [(0, "no costs count"), (5.0, "only the commission counts")])
def test_symbol_without_spread_and_slippage_is_warned_of_with_its_keys(commission_bps: float, counted: str) -> None:
    venue = {"kind": "paper", "commission_bps": commission_bps}

    (warning,) = missing_bounds(loaded({"symbols.BTCUSD.venue": venue}))

    assert warning.name == "symbols.BTCUSD.venue.spread"
    assert counted in warning.found
    assert "symbols.BTCUSD.venue.slippage" in warning.remedy
    assert missing_bounds(loaded({"symbols.BTCUSD.venue": {**venue, "slippage": 1.0}})) == []


def test_part_of_the_equity_above_the_leverage_of_the_account_is_warned_of() -> None:
    risk = {"sizing": "equity_fraction", "equity_fraction": 1.5, "max_leverage": 2.0}

    (warning,) = missing_bounds(loaded({"symbols.BTCUSD.risk": risk}))

    assert (warning.name, warning.health) == ("symbols.BTCUSD.risk.equity_fraction", Health.WARN)
    assert missing_bounds(loaded({"symbols.BTCUSD.risk": risk, "account.max_leverage": 1.5})) == []


def test_doctor_shows_the_leverage_and_stays_fit_with_warnings() -> None:
    checks = bounds_checks(loaded({"account.max_leverage": 3.0, "account.max_drawdown": None}))

    assert [(one.name, one.health) for one in checks] == [
        ("limits", Health.OK),
        ("account.max_drawdown", Health.WARN),
    ]
    assert "3 times the equity" in checks[0].found
    assert is_fit(checks)
