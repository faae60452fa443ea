"""Faults that a venue injects on purpose: configuration of `adapters.venues.fault_injection`."""

from typing import Annotated

from pydantic import Field

from configs.services import ConfigModel, Switch

Probability = Annotated[float, Field(strict=True, ge=0, le=1)]
Delay = Annotated[float, Field(strict=True, ge=0)]


class Faults(ConfigModel):
    """Kinds and probabilities of injected faults; none by default. The same seed gives the same faults.

    Line faults are drawn anew at each call, and stop after `most_in_a_row` of them, so that a retry succeeds. Outcome
    faults depend only on the id of the order or fill: they are the same in every process, every time.
    """

    seed: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=0, description="Seed of the faults, a whole number: the same seed makes the same faults."
    )
    most_in_a_row: Annotated[int, Field(strict=True, ge=1, le=10)] = Field(
        default=2, description="Number of calls in a row, of one method for one order, that faults of the line may hit."
    )

    timeout_before_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that a sent order, or a stop that is moved, times out and "
        "never reached the venue.",
    )
    timeout_after_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that a sent order or moved stop times out though "
        "the venue has taken it.",
    )
    timeout_s: Delay = Field(
        default=0.0, description="Seconds of real time that the caller waits before a timeout is told."
    )
    server_error_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that a call is answered by a server error (5xx); whether the venue has "
        "done what it was asked for is drawn too.",
    )
    rate_limit_probability: Probability = Field(
        default=0.0, description="Line: probability, 0 to 1, that a call is refused as one too many (429)."
    )
    retry_after_s: Delay = Field(default=1.0, description="Seconds after which a 429 says one may come back.")
    malformed_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that the venue does what it was asked for and answers nonsense: "
        "another order's id, NaN, negative units.",
    )
    cancel_race_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that a cancel is not answered, so that the order may fill before it is "
        "asked for again; whether the venue has canceled it is drawn too.",
    )
    visibility_s: Delay = Field(
        default=0.0,
        description="Line: longest time, in seconds of real time, for which an order that was taken is not shown yet; "
        "each order has its own, drawn from its id.",
    )
    duplicate_fill_probability: Probability = Field(
        default=0.0, description="Line: probability, 0 to 1, that a fill is told twice in one answer."
    )
    shuffled_fills_probability: Probability = Field(
        default=0.0, description="Line: probability, 0 to 1, that an answer tells its fills out of order."
    )
    late_fill_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that an answer leaves out a fill while it tells a later one already; "
        "each fill at most most_in_a_row times.",
    )

    rejection_probability: Probability = Field(
        default=0.0,
        description="Outcome: probability, 0 to 1, that the venue refuses an order, or a stop that is moved.",
    )
    partial_order_probability: Probability = Field(
        default=0.0,
        description="Outcome: probability, 0 to 1, that the venue takes a quarter, a half or three quarters of an "
        "order, and cancels the rest.",
    )
    split_fill_probability: Probability = Field(
        default=0.0,
        description="Outcome: probability, 0 to 1, that a fill is told as two or three that add up to it. Not to be "
        "switched on over books that have fills already: it numbers them anew.",
    )
    reusable_ids: Switch = Field(
        default=False,
        description="Whether the venue takes a client order id again as a new order once the order of that id ended.",
    )
    clock_offset_ms: Annotated[int, Field(strict=True)] = Field(
        default=0, description="Milliseconds by which the venue's clock is ahead; behind when negative."
    )
