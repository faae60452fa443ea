"""A bar for work that takes a while; on stderr, and only where somebody looks."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trading_orchestrator.launcher.console import PlainConsole


class Bar:
    """Shows how far the work is."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None)

    def show(self, done: int, whole: int) -> None:
        """Show that `done` of `whole` are done."""
        self._progress.update(self._task, completed=done, total=whole)

    def advance(self, count: int) -> None:
        """Show that so many more are done."""
        self._progress.advance(self._task, count)


@contextmanager
def progress_bar(title: str) -> Iterator[Bar]:
    """Show a bar until the end; it is gone afterwards."""
    console = PlainConsole(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, title)
