"""What the rules need of the outside world, as small interfaces; `adapters/` implements each."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from trading.events.decisions import Decisions
from trading.events.messages import Event, Regime
from trading.incidents.incident import Incident
from trading.lifecycle import DesiredState, PositionPolicy
from trading.market.candles import Candles
from trading.market.feed_health import FeedMemory, Shown
from trading.orders.orders import Fill, OpenOrder, OrderRequest, OrderState, VenueOrder, VenuePosition
from trading.portfolio.positions import Position, StopMove
from trading.risk.verdict import LedgerView, Verdict
from trading.structs import AllButLast


@dataclass(frozen=True, slots=True)
class Bars:
    """What a source answered.

    Attributes:
        candles: Oldest first; the newest may still be forming.
        as_of_ms: Market time of the answer, milliseconds since the epoch, UTC.
        more: The source could answer with newer closed candles at once.
        is_over: No candle will close in this market any more: a recording has come to its end.
    """

    candles: Candles
    as_of_ms: int
    more: bool = False
    is_over: bool = False


class CandleSource(Protocol):
    """Where the candles of one symbol come from.

    It answers as an exchange does: the newest bar is the one that is still forming, and shows nothing later than
    `as_of_ms`.
    `after_ms` is the open time of the last candle that was decided, None before the first.
    """

    def newest(self, count: int, *, after_ms: int | None) -> Bars:
        """Return the newest `count` bars, or as many as there are.

        Raises:
            Transient: The source did not answer.
        """
        ...

    def history(self, until_ms: int, *, count: int) -> Candles:
        """Return the newest `count` closed candles that opened at `until_ms` or before: what indicators need to begin.

        Raises:
            Transient: The source did not answer.
        """
        ...

    def since(self, after_ms: int, *, limit: int) -> Bars:
        """Return the oldest `limit` bars that opened after `after_ms`: what a symbol that was away has missed.

        Raises:
            Transient: The source did not answer.
        """
        ...

    def close(self) -> None:
        """Give back connections, and forget what is kept of answers; the next question opens what it needs anew.

        Called when the fetch service begins anew after an error: a client that hangs is healed by a new one. It may be
        called at any time and more than once, waits for nobody, and never fails.
        """
        ...


@dataclass(frozen=True, slots=True)
class VenueTerms:
    """What a venue promises.

    Attributes:
        visibility_s: Longest time, in seconds of real time, from the beginning of a send to the moment at which `find`
            shows the order. That it finds none any sooner proves nothing. A venue that takes an id again once its order
            has ended needs the time limit of a send (15 s here) in it; where ids are unique a late one does nothing.
        is_exact: It lives in our own process and cannot be wrong: it shows each fill at once and whole, and nobody else
            trades there. So ledger and venue need no comparison.
    """

    visibility_s: float = 0.0
    is_exact: bool = False


class Venue(Protocol):
    """Where orders go. Every method may raise Transient, after which the outcome is not known.

    An entry's stop and target rest at the venue from the moment it fills, sized by what was filled; the fill of one
    cancels the other. An exit never opens or turns a position.
    """

    @property
    def terms(self) -> VenueTerms: ...

    def submit(self, request: OrderRequest) -> VenueOrder:
        """Send an order; the same `client_order_id` sent again returns the first order and places nothing.

        Raises:
            Rejected: The venue refuses it; there is no such order.
            Transient: Not known whether there is one now.
        """
        ...

    def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel what is not yet filled of an order, and return how it stands."""
        ...

    def move_stop(self, entry_id: str, stop_loss: float, open_ms: int) -> None:
        """Let the stop of an entry that filled rest at another price; one that came without gets its first one.

        The stop that rests is modified where it is: there is no moment without one, and what is left of the position
        is covered as before. It keeps the id `trading.orders.orders.protective_order_id(entry_id, Leg.STOP_LOSS)`, and
        the fill of stop or target still cancels the other. The same price again changes nothing, so a call whose answer
        was lost is made again.

        An adapter of an exchange that cannot modify a stop in place sends the new one first, reduce-only and under an
        id that says which move it is, cancels the old one once it was taken, and tells the new one under the id above.
        Where the exchange refuses two stops at once, it raises `Rejected` rather than remove the only one.

        Args:
            entry_id: `client_order_id` of the entry that opened the position.
            stop_loss: Price, in quote currency.
            open_ms: Open time of the candle that was decided on. A venue that fills by candles lets only later ones
                reach the stop there: that candle may be shown again, and had not moved the stop when it closed.

        Raises:
            Rejected: No such entry, no position of it, or no price that the venue takes; the stop rests where it did.
            Transient: Not known whether it was moved.
        """
        ...

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Return an order, None when the venue is sure that there is none."""
        ...

    def sync(self, symbol: str, candles: Candles) -> int:
        """Let the venue see closed candles, and return the sequence number of the symbol's newest fill, 0 for none.

        Only a venue that fills by candles uses them, each once however often it is shown. `candles` may be empty.
        """
        ...

    def fills(self, symbol: str, *, after: int) -> Sequence[Fill]:
        """Return the symbol's fills whose sequence number is above `after`, in order."""
        ...

    def positions(self) -> Sequence[VenuePosition]:
        """Return the open positions."""
        ...

    def open_orders(self, symbol: str) -> Sequence[OpenOrder]:
        """Return the symbol's orders that rest at the venue, protective ones too, whoever sent them."""
        ...

    def clock_ms(self) -> int:
        """Return the venue's own clock, milliseconds since the epoch, UTC: real time, not market time."""
        ...


