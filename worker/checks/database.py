"""Check ledger and paper books: connection, schema, clock, incidents and unconfigured symbols."""

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.database import create_engine, masked_url, read_only
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import head_revision, schema_revision
from adapters.ledger.tables import incidents
from adapters.wiring.symbol_status import LEFT_OPEN, unconfigured
from configs.loading import SystemConfig, symbols_file
from configs.settings import PREFIX, Settings
from trading.errors import TradingError, Transient
from worker.checks.check import Check, Health
from worker.checks.clock import clock_check, measure
from worker.checks.machine import sqlite_file

MIGRATE = "celery -A tasks trading ledger migrate"
BACKUP = "celery -A tasks trading ledger backup FILE"
INCIDENTS = "celery -A tasks trading incidents"
_SERVER_CLOCK = sa.select(sa.func.extract("epoch", sa.func.clock_timestamp()))
_HALTED = sa.select(incidents.c.symbol).where(incidents.c.halts, incidents.c.resolved_at_ms.is_(None)).distinct()


def ledger_checks(settings: Settings, system: SystemConfig | None, *, is_start: bool = False) -> list[Check]:
    """Check the ledger: connection, schema, clock if it has one, halted symbols, and open unconfigured symbols.

    Args:
        is_start: Check for a starting worker, which needs an existing ledger and ignores incidents.
    """
    url = settings.ledger_url.get_secret_value()
    shown = masked_url(url)
    file = sqlite_file(url)
    if file is not None and not file.exists():
        health = Health.FAIL if is_start else Health.WARN
        return [Check("ledger", health, f"{shown}: does not exist yet", f"create it: {MIGRATE}", endangers_orders=True)]
    engine = create_engine(url)
    try:
        checks = [_schema(engine, shown), *_clock(engine)]
        if checks[0].health is not Health.OK:
            return checks
        return [
            *checks,
            *([] if is_start else [_incidents(engine)]),
            *(_left_open(engine, system, symbols_file(settings)) if system else []),
        ]
    except Transient as error:
        return [Check("ledger", Health.FAIL, f"{shown}: {error.reason}", _remedy("LEDGER_URL"))]
    except (TradingError, sa.exc.SQLAlchemyError) as error:
        found = f"{shown}: {_reason(error)}"
        return [Check("ledger", Health.FAIL, found, _remedy("LEDGER_URL"), endangers_orders=True)]
    finally:
        engine.dispose()


def paper_check(settings: Settings) -> Check:
    """Check that the database of the paper venue's books answers."""
    url = settings.paper_url.get_secret_value()
    shown = masked_url(url)
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return Check("paper books", Health.OK, f"{shown}: not created yet; the first order creates them")
    engine = create_engine(url, where="paper")
    try:
        with read_only(engine).connect() as connection:
            tables = sa.inspect(connection).get_table_names()
    except (TradingError, sa.exc.SQLAlchemyError) as error:
        return Check("paper books", Health.FAIL, f"{shown}: {_reason(error)}", _remedy("PAPER_URL"))
    finally:
        engine.dispose()
    return Check("paper books", Health.OK, f"{shown}: {'answers' if tables else 'answers, empty'}")


def _schema(engine: Engine, shown: str) -> Check:
    revision = schema_revision(engine)
    if revision == head_revision():
        return Check("ledger", Health.OK, f"{shown}: schema at {revision}")
    found = f"{shown}: schema at {revision or 'no revision'}, this code needs {head_revision()}"
    remedy = f"back it up ({BACKUP}), then {MIGRATE}" if revision else MIGRATE
    return Check("ledger", Health.FAIL, found, remedy, endangers_orders=True)


def _clock(engine: Engine) -> list[Check]:
    if engine.dialect.name != "postgresql":
        return []
    with read_only(engine).connect() as connection:
        skew = measure(lambda: float(connection.execute(_SERVER_CLOCK).scalar_one()))
    return [clock_check("the ledger", skew)]


def _incidents(engine: Engine) -> Check:
    with read_only(engine).connect() as connection:
        halted = connection.execute(_HALTED.order_by(incidents.c.symbol)).scalars().all()
    if not halted:
        return Check("incidents", Health.OK, "no symbol is halted")
    return Check("incidents", Health.WARN, f"{len(halted)} symbols are halted: {', '.join(halted)}", INCIDENTS)


def _left_open(engine: Engine, system: SystemConfig, file: str) -> list[Check]:
    """Warn of open orders and positions that are unmanaged, because their symbol is not configured."""
    account = system.account
    found = unconfigured(SqlLedger(engine, account.name, account.starting_balance, account.day), system)
    remedy = LEFT_OPEN.format(file=file)
    return [Check("open symbols", Health.WARN, f"{name}: {what}", remedy) for name, what in found.items()]


def _remedy(name: str) -> str:
    return f"start the database, or correct {PREFIX}{name}"


def _reason(error: Exception) -> str:
    return str(error.orig if isinstance(error, sa.exc.DBAPIError) else error)
