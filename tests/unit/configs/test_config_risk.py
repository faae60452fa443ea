"""The risk settings in symbols.yaml: the example of docs/reference/risk.md loads, and wrong values are told."""

import re
import textwrap
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.loading import SystemConfig, load_system
from trading.risk.protections import CooldownPeriod, LowProfitPairs, StoplossGuard

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "risk.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


def loaded(symbols_yaml: str) -> SystemConfig:
    return load_system(ROOT / "configs", {}, texts={"symbols.yaml": symbols_yaml})


def test_the_example_of_the_page_loads() -> None:
    system = loaded(EXAMPLE)
    gold = system.symbols["XAUUSD"]
    assert [type(one) for one in system.account.protections] == [StoplossGuard, CooldownPeriod]
    assert [type(one) for one in gold.protections] == [LowProfitPairs]
    assert (system.account.max_drawdown, gold.risk.tick_size, gold.risk.max_spread) == (0.1, 0.01, 0.5)
    assert gold.entry_hours is not None
    assert gold.entry_hours.timezone == "Europe/London"


def test_the_page_names_each_rule_that_the_code_knows() -> None:
    code = "\n".join(
        (ROOT / "trading" / "risk" / name).read_text() for name in ("rules.py", "entry_rules.py", "protections.py")
    )
    rules = set(re.findall(r'(?:check|_refused|_notional)\(\s*(?:context, )?"(\w+)"', code)) | set(
        re.findall(r'return "(\w+)"', code)
    )
    assert len(rules) > 20
    assert [rule for rule in sorted(rules) if f"`{rule}`" not in PAGE] == []


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("method: CooldownPeriod", "method: Cooldown", r"account\.protections\.1.*CooldownPeriod"),
        (
            "stop_duration_candles: 2",
            "stop_candles: 2",
            r"account\.protections\.1\.stop_candles.*stop_duration_candles",
        ),
        ("lookback_period_candles: 60", "lookback_period: 0", r"account\.protections\.0\.lookback_period: found 0"),
        ("max_drawdown: 0.1", "max_drawdown: 10", r"account\.max_drawdown: found 10; allowed: below 1"),
        ("tick_size: 0.01", "tick_size: 0", r"symbols\.XAUUSD\.risk\.tick_size: found 0"),
        ("risk_fraction: 0.005", "notional: 5", r"risk_fraction requires risk_fraction"),
        ("min_notional: 10", "min_notional: 200000", r"max_notional is 120000, below min_notional 200000"),
        ("07:00-11:00", "07:00", r"entry_hours\.hours.*expected two different hours such as '07:00-16:00'"),
        ("Europe/London", "London", r"entry_hours\.timezone.*'London' is unknown"),
        ("[mon, tue, wed, thu]", "[monday]", r"entry_hours\.days\.0: found 'monday'"),
        ("lookback_period: 1440    #", "trade_limit: 5 #", r"neither is given: give lookback_period_candles"),
    ],
)
def test_a_wrong_value_is_reported_with_its_place_and_what_is_allowed(before: str, after: str, message: str) -> None:
    text = EXAMPLE.replace(before, after)
    if "trade_limit: 5 #" in after:
        text = text.replace("        trade_limit: 5\n", "", 1)
    assert text != EXAMPLE
    with pytest.raises(ConfigError) as error:
        loaded(text)
    assert re.search(message, textwrap.dedent(str(error.value)), flags=re.DOTALL), str(error.value)
