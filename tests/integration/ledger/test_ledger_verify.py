"""Verify finds each kind of damage, names the row, what is there and what should be, and finds nothing else."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.engine import Connection, Engine

from adapters.backup.backup import LEDGER
from adapters.backup.restore import restore
from adapters.backup.snapshot import snapshot
from adapters.database import create_engine
from adapters.ledger.audit.invariants import check_rules
from adapters.ledger.audit.recompute import Difference, recompute, rows_to_look_at
from adapters.ledger.schema import migrate
from adapters.ledger.tables import account_days, decisions, fences, fills, intents, orders, positions
from tests.fixtures.apps.system import ROOT
from tests.fixtures.trades import ACCOUNT, STRATEGY, T0_MS, PlayedLedger, request_of
from trading.orders.orders import Leg, Side
from trading.tolerance import TOLERANCE
from trading_orchestrator.cli.app import trading
from trading_orchestrator.cli.exit_codes import ExitCode

pytest_plugins = ("tests.fixtures.servers.databases", "tests.fixtures.played_ledger")

pytestmark = pytest.mark.timeout(120)

HELD = request_of("XAUUSD", "open", T0_MS, Leg.ENTRY, Side.BUY, 2.0).client_order_id
UNKNOWN = request_of("XAUUSD", "unknown", T0_MS, Leg.ENTRY, Side.BUY, 2.0).client_order_id


@pytest.fixture
def engine(played: PlayedLedger, ledger_url: str) -> Iterator[Engine]:
    """A ledger that agrees with itself."""
    engine = create_engine(ledger_url)
    restore(played.file, engine, LEDGER, lambda _done, _whole: None)
    yield engine
    engine.dispose()


def differences(engine: Engine) -> list[Difference]:
    with snapshot(engine) as view:
        findings = recompute(view, lambda _: None)
        check_rules(view, findings, lambda _: None)
    assert findings.number == len(findings.differences)
    return findings.differences


def checks(engine: Engine) -> set[str]:
    return {difference.check for difference in differences(engine)}


def change(engine: Engine, statement: sa.Update | sa.Delete | sa.Insert) -> None:
    """Damage it by hand, and hold that just one row was hit; references are not checked on SQLite meanwhile."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        count = connection.execute(statement).rowcount
        assert count == 1 or isinstance(statement, sa.Insert)  # not every driver counts inserts
        connection.commit()
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")


def one_fill(connection: Connection, leg: Leg) -> sa.Row[tuple[object, ...]]:
    chosen = sa.select(fills).where(fills.c.leg == leg.value).order_by(fills.c.sequence).limit(1)
    return connection.execute(chosen).one()


def fill_of(engine: Engine, leg: Leg) -> sa.Row[tuple[object, ...]]:
    with engine.connect() as connection:
        return one_fill(connection, leg)


PLACE = (positions.c.symbol == "XAUUSD", positions.c.strategy == "open")


@dataclass(frozen=True)
class Damage:
    """A change by hand, and the one check that must find it; where it shows in others too, all of them."""

    statement: sa.Update | sa.Delete | sa.Insert
    found_by: set[str]


