"""The rules of restarting and of stopping, without a process."""

import pytest

from trading.formatting import format_exit
from trading_orchestrator.launcher.supervisor import RestartPolicy


@pytest.mark.parametrize(("quick_deaths", "delay_s"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (7, 30), (5_000, 30)])
def test_delay_doubles_with_each_quick_death_up_to_the_cap(quick_deaths: int, delay_s: float) -> None:
    assert RestartPolicy().delay_s(quick_deaths) == delay_s


@pytest.mark.parametrize(("exit_code", "text"), [(0, "exit code 0"), (1, "exit code 1"), (-9, "signal 9")])
def test_exit_is_reported_as_code_or_signal(exit_code: int, text: str) -> None:
    assert format_exit(exit_code) == text
