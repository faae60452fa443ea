"""Bring the configured ledger to the schema that this code needs: `python -m adapters.migrate`."""

import sys

from adapters.database import create_engine
from adapters.schema import migrate, schema_revision
from configs.errors import ConfigError
from configs.settings import load_settings
from trading.errors import Transient


def main() -> int:
    """Migrate, and print the revision.

    Returns:
        Exit code: 0 when the ledger is ready, 1 when not; the reason was printed.
    """
    try:
        engine = create_engine(load_settings().ledger_url.get_secret_value())
        try:
            migrate(engine)
            sys.stdout.write(f"ledger at revision {schema_revision(engine)}\n")
        finally:
            engine.dispose()
    except (ConfigError, Transient) as error:
        sys.stderr.write(f"the ledger is not migrated: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
