"""The migrations, on SQLite and on a real PostgreSQL: of an empty database, and of older ledgers."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.ledger.schema import alembic_config, head_revision, migrate, schema_revision
from adapters.ledger.tables import decisions, fills, incidents, metadata, stop_moves
from tests.fixtures.servers.databases import patient


def migrate_in_process(url: str) -> str | None:
    engine = create_engine(url)
    migrate(engine)
    return schema_revision(engine)


def test_migrate_twice_ends_at_head(engine: Engine) -> None:
    assert schema_revision(engine) is None
    migrate(engine)
    migrate(engine)
    assert schema_revision(engine) == head_revision()


def test_migrate_schema_equals_tables(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrate_processes_at_once_all_end_at_head(database_url: str) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        revisions = list(pool.map(migrate_in_process, [patient(database_url)] * 4))
    assert revisions == [head_revision()] * 4


def test_migrate_of_an_older_ledger_counts_its_incidents_as_reported_and_its_rows_as_traded(engine: Engine) -> None:
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(
            sa.text(
                "INSERT INTO incidents (account, symbol, kind, key, halts, reason, details, opened_at_ms) "
                "VALUES ('main', 'XAUUSD', 'stuck', 'k', false, 'why', '{}', 7)"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO decisions (account, symbol, strategy, open_ms, outcome, rule, reason, breached, "
                "correlation_id, written_at_ms) VALUES ('main', 'XAUUSD', 's', 1, 'refused', 'r', 'r', false, 'c', 1)"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO fills (account, fill_id, sequence, client_order_id, symbol, strategy, leg, side, units, "
                "price, fee, market_ms, realised) "
                "VALUES ('main', 'f', 1, 'o', 'XAUUSD', 's', 'entry', 'buy', 1, 1, 0, 1, 0)"
            )
        )
    migrate(engine)

    with engine.connect() as connection:
        published_at_ms = connection.execute(sa.select(incidents.c.published_at_ms)).scalar_one()
        origin = connection.execute(sa.select(decisions.c.origin)).scalar_one()
        adjustment = connection.execute(sa.select(fills.c.adjustment)).scalar_one()
    assert (published_at_ms, origin, adjustment) == (7, "signal", 0)


OLD_DECISION = sa.text(
    "INSERT INTO decisions (account, symbol, strategy, open_ms, outcome, rule, reason, breached, correlation_id, "
    "written_at_ms, origin, checks) "
    "VALUES ('main', 'XAUUSD', 's', :open_ms, 'refused', :rule, :reason, false, 'c', 1, 'signal', :checks)"
)
OLD_MOVE = sa.text(
    "INSERT INTO stop_moves (account, symbol, strategy, open_ms, entry_id, price_after, reason, correlation_id, "
    "written_at_ms) VALUES ('main', 'XAUUSD', 's', :open_ms, 'e', 1, :reason, 'c', 1)"
)
REVERSAL = "close 2 units at 100, -1.00 before fees: cross; then"


@pytest.mark.parametrize(
    ("rule", "reason", "checks", "expected"),
    [
        ("ok", "buy 1 units at 100", None, (None, None, None, None)),
        ("stopped", "XAUUSD is stopped", "[]", (None, "stopped", None, None)),
        ("halted", "a person must look first: lost: 2 units", "[]", (None, None, "lost: 2 units", None)),
        ("quarantined", "no entries: it hangs: twice", "[]", (None, None, None, "it hangs: twice")),
        ("quarantined", f"{REVERSAL} no entries: it hangs", "[]", (None, None, None, "it hangs")),
        ("paused", "XAUUSD is paused: no entries", "[]", (None, "paused", None, None)),
        ("paused", f"{REVERSAL} XAUUSD is paused: no entries", "[]", (None, "paused", None, None)),
        ("paused", "the symbol is paused: nothing is opened", "[]", (None, None, None, None)),
        (
            "ok",
            "close 1 units at 99: trailing_stop: 2 below the close of 100",
            '[{"rule": "exit_rule", "is_met": true, "reason": "trailing_stop: 2 below the close of 100"}]',
            ("trailing_stop", None, None, None),
        ),
        (
            "ok",
            "close 1 units at 99: cross",
            '[{"rule": "nothing_to_close", "is_met": true, "reason": "the exit_rule of mine: a name"}]',
            (None, None, None, None),
        ),
    ],
)
def test_migrate_of_decisions_of_0_1_0_reads_their_state_and_exit_rule(
    engine: Engine, rule: str, reason: str, checks: str | None, expected: tuple[str | None, ...]
) -> None:
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        connection.execute(OLD_DECISION, {"open_ms": 1, "rule": rule, "reason": reason, "checks": checks})
    migrate(engine)

    columns = (decisions.c.exit_rule, decisions.c.desired, decisions.c.halted, decisions.c.quarantined)
    with engine.connect() as connection:
        assert tuple(connection.execute(sa.select(*columns)).one()) == expected


def test_migrate_of_stop_moves_of_0_1_0_reads_the_rule_that_moved(engine: Engine) -> None:
    reasons = [
        "trailing_stop: 2 below",
        "break_even: the close",
        "manage_position: x: y",
        "trailing_stopped: x",
        "by hand",
    ]
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        for place, reason in enumerate(reasons):
            connection.execute(OLD_MOVE, {"open_ms": place, "reason": reason})
    migrate(engine)

    with engine.connect() as connection:
        found = connection.execute(sa.select(stop_moves.c.rule).order_by(stop_moves.c.open_ms)).scalars().all()
    assert found == ["trailing_stop", "break_even", "manage_position", None, None]


def test_migrate_of_a_ledger_from_before_published_at_ms_keeps_what_was_published(engine: Engine) -> None:
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        for key, at_ms in (("published", "5"), ("waiting", "NULL")):
            connection.execute(
                sa.text(
                    "INSERT INTO incidents (account, symbol, kind, key, halts, reason, details, opened_at_ms, "
                    "told_at_ms) "
                    f"VALUES ('main', 'XAUUSD', 'stuck', '{key}', false, 'why', '{{}}', 3, {at_ms})"
                )
            )
    migrate(engine)

    with engine.connect() as connection:
        found = connection.execute(sa.select(incidents.c.key, incidents.c.published_at_ms)).all()
    assert sorted(tuple(row) for row in found) == [("published", 5), ("waiting", None)]


def test_migrate_of_a_ledger_with_one_drawdown_rule_names_which_of_the_two_it_was(engine: Engine) -> None:
    latch, headroom = "a person must look first: x", "5.00 lost since the peak 100.00, 0.00 at open stops"
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        for open_ms, reason in enumerate((latch, headroom)):
            connection.execute(
                sa.text(
                    "INSERT INTO decisions (account, symbol, strategy, open_ms, outcome, rule, reason, breached, "
                    "correlation_id, written_at_ms, checks) VALUES ('main', 'XAUUSD', 's', :open_ms, 'refused', "
                    "'max_drawdown', :reason, true, 'c', 1, :checks)"
                ),
                {
                    "open_ms": open_ms,
                    "reason": reason,
                    "checks": json.dumps([{"rule": "max_drawdown", "is_met": False, "reason": reason}]),
                },
            )
    migrate(engine)

    with engine.connect() as connection:
        rows = connection.execute(sa.select(decisions.c.rule, decisions.c.checks).order_by(decisions.c.open_ms)).all()
    assert [row.rule for row in rows] == ["drawdown_latch", "drawdown_headroom"]
    assert [row.checks[0]["rule"] for row in rows] == ["drawdown_latch", "drawdown_headroom"]
