"""Times of the command line."""

from datetime import UTC, datetime

import click


def instant(_ctx: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Read an ISO instant as milliseconds since the epoch; a day, or a time without an offset, is in UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r}: allowed is an ISO instant such as 2026-04-01 or 2026-04-01T08:30Z"
        ) from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
