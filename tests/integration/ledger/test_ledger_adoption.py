"""Adopting what somebody traded by hand, on SQLite and on a real PostgreSQL; and closing without a signal there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.backup.backup import LEDGER, backup
from adapters.backup.restore import restore
from adapters.backup.snapshot import snapshot
from adapters.database import create_engine
from adapters.ledger.audit.invariants import check_rules
from adapters.ledger.audit.recompute import Difference, recompute
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import migrate
from adapters.ledger.tables import decisions, fills, intents
from adapters.wiring.adoption import adopt
from tests.fakes import Crash, Databases, Desk, Fuse, planned, system_config
from trading.errors import Rejected, Transient
from trading.execution.adoption import Adjustment, Adoption, AdoptionRequest, Holdings
from trading.incidents.descriptions import position_mismatch
from trading.incidents.incident import IncidentKind
from trading.orders.orders import Leg, OrderRequest, OrderState, Side, VenueOrder, VenuePosition, client_order_id
from trading_orchestrator.testing.candles import SYMBOL, at_place, make_candles
from trading_orchestrator.testing.contracts.ledger.examples import BALANCE, T0_MS, enter, fill_of, request_of

pytest_plugins = ("tests.fixtures.servers.databases",)

SHOWN = 10
STRATEGY = "tests.fakes:PlannedStrategy"
WISH = AdoptionRequest("bought one more in the web page", "ann")


@pytest.fixture
def databases(database_url: str, tmp_path: Path) -> Iterator[Databases]:
    databases = Databases(tmp_path, url=database_url)
    yield databases
    databases.ledger.dispose()
    databases.paper.dispose()


@pytest.fixture
def desk(databases: Databases) -> Desk:
    """A desk that holds two units bought by its strategy, closes them at candle 25, and opens others later."""
    plan = {SHOWN: "buy", SHOWN + 15: "close", SHOWN + 17: "sell"}
    config = system_config(planned(plan, stop_distance=50.0), venue={"kind": "paper", "fill_at": "close"})
    desk = Desk(databases, config, make_candles(60), shown=SHOWN)
    desk.advance()
    desk.play(SHOWN + 3)
    return desk


def trade_by_hand(desk: Desk, side: Side, units: float, price: float = 100.0, *, leg: Leg = Leg.ENTRY) -> None:
    """Trade in the same book of the venue, and let the ledger find out."""
    decided_ms = at_place(SHOWN + 3)
    identity = client_order_id("by-hand", SYMBOL, f"{side}{units}", decided_ms, leg)
    desk.paper.submit(OrderRequest(identity, SYMBOL, STRATEGY, leg, side, units, price, decided_ms))
    desk.pipeline.reconcile()


def number_of(desk: Desk, kind: IncidentKind) -> int:
    [row] = [row for row in desk.ledger.incidents(SYMBOL) if row["kind"] == kind]
    return int(row["id"])


def adopted(
    desk: Desk, kind: IncidentKind = IncidentKind.POSITION_MISMATCH, request: AdoptionRequest = WISH
) -> list[int]:
    """Adopt the one incident of a kind, and return the numbers of those that were closed."""
    done = adopt(number_of(desk, kind), desk.ledger, desk.pipeline, request, configured=[STRATEGY])
    assert done is not None
    return [row["id"] for row in done[1]]


def lose_the_owner(databases: Databases) -> None:
    """Have no entry hold a place in the account, as after a stop that was filled twice."""
    with databases.ledger.begin() as connection:
        connection.execute(sa.update(intents).values(risk_reserved=None, notional_reserved=None))


def differences(databases: Databases) -> list[Difference]:
    with snapshot(databases.ledger) as view:
        findings = recompute(view, lambda _: None)
        check_rules(view, findings, lambda _: None)
    return findings.differences


def held(desk: Desk) -> float:
    return sum(position.units for position in desk.ledger.positions())


def kinds(desk: Desk) -> list[str]:
    return [row["kind"] for row in desk.ledger.incidents(SYMBOL)][::-1]


def adjustments(desk: Desk) -> list[tuple[str, str, float, float]]:
    rows = [row for row in desk.ledger.fills(SYMBOL)[::-1] if row["adjustment"]]
    return [(row["leg"], row["side"], row["units"], row["price"]) for row in rows]


def test_adoption_of_a_larger_position_lets_the_symbol_trade_on_with_its_true_size(
    desk: Desk, databases: Databases
) -> None:
    trade_by_hand(desk, Side.BUY, 1.0, 102.0)
    assert kinds(desk) == ["foreign_fill", "position_mismatch"]
    average = desk.paper.positions()[0].average_price
    assert len(adopted(desk)) == 2

    assert (held(desk), kinds(desk)) == (3.0, [])
    assert adjustments(desk) == [("entry", "buy", 1.0, average)]
    assert differences(databases) == []
    assert not any(incident.kind.halts for incident in desk.ledger.incidents_of(SYMBOL))
    desk.pipeline.reconcile()
    assert kinds(desk) == []  # the venue sizes its stop by the position
    desk.play(SHOWN + 16)
    assert held(desk) == 0.0
    assert list(desk.paper.positions()) == []
    desk.play(SHOWN + 19)
    assert held(desk) == -2.0
    assert differences(databases) == []


def test_adoption_reports_who_requested_it_and_why(desk: Desk, databases: Databases) -> None:
    trade_by_hand(desk, Side.BUY, 1.0)
    identity = number_of(desk, IncidentKind.POSITION_MISMATCH)
    adopted(desk)

    with databases.ledger.connect() as connection:
        [decision] = connection.execute(sa.select(decisions).where(decisions.c.origin == "adoption")).all()
    resolution = f"adopted by ann: bought one more in the web page (incident {identity})"
    assert (decision.rule, decision.reason, decision.correlation_id) == ("adopted", resolution, f"adoption:{identity}")
    [row] = [row for row in desk.ledger.orders(SYMBOL) if row["correlation_id"] == decision.correlation_id]
    assert (row["state"], "-a-" in row["client_order_id"]) == ("filled", True)
    assert {row["resolution"] for row in desk.ledger.incidents(only_open=False)} == {
        "adopted by ann: bought one more in the web page"
    }


def test_adoption_of_what_was_closed_by_hand_frees_its_place_and_realises_at_the_price_given(
    desk: Desk, databases: Databases
) -> None:
    trade_by_hand(desk, Side.SELL, 2.0, 103.0, leg=Leg.EXIT)
    with pytest.raises(Rejected, match=r"set the traded price; what was seen: .* sell 2 at 103"):
        adopted(desk)
    assert (adjustments(desk), len(kinds(desk))) == ([], 2)
    bought = desk.ledger.positions()[0].average_price
    adopted(desk, request=AdoptionRequest("sold it myself", "ann", price=103.0))

    [position] = desk.ledger.positions()
    assert position.units == 0.0
    assert position.realised == pytest.approx(2 * (103.0 - bought))
    assert desk.ledger.balance() == pytest.approx(100_000.0 + 2 * (103.0 - bought))
    assert not desk.ledger.has_exposure(SYMBOL)
    assert differences(databases) == []


def test_adoption_of_a_position_that_was_turned_by_hand_ends_ours_and_opens_the_other(
    desk: Desk, databases: Databases
) -> None:
    trade_by_hand(desk, Side.SELL, 2.0, leg=Leg.EXIT)
    trade_by_hand(desk, Side.SELL, 1.5)
    row = desk.ledger.incidents(SYMBOL)
    mismatch = [one for one in row if one["kind"] == "position_mismatch"]
    desk.ledger.resolve_incident(mismatch[0]["id"], "it has changed since")
    desk.pipeline.reconcile()
    adopted(desk)

    assert [leg for leg, *_ in adjustments(desk)] == ["exit", "entry"]
    assert (held(desk), differences(databases)) == (-1.5, [])
    assert desk.ledger.owners(SYMBOL) == {STRATEGY}


def test_adoption_after_the_difference_has_changed_is_rejected_and_books_nothing(
    desk: Desk, databases: Databases
) -> None:
    trade_by_hand(desk, Side.BUY, 1.0)
    trade_by_hand(desk, Side.BUY, 2.0)
    with pytest.raises(Rejected, match=r"says that the ledger holds 2 and the venue 3, and now .* the venue 5"):
        adopted(desk)

    assert (adjustments(desk), held(desk)) == ([], 2.0)
    assert differences(databases) == []


@pytest.mark.parametrize("silent", ["positions", "fills", "sync"])
def test_adoption_without_an_answer_of_the_venue_books_nothing(desk: Desk, silent: str) -> None:
    trade_by_hand(desk, Side.BUY, 1.0)
    desk.venue.silent = {silent}
    with pytest.raises(Transient, match=f"no answer to {silent}"):
        adopted(desk)
    assert adjustments(desk) == []


def test_adoption_while_the_outcome_of_an_order_is_not_known_books_nothing(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(databases, system_config(planned({SHOWN: "buy"})), make_candles(60), shown=SHOWN)
    desk.advance()
    desk.advance(show=1)
    monkeypatch.setattr(desk.paper, "positions", lambda: [VenuePosition(SYMBOL, "x", 3.0, 100.0)])
    desk.pipeline.reconcile()
    desk.venue.silent = {"find"}
    with pytest.raises(Transient, match="no answer to find"):
        adopted(desk)
    desk.venue.silent = set()
    [intent] = desk.ledger.unsettled(SYMBOL)
    identity = intent.request.client_order_id
    with monkeypatch.context() as patch:
        patch.setattr(desk.paper, "find", lambda _: VenueOrder(identity, "paper-1", OrderState.FILLED, 2.0))
        with pytest.raises(Transient, match="the outcome of the entry buy 2 is not visible yet"):
            adopted(desk)
    assert adjustments(desk) == []
    adopted(desk)
    assert adjustments(desk) == [("entry", "buy", 3.0, 100.0)]


def test_adoption_of_an_incident_that_nobody_knows_is_none(desk: Desk) -> None:
    assert adopt(77, desk.ledger, desk.pipeline, WISH, configured=[STRATEGY]) is None


def test_adoption_twice_books_once(desk: Desk) -> None:
    trade_by_hand(desk, Side.BUY, 1.0)
    identity = number_of(desk, IncidentKind.POSITION_MISMATCH)
    adopted(desk)
    assert adopt(identity, desk.ledger, desk.pipeline, WISH, configured=[STRATEGY]) is None
    assert len(adjustments(desk)) == 1


def test_adoption_of_an_unowned_position_gives_it_an_owner_and_no_profit(desk: Desk, databases: Databases) -> None:
    lose_the_owner(databases)
    desk.pipeline.reconcile()
    assert kinds(desk) == ["unowned_position"]
    before = desk.ledger.balance()
    adopted(desk, IncidentKind.UNOWNED_POSITION)

    assert (held(desk), desk.ledger.balance(), kinds(desk)) == (2.0, before, [])
    assert desk.ledger.owners(SYMBOL) == {STRATEGY}
    desk.pipeline.reconcile()
    assert kinds(desk) == []
    desk.play(SHOWN + 16)
    assert held(desk) == 0.0
    assert differences(databases) == []


def test_fill_that_comes_after_an_adoption_and_belongs_before_it_is_folded_there(databases: Databases) -> None:
    ledger = SqlLedger(databases.ledger, "main", BALANCE)
    request = enter(ledger, request_of()).request
    ledger.record_fills("XAUUSD", [fill_of(request, 2, units=1.0, price=104.0)])
    ledger.open_incidents([position_mismatch("XAUUSD", 1.0, 4.0)])
    both = Holdings("XAUUSD", ledger.positions(), [VenuePosition("XAUUSD", "", 4.0, 110.0)], T0_MS, T0_MS + 1)
    adoption = Adoption("trend", (Adjustment(Leg.ENTRY, Side.BUY, 3.0, 110.0),))
    assert len(ledger.adopt(ledger.incidents()[0]["id"], adoption, both, WISH)) == 1
    ledger.record_fills("XAUUSD", [fill_of(request, 1, units=1.0, price=96.0)])

    [position] = ledger.positions()
    assert position.units == 5.0
    assert position.average_price == pytest.approx((104.0 + 96.0 + 330.0) / 5)
    assert [row["fill_id"] for row in ledger.fills()] == ["adoption-1", "fill-2", "fill-1"]
    assert differences(databases) == []


def test_adoption_of_holdings_that_a_fill_has_changed_meanwhile_is_rejected(databases: Databases) -> None:
    ledger = SqlLedger(databases.ledger, "main", BALANCE)
    request = enter(ledger, request_of()).request
    ledger.open_incidents([position_mismatch("XAUUSD", 0.0, 3.0)])
    seen = Holdings("XAUUSD", ledger.positions(), [VenuePosition("XAUUSD", "", 3.0, 110.0)], T0_MS, T0_MS + 1)
    ledger.record_fills("XAUUSD", [fill_of(request, 1)])
    adoption = Adoption("trend", (Adjustment(Leg.ENTRY, Side.BUY, 3.0, 110.0),))
    with pytest.raises(Rejected, match="was recorded since"):
        ledger.adopt(ledger.incidents()[0]["id"], adoption, seen, WISH)
    assert len(ledger.decisions()) == len(ledger.fills()) == 1


def test_adoption_survives_a_backup_into_the_other_kind_of_database(
    desk: Desk, databases: Databases, tmp_path: Path
) -> None:
    trade_by_hand(desk, Side.BUY, 1.0)
    adopted(desk)
    backup(databases.ledger, LEDGER, tmp_path / "copy.sqlite3", lambda _done, _whole: None)
    target = create_engine(f"sqlite:///{tmp_path}/restored.db")
    migrate(target)
    restore(tmp_path / "copy.sqlite3", target, LEDGER, lambda _done, _whole: None)
    with snapshot(target) as view:
        findings = recompute(view, lambda _: None)
        check_rules(view, findings, lambda _: None)
        rows = view.execute(sa.select(fills.c.adjustment).order_by(fills.c.adjustment)).scalars().all()
    target.dispose()

    assert (findings.differences, rows) == ([], [0, 1])


@pytest.mark.parametrize(
    "damage",
    [
        sa.update(fills).where(fills.c.adjustment == 1).values(adjustment=0),
        sa.update(fills).where(fills.c.adjustment == 0).values(adjustment=7),
        sa.update(decisions).where(decisions.c.origin == "adoption").values(origin="signal"),
    ],
)
def test_verify_finds_an_adoption_that_is_not_marked_or_a_fill_that_is(
    desk: Desk, databases: Databases, damage: sa.Update
) -> None:
    trade_by_hand(desk, Side.BUY, 1.0)
    adopted(desk)
    with databases.ledger.begin() as connection:
        connection.execute(damage)

    assert "fill: adjustment" in {one.check for one in differences(databases)}


def test_adoption_cut_off_before_or_after_it_is_booked_or_not_at_all(desk: Desk, databases: Databases) -> None:
    trade_by_hand(desk, Side.BUY, 1.0)
    identity = number_of(desk, IncidentKind.POSITION_MISMATCH)
    for after in (False, True):
        ledger = Fuse(1, after=after).watch(desk.ledger, "adopt")
        with pytest.raises(Crash):
            adopt(identity, ledger, desk.pipeline, WISH, configured=[STRATEGY])
        assert (len(adjustments(desk)), len(kinds(desk))) == ((1, 0) if after else (0, 2))
    assert differences(databases) == []


# closing without a signal


def test_flatten_on_this_database_ends_flat_with_one_exit_and_the_fence_where_it_was(
    desk: Desk, databases: Databases
) -> None:
    desk.venue.fail("submit", Transient("venue", "no answer"), after=True)
    fence = desk.ledger.fence(SYMBOL)
    answer = desk.pipeline.flatten("enough")
    desk.pipeline.flatten("again")

    assert (answer.outcome, held(desk), list(desk.paper.positions())) == ("flat", 0.0, [])
    assert [row["leg"] for row in desk.ledger.orders(SYMBOL)].count("exit") == 1
    assert desk.ledger.fence(SYMBOL) == fence
    assert differences(databases) == []


def test_flatten_after_an_adoption_closes_all_of_it(desk: Desk, databases: Databases) -> None:
    trade_by_hand(desk, Side.BUY, 1.0)
    assert desk.pipeline.flatten("enough").outcome == "refused"
    adopted(desk)
    assert desk.pipeline.flatten("enough").outcome == "flat"
    assert list(desk.paper.positions()) == []
    assert differences(databases) == []
