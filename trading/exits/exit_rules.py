"""Exit rules by the open position: trailing stop, break-even, and a strategy's own hook. docs/reference/exits.md.

Each rule is evaluated at a candle's close, with that close alone: the close is after the fill, but a high or low of the
same candle may be before it. A moved stop is effective from the next candle on.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Self

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trading.events.decisions import CandleDecision, DecisionKind
from trading.formatting import format_price
from trading.indicators.rows import IndicatorRows
from trading.market.candles import COLUMNS, VOLUME, Candles
from trading.orders.orders import Side
from trading.portfolio.positions import StopMove
from trading.rounding import in_ticks
from trading.strategies.errors import answered, brief, is_its_own, raised
from trading.strategies.position_exits import ExitNow, MoveStop, PositionRule, PositionView
from trading.strategies.signal import LONGEST_REASON, Refusal
from trading.structs import replace

HOOK = "manage_position"
TRAILING_STOP = "trailing_stop"
BREAK_EVEN = "break_even"

EXIT_RULE = "exit_rule"
"""Name of the check that identifies the exit rule: the first check of its decision."""


class RuleExit(Struct, frozen=True):
    """An exit rule closes the position.

    Attributes:
        rule: Its id.
        reason: Why, for a person.
    """

    rule: str
    reason: str


class RuleStop(Struct, frozen=True):
    """An exit rule moves the stop of the position.

    Attributes:
        rule: Its id.
        stop_loss: Where the stop is to rest, in quote currency.
        reason: Why, for a person.
    """

    rule: str
    stop_loss: float
    reason: str


_Amount = Annotated[float, Field(strict=True, gt=0)]
_Fraction = Annotated[float, Field(strict=True, gt=0, lt=1)]
_OWN_FRACTION = " as a fraction of the entry price, 0.01 is 1 %; give one of the two."


class _Terms(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _has_value(cls, found: object) -> object:
        """Reject a key without a value: a rule with only commented-out keys would silently be disabled.

        Raises:
            ValueError: It is null.
        """
        if found is None:
            raise ValueError("a value; leave the key out to go without")
        return found

    def _amount(self, name: str, price: float) -> float:
        """Return a distance in quote currency, given directly or as a fraction of `price`; 0.0 if neither is given."""
        amount: float | None = getattr(self, name)
        fraction: float | None = getattr(self, f"{name}_fraction")
        return amount if amount is not None else (fraction or 0.0) * price

    def _given(self, name: str) -> bool:
        """Return whether a distance is given, in one of its two units.

        Raises:
            ValueError: It is given in both.
        """
        given = [key for key in (name, f"{name}_fraction") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"{name} and {name}_fraction are both given: give one of them")
        return bool(given)


class TrailingStop(_Terms):
    """A stop that follows the close at a distance, and never moves back."""

    distance: _Amount | None = Field(default=None, description="From the close to the stop, in quote currency.")
    distance_fraction: _Fraction | None = Field(
        default=None, description="The same as a fraction of the close, 0.01 is 1 %; give one of the two."
    )
    from_profit: _Amount | None = Field(
        default=None,
        description="It begins at a candle that closes this far beyond the entry price, in quote currency; at once if "
        "absent.",
    )
    from_profit_fraction: _Fraction | None = Field(default=None, description=f"The same{_OWN_FRACTION}")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self._given("distance"):
            raise ValueError("it has no distance: give distance in quote currency, or distance_fraction")
        self._given("from_profit")
        return self

    def answer(self, close: float, position: PositionView) -> RuleStop | None:
        """Return the stop price after a candle, None while the profit is too small to activate the rule."""
        begins = self._amount("from_profit", position.entry_price)
        if begins and profit_at(close, position) < begins:
            return None
        distance = self._amount("distance", close)
        way = "below" if position.side is Side.BUY else "above"
        reason = f"{TRAILING_STOP}: {format_price(distance)} {way} the close of {format_price(close)}"
        return RuleStop(TRAILING_STOP, close - position.side.sign * distance, reason)


class BreakEven(_Terms):
    """A stop at the entry price, once the profit is large enough."""

    from_profit: _Amount | None = Field(
        default=None,
        description="The stop is moved at a candle that closes this far beyond the entry price, in quote currency.",
    )
    from_profit_fraction: _Fraction | None = Field(default=None, description=f"The same{_OWN_FRACTION}")
    offset: _Amount | None = Field(
        default=None,
        description="How far beyond the entry price the stop goes, to cover costs, in quote currency; at it if absent.",
    )
    offset_fraction: _Fraction | None = Field(default=None, description=f"The same{_OWN_FRACTION}")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self._given("from_profit"):
            raise ValueError("it has no profit: give from_profit in quote currency, or from_profit_fraction")
        self._given("offset")
        for offset, profit in (("offset", "from_profit"), ("offset_fraction", "from_profit_fraction")):
            far, reached = getattr(self, offset), getattr(self, profit)
            if far is not None and reached is not None and far >= reached:
                raise ValueError(f"{offset} is {far:g} and {profit} is {reached:g}: {offset} must be less")
        return self

    def answer(self, close: float, position: PositionView) -> RuleStop | None:
        """Return the stop at the entry price and its offset, None as long as the profit is too small for it."""
        profit, offset = profit_at(close, position), self._amount("offset", position.entry_price)
        if profit < self._amount("from_profit", position.entry_price) or profit <= offset:
            return None
        sign = position.side.sign
        reason = f"{BREAK_EVEN}: the close of {format_price(close)} is {format_price(profit)} beyond the entry price"
        return RuleStop(BREAK_EVEN, position.entry_price + sign * offset, reason)


class ExitTerms(_Terms):
    """Rules that close a position or move its stop, in addition to the strategy's signals."""

    trailing_stop: TrailingStop | None = Field(
        default=None, description="A stop that follows the close at a distance, and never moves back."
    )
    break_even: BreakEven | None = Field(
        default=None, description="A stop at the entry price, once the profit is large enough."
    )

    def answers(self, close: float, position: PositionView) -> list[RuleStop]:
        """Return each rule's stop price."""
        rules = [rule for rule in (self.break_even, self.trailing_stop) if rule is not None]
        said = [answer for rule in rules if (answer := rule.answer(close, position)) is not None]
        return [one for one in said if one.stop_loss > 0]


