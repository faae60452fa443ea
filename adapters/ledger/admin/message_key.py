"""The key that signs the messages between the steps: made at the first use, the same for all workers of an account."""

import secrets

import sqlalchemy as sa

from adapters.clock import now_ms
from adapters.ledger.queries.reads import mine
from adapters.ledger.tables import message_keys
from adapters.ledger.transaction import Reader, Transaction

KEY_BYTES = 32
_KEY = sa.select(message_keys.c.key).where(mine(message_keys))


def read(reader: Reader) -> bytes | None:
    """Return the key of the account; None before it was made."""
    found: str | None = reader.execute(_KEY).scalar()
    return None if found is None else bytes.fromhex(found)


def make(tx: Transaction) -> bytes:
    """Return the key of the account, and make one where there is none."""
    found = read(tx)
    if found is not None:
        return found
    key = secrets.token_bytes(KEY_BYTES)
    row = {"account": tx.account, "key": key.hex(), "created_at_ms": now_ms()}
    tx.write(sa.insert(message_keys), row)
    return key
