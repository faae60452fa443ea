"""The commands of the README: how a test runs each of them, and what is then to be seen."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from adapters.redis import keys
from tests.fixtures.apps.running import LIMIT_S, ROOT, journal_ms
from tests.fixtures.readme import SYMBOLS, Product, listening, page
from tests.fixtures.servers.ports import quiet_port
from trading.events.event import EventType
from trading.incidents.incident import Incident, IncidentKind
from trading.lifecycle import DesiredState

INCIDENT = Incident(IncidentKind.FOREIGN_ORDER, "XAUUSD", "v77", "an order by hand rests at the venue")
OWN_CANDLES = 240


def properties(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each key that a JSON Schema knows, and what it says of it."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for part in schema.values():
            yield from properties(part)


Show = Callable[[Product, str], None]
SHOWN: dict[str, Show] = {}
"""Execution and expected output of each command of the README."""


def shows(*commands: str) -> Callable[[Show], Show]:
    def note(show: Show) -> Show:
        SHOWN.update(dict.fromkeys(commands, show))
        return show

    return note


@shows("make run")
def _run(here: Product, command: str) -> None:
    here.terminal.wait_for_output(
        "Redis (", "workers: XAUUSD, BTCUSD, control", "beat started", "Flower on", "password: cat "
    )
    port = here.checkout.environment["TRADING__FLOWER_PORT"]
    here.terminal.until(lambda: page(port), "answer of Flower")
    login = re.search(r"user (\S+), password: (cat .*)", here.terminal.text)
    assert login
    password = here.checkout.run(login[2]).strip()
    assert (page(port), page(port, f"{login[1]}:{password}")) == (401, 200)


@shows("make test")
def _test(here: Product, command: str) -> None:
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").endswith(f"\nexec {command}\n")
    assert here.checkout.run(f"make -n {command.removeprefix('make ')}").split() == [
        ".venv/bin/python",
        *("-m", "pytest", "-q", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"),
    ]


@shows("make test-all")
def _test_all(here: Product, command: str) -> None:
    assert "-m ''" in here.checkout.run(f"make -n {command.removeprefix('make ')}")


@shows("celery -A tasks trading status")
def _status(here: Product, command: str) -> None:
    here.until_decided()
    shown, answer = here.read(command)
    symbols = {row["symbol"]: row for row in json.loads(answer)["symbols"]}
    assert tuple(symbols) == SYMBOLS
    assert all(row["candles"] > 0 and row["decision"] and name in shown for name, row in symbols.items())


@shows("celery -A tasks trading decisions XAUUSD")
def _decisions(here: Product, command: str) -> None:
    here.until_decided()
    shown, answer = here.read(command)
    rows = json.loads(answer)
    assert rows
    assert all(row["decision"] for row in rows)
    assert any(row["decision"].split()[0] in shown for row in rows), "asked at the same time, not in the same moment"


@shows("celery -A tasks trading orders")
def _orders(here: Product, command: str) -> None:
    here.until_filled()
    shown, answer = here.read(command)
    assert "filled" in {row["state"] for row in json.loads(answer)}
    assert "filled" in shown


@shows("celery -A tasks trading positions")
def _positions(here: Product, command: str) -> None:
    here.until_filled()
    shown, answer = here.read(command)
    assert all(row["units"] for row in json.loads(answer))
    assert any(name in shown for name in SYMBOLS) or shown == "no open positions\n"


@shows("celery -A tasks trading events")
def _events(here: Product, command: str) -> None:
    here.until_filled()
    shown, answer = here.read(command)
    kinds = {json.loads(line)["type"] for line in answer.splitlines()}
    assert kinds
    assert kinds <= set(EventType)
    assert any(name in shown for name in SYMBOLS)


@shows("celery -A tasks trading doctor")
def _doctor(here: Product, command: str) -> None:
    shown, answer = here.read(command)
    assert json.loads(answer)["ok"] is True
    assert "ledger" in shown


@shows("celery -A tasks trading incidents")
def _incidents(here: Product, command: str) -> None:
    here.stores.ledger.open_incidents([INCIDENT])
    shown, answer = here.read(command)
    assert INCIDENT.reason in {row["reason"] for row in json.loads(answer)}
    assert "foreign_order" in shown


@shows("celery -A tasks trading health")
def _health(here: Product, command: str) -> None:
    here.until_decided()

    def is_well() -> bool:
        with here.checkout.begin(command) as plain, here.checkout.begin(f"{command} --json") as as_json:
            shown, answer = (one.communicate(timeout=LIMIT_S)[0] for one in (plain, as_json))
        return json.loads(answer)["healthy_symbols"] == 2 and "2 of 2 symbols are healthy" in shown

    here.terminal.until(is_well, "system of which all is well")  # on a busy machine a feed is silent now and then


@shows('celery -A tasks trading clear-quarantine XAUUSD --reason "fixed the strategy"')
def _clear_quarantine(here: Product, command: str) -> None:
    here.until_decided()
    here.stores.ledger.set_quarantine("XAUUSD", "hold", cause="test", reason="quarantined by the test")
    assert "quarantine cleared" in here.checkout.run(command)
    assert here.stores.ledger.quarantine("XAUUSD") is None


@shows('celery -A tasks trading resolve 1 --reason "closed by hand"')
def _resolve(here: Product, command: str) -> None:
    here.stores.ledger.open_incidents([INCIDENT])
    here.checkout.run(command)
    assert [row["resolution"] for row in here.stores.ledger.incidents(only_open=False)] == ["closed by hand"]


@shows("celery -A tasks trading reconcile XAUUSD")
def _reconcile(here: Product, command: str) -> None:
    here.until_decided()
    assert "agreed" in here.checkout.run(command)


@shows("celery -A tasks trading backtest --symbol XAUUSD --candles mine/gold.csv.gz --report mine/gold.html")
def _replay(here: Product, command: str) -> None:
    shown, answer = here.read(command)
    report = json.loads(answer)
    assert report["symbols"]["XAUUSD"]["candle_count"] == OWN_CANDLES
    assert "XAUUSD" in shown
    assert (here.checkout.root / "mine" / "gold.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@shows("celery -A tasks trading explain XAUUSD 2025-01-06T00:05Z")
def _explain(here: Product, command: str) -> None:
    at_ms = 1_736_121_900_000
    here.terminal.until(lambda: max(journal_ms(here.stores, "XAUUSD"), default=0) >= at_ms, "candle of that time")
    shown, answer = here.read(command)
    assert json.loads(answer)["entry"]["open_ms"] == at_ms
    assert shown.startswith("XAUUSD 1m 2025-01-06 00:05 UTC")


@shows("celery -A tasks trading check-strategy my_strategies:Fade")
def _check_strategy(here: Product, command: str) -> None:
    shown, answer = here.read(command)
    report = json.loads(answer)
    assert report["ok"]
    assert sum(one["buys"] for one in report["series"]) > 0
    assert "look-ahead" in shown


@shows("celery -A tasks trading ledger backup var/before-the-weekend.sqlite3")
def _backup(here: Product, command: str) -> None:
    here.until_filled()
    here.checkout.run(command)
    copy = here.checkout.root / "var" / "before-the-weekend.sqlite3"
    here.checkout.run(f"celery -A tasks trading ledger verify {copy}")


@shows("celery -A tasks trading ledger verify")
def _verify(here: Product, command: str) -> None:
    here.until_filled()
    answer = json.loads(here.checkout.run(f"{command} --json"))
    assert answer["fills"] > 0
    here.checkout.run(command)


@shows("make chaos")
def _chaos(here: Product, command: str) -> None:
    """Its whole run takes long: tests/chaos runs a part of it. Here only that this is what it would run."""
    planned = here.checkout.run("make -n chaos").split()
    assert planned[:3] == [".venv/bin/python", "-m", "tests.chaos"]
    assert int(planned[planned.index("--kills") + 1]) > 1_000


@shows("celery -A tasks inspect ping")
def _ping(here: Product, command: str) -> None:
    here.until_answered(here.terminal, command, ["BTCUSD", "XAUUSD", "celerybeat", "control"])


@shows("celery call tasks.pause_symbol --args='[\"XAUUSD\"]'", "celery -A tasks trading pause XAUUSD")
def _pause(here: Product, command: str) -> None:
    here.want(DesiredState.RUNNING)
    here.checkout.run(command)
    here.until_desired(DesiredState.PAUSED)


@shows("celery call tasks.resume_symbol --args='[\"XAUUSD\"]'", "celery -A tasks trading resume XAUUSD")
def _resume(here: Product, command: str) -> None:
    here.want(DesiredState.PAUSED)
    here.checkout.run(command)
    here.until_desired(DesiredState.RUNNING)


@shows("celery -A tasks trading ledger migrate")
def _migrate(here: Product, command: str) -> None:
    assert "is now at revision" in here.checkout.run(command, **here.apart)


@shows("celery -A tasks worker -Q XAUUSD")
def _worker(here: Product, command: str) -> None:
    terminal = here.checkout.start(command, **here.apart)
    with here.apart_redis() as client:
        terminal.until(client.pubsub_numpat, "ear for remote control")
    here.until_answered(terminal, "celery -A tasks inspect ping", ["XAUUSD"], **here.apart)
    terminal.interrupt()
    assert terminal.left() == []


@shows("celery -A tasks beat")
def _beat(here: Product, command: str) -> None:
    terminal = here.checkout.start(command, **here.apart)
    with here.apart_redis() as client:
        terminal.until(lambda: client.keys("XAUUSD*") and client.keys("BTCUSD*"), "tick for each symbol")
        terminal.until(lambda: client.exists(keys.beat_leader("trading")), "leading beat")  # it holds for 3 s each time
    terminal.interrupt()
    assert terminal.left() == []


@shows("celery -A tasks flower")
def _flower(here: Product, command: str) -> None:
    port = str(quiet_port())
    settings = {"TRADING__FLOWER_PORT": port, "TRADING__FLOWER_PASSWORD": "secret"}
    terminal = here.checkout.start(command, **here.apart, **settings)
    terminal.until(lambda: page(port), "answer of Flower")
    assert page(port) == 401, "the README promises a login"
    assert listening(terminal) == {("127.0.0.1", int(port))}
    terminal.interrupt()
    assert terminal.left() == []


@shows("TRADING__CONFIG_DIR=mine celery -A tasks trading config check")
def _check(here: Product, command: str) -> None:
    assert here.checkout.run(command) == "ok: 2 symbols: XAUUSD, BTCUSD\n"


@shows("TRADING__CONFIG_DIR=mine TRADING__VAR_DIR=mine/var make run")
def _run_mine(here: Product, command: str) -> None:
    terminal = here.checkout.start(command)
    terminal.wait_for_output("Flower is not started: port", "logs in")  # the system of all these tests has it
    with here.checkout.stores("mine/var") as stores:
        terminal.until(lambda: len(journal_ms(stores, "XAUUSD")) == OWN_CANDLES, "candle of the file decided")
        assert stores.ledger.fills("XAUUSD")
        terminal.until(lambda: journal_ms(stores, "BTCUSD"), "candle with the strategy of the README")
    terminal.interrupt()
    assert terminal.left() == []
    assert "all stopped" in terminal.text


@shows("celery -A tasks trading config schema")
def _schema(here: Product, command: str) -> None:
    schemas = json.loads(here.checkout.run(command))
    assert set(schemas) == {"services.yaml", "symbols.yaml"}
    assert [name for name, report in properties(schemas) if not report.get("description")] == []


@shows(". .venv/bin/activate")
def _activate(here: Product, command: str) -> None:
    plain_path = here.checkout.environment["PATH"].partition(":")[2]
    assert here.checkout.run(f"{command} && command -v celery", PATH=plain_path).strip()


@shows("docker compose up")
def _compose(here: Product, command: str) -> None:
    """Its run needs an engine: tests/docker. Here only that there is something to bring up."""
    services = yaml.safe_load((here.checkout.root / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert {"redis", "postgres", "beat", "flower"} < set(services)
