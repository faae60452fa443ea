"""The live table, drawn for terminals of several widths."""

import io

import pytest
from rich.console import Console

from adapters.wiring.symbol_status import SymbolStatus
from trading_orchestrator.launcher.status_table import Overview, render, uptime

OVERVIEW = Overview(
    account="paper",
    balance=100_012.5,
    uptime_s=75.0,
    redis="Valkey 9.1.2 on 127.0.0.1:6390",
    flower_url="http://127.0.0.1:5555",
    logs="var/log",
)
GOLD = SymbolStatus(
    symbol="XAUUSD",
    state="running",
    desired="running",
    timeframe="1m",
    strategy="ema_cross",
    progress_age_s=0.4,
    candle_ms=1_736_150_400_000,
    close=2651.37,
    units=-1.5,
    average_price=2649.0,
    realised=12.5,
    unrealised=-3.56,
    orders_filled=4,
    regime="trending_up",
    decision="flat: no crossing",
)
SILENT = SymbolStatus("EURUSD", "stale", "running", "1m", "ema_cross", progress_age_s=125.0, error="no answer")


def drawn(*rows: SymbolStatus, width: int, overview: Overview = OVERVIEW) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, record=True)
    console.print(render(rows, overview, width=width))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
def test_table_at_any_width_fits_and_shows_what_matters_most(width: int) -> None:
    text = drawn(GOLD, width=width)

    assert max(len(line) for line in text.splitlines()) <= width
    for part in (
        "100,012.50",
        "+8.94",
        "XAUUSD",
        "running",
        "2025-01-06 08:00",
        "2,651.37",
        "-1.5 @ 2,649.00",
        "no crossing",
    ):
        assert part in text


@pytest.mark.parametrize("width", [120, 200])
def test_table_with_room_distinguishes_realised_from_unrealised_and_the_regime(width: int) -> None:
    text = drawn(GOLD, width=width)

    assert "+12.50" in text
    assert "-3.56" in text
    assert "trending_up" in text


def test_symbol_that_is_silent_shows_since_when_and_its_error() -> None:
    text = drawn(SILENT, width=100)

    assert "stale 2m05s" in text
    assert "no answer" in text
    assert "flat" in text


def test_rows_that_are_not_of_now_are_reported_so() -> None:
    overview = Overview("paper", None, 5.0, "Valkey", None, "var/log", trouble="redis: connection refused")

    text = drawn(GOLD, width=100, overview=overview)

    assert "outdated: redis: connection refused" in text
    assert "balance unknown" in text
    assert "Flower not started" in text


def test_decision_that_looks_like_markup_is_shown_as_it_is() -> None:
    row = SymbolStatus("XAUUSD", "running", "running", "1m", "ema_cross", decision="[bold]refused[/] by [risk]")

    assert "[bold]refused[/] by [risk]" in drawn(row, width=100)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0s"), (59.9, "59s"), (725.0, "12m05s"), (11_220.0, "3h07m"), (187_200.0, "2d04h")]
)
def test_duration_is_reported_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert uptime(seconds) == text
