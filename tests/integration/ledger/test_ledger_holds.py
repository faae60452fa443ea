"""Holds of a symbol while its configuration changes: the holder is a value of its row, never its reason."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import alembic_config, migrate
from adapters.ledger.tables import symbols
from trading.lifecycle import DesiredState, HeldBy

GOLD = "XAUUSD"


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    migrate(engine)
    return SqlLedger(engine, "main", 10_000.0)


@pytest.fixture
def older(database_url: str) -> Iterator[Engine]:
    """A ledger of the schema before `held_by`."""
    engine = create_engine(database_url)
    migrate(engine, "0005")
    yield engine
    engine.dispose()


def holders(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        rows = connection.execute(sa.select(symbols.c.symbol, symbols.c.held_by)).all()
    return {row.symbol: row.held_by for row in rows}


def test_hold_is_released_by_its_holder_alone(ledger: SqlLedger) -> None:
    assert ledger.hold(GOLD, DesiredState.PAUSED, held_by=HeldBy.CONFIG_CHANGE, reason="test")
    assert not ledger.hold(GOLD, DesiredState.STOPPED, held_by=HeldBy.REMOVAL, reason="test")
    assert not ledger.release(GOLD, held_by=HeldBy.REMOVAL, reason="test")
    assert ledger.desired(GOLD) is DesiredState.PAUSED
    assert ledger.release(GOLD, held_by=HeldBy.CONFIG_CHANGE, reason="test")
    assert not ledger.release(GOLD, held_by=HeldBy.CONFIG_CHANGE, reason="test")
    assert ledger.hold(GOLD, DesiredState.STOPPED, held_by=HeldBy.REMOVAL, reason="test")
    assert ledger.desired(GOLD) is DesiredState.STOPPED


def test_pause_of_an_operator_is_never_a_hold_whatever_the_reason(ledger: SqlLedger) -> None:
    ledger.hold(GOLD, DesiredState.PAUSED, held_by=HeldBy.CONFIG_CHANGE, reason="its configuration changes")

    ledger.set_desired(GOLD, DesiredState.PAUSED, reason="its configuration changes")

    assert not ledger.release(GOLD, held_by=HeldBy.CONFIG_CHANGE, reason="test")
    assert ledger.desired(GOLD) is DesiredState.PAUSED


@pytest.mark.parametrize("state", [DesiredState.PAUSED, DesiredState.STOPPED])
def test_symbol_that_a_person_paused_or_stopped_is_not_held(ledger: SqlLedger, state: DesiredState) -> None:
    ledger.set_desired(GOLD, state, reason="a person")

    assert not ledger.hold(GOLD, DesiredState.STOPPED, held_by=HeldBy.REMOVAL, reason="test")
    assert not ledger.release(GOLD, held_by=HeldBy.REMOVAL, reason="test")
    assert ledger.desired(GOLD) is state


def test_hold_of_an_older_ledger_is_still_released(older: Engine) -> None:
    rows = {
        "CHANGING": ("paused", "its configuration changes"),
        "REMOVED": ("stopped", "it was removed from the configuration"),
        "PERSON": ("paused", "requested by operator"),
        "RUNNING": ("running", "its configuration changes"),
    }
    statement = sa.text(
        "INSERT INTO symbols (account, symbol, desired, reason, changed_at_ms) "
        "VALUES ('main', :symbol, :desired, :why, 1)"
    )
    with older.begin() as connection:
        for symbol, (desired, why) in rows.items():
            connection.execute(statement, {"symbol": symbol, "desired": desired, "why": why})

    migrate(older)

    assert holders(older) == {"CHANGING": "config_change", "REMOVED": "removal", "PERSON": "", "RUNNING": ""}
    ledger = SqlLedger(older, "main", 10_000.0)
    assert not ledger.release("REMOVED", held_by=HeldBy.CONFIG_CHANGE, reason="test")
    assert ledger.release("CHANGING", held_by=HeldBy.CONFIG_CHANGE, reason="test")
    assert ledger.release("REMOVED", held_by=HeldBy.REMOVAL, reason="test")
    assert ledger.desired("PERSON") is DesiredState.PAUSED


def test_schema_goes_back_and_forth_and_keeps_the_hold(ledger: SqlLedger, engine: Engine) -> None:
    ledger.hold(GOLD, DesiredState.PAUSED, held_by=HeldBy.CONFIG_CHANGE, reason="its configuration changes")
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0005")

    migrate(engine)

    assert ledger.release(GOLD, held_by=HeldBy.CONFIG_CHANGE, reason="test")
