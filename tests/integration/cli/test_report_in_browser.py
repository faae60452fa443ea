"""The report in a real browser: what is on the page after its scripts ran."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from adapters.backtest.backtest import run_backtest
from configs.loading import SystemConfig
from tests.fakes import system_config
from tests.fixtures.candle_files import generated_candles
from tests.fixtures.servers.chromium import Opened, opened
from trading.backtest.report import report_of
from trading.market.candles import Candles
from trading_orchestrator.cli.html_report import Making, page_of
from trading_orchestrator.testing.candles import SYMBOL

STRATEGY = {"name": "ema_cross", "params": {"fast": 5, "slow": 13, "stop_atr": 2.0, "target_atr": 3.0}}
MANY = 200_000
DAY_MS = 86_400_000
MONTH_MS = 30 * DAY_MS
ROWS = "#trades tr[tabindex]"
DAILY_MS = 17_001 * DAY_MS
"""Open time of the first daily candle: an odd day."""


def write_page(folder: Path, count: int, *, daily: bool = False) -> tuple[Path, int]:
    """Write the report of some candles; return its path and the number of trades."""
    system = system_config(STRATEGY, timeframe="1d" if daily else "1m", venue={"kind": "paper", "spread": 0.1})
    candles = generated_candles(SYMBOL, count)
    if daily:
        candles = cut_after_a_late_entry(Candles(DAILY_MS + np.arange(count) * DAY_MS, candles.values), system)
    return report_page(folder, system, candles)


def report_page(folder: Path, system: SystemConfig, candles: Candles) -> tuple[Path, int]:
    result = run_backtest(system, {SYMBOL: candles}, close_at_end=True)
    making = Making(datetime(2026, 3, 2, tzinfo=UTC), "trading replay", "account: <b>test</b>", ["at the open"], {})
    path = folder / "report.html"
    path.write_text(page_of(result, report_of(result), making), encoding="utf-8")
    return path, len(result.trades)


def cut_after_a_late_entry(candles: Candles, system: SystemConfig) -> Candles:
    """Let candles end with a trade that was entered late in 30 days that the page draws as one bar."""
    trades = run_backtest(system, {SYMBOL: candles}).trades
    late_ms = next(one.entry_ms for one in reversed(trades) if one.entry_ms % MONTH_MS > 2 * DAY_MS)
    return candles.until(late_ms)


def test_page_draws_its_charts_and_lists_its_trades(tmp_path: Path) -> None:
    path, count = write_page(tmp_path, 3_000)
    assert count > 25

    with opened(path, is_dark=True) as at:
        assert at.shown("ready") == "yes"
        at.until(lambda: int(at.shown("bars")) > 20, "more than 20 bars")
        at.until(lambda: int(at.shown("marks")) >= 8, "trades on the candles")
        assert at.page.locator("canvas").count() >= 10
        expect(at.page.locator(ROWS)).to_have_count(25)
        expect(at.page.get_by_text(f"{count:,} trades. Click a trade to show it on the chart.")).to_be_visible()
        expect(at.page.locator("#equity-legend")).to_have_text(
            re.compile(r"^2026-03-04 02:00 · equity [\d,.]+ · drawdown -?[\d.]+ %")
        )
        expect(at.page.get_by_text("account: <b>test</b>")).to_have_count(1)
        assert at.console == []


def test_tiny_prices_are_drawn_and_written_with_their_digits(tmp_path: Path) -> None:
    gold = generated_candles(SYMBOL, 400)
    values = gold.values * [*[2.1e-10] * 4, 1e9]
    values[:, :4] = np.round(values[:, :4], 12)
    system = system_config(STRATEGY, risk={"sizing": "fixed_notional", "notional": 500})
    path, count = report_page(tmp_path, system, Candles(gold.open_ms, values))
    price = r"0\.000000[34]\d{1,9}"

    with opened(path) as at:
        assert at.shown("ready") == "yes"
        at.until(lambda: int(at.shown("marks")) >= 3, "trades on the candles")
        expect(at.page.locator("#candle-legend")).to_have_text(
            re.compile(rf"· open {price} · high {price} · low {price} · close {price}$")
        )
        cells = at.page.locator("#trades tbody td").all_inner_texts()
        assert sum(bool(re.fullmatch(price, text)) for text in cells) == 2 * min(count, 25)
        assert not [text for text in cells if re.search(r"\de[+-]", text)]
        assert drawn_heights(at) > 100
        assert at.console == []


def drawn_heights(at: Opened) -> int:
    """Return the number of pixel rows of the candle chart that have the colour of a candle that rises."""
    found: int = at.page.evaluate(
        """() => {
          const rise = getComputedStyle(document.documentElement).getPropertyValue("--rise").trim();
          const wanted = rise.match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16));
          const rows = new Set();
          for (const canvas of document.querySelectorAll("#candles canvas")) {
            const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            for (let at = 0; at < data.length; at += 4)
              if (wanted.every((part, place) => data[at + place] === part)) rows.add(Math.floor(at / 4 / width));
          }
          return rows.size;
        }"""
    )
    return found


def test_headline_numbers_of_eight_decimals_stay_in_their_tiles(tmp_path: Path) -> None:
    account = {"name": "coins", "currency": "BTC", "starting_balance": 12.5}
    risk = {"sizing": "fixed_notional", "notional": 5}
    system = system_config(STRATEGY, account=account, risk=risk, quote_currency="BTC")
    path, _ = report_page(tmp_path, system, generated_candles(SYMBOL, 400))

    with opened(path) as at:
        for width in (1280, 1000, 700, 400):
            at.page.set_viewport_size({"width": width, "height": 900})
            for tile in at.page.locator(".tile").all():
                assert tile.evaluate("(one) => one.scrollWidth <= one.clientWidth"), (width, tile.inner_text())
            assert at.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), width


def test_page_whose_script_fails_reports_it(tmp_path: Path) -> None:
    path, _ = write_page(tmp_path, 200)
    html = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r'"packed":"[^"]*"', '"packed":"no"', html), encoding="utf-8")

    with opened(path) as at:
        expect(at.page.get_by_text("The charts cannot be drawn in this browser")).to_be_visible()
        at.until(lambda: at.console, "the error of the script")


def test_trade_that_is_clicked_is_shown_on_its_candles(tmp_path: Path) -> None:
    path, _ = write_page(tmp_path, 3_000)

    with opened(path) as at:
        assert at.shown("ready") == "yes"
        before = at.shown("bars")
        number = at.page.locator("#trades th button").first
        number.click()
        number.click()  # the first trade first
        at.page.locator(ROWS).first.click()

        expect(at.page.locator("html")).not_to_have_attribute("data-bars", before)
        chosen = at.page.locator("#trades tr[aria-selected=true] td").first
        expect(chosen).to_have_text("1")
        expect(at.page.locator("#candle-legend")).to_have_text(re.compile("^2026-03-02 0"))
        expect(at.page.locator("#trades th[aria-sort=ascending]")).to_have_count(1)
        assert at.console == []


def test_joined_bars_begin_with_their_first_candle_and_the_whole_shows_every_trade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_orchestrator.cli.html_report.page.MOST_BARS", 1_500)
    path, count = write_page(tmp_path, 3_000, daily=True)

    with opened(path) as at:
        assert at.shown("ready") == "yes"
        legend = at.page.locator("#candle-legend")
        expect(legend).to_have_text(re.compile(r"^\d{4}-"))
        first = date.fromisoformat((legend.text_content() or "")[:10])
        at.page.locator("#spans").get_by_text("all", exact=True).click()

        assert (first - date(1970, 1, 1)).days % 2 == 1
        hint = at.page.locator("#candle-hint")
        expect(hint).to_contain_text("30d bars; at least 2 candles per bar")
        expect(at.page.locator("html")).to_have_attribute("data-marks", str(count))
        assert at.console == []


@pytest.mark.long
def test_page_of_many_candles_stays_small_and_draws_no_more_than_a_screen_shows(tmp_path: Path) -> None:
    path, count = write_page(tmp_path, MANY)

    with opened(path) as at:
        assert path.stat().st_size < 6_000_000
        assert at.shown("ready") == "yes"
        assert int(at.shown("bars")) < 5_000
        expect(at.page.locator(ROWS)).to_have_count(25)
        expect(at.page.get_by_text(f"{min(count, 20_000):,} trades")).to_be_visible()
        assert at.console == []
