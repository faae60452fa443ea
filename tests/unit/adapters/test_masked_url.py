"""Database URLs without their secrets: as text, and in the engine."""

import pytest
import sqlalchemy as sa

from adapters.database import create_engine, masked_url

SECRETS = (
    "postgresql+psycopg://joe:geheim@h:5/db?password=geheim&sslpassword=geheim&options=-c%20x%3Dgeheim&sslmode=require"
)


def test_database_url_shows_no_value_that_may_be_a_secret() -> None:
    shown = masked_url(SECRETS)

    assert "geheim" not in shown
    assert shown.startswith("postgresql+psycopg://joe:***@h:5/db?")
    for part in ("password=***", "sslpassword=***", "options=***", "sslmode=require"):
        assert part in shown


@pytest.mark.parametrize("url", ["sqlite:////var/ledger.sqlite3", "postgresql+psycopg://joe@h/db?connect_timeout=3"])
def test_database_url_without_secrets_is_shown_as_it_is(url: str) -> None:
    assert masked_url(url) == url


def test_engine_shows_no_secret_and_passes_all_options_to_the_driver() -> None:
    engine = create_engine(SECRETS)
    seen: dict[str, object] = {}

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, _args: object, options: dict[str, object]) -> None:
        seen.update(options)
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        engine.connect()

    assert "geheim" not in f"{engine!r} {engine.url} {engine.url!r}"
    assert (seen["password"], seen["sslpassword"], seen["options"]) == ("geheim", "geheim", "-c x=geheim")
