"""Money in the decimals of its currency: a small account in bitcoin is shown with eight."""

import re

import pytest

import trading_orchestrator as to

pytestmark = pytest.mark.filterwarnings("error")
ACCOUNT = to.AccountLimits(name="coins", starting_balance=0.05, currency="BTC")


@pytest.fixture(scope="module")
def result() -> to.BacktestResult:
    candles = to.simulated_candles(600, start_price=0.035, tick_size=0.00001)
    return to.backtest(
        to.load_strategy("sma_cross", {"fast": 5, "slow": 20}),
        candles,
        symbol="ETH/BTC",
        account=ACCOUNT,
        risk=to.RiskLimits(units=0.5),
        costs=to.Costs(commission_bps=10),
    )


def test_result_in_bitcoin_is_printed_with_eight_decimals(result: to.BacktestResult) -> None:
    found = result.statistics

    assert found.fees > 0
    assert f"{found.final_equity:.8f}" in str(result)
    assert f"{found.fees:.8f}" in str(result)


def test_page_in_bitcoin_shows_balance_fees_and_curve_with_eight_decimals(result: to.BacktestResult) -> None:
    page = result.to_html()

    assert f"{result.statistics.final_equity:.8f}" in page
    assert f"{result.statistics.fees:.8f}" in page
    assert '"moneyDecimals":8' in page
    (curve,) = re.findall(r'"equity":\[([^]]*)\]', page)
    assert len(set(curve.split(","))) > 50


def test_limit_text_in_bitcoin_has_eight_decimals() -> None:
    candles = to.simulated_candles(600, start_price=0.035, tick_size=0.00001)
    limited = ACCOUNT.model_copy(update={"max_notional": 0.001})

    run = to.backtest(
        to.load_strategy("sma_cross", {"fast": 5, "slow": 20}),
        candles,
        symbol="ETH/BTC",
        account=limited,
        risk=to.RiskLimits(units=0.5),
    )

    reasons = [one.reason for one in run.decisions if one.rule == "max_notional"]
    assert reasons
    assert all(text.endswith("the limit is 0.00100000") for text in reasons)
