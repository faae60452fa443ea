"""The comparison of a chaos run detects books that were falsified on purpose."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.database import create_engine
from adapters.ledger.tables import fills, intents, positions, stop_moves
from adapters.redis import keys
from adapters.sources.file import read_candles
from adapters.venues.paper_books import orders_table
from tests.chaos.comparison.books import Books, compare
from tests.chaos.comparison.reference import Reference
from tests.chaos.half import chaos_symbols, quiet
from tests.fixtures.apps.system import TradingSystem

COUNT = 60
Doctor = Callable[[TradingSystem], object]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Reference]:
    """A finished run of sixty candles of each symbol."""
    with quiet():
        reference = Reference(chaos_symbols(tmp_path, seed=5))
        reference.advance(cursors(tmp_path))
        yield reference
        reference.stop()


def due(folder: Path) -> dict[str, list[int]]:
    files = sorted(folder.glob("*.csv"))
    return {path.stem: read_candles(path, timeframe="1m").open_ms.tolist()[:COUNT] for path in files}


def cursors(folder: Path) -> dict[str, int]:
    return {name: every[-1] for name, every in due(folder).items()}


def in_ledger(system: TradingSystem, *statements: sa.Executable) -> None:
    change(system.settings.ledger_url.get_secret_value(), *statements)


def at_venue(system: TradingSystem, *statements: sa.Executable) -> None:
    change(system.settings.paper_url.get_secret_value(), *statements)


def change(url: str, *statements: sa.Executable) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)
    engine.dispose()


def first(system: TradingSystem, column: sa.Column[str], *, url: str) -> str:
    engine = create_engine(url)
    with engine.connect() as connection:
        found: str = connection.execute(sa.select(column).where(column.table.c.leg == "entry")).scalars().first()  # type: ignore[assignment]
    engine.dispose()
    return found


def lose_fill(system: TradingSystem) -> None:
    identity = first(system, fills.c.fill_id, url=system.settings.ledger_url.get_secret_value())
    in_ledger(system, sa.delete(fills).where(fills.c.fill_id == identity))


def double_order(system: TradingSystem) -> None:
    copy_order(system, renamed=lambda identity: f"{identity}-r2")


def place_foreign_order(system: TradingSystem) -> None:
    copy_order(system, renamed=lambda _: "XAUUSD-1-e-0000000000", decided_ms=1)


def copy_order(system: TradingSystem, *, renamed: Callable[[str], str], **changes: int) -> None:
    url = system.settings.paper_url.get_secret_value()
    identity = first(system, orders_table.c.client_order_id, url=url)
    names = [column.name for column in orders_table.c if column.name != "number"]
    engine = create_engine(url)
    with engine.begin() as connection:
        query = sa.select(*(orders_table.c[name] for name in names)).where(orders_table.c.client_order_id == identity)
        row = dict(connection.execute(query).mappings().one())
        connection.execute(orders_table.insert().values({**row, "client_order_id": renamed(identity), **changes}))
    engine.dispose()


def forget_order_at_venue(system: TradingSystem) -> None:
    """Take an order from the venue whose intent is open: what a lost order looks like."""
    identity = first(system, intents.c.client_order_id, url=system.settings.ledger_url.get_secret_value())
    in_ledger(system, sa.update(intents).where(intents.c.client_order_id == identity).values(state="unknown"))
    at_venue(system, sa.delete(orders_table).where(orders_table.c.client_order_id == identity))


def lose_journal_entry(system: TradingSystem) -> None:
    redis, key = system.stores().redis, keys.journal(system.settings.namespace, "XAUUSD")
    at_ms = list(system.journal("XAUUSD"))[30]
    assert redis.xdel(key, f"{at_ms}-0") == 1


def count_candle_twice(system: TradingSystem) -> None:
    system.stores().redis.hincrby(keys.state(system.settings.namespace, "XAUUSD"), "candles", 1)


def swap_fills(system: TradingSystem) -> None:
    fills_of = system.stores().ledger.fills("XAUUSD", limit=1000)
    one, other = fills_of[4], fills_of[5]
    for row, sequence in ((one, -1), (other, one["sequence"]), (one, other["sequence"])):
        in_ledger(system, sa.update(fills).where(fills.c.fill_id == row["fill_id"]).values(sequence=sequence))


def move_position(system: TradingSystem) -> None:
    in_ledger(system, sa.update(positions).where(positions.c.symbol == "XAUUSD").values(realised=0.125))


def lose_move(system: TradingSystem) -> None:
    newest = sa.select(sa.func.max(stop_moves.c.open_ms)).scalar_subquery()
    in_ledger(system, sa.delete(stop_moves).where(stop_moves.c.open_ms == newest))


def move_stop_at_venue(system: TradingSystem) -> None:
    at_venue(system, sa.update(orders_table).where(orders_table.c.leg == "stop_loss").values(price=1.0))


def look(reference: Reference, folder: Path) -> Books:
    return reference.books(due(folder))


def test_books_compared_with_themselves_show_no_difference(run: Reference, tmp_path: Path) -> None:
    books = look(run, tmp_path)

    assert compare(books, look(run, tmp_path)) == []
    assert len(books.parts["fills"]) > 40
    assert len(books.parts["journal"]) == 2 * COUNT
    assert len(books.parts["stop moves"]) > 5


@pytest.mark.parametrize(
    ("doctor", "kind", "part"),
    [
        pytest.param(lose_fill, "lost", "fills", marks=pytest.mark.long),
        (double_order, "duplicate order", "venue orders"),
        pytest.param(place_foreign_order, "orphan", "venue orders", marks=pytest.mark.long),
        (forget_order_at_venue, "orphan", "intents"),
        pytest.param(lose_journal_entry, "lost", "journal", marks=pytest.mark.long),
        (count_candle_twice, "doubled", "journal of XAUUSD"),
        pytest.param(swap_fills, "reordered", "fills of XAUUSD", marks=pytest.mark.long),
        pytest.param(move_position, "differs", "positions", marks=pytest.mark.long),
        pytest.param(lose_move, "lost", "stop moves", marks=pytest.mark.long),
        pytest.param(move_stop_at_venue, "differs", "venue orders", marks=pytest.mark.long),
    ],
)
def test_doctored_books_are_reported_as_what_they_are(
    run: Reference, tmp_path: Path, doctor: Doctor, kind: str, part: str
) -> None:
    expected_books = look(run, tmp_path)
    doctor(run.system)

    assert (kind, part) in {(one.kind, one.part) for one in compare(look(run, tmp_path), expected_books)}
