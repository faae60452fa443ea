"""Every Redis key of the product but Celery's own, one function each, all below `namespace`."""


def state(namespace: str, symbol: str) -> str:
    """Hash: cursor, desired state, exposure, last decision: what the status table shows of a symbol."""
    return f"{namespace}:state:{symbol}"


def window(namespace: str, symbol: str) -> str:
    """List of packed candles, the newest at the end; it ends at the cursor."""
    return f"{namespace}:candles:{symbol}"


def journal(namespace: str, symbol: str) -> str:
    """Stream with one entry for each candle decided; the entry's id is the candle's open time."""
    return f"{namespace}:journal:{symbol}"


def events(namespace: str) -> str:
    """Stream of the events that leave the worker, and the name of the pub/sub channel that carries the same ones."""
    return f"{namespace}:events"


def service(namespace: str, symbol: str) -> str:
    """Hash: for each of the four services its status, as JSON."""
    return f"{namespace}:services:{symbol}"


def market_clock(namespace: str, symbol: str) -> str:
    """JSON anchor of a played market: which market time stood at which wall time."""
    return f"{namespace}:clock:{symbol}"


def beat_leader(namespace: str) -> str:
    """Lease of the beat that may send ticks."""
    return f"{namespace}:beat:leader"


def beat_epoch(namespace: str) -> str:
    """Counter that grows with each new leader: the fencing token of its ticks."""
    return f"{namespace}:beat:epoch"


def deliveries(namespace: str, task_id: str) -> str:
    """Counter of the deliveries of one message that came more than once."""
    return f"{namespace}:deliveries:{task_id}"


def symbol_record(namespace: str, symbol: str) -> str:
    """JSON: state, and how far up the ladder the symbol is."""
    return f"{namespace}:standing:{symbol}"


def config_revision(namespace: str) -> str:
    """Counter that grows when the configuration files were changed: who sees it load them anew."""
    return f"{namespace}:config:revision"


def workers(namespace: str) -> str:
    """Hash: for each worker, by its node name, its newest heartbeat, as JSON."""
    return f"{namespace}:workers"


def task_failures(namespace: str, symbol: str) -> str:
    """Hash: for each service the last hang or death of its process, as the worker's main process saw it, as JSON."""
    return f"{namespace}:trouble:{symbol}"


def config_applied(namespace: str) -> str:
    """JSON: the configuration that was applied last, as `configs.snapshot` describes it."""
    return f"{namespace}:config:applied"


def config_mark(namespace: str) -> str:
    """Fingerprint of what was applied last: after a loss of Redis revisions are counted from 1 again."""
    return f"{namespace}:config:mark"


def config_built(namespace: str) -> str:
    """Hash: for each symbol what its services were built of when they last were, as JSON."""
    return f"{namespace}:config:built"


def launcher(namespace: str) -> str:
    """JSON: where the launcher runs, while it does: it starts a worker for each new symbol."""
    return f"{namespace}:launcher"
