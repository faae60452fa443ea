"""The page as text: nothing of the configuration becomes markup, and candles come out as they went in."""

import base64
import hashlib
import json
import re
import zlib
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from adapters.backtest.backtest import run_backtest
from tests.fakes import planned, system_config
from trading.backtest.report import report_of
from trading.formatting import format_money, format_profit
from trading.market.candles import Candles
from trading.structs import replace
from trading_orchestrator.cli.html_report import Making, page_of
from trading_orchestrator.cli.html_report.candle_encoding import decimals_of, pack
from trading_orchestrator.cli.html_report.formatting import duration, percent
from trading_orchestrator.cli.html_report.metric_rows import sections_of
from trading_orchestrator.testing.candles import SYMBOL, make_candles

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"
MAKING = Making(datetime(2026, 3, 2, tzinfo=UTC), HOSTILE, f"name: {HOSTILE}", [HOSTILE], {"numpy": HOSTILE})


def page(count: int = 60, plan: dict[int, str] | None = None) -> str:
    system = system_config(planned({3: "buy", 20: "sell", 40: "close"} if plan is None else plan))
    result = run_backtest(system, {SYMBOL: make_candles(count)})
    hostile = replace(result, trades=[replace(trade, strategy=HOSTILE) for trade in result.trades])
    return page_of(hostile, report_of(hostile), MAKING)


def content(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def unpacked(packed: dict[str, Any]) -> Candles:
    """Do what `page.js` does."""
    steps = np.frombuffer(zlib.decompress(base64.b64decode(packed["packed"])), "<i4").reshape(5, -1).astype(np.int64)
    at_s, close = packed["start"] + np.cumsum(steps[0]), np.cumsum(steps[1] + steps[2])
    opens = close - steps[2]
    high, low = np.maximum(opens, close) + steps[3], np.minimum(opens, close) - steps[4]
    prices = np.column_stack((opens, high, low, close, close * 0)) / 10 ** packed["decimals"]
    return Candles(at_s * 1000, prices)


def test_what_was_configured_stays_text() -> None:
    html = page()

    assert HOSTILE not in html
    assert html.count("</script") == 3
    assert "onerror=alert(1)>" not in html
    assert html.count("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#x27;") >= 4
    assert content(html)["trades"][0][1] == HOSTILE


def test_page_loads_nothing_and_runs_its_own_scripts_alone() -> None:
    html = page()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)

    assert policy
    assert "default-src 'none'" in policy[1]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"'sha256-([^']*)'", policy[1]) == hashes
    assert len(scripts) == 2
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", html.replace(scripts[0], ""))


def test_trades_reach_the_page_in_the_order_that_the_script_reads() -> None:
    system = system_config(planned({3: "buy"}, stop_distance=50.0, target_distance=60.0))
    result = run_backtest(system, {SYMBOL: make_candles(60)}, close_at_end=True)
    (trade,) = result.trades

    (row,) = content(page_of(result, report_of(result), MAKING))["trades"]

    assert row[:2] == [0, trade.strategy]
    assert row[2:6] == [True, trade.units, trade.entry_ms // 1000, trade.entry_price]
    assert row[6:9] == [(trade.exit_ms or 0) // 1000, trade.exit_price, pytest.approx(trade.profit, abs=1e-4)]
    assert row[10:] == ["end", trade.stop_loss, trade.take_profit]


def test_page_without_trades_shows_dashes_and_an_empty_list() -> None:
    html = page(plan={})

    assert content(html)["trades"] == []
    assert '<dt>Profit factor</dt><dd class="">-</dd>' in html
    assert "nan" not in html.split("<script>")[0].lower().replace("finance", "")


@pytest.mark.parametrize(
    "scale", [1.0, 0.0001, 1e5, 1e8], ids=["as walked", "of cents", "of many digits", "beyond an int32"]
)
def test_packed_candles_come_out_as_they_went_in(scale: float) -> None:
    walked = make_candles(500)
    candles = Candles(walked.open_ms, np.round(walked.values * scale, 8))

    found = unpacked(pack(SYMBOL, "1m", candles, most=1_000))

    assert found.open_ms.tolist() == candles.open_ms.tolist()
    assert found.values[:, :4] == pytest.approx(candles.values[:, :4], rel=1e-7)


def test_tiny_prices_with_a_huge_volume_come_out_as_they_went_in() -> None:
    values = np.array([[4.2e-7, 4.221e-7, 4.187e-7, 4.208e-7, 1e9], [4.208e-7, 4.326e-7, 4.195e-7, 4.313e-7, 1e9]])
    candles = Candles(make_candles(2).open_ms, values)

    found = unpacked(pack(SYMBOL, "1m", candles, most=10))

    assert found.values[:, :4] == pytest.approx(values[:, :4], rel=1e-7)


def test_more_candles_than_a_page_holds_are_joined() -> None:
    packed = pack(SYMBOL, "1m", make_candles(1_000), most=300)

    assert (packed["joined"], packed["count"], packed["seconds"]) == (4, 250, 240)
    assert len(unpacked(packed)) == 250


@pytest.mark.parametrize(
    ("prices", "decimals"),
    [
        ([4381.49, 4387.0], 2),
        ([1.10345], 5),
        ([97_000.0], 0),
        ([97_000.123456789], 4),
        ([2.6e9], -1),
        ([4.2e-7, 4.187e-7], 10),
        ([0.0, 0.5], 1),
    ],
)
def test_prices_keep_as_many_decimals_as_they_have(prices: list[float], decimals: int) -> None:
    assert decimals_of(np.array(prices)) == decimals


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0 s"),
        (59.6, "1 min"),
        (725, "12 min 5 s"),
        (93_600, "1 d 2 h"),
        (86_405, "1 d"),
        (3_600, "1 h"),
    ],
)
def test_durations_are_reported_in_their_two_largest_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_signs_and_what_is_not_defined_are_reported() -> None:
    assert (percent(0.1234, signed=True), percent(-0.00001, signed=True), percent(None)) == ("+12.34 %", "0.00 %", "-")
    assert (format_money(-1234.5), format_profit(0.001), format_money(None)) == ("-1,234.50", "0.00", "-")


def test_every_section_names_the_factor_once() -> None:
    system = system_config(planned({3: "buy", 20: "close"}))
    result = run_backtest(system, {SYMBOL: make_candles(60)})

    metrics = {
        one.name: one.text for part in sections_of(report_of(result, periods_per_year=260)) for one in part.metrics
    }

    assert metrics["Annualised with"] == "260 returns per year"
