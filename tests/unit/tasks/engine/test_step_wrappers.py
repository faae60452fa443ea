"""The order of the wrappers; tests/integration/tasks/test_stage_runner.py shows their work on a real task."""

from typing import Any

from tasks.engine import step_wrappers
from tasks.engine.step_wrappers import DELIVERY_WRAPPERS, SERVICE_WRAPPERS, Next, Outcome, ServiceCall, Wrapped
from trading.services.chain import ChainOutcome, ChainResult

CALL: Any = object()


def test_wrappers_run_in_the_order_of_their_list_and_return_in_the_opposite_one() -> None:
    seen: list[str] = []

    def named(name: str) -> Any:
        def wrapper(call: ServiceCall, run: Next[ServiceCall]) -> Outcome:
            seen.append(f"{name} before")
            outcome = run(call)
            seen.append(f"{name} after")
            return outcome

        return wrapper

    result = ChainResult(ChainOutcome.DECIDED)
    wrapped: Wrapped[ServiceCall] = Wrapped([named("outer"), named("inner")], lambda _: result)

    assert wrapped.run(CALL) is result
    assert seen == ["outer before", "inner before", "inner after", "outer after"]


def test_wrapper_that_answers_itself_keeps_the_inner_ones_from_running() -> None:
    result = ChainResult(ChainOutcome.EXPIRED)
    wrapped: Wrapped[ServiceCall] = Wrapped([lambda _call, _run: result], lambda _: ChainResult(ChainOutcome.DECIDED))

    assert wrapped.run(CALL) is result


def test_each_wrapper_of_the_module_is_in_one_of_the_lists() -> None:
    listed = {wrapper.__name__ for wrapper in (*DELIVERY_WRAPPERS, *SERVICE_WRAPPERS)}
    defined = {
        name
        for name, found in vars(step_wrappers).items()
        if callable(found) and list(getattr(found, "__annotations__", ())) == ["call", "run", "return"]
    }

    assert defined == listed
