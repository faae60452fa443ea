"""The report in a real browser: what is on the page after its scripts ran."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from adapters.replay import replay
from configs.load import SystemConfig
from tests.fakes import SYMBOL, system_config
from tests.fixtures.candle_files import generated_candles
from tests.fixtures.chromium import Opened, open_page
from trading.candles import Candles
from trading.report import report_of
from worker.report import Making, page_of

STRATEGY = {"name": "ema_cross", "params": {"fast": 5, "slow": 13, "stop_atr": 2.0, "target_atr": 3.0}}
MANY = 200_000
DAY_MS = 86_400_000
MONTH_MS = 30 * DAY_MS
DAILY_MS = 17_001 * DAY_MS
"""Open time of the first daily candle: an odd day."""

ALL = "[...document.querySelectorAll('#spans button')].find((one) => one.textContent === 'all').click();"
CLICKS = """
setTimeout(() => {
  const number = document.querySelector("#trades th button");
  number.click();
  number.click();  // the first trade first
  document.querySelector("#trades tbody tr").click();
}, 2000);
"""


def write_page(folder: Path, count: int, *, daily: bool = False) -> tuple[Path, int]:
    """Write the report of some candles; return its path and the number of trades."""
    system = system_config(STRATEGY, timeframe="1d" if daily else "1m", venue={"kind": "paper", "spread": 0.1})
    candles = generated_candles(SYMBOL, count)
    if daily:
        candles = cut_after_a_late_entry(Candles(DAILY_MS + np.arange(count) * DAY_MS, candles.values), system)
    result = replay(system, {SYMBOL: candles}, close_at_end=True)
    making = Making(datetime(2026, 3, 2, tzinfo=UTC), "trading replay", "account: <b>test</b>", ["at the open"], {})
    path = folder / "report.html"
    path.write_text(page_of(result, report_of(result), making), encoding="utf-8")
    return path, len(result.trades)


def cut_after_a_late_entry(candles: Candles, system: SystemConfig) -> Candles:
    """Let candles end with a trade that was entered late in 30 days that the page draws as one bar."""
    trades = replay(system, {SYMBOL: candles}).trades
    late_ms = next(one.entry_ms for one in reversed(trades) if one.entry_ms % MONTH_MS > 2 * DAY_MS)
    return candles.until(late_ms)


def with_script(path: Path, script: str) -> None:
    """Let a page do something at its end; its policy forbids that, so it has none any more."""
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text(encoding="utf-8"))
    path.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")


def shown(opened: Opened, name: str) -> str:
    """Return a data attribute of the document."""
    found = re.search(rf'<html[^>]* data-{name}="([^"]*)"', opened.dom)
    assert found, f"data-{name} is missing: {opened.console}\n{opened.dom[:400]}"
    return found[1]


def body_rows(opened: Opened) -> int:
    table = re.search(r'<table id="trades">.*?</table>', opened.dom, re.DOTALL)
    assert table
    return len(re.findall(r'<tr tabindex="0"', table[0]))


def test_page_draws_its_charts_and_lists_its_trades(tmp_path: Path) -> None:
    path, count = write_page(tmp_path, 3_000)
    assert count > 25

    opened = open_page(path, tmp_path, is_dark=True)

    assert opened.console == []
    assert shown(opened, "ready") == "yes"
    assert opened.dom.count("<canvas") >= 10
    assert int(shown(opened, "bars")) > 20
    assert int(shown(opened, "marks")) >= 8
    assert body_rows(opened) == 25
    assert f"{count:,} trades. Click one to see it on the candles." in opened.dom
    assert re.search(r'id="equity-legend"[^>]*>2026-03-04 02:00 · equity [\d,.]+ · drawdown -?[\d.]+ %', opened.dom)
    assert "account: &lt;b&gt;test&lt;/b&gt;" in opened.dom


@pytest.mark.long
def test_page_whose_script_fails_says_so(tmp_path: Path) -> None:
    path, _ = write_page(tmp_path, 200)
    html = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r'"packed":"[^"]*"', '"packed":"no"', html), encoding="utf-8")

    opened = open_page(path, tmp_path)

    assert "This browser cannot draw the charts" in opened.dom
    assert opened.console != []


def test_trade_that_is_clicked_is_shown_on_its_candles(tmp_path: Path) -> None:
    path, _ = write_page(tmp_path, 3_000)
    before = shown(open_page(path, tmp_path), "bars")
    with_script(path, CLICKS)

    opened = open_page(path, tmp_path)

    assert opened.console == []
    assert shown(opened, "bars") != before
    assert re.search(r'<tr tabindex="0" aria-selected="true"><td class="">1</td>', opened.dom)
    legend = re.search(r'id="candle-legend"[^>]*>([^<]*)', opened.dom)
    assert legend
    assert legend[1].startswith("2026-03-02 0")
    assert 'aria-sort="ascending"' in opened.dom


def test_joined_bars_begin_with_their_first_candle_and_the_whole_shows_every_trade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.report.page.MOST_BARS", 1_500)
    path, count = write_page(tmp_path, 3_000, daily=True)
    told = "document.querySelector('#candle-legend').textContent.slice(0, 10)"
    with_script(path, f"setTimeout(() => {{ document.title = {told}; {ALL} }}, 2000);")

    opened = open_page(path, tmp_path)

    assert opened.console == []
    title = re.search(r"<title>(.*?)</title>", opened.dom)
    assert title
    assert (date.fromisoformat(title[1]) - date(1970, 1, 1)).days % 2 == 1
    assert "Bars of 30d; 2 candles make one bar at least" in opened.dom
    assert int(shown(opened, "marks")) == count


@pytest.mark.long
def test_page_of_many_candles_stays_small_and_draws_no_more_than_a_screen_shows(tmp_path: Path) -> None:
    path, count = write_page(tmp_path, MANY)

    opened = open_page(path, tmp_path)

    assert path.stat().st_size < 6_000_000
    assert opened.console == []
    assert shown(opened, "ready") == "yes"
    assert int(shown(opened, "bars")) < 5_000
    assert body_rows(opened) == 25
    assert f"{min(count, 20_000):,} trades" in opened.dom
