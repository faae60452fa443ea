"""Decisions as version 0.1.0 stored them: sentences in messages and in the journal.

This is the one place that reads sentences. It is asked for what an older version wrote, and for nothing else.
"""

import re

from trading.events.decisions import NO_SIGNAL, CandleDecision, DecisionKind, Decisions, not_executed

_NOT_EXECUTED = " -> not executed, trade execution is not enabled"
_DRY_RUN = "dry run, nothing sent: "
_TOO_FEW_ROWS = re.compile(r"too few rows: (\d+) of (\d+)")
_QUARANTINED = re.compile(r"quarantined \((\w+)\): nothing is decided")
_NAME = r"([A-Za-z0-9][A-Za-z0-9_-]{0,19}): "
_BEGIN = rf"(?=(?:{_DRY_RUN})?(?:(?:buy|sell|close) |stop \S+ -> |the stop stays at |exit -> ))"
_NAMED = re.compile(_NAME + _BEGIN)
_BETWEEN = re.compile(rf" \| (?={_NAME}{_BEGIN})")
_REJECTED = re.compile(r" -> refused by (\w+): ")
_DRAWDOWN = " -> refused by max_drawdown: "
_HEADROOM = " lost since the peak "
_KINDS = (
    (re.compile(r"stop \S+ -> "), DecisionKind.STOP_MOVED),
    (re.compile(r"the stop stays at "), DecisionKind.STOP_KEPT),
    (re.compile(r".* -> refused by \w+: ", re.DOTALL), DecisionKind.REJECTED),
    (re.compile(r".* -> decided before\Z", re.DOTALL), DecisionKind.DECIDED_BEFORE),
    (re.compile(r"(?:buy|sell|close) at "), DecisionKind.SIGNAL),
    (re.compile(r"(?:buy|sell|close) "), DecisionKind.ACCEPTED),
)


def read_decisions(text: str) -> Decisions:
    """Return the decisions that a text of version 0.1.0 tells of; `trading.events.decisions.describe` gives the same
    text."""
    if text.endswith(_NOT_EXECUTED):
        return not_executed(read_decisions(text.removesuffix(_NOT_EXECUTED)))
    if text == "no signal":
        return NO_SIGNAL
    if found := _TOO_FEW_ROWS.fullmatch(text):
        return (CandleDecision(DecisionKind.TOO_FEW_ROWS, row_count=int(found[1]), required_row_count=int(found[2])),)
    if found := _QUARANTINED.fullmatch(text):
        return (CandleDecision(DecisionKind.QUARANTINED, policy=found[1]),)
    if not _NAMED.match(text):
        return (_decision("", text),)
    return tuple(_decision(*_split(part)) for part in _parts(text))


def _parts(text: str) -> list[str]:
    """Cut the text of a candle where that of the next strategy begins."""
    cuts = [(found.start(), found.end()) for found in _BETWEEN.finditer(text)]
    begins, ends = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(text)]
    return [text[begin:end] for begin, end in zip(begins, ends, strict=True)]


def _split(part: str) -> tuple[str, str]:
    found = _NAMED.match(part)
    assert found is not None  # it was cut there
    return found[1], part[found.end() :]


def _decision(strategy: str, text: str) -> CandleDecision:
    text = _with_present_rule(text)
    words = text.removeprefix(_DRY_RUN)
    kind = next((kind for pattern, kind in _KINDS if pattern.match(words)), DecisionKind.UNKNOWN)
    rejected = _REJECTED.search(words) if kind is DecisionKind.REJECTED else None
    return CandleDecision(
        kind,
        strategy,
        rule=rejected[1] if rejected else "",
        is_dry_run=text.startswith(_DRY_RUN),
        text=text,
    )


def _with_present_rule(text: str) -> str:
    """Name the drawdown rule that rejected: both had one id."""
    rule = "drawdown_headroom" if _HEADROOM in text else "drawdown_latch"
    return text.replace(_DRAWDOWN, f" -> refused by {rule}: ")