IN_PLACE = {
    "position units": Damage(
        sa.update(positions).where(*PLACE).values(units=positions.c.units + 1e-12), {"position: units"}
    ),
    "position average": Damage(
        sa.update(positions).where(*PLACE).values(average_price=positions.c.average_price * 1.5),
        {"position: average_price"},
    ),
    "position opened": Damage(sa.update(positions).where(*PLACE).values(opened_ms=1), {"position: opened_ms"}),
    "position realised": Damage(
        sa.update(positions).where(*PLACE).values(realised=positions.c.realised + 0.01), {"position: realised"}
    ),
    "position lost": Damage(sa.delete(positions).where(*PLACE), {"position"}),
    "position from nowhere": Damage(
        sa.insert(positions).values(
            account=ACCOUNT, symbol="EURUSD", strategy="s", units=1.0, average_price=1.1, opened_ms=1, realised=0.0
        ),
        {"position: units", "position: average_price", "position: opened_ms"},
    ),
    "filled units of an intent": Damage(
        sa.update(intents).where(intents.c.client_order_id == HELD).values(filled_units=1.5), {"intents: filled_units"}
    ),
    "filled units of an order": Damage(
        sa.update(orders).where(orders.c.client_order_id == HELD).values(filled_units=1.5), {"orders: filled_units"}
    ),
    "fence behind": Damage(
        sa.update(fences).where(fences.c.strategy == "open").values(open_ms=fences.c.open_ms - 1), {"fence"}
    ),
    "fence lost": Damage(sa.delete(fences).where(fences.c.strategy == "open"), {"fence"}),
    "state unknown to us": Damage(
        sa.update(intents).where(intents.c.client_order_id == HELD).values(state="done"), {"intent: state"}
    ),
    "final by mistake": Damage(
        sa.update(intents).where(intents.c.client_order_id == UNKNOWN).values(is_final=True), {"intent: is_final"}
    ),
    "reservation lost": Damage(
        sa.update(intents).where(intents.c.client_order_id == UNKNOWN).values(risk_reserved=None),
        {"intent: reservation"},
    ),
    "reservation of an order that ended": Damage(
        sa.update(intents)
        .where(intents.c.client_order_id == UNKNOWN)
        .values(state="expired", is_final=True),  # its risk stays reserved
        {"intent: reservation"},
    ),
    "decision lost": Damage(sa.delete(decisions).where(decisions.c.strategy == "unknown"), {"intent: decision"}),
}


@pytest.mark.parametrize("kind", IN_PLACE)
def test_damage_is_found_by_its_own_check_alone(engine: Engine, kind: str) -> None:
    damage = IN_PLACE[kind]
    if kind == "decision lost" and engine.dialect.name == "postgresql":
        with pytest.raises(sa.exc.IntegrityError):
            change(engine, damage.statement)
        return

    change(engine, damage.statement)

    assert checks(engine) == damage.found_by


def test_untouched_ledger_has_no_differences_and_every_row_was_counted(engine: Engine) -> None:
    with snapshot(engine) as view:
        seen: list[int] = []
        findings = recompute(view, seen.append)
        check_rules(view, findings, seen.append)
        assert sum(seen) == rows_to_look_at(view)

    assert findings.differences == []
    assert findings.fills > 40
    assert findings.books[ACCOUNT].cash.value != 0


def test_realised_of_a_fill_is_found_to_the_last_bit_and_named(engine: Engine) -> None:
    fill = fill_of(engine, Leg.EXIT)
    change(engine, sa.update(fills).where(fills.c.fill_id == fill.fill_id).values(realised=fill.realised + 1e-9))

    (found,) = differences(engine)

    assert found.check == "fill: realised"
    assert fill.fill_id in found.where
    assert float(found.expected) == fill.realised
    assert float(found.found) == fill.realised + 1e-9


def test_price_of_a_fill_shows_in_everything_that_follows_from_it(engine: Engine) -> None:
    fill = fill_of(engine, Leg.EXIT)
    change(engine, sa.update(fills).where(fills.c.fill_id == fill.fill_id).values(price=fill.price + 1))

    assert checks(engine) == {"fill: realised", "position: realised", "day: realised"}


def test_fill_that_was_lost_shows_in_its_order_and_its_position(engine: Engine) -> None:
    fill = fill_of(engine, Leg.EXIT)
    change(engine, sa.delete(fills).where(fills.c.fill_id == fill.fill_id))

    found = checks(engine)

    assert {"intents: filled_units", "orders: filled_units", "position: units", "day: realised"} <= found


def test_fill_with_a_side_that_cannot_be_is_reported_and_ends_nothing(engine: Engine) -> None:
    fill = fill_of(engine, Leg.EXIT)
    change(engine, sa.update(fills).where(fills.c.fill_id == fill.fill_id).values(side="hold"))

    assert {"fill: readable", "fill: as its intent"} <= checks(engine)


@pytest.mark.parametrize("factor", [1 + TOLERANCE / 100, 1 + TOLERANCE * 1e5])
def test_day_may_differ_by_the_rounding_of_a_sum_and_no_more(engine: Engine, factor: float) -> None:
    with engine.connect() as connection:
        day, realised = connection.execute(sa.select(account_days.c.day, account_days.c.realised).limit(1)).one()
    change(engine, sa.update(account_days).where(account_days.c.day == day).values(realised=realised * factor))

    assert checks(engine) == ({"day: realised"} if factor > 1 + TOLERANCE else set())