class Intent(AllButLast, frozen=True, eq=False):
    """An order that was decided on, and how it stands.

    Attributes:
        attempt: How often it was claimed to be sent; 0 for never.
        filled_units: What the fills written down add up to.
        claimed_ago_s: Seconds of real time since the last claim; 0.0 when never. Two that differ in it alone are equal.
    """

    request: OrderRequest
    state: OrderState
    venue_order_id: str | None = None
    attempt: int = 0
    filled_units: float = 0.0
    claimed_ago_s: float = 0.0


class Mark(Struct, frozen=True):
    """How an order stands from now on.

    Attributes:
        reason: Why, where a person may ask.
        claims: The number of the attempt that a step to SUBMITTING begins. It is one more than the intent's own, else
            somebody else has claimed the order in between, and none of the marks that came with it is written.
    """

    client_order_id: str
    state: OrderState
    venue_order_id: str | None = None
    reason: str = ""
    claims: int | None = None


class Decided(Struct, frozen=True):
    """What the ledger answers to a decision.

    Attributes:
        verdict: None when this candle, or a later one, was decided before: nothing was written.
        intents: The orders that were written down with it, in the order in which they are to be sent.
        earlier: What was decided before on this very candle, without its orders; None when a later one was.
    """

    verdict: Verdict | None
    intents: tuple[Intent, ...] = ()
    earlier: Verdict | None = None


