"""Console for all output: texts are printed literally, never interpreted as markup."""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from trading.formatting import MONEY_DECIMALS, format_profit

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def profit(amount: float, decimals: int = MONEY_DECIMALS) -> Text:
    """Return an amount with its sign, green above zero and red below."""
    text = format_profit(amount, decimals)
    return Text(text, style={"+": "green", "-": "red"}.get(text[0], ""))


class PlainConsole(Console):
    """A console that prints reasons, errors, names and paths literally.

    `[red]`, `[/long]` and `:smile:` in a text have no effect: only `rich.text.Text` and columns carry styles.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render without control characters."""
        for segment in super().render(renderable, options):
            is_harmless = segment.control or not _CONTROL.search(segment.text)
            yield segment if is_harmless else segment._replace(text=without_control(segment.text))


def without_control(text: str) -> str:
    """Return a text without terminal control characters; line ends and tabs stay."""
    return _CONTROL.sub("", text)
