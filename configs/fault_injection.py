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
        default=0, description="Seed of the faults, a whole number: the same seed gives the same faults."
    )
    most_in_a_row: Annotated[int, Field(strict=True, ge=1, le=10)] = Field(
        default=2, description="Largest number of consecutive calls, of one method for one order, that line faults hit."
    )

    timeout_before_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that a sent order or moved stop times out and never reaches the venue.",
    )
    timeout_after_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that a sent order or moved stop times out after the venue accepted it.",
    )
    timeout_s: Delay = Field(default=0.0, description="Seconds of real time that the caller waits before a timeout.")
    server_error_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that a call gets a server error (5xx); whether the venue has "
        "carried it out is random too.",
    )
    rate_limit_probability: Probability = Field(
        default=0.0, description="Line: probability, 0 to 1, that a call is rejected by a rate limit (429)."
    )
    retry_after_s: Delay = Field(default=1.0, description="Seconds after which a 429 allows a retry.")
    malformed_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that the venue carries out a call but answers with invalid data: "
        "another order's id, NaN, negative units.",
    )
    cancel_race_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that a cancel gets no answer, so that the order may fill before a "
        "retry; whether the venue has canceled it is random too.",
    )
    visibility_s: Delay = Field(
        default=0.0,
        description="Line: longest time, in seconds of real time, before an accepted order becomes visible; "
        "each order has its own, drawn from its id.",
    )
    duplicate_fill_probability: Probability = Field(
        default=0.0, description="Line: probability, 0 to 1, that an answer contains a fill twice."
    )
    shuffled_fills_probability: Probability = Field(
        default=0.0, description="Line: probability, 0 to 1, that an answer lists its fills out of order."
    )
    late_fill_probability: Probability = Field(
        default=0.0,
        description="Line: probability, 0 to 1, that an answer omits a fill although it contains a later one; "
        "each fill at most most_in_a_row times.",
    )

    rejection_probability: Probability = Field(
        default=0.0,
        description="Outcome: probability, 0 to 1, that the venue rejects an order or a moved stop.",
    )
    lost_stop_probability: Probability = Field(
        default=0.0,
        description="Outcome: probability, 0 to 1, that the venue drops a stop as soon as it rests, however often it "
        "is placed; the position stays.",
    )
    partial_order_probability: Probability = Field(
        default=0.0,
        description="Outcome: probability, 0 to 1, that the venue fills a quarter, a half or three quarters of an "
        "order, and cancels the rest.",
    )
    split_fill_probability: Probability = Field(
        default=0.0,
        description="Outcome: probability, 0 to 1, that a fill is reported as two or three that add up to it. Do not "
        "enable it for books that already have fills: it renumbers them.",
    )
    reusable_ids: Switch = Field(
        default=False,
        description="Whether the venue accepts a client order id again as a new order once the order of that id ended.",
    )
    clock_offset_ms: Annotated[int, Field(strict=True)] = Field(
        default=0, description="Milliseconds by which the venue's clock is ahead; behind when negative."
    )
