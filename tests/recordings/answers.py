"""The meaning of what the commands answer of a recording: what no later version may change.

Numbers, ids, times, states, rule ids, kinds, and texts that were stored or that users wrote are taken as they are.
Left out are sentences that a command makes when it runs (`headline`, `said` of `explain`, notes, what is wrong with
a replay), what depends on the time of asking (how long a feed is silent), and keys that are not named here: a later
version may put those in other words, and may add fields.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.recordings.commands import Json, Recorded, instant
from tests.recordings.market import MINUTES

Row = Mapping[str, Any]

ORDER = "client_order_id symbol strategy leg side units reference_price stop_loss take_profit state filled_units"
ORDER_ROW = f"{ORDER} market_ms venue_order_id"
FILL = "sequence fill_id client_order_id symbol strategy leg side units price fee market_ms"
POSITION = "symbol strategy units average_price opened_ms realised stop_loss take_profit"
DECISION = "open_ms close regime outcome rule reason strategy correlation_id"
EVENT = "id at_ms type symbol reason correlation_id market_ms"
INCIDENT = "id account symbol kind key halts reason details opened_at_ms resolved_at_ms resolution"
STATUS = "symbol desired timeframe candle_ms candles close units average_price realised orders_filled regime error"
SERVICE = "service_name state is_healthy error_count consecutive_errors processed_count recovery_attempts last_error"
ENTRY = "open_ms decision regime correlation_id values close as_of_ms at_ms timeframe desired quarantine"
SIGNAL = "strategy open_ms side price stop_loss take_profit size_units reason"
TRADE = (
    "symbol strategy side units entry_ms entry_price exit_ms exit_price fees profit exit_reason entry_order_id "
    "exit_order_id stop_loss take_profit"
)
TIMELESS = frozenset({"step_hung", "step_lost", "step_failed", "outside_failed"})
"""Health issues that follow from the records of a step, and not from the time since."""

LASTING = frozenset({"quarantined", "stopped"})
"""States of a symbol that do not depend on the time of asking."""

SECTIONS = ("orders", "fills", "positions", "decisions", "events", "incidents", "status", "health", "explain", "replay")


def answers(record: Recorded, symbols: Sequence[str]) -> dict[str, Json]:
    """Ask a recording everything, and return by section and symbol what the answers mean."""
    many = ("-n", "100000")
    return {
        "orders": {one: picked(record.call("orders", one, *many), ORDER_ROW) for one in symbols},
        "fills": {one: picked(record.call("fills", one, *many), f"{FILL} realised") for one in symbols},
        "positions": {one: picked(record.call("positions", one, "--flat"), POSITION) for one in symbols},
        "decisions": {one: decisions(record.call("decisions", one, *many)) for one in symbols},
        "events": {one: picked(record.call_lines("events", "--symbol", one, *many), EVENT) for one in symbols},
        "incidents": {one: picked(record.call("incidents", one, "--all", *many), INCIDENT) for one in symbols},
        "status": {row["symbol"]: status(row) for row in record.call("status")["symbols"]},
        "health": {name: health(row) for name, row in _health(record).items()},
        "explain": {one: [explained(record, one, at_ms) for at_ms in _candles(record, one)] for one in symbols},
        "replay": {one: replayed(record.call("replay", one, exit_codes=(0, 1))) for one in symbols[:1]},
    }


def lines_of(found: Mapping[str, Mapping[str, Json]]) -> str:
    """Return answers as JSON with a line for each section of each symbol."""
    sections = []
    for section, symbols in found.items():
        lines = ",\n".join(f"{json.dumps(one)}: {json.dumps(answer)}" for one, answer in symbols.items())
        sections.append(f"{json.dumps(section)}: {{\n{lines}\n}}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def decisions(rows: Sequence[Row]) -> list[Row]:
    """Return decisions; the journal's own text where the candle has one decision, and so is told by it alone."""
    counts = Counter(row["open_ms"] for row in rows)
    return [
        picked_one(row, DECISION) | ({"decision": row["decision"]} if counts[row["open_ms"]] == 1 else {})
        for row in rows
    ]


def status(row: Row) -> Row:
    return picked_one(row, STATUS) | {"is_halted": bool(row["halted"])}


def health(row: Row) -> Row:
    return {
        "desired": row["desired"],
        "state": row["state"] if row["state"] in LASTING else "",
        "services": picked(row["services"], SERVICE),
        "sicknesses": [one for one in picked(row["sicknesses"], "kind service reason") if one["kind"] in TIMELESS],
    }


def explained(record: Recorded, symbol: str, open_ms: int) -> list[Row]:
    """Explain a candle, for each strategy of its symbol."""
    found = record.call("explain", symbol, instant(open_ms))
    return [_explanation(one) for one in (found if isinstance(found, list) else [found])]


def replayed(found: Row) -> Row:
    first = found["first_difference"]
    return picked_one(found, "is_identical counts symbols") | {
        "first_difference": first and picked_one(first, "part key symbol market_ms"),
        "left_out": len(found["left_out"]),
    }


def picked(rows: Iterable[Row], names: str) -> list[dict[str, Any]]:
    return [picked_one(row, names) for row in rows]


def picked_one(row: Row, names: str) -> dict[str, Any]:
    return {name: row[name] for name in names.split()}


def _explanation(found: Row) -> Row:
    signal, ruling = found["signal"], found["ruling"]
    return {
        **picked_one(found, "symbol timeframe strategy"),
        "entry": picked_one(found["entry"], ENTRY),
        "values": picked(found["values"], "name now before"),
        "signal": signal and picked_one(signal, SIGNAL),
        "refused": signal and signal["entry_refused"],
        "ruling": ruling and picked_one(ruling, "outcome rule reason"),
        "ruling_checks": picked(ruling["checks"], "rule is_met reason") if ruling else [],
        "checks": picked(found["checks"], "rule is_met"),
        "orders": [
            picked_one({**one["request"], **one}, f"{ORDER} note venue_order_id attempt decided_ms")
            for one in found["orders"]
        ],
        "protective": picked(found["protective"], "client_order_id leg price state"),
        "fills": picked(found["fills"], FILL),
        "trades": picked(found["trades"], TRADE),
        "events": picked(found["events"], "at_ms type"),
    }


def _health(record: Recorded) -> Mapping[str, Row]:
    found: Mapping[str, Row] = record.call("health", exit_codes=(0, 1))["symbols"]
    return found


def _candles(record: Recorded, symbol: str) -> list[int]:
    """Return the candles to be explained: those with a decision, and the first and the last one."""
    rows = record.call("decisions", symbol, "-n", str(2 * MINUTES))
    decided = {row["open_ms"] for row in rows if row["decision"] != "no signal" and "too few" not in row["decision"]}
    return sorted(decided | {rows[0]["open_ms"], rows[-1]["open_ms"]})