class ExitRules(Struct, frozen=True):
    """The exit rules for the open position of one strategy.

    Attributes:
        hook: The strategy if it has an exit hook, else None.
        tick_size: Stops are rounded to it, like those of entries; None for no rounding.
        ignores_opposite: A signal against the position leaves it open.
    """

    terms: ExitTerms
    hook: PositionRule | None = None
    tick_size: float | None = None
    ignores_opposite: bool = False

    def __bool__(self) -> bool:
        """Whether there is any rule or hook."""
        return self.hook is not None or self.terms != ExitTerms()

    def evaluated(
        self, close: float, row: Mapping[str, float] | None, position: PositionView
    ) -> RuleExit | RuleStop | Refusal | None:
        """Evaluate rules and hook, and return an exit, a new stop, or a rejection of the hook's stop.

        An exit has precedence over a stop, and a tighter stop over a wider one. The ledger rejects a stop beyond that
        of the entry (`trading.risk.stop_rules`).

        Args:
            close: Close of the candle.
            row: The hook's argument; None without a row of indicators: then the hook is not called.

        Raises:
            StrategyFault: The hook raised, or returned an invalid value.
        """
        own = None if self.hook is None or row is None else _of_hook(self.hook, row, position)
        if isinstance(own, RuleExit):
            return own
        moves = [self._rounded(one, close, position.side) for one in self.terms.answers(close, position)]
        moves = [one for one in moves if is_tighter(one.stop_loss, position.stop_loss, position.side)]
        if own is not None and not 0 < own.stop_loss < math.inf:
            if not moves:
                return Refusal(rule="stop_price", reason=f"{own.stop_loss} is no price of a stop: {own.reason}")
        elif own is not None:
            moves.append(self._rounded(own, close, position.side))
        best = max(moves, key=lambda one: one.stop_loss * position.side.sign, default=None)
        if best is None or best.stop_loss == position.stop_loss:
            return None
        if _is_reached(best.stop_loss, close, position.side):
            at, stop = format_price(close), format_price(best.stop_loss)
            reason = f"{best.reason}; the close of {at} is at or beyond a stop at {stop}"
            return RuleExit(best.rule, reason)
        return best

    def _rounded(self, move: RuleStop, close: float, side: Side) -> RuleStop:
        if self.tick_size is None:
            return move
        return replace(move, stop_loss=_in_ticks(move.stop_loss, self.tick_size, close, side))