class Ledger(Protocol):
    """What must never be lost. Each method is one transaction."""

    def decide(
        self,
        symbol: str,
        strategy: str,
        open_ms: int,
        judge: Callable[[LedgerView], Verdict],
        *,
        correlation_id: str,
        dry_run: bool = False,
    ) -> Decided:
        """Decide on one candle's signal, once.

        Under the account's lock: refuse when the fence of (symbol, strategy) is at or past `open_ms`; else read the
        view, let `judge` decide, write the decision, its intents with what they reserve, and move the fence, or nothing
        at all. The first intent is claimed with it (SUBMITTING), those that wait for it are PLANNED. With `dry_run` the
        decision is written and no intent.
        """
        ...

    def written(
        self, symbol: str, strategies: Collection[str], since_ms: int
    ) -> Mapping[tuple[str, int], StopMove | Verdict]:
        """Return what is written down of candles that opened at `since_ms` or later, by strategy and open time.

        That is the move of a stop, else what was decided on a signal, without its orders.
        """
        ...

    def flatten(
        self,
        symbol: str,
        strategy: str,
        after_ms: int,
        judge: Callable[[LedgerView, int], Verdict],
        *,
        correlation_id: str,
    ) -> Decided:
        """Decide to close what a strategy holds, without a signal: as `decide`, and the fence stays where it is.

        The decision is named by a time that no candle opens at, some milliseconds after `after_ms` and after the newest
        decision; `judge` is given it. A refusal is not written down: it may be asked for again and again.

        Args:
            after_ms: Open time of the last candle that is known, milliseconds since the epoch, UTC.
        """
        ...

    def move_stop(
        self,
        symbol: str,
        strategy: str,
        open_ms: int,
        stop_loss: float,
        reason: str,
        *,
        correlation_id: str,
        rule: str = "",
    ) -> StopMove | None:
        """Write down that the stop of a position is to rest elsewhere, and why, once for each candle.

        Under the account's lock: a candle that has its move gets that one again, as it was; else the stop of the
        position is changed, with the move beside it. Where our rules forbid it (`trading.risk.stop_rules`: a symbol
        that is stopped or halted, a stop beyond the one that the entry came with), the move is written down as
        refused, and the stop stays.

        Args:
            rule: Id of the exit rule that asks for it; empty where none does.

        Returns:
            The move; None, and nothing is written, where nothing is open, where the stop is to rest there already, and
            where a later candle was decided on or moved it.
        """
        ...

    def refuse_stop(self, move: StopMove, reason: str) -> StopMove:
        """Write down that the venue refused a move, and return it so: the stop is to rest where it did before.

        One that is not current any more stays as it is, and comes back so: others have carried it out meanwhile, or
        it ended with its position.
        """
        ...

    def stop_move(self, symbol: str, strategy: str, open_ms: int) -> StopMove | None:
        """Return what was written down of a candle; None when nothing was."""
        ...

    def stop_moves(self, symbol: str) -> Sequence[StopMove]:
        """Return the moves of the symbol's open positions that were not refused, oldest first."""
        ...

    def mark(self, *marks: Mark) -> bool:
        """Write down how orders stand, all of them or none.

        A final state releases what the order reserved; a mark of one that has ended changes nothing.

        Returns:
            False, and nothing is written, when somebody else has claimed an order that a mark claims, or when an order
            that a mark says was taken has been given up meanwhile.
        """
        ...

    def unsettled(self, symbol: str) -> Sequence[Intent]:
        """Return the symbol's intents in a state that is not final, oldest first."""
        ...

    def record_fills(self, symbol: str, fills: Sequence[Fill]) -> Sequence[tuple[Fill, Position, Position]]:
        """Write down fills and what they do; those known already are passed over.

        Positions are what the fills make of them in the order of their sequence numbers, whenever they arrive.

        Returns:
            (fill, position before, position after) for each fill that was new.
        """
        ...

    def fills_from(self, symbol: str) -> int:
        """Return the sequence number after which fills of the symbol may be missing, 0 for none.

        It lies some fills before the newest one: a venue may show a fill later than the one that followed it.
        """
        ...

    def order_states(self, client_order_ids: Collection[str]) -> Mapping[str, OrderState]:
        """Return how the orders stand that are ours; a protective order stands as its entry does."""
        ...

    def order_strategies(self, client_order_ids: Collection[str]) -> Mapping[str, str]:
        """Return whose each order is that we decided on, or protects what such an order opened; others are left out."""
        ...

    def owners(self, symbol: str) -> frozenset[str]:
        """Return the strategies with an entry of the symbol that holds a place in the account."""
        ...

    def overfilled(self, client_order_ids: Collection[str]) -> Mapping[str, tuple[float, float]]:
        """Return those of our orders that were filled beyond their size: (units ordered, units filled)."""
        ...

    def open_incidents(self, incidents: Sequence[Incident]) -> Sequence[Incident]:
        """Write down what a person must hear of, and return those that were not told before."""
        ...

    def incidents_of(self, symbol: str) -> Sequence[Incident]:
        """Return the symbol's incidents that nobody has resolved."""
        ...

    def untold(self, symbol: str) -> Sequence[Incident]:
        """Return those of them whose event has not left the worker, as far as is known."""
        ...

    def mark_told(self, incidents: Sequence[Incident]) -> None:
        """Write down that the events of incidents have left the worker."""
        ...

    def quarantine(self, symbol: str) -> PositionPolicy | None:
        """Return what becomes of the position of a symbol that is set aside; None for one that is not."""
        ...

    def set_quarantine(self, symbol: str, policy: PositionPolicy, *, cause: str, reason: str) -> bool:
        """Set a symbol aside: after the return no entry of it can be decided or claimed. Exits go on.

        Args:
            cause: A short name, for programs.
            reason: What was found, for a person.

        Returns:
            False, and nothing is written, when it is set aside already.

        Raises:
            Rejected: There is no such policy.
        """
        ...

    def clear_quarantine(self, symbol: str, *, reason: str) -> bool:
        """Let a symbol that was set aside work again; False when it was not."""
        ...

    def has_exposure(self, symbol: str) -> bool:
        """Return whether the symbol has an open position or an order that is not final."""
        ...

    def fence(self, symbol: str) -> int | None:
        """Return the open time of the newest candle decided on, None before the first."""
        ...

    def desired(self, symbol: str) -> DesiredState:
        """Return what the user wants of the symbol; RUNNING where nothing was said."""
        ...

    def set_desired(self, symbol: str, state: DesiredState, *, reason: str) -> None:
        """Write down what the user wants. After the return no decision that it forbids can be written."""
        ...

    def positions(self) -> Sequence[Position]:
        """Return the position of each (symbol, strategy) that ever had a fill, flat ones too."""
        ...