def test_day_that_was_lost_is_found(engine: Engine) -> None:
    with engine.connect() as connection:
        day = connection.execute(sa.select(account_days.c.day).limit(1)).scalar_one()
    change(engine, sa.delete(account_days).where(account_days.c.day == day))

    assert [(found.check, found.found) for found in differences(engine)] == [("day: realised", "no row")]


@pytest.mark.parametrize("leg", [Leg.EXIT, Leg.STOP_LOSS])
def test_fill_of_an_order_that_nobody_decided_on_is_found(engine: Engine, leg: Leg) -> None:
    fill = fill_of(engine, leg)
    stranger = "GOLD-1-x-0123456789" if leg is Leg.EXIT else "GOLD-1-s-0123456789"
    change(engine, sa.update(fills).where(fills.c.fill_id == fill.fill_id).values(client_order_id=stranger))

    found = {difference.check: difference for difference in differences(engine)}

    assert found["fill: intent"].where == stranger
    assert "orders: filled_units" in found


def test_fill_booked_on_the_wrong_symbol_is_found(engine: Engine) -> None:
    fill = fill_of(engine, Leg.EXIT)
    other = "BTCUSD" if fill.symbol == "XAUUSD" else "XAUUSD"
    change(engine, sa.update(fills).where(fills.c.fill_id == fill.fill_id).values(symbol=other))

    assert {"fill: as its intent", "position: units"} <= checks(engine)


def test_order_without_an_intent_is_found(engine: Engine) -> None:
    row = {"account": ACCOUNT, "client_order_id": "GOLD-1-x-0123456789", "symbol": "XAUUSD", "strategy": STRATEGY}
    state = {"leg": "exit", "side": "buy", "state": "accepted", "filled_units": 0.0, "market_ms": 1}
    change(engine, sa.insert(orders).values(row | state))

    assert checks(engine) == {"order: intent"}


def test_protective_order_of_the_wrong_side_is_found(engine: Engine) -> None:
    fill = fill_of(engine, Leg.STOP_LOSS)
    change(engine, sa.update(orders).where(orders.c.client_order_id == fill.client_order_id).values(side="hold"))

    assert checks(engine) == {"order: as its intent"}


@pytest.mark.parametrize(
    ("state", "is_found"), [("accepted", True), ("filled", True), ("rejected", False), ("expired", False)]
)
def test_second_order_of_one_decision_is_found_where_it_is_alive_or_filled(
    engine: Engine, state: str, is_found: bool
) -> None:
    with engine.connect() as connection:
        row = dict(connection.execute(sa.select(intents).where(intents.c.client_order_id == HELD)).mappings().one())
    final = state != "accepted"
    held = {} if state in ("accepted", "filled") else {"risk_reserved": None, "notional_reserved": None}
    twin = row | {"client_order_id": "twin", "state": state, "is_final": final, "filled_units": 0.0} | held
    change(engine, sa.insert(intents).values(twin))

    assert checks(engine) == ({"decision: orders that are alive or filled"} if is_found else set())


@pytest.mark.parametrize("as_json", [True, False])
def test_verify_on_the_command_line_ends_with_one_and_names_the_difference(
    played: PlayedLedger, sqlite_url: str, as_json: bool
) -> None:
    engine = create_engine(sqlite_url)
    migrate(engine)
    restore(played.file, engine, LEDGER, lambda _done, _whole: None)
    change(engine, sa.update(positions).where(*PLACE).values(units=7.0))
    engine.dispose()
    environ = {"TRADING__LEDGER_URL": sqlite_url, "TRADING__CONFIG_DIR": str(ROOT / "configs")}

    arguments = ["ledger", "verify", *(["--json"] if as_json else [])]
    result = CliRunner().invoke(trading, arguments, env=environ)

    assert result.exit_code == ExitCode.NO, result.output
    if as_json:
        answer = json.loads(result.stdout)
        assert answer["ok"] is False
        assert answer["differences"] == [
            {"check": "position: units", "where": f"{ACCOUNT} XAUUSD open", "found": "7.0", "expected": "2.0"}
        ]
    else:
        assert "position: units" in result.stdout
        assert "1 differences" in result.stdout
