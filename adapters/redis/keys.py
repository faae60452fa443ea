"""Redis keys of the project, one function each, all below `namespace`; Celery's own keys are not included."""


def state(namespace: str, symbol: str) -> str:
    """Hash with a symbol's cursor, desired state, exposure and last decision, as shown in the status table."""
    return f"{namespace}:state:{symbol}"


def prices(namespace: str) -> str:
    """Hash with the close of each symbol's last decided candle: what open positions are valued by."""
    return f"{namespace}:prices"


def window(namespace: str, symbol: str) -> str:
    """List of packed candles, newest last; it ends at the cursor."""
    return f"{namespace}:candles:{symbol}"


def journal(namespace: str, symbol: str) -> str:
    """Stream with one entry per decided candle; the entry's id is the candle's open time."""
    return f"{namespace}:journal:{symbol}"


def events(namespace: str) -> str:
    """Stream of the published events, and the name of the pub/sub channel with the same events."""
    return f"{namespace}:events"


def service(namespace: str, symbol: str) -> str:
    """Hash with the status of each of the four services, as JSON."""
    return f"{namespace}:services:{symbol}"


def market_clock(namespace: str, symbol: str) -> str:
    """JSON anchor of a played market: a market time and its wall time."""
    return f"{namespace}:clock:{symbol}"


def beat_leader(namespace: str) -> str:
    """Lease of the beat process that may send ticks."""
    return f"{namespace}:beat:leader"


def beat_epoch(namespace: str) -> str:
    """Counter that grows with each new leader: the fencing token of its ticks."""
    return f"{namespace}:beat:epoch"


def deliveries(namespace: str, task_id: str) -> str:
    """Counter of the deliveries of one redelivered message."""
    return f"{namespace}:deliveries:{task_id}"


def symbol_record(namespace: str, symbol: str) -> str:
    """JSON with a symbol's state and its recovery steps."""
    return f"{namespace}:standing:{symbol}"


def config_revision(namespace: str) -> str:
    """Counter of applied configuration changes; a process that sees a new value reloads."""
    return f"{namespace}:config:revision"


def workers(namespace: str) -> str:
    """Hash with the newest heartbeat of each worker, by node name, as JSON."""
    return f"{namespace}:workers"


def task_failures(namespace: str, symbol: str) -> str:
    """Hash with the last hang or death of each service's process, as detected by the worker's main process, as JSON."""
    return f"{namespace}:trouble:{symbol}"


def last_error(namespace: str, symbol: str) -> str:
    """Hash with a symbol's last error, as JSON, and the number of errors; it expires a while after the last one."""
    return f"{namespace}:errors:{symbol}"


def config_applied(namespace: str) -> str:
    """JSON of the applied configuration, in the form of `configs.snapshot`."""
    return f"{namespace}:config:applied"


def config_mark(namespace: str) -> str:
    """Fingerprint of the applied configuration, because revisions restart at 1 after a loss of Redis."""
    return f"{namespace}:config:mark"


def config_built(namespace: str) -> str:
    """Hash with the configuration from which each symbol's services were last built, as JSON."""
    return f"{namespace}:config:built"


def launcher(namespace: str) -> str:
    """JSON with the location of the running launcher, which starts a worker for each new symbol."""
    return f"{namespace}:launcher"
