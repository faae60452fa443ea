"""Values are msgspec structs, and pydantic models where input is validated; each dataclass has a reason listed here."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("trading", "configs", "adapters", "tasks", "worker", "beat", "trading_orchestrator")

DATACLASSES = {
    "configs/redis_url.py": {"RedisAddress": "its repr leaves out the password"},
    "trading/backtest/result.py": {"BacktestRun": "has cached properties"},
    "trading/orchestration/recovery_policy.py": {"EscalationState": "pydantic reads it from Redis"},
    "trading/orchestration/symbol_port.py": {"SymbolRecord": "pydantic reads it from Redis"},
    "trading/portfolio/positions.py": {"StopMove": "a field of it is not compared"},
    "trading_orchestrator/launcher/child_process.py": {"ProcessSpec": "its repr leaves out the environment"},
    "trading_orchestrator/launcher/embedded_redis.py": {"RedisPlan": "its repr leaves out the password"},
}


def dataclasses_in(text: str) -> Iterator[str]:
    """Yield the names of the dataclasses of a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(one) for one in node.decorator_list):
            yield node.name


def test_value_is_a_struct_where_no_reason_is_listed() -> None:
    found = {
        place: set(names)
        for folder in FOLDERS
        for file in sorted((ROOT / folder).rglob("*.py"))
        if (names := list(dataclasses_in(file.read_text("utf-8"))))
        and not (place := str(file.relative_to(ROOT))).startswith("trading_orchestrator/testing")
    }

    assert found == {place: set(names) for place, names in DATACLASSES.items()}


def test_dataclass_of_any_spelling_is_found() -> None:
    text = "@dataclass\nclass A: ...\n@dataclasses.dataclass(frozen=True)\nclass B: ...\nclass C: ...\n"

    assert list(dataclasses_in(text)) == ["A", "B"]