@dataclass(frozen=True, slots=True)
class SymbolMemory:
    """What the fast store knows of a symbol; all of it can be rebuilt.

    Attributes:
        cursor_ms: Open time of the last candle decided, 0 before the first; None when the store knows nothing.
        has_exposure: An order or a position may be alive, so each candle must reach the venue.
        regime: Of the last candle decided.
        generation: Grows each time the symbol's services shall begin anew.
        timeframe: Of the stored candles.
        quarantine: The policy of a symbol that is set aside; None for one that is not.
    """

    cursor_ms: int | None
    desired: DesiredState
    has_exposure: bool
    regime: Regime
    generation: int
    timeframe: str = ""
    quarantine: PositionPolicy | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """The end of a batch: what was decided for each of its candles.

    Attributes:
        after_ms: The cursor that the batch was fetched after, 0 for none.
        candles: The batch.
        decisions: Those on each candle.
        has_exposure: None leaves what the store knows.
        shown: What the answer that the batch came of showed of its market; None leaves what the store knows.
        desired: What the user wanted of the symbol when the batch was fetched.
        quarantine: The policy of a symbol that was set aside; None for one that was not.
        config: Short digest of the configuration that decided.
    """

    symbol: str
    timeframe: str
    after_ms: int
    candles: Candles
    decisions: Sequence[Decisions]
    regimes: Sequence[Regime]
    has_exposure: bool | None = None
    shown: Shown | None = None
    desired: DesiredState = DesiredState.RUNNING
    quarantine: PositionPolicy | None = None
    config: str = ""


class SymbolStore(Protocol):
    """Cursor, candle window and journal of the symbols: fast, and rebuilt from source and ledger when lost."""

    def load(self, symbol: str) -> SymbolMemory: ...

    def window(self, symbol: str, count: int, *, until_ms: int) -> Candles:
        """Return the newest `count` candles up to the one opened at `until_ms`; fewer where there are not as many."""
        ...

    def seed(self, symbol: str, history: Candles, *, timeframe: str, cursor_ms: int, desired: DesiredState) -> None:
        """Begin, or begin anew, from history that is not to be decided on."""
        ...

    def expose(self, symbol: str) -> None:
        """Note that an order may soon be alive: said before it is written down."""
        ...

    def set_desired(self, symbol: str, state: DesiredState) -> None:
        """Show what the ledger says the user wants."""
        ...

    def set_quarantine(self, symbol: str, policy: PositionPolicy | None) -> None:
        """Show whether the ledger has the symbol set aside."""
        ...

    def note_fetch(self, symbol: str, shown: Shown) -> None:
        """Write down what an answer showed that brought nothing to decide on."""
        ...

    def feed(self, symbol: str) -> FeedMemory | None:
        """Return what the last answers of the symbol's source showed; None before the first."""
        ...

    def renew(self, symbol: str) -> None:
        """Have the symbol's services begin anew at their next tick, wherever they run."""
        ...

    def commit(self, commit: Commit, events: Sequence[Event]) -> int:
        """Append the candles to the window and the decisions to the journal, move the cursor, publish the events.

        All or nothing; candles at or before the cursor are left out, so a second delivery changes nothing. So are all
        of them where the cursor is before `after_ms`: the store lost what lies between, and it is fetched again.

        Returns:
            How many candles were new.
        """
        ...