def hook_row(candle: Candles, rows: IndicatorRows) -> dict[str, float]:
    """Return a hook's argument: one candle and its row of indicators, whose names take precedence.

    Args:
        rows: Rows of one strategy, of this candle alone.
    """
    row = {"open_ms": float(candle.last_open_ms)}
    row.update(zip(COLUMNS[:VOLUME], candle.values[-1, :VOLUME].tolist(), strict=True))
    row.update(zip(rows.columns, rows.values[-1, 1:].tolist(), strict=True))
    return row


def profit_at(close: float, position: PositionView) -> float:
    """Return the profit per unit at a price, in quote currency; negative for a loss."""
    return (close - position.entry_price) * position.side.sign


def is_tighter(stop: float, other: float | None, side: Side) -> bool:
    """Return whether a stop is nearer to the market than another one, or there is no other."""
    return other is None or (stop - other) * side.sign > 0


def decision_on(move: StopMove, strategy: str) -> CandleDecision:
    """Return the decision on a candle at which a stop was moved, or its move was rejected.

    Args:
        strategy: Name for the journal; empty where the symbol has one strategy alone.
    """
    return CandleDecision(
        DecisionKind.STOP_KEPT if move.refusal else DecisionKind.STOP_MOVED,
        strategy,
        reason=move.reason,
        exit_rule=move.rule,
        stop_before=move.before,
        stop_after=move.after,
        refusal=move.refusal,
    )


def _is_reached(stop: float, close: float, side: Side) -> bool:
    """Return whether a close is at a stop or beyond it."""
    return (close - stop) * side.sign <= 0


def _in_ticks(stop: float, tick_size: float, close: float, side: Side) -> float:
    """Round a stop like that of an entry, so that the same requested price gives the same stop.

    If rounding would move it to the close, the tick before is used; below the smallest tick it stays unrounded.
    """
    is_long = side is Side.BUY
    rounded = in_ticks(stop, tick_size, upwards=is_long)
    if _is_reached(rounded, close, side) and not _is_reached(stop, close, side):
        rounded = in_ticks(stop, tick_size, upwards=not is_long)
    return rounded if rounded > 0 else stop


def _of_hook(hook: PositionRule, row: Mapping[str, float], position: PositionView) -> RuleExit | RuleStop | None:
    try:
        answer = hook.manage_position(row, position)
    except (Exception, SystemExit) as error:
        if not is_its_own(error):
            raise
        raise raised(hook, HOOK, error, hook.manage_position, row) from error
    match answer:
        case None:
            return None
        case ExitNow(reason) | MoveStop(_, reason) if len(str(reason)) > LONGEST_REASON:
            pass
        case ExitNow(reason):
            return RuleExit(HOOK, f"{HOOK}: {reason}")
        case MoveStop(stop_loss, reason) if (
            not isinstance(stop_loss, (str, bool)) and len(str(reason)) <= LONGEST_REASON
        ):
            try:
                return RuleStop(HOOK, float(stop_loss), f"{HOOK}: {reason}")
            except (TypeError, ValueError, OverflowError):
                pass
    allowed = (
        "ExitNow, MoveStop with a number as its stop_loss, and None; "
        f"a reason has at most {LONGEST_REASON:,} characters"
    )
    raise answered(hook, HOOK, brief(answer), allowed, hook.manage_position)
