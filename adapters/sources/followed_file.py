"""A candle file that may grow while it is played: appended rows are read, any other change is an error."""

import os
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.candle_files.layout import first_bytes, is_compressed
from adapters.candle_files.play import Recording
from adapters.candle_files.tables import kind_of_table
from trading.errors import Transient
from trading.formatting import format_time

SETTLED_S = 60.0
"""A last line without its end may be half written; it is read once the file has not changed for so long."""

_BLOCK = 4_096
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Read(Protocol):
    """Reads a candle file."""

    def __call__(self, *, length: int | None) -> Recording:
        """Return the candles of the first `length` bytes, or of the whole file.

        Raises:
            ValueError: The file cannot be played.
        """
        ...


_played: dict[Hashable, Recording] = {}
"""Played by this process, by file and terms: services that are rebuilt do not take a replaced file for a new one."""


class FollowedFile:
    """Reads a candle file again when it has changed."""

    def __init__(self, path: Path, read: Read, *, terms: Hashable, now_s: Callable[[], float]) -> None:
        """Create a reader.

        Args:
            terms: Values that decide, beside the content, which candles are read.
            now_s: The wall clock by which files are stamped, seconds since the epoch.
        """
        self._path = path
        self._read = read
        self._key = (path.resolve(), terms)
        self._now_s = now_s
        self._content: tuple[int, int, int | None] | None = None
        self._recording: Recording | None = None

    def recording(self) -> Recording:
        """Return the candles of the complete lines that the file has now; the same object while it has not changed.

        Raises:
            ValueError: The file cannot be read at the first call.
            Transient: It cannot be read any more, or was truncated or replaced.
        """
        try:
            content = self._stamp()
            if self._recording is not None and content == self._content:
                return self._recording
            recording = self._read(length=content[2])
        except (OSError, ValueError) as error:
            if self._recording is None and isinstance(error, ValueError):
                raise
            raise self._error(f"cannot be read any more: {error}") from error
        self._check(recording)
        self._content, self._recording = content, recording
        _played[self._key] = recording
        return recording

    def _stamp(self) -> tuple[int, int, int | None]:
        """Return values that change with the content: time of the last change, size, and bytes to read if not all."""
        if not self._path.is_file():
            self._read(length=None)  # raises the error of a missing file
        found = self._path.stat()
        is_settled = self._now_s() - found.st_mtime >= SETTLED_S
        return found.st_mtime_ns, found.st_size, None if is_settled else complete_bytes(self._path)

    def _check(self, recording: Recording) -> None:
        """Check that the file has only grown; which of its rows are of closed hours may change with it.

        Raises:
            Transient: It has been changed otherwise.
        """
        before = _played.get(self._key)
        if before is None:
            return
        known_ms, times_ms = _times(before), _times(recording)
        if len(times_ms) < len(known_ms):
            raise self._error(f"was truncated: it had {len(known_ms):,} candles and has {len(times_ms):,}")
        is_same = (times_ms[: len(known_ms)] == known_ms) & ~np.isin(known_ms, _changed(before, recording))
        if not is_same.all():
            first_ms = int(known_ms[(~is_same).argmax()])
            raise self._error(f"was replaced: its candle of {format_time(first_ms)} is another one")

    def _error(self, fault: str) -> Transient:
        remedy = "restore its content, or restart the worker to play the present content"
        return Transient(f"candle file {str(self._path)!r}", f"{fault}; {remedy}")


def complete_bytes(path: Path) -> int | None:
    """Return the number of bytes of a text file that hold complete lines; None for the whole file.

    Tables, compressed files and UTF-16 are read as a whole.
    """
    if first_bytes(path, 2) in _UTF_16 or is_compressed(path) or kind_of_table(path) is not None:
        return None
    with path.open("rb") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(0, end - _BLOCK)
            file.seek(begin)
            newline = file.read(end - begin).rfind(b"\n")
            if newline >= 0:
                complete = begin + newline + 1
                return None if complete == size else complete
            end = begin
    return 0


def _times(recording: Recording) -> NDArray[np.int64]:
    return np.union1d(recording.candles.open_ms, recording.closed_ms)


def _changed(before: Recording, after: Recording) -> NDArray[np.int64]:
    """Return the open times of the candles that both have, with other values."""
    common, places, others = np.intersect1d(before.candles.open_ms, after.candles.open_ms, return_indices=True)
    is_equal = np.isclose(
        before.candles.values[places], after.candles.values[others], rtol=0.0, atol=0.0, equal_nan=True
    )
    return np.asarray(common[~is_equal.all(axis=1)])
