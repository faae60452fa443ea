"""A page of shared memory between the director and the processes under test: what is armed, and who shall wait.

A hook reads it in well under a microsecond, so that only a hit on an armed place costs a round trip to the director.
"""

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Self

SIZE = 4096
_GATE, _STILL, _TEXT = 0, 1, 16


class Switchboard:
    """The page, opened by both sides; children that are forked later see the same memory."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._history = memory

    @classmethod
    def make(cls, path: Path) -> Self:
        """Make an empty page at `path`."""
        path.write_bytes(bytes(SIZE))
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the page that the director has made."""
        with path.open("r+b") as file:
            return cls(mmap.mmap(file.fileno(), SIZE))

    def arm(self, places: Iterable[str]) -> None:
        """Have every process report when it reaches one of `places`; nothing else is armed any more."""
        text = "".join(f"\n{place}\n" for place in places).encode()
        room = SIZE - _TEXT
        if len(text) > room:
            raise ValueError(f"{len(text)} bytes of places do not fit into {room}")
        self._history[_TEXT:] = text.ljust(room, b"\0")

    def is_armed(self, place: bytes) -> bool:
        """Return whether a place is armed, given as `encoded` makes it. A half-written page is read as not armed."""
        return self._history.find(place, _TEXT) >= 0

    @staticmethod
    def encoded(place: str) -> bytes:
        return f"\n{place}\n".encode()

    @property
    def is_gate_closed(self) -> bool:
        """Whether symbols shall wait at the beginning of their next candle."""
        return self._history[_GATE] != 0

    @is_gate_closed.setter
    def is_gate_closed(self, value: bool) -> None:
        self._history[_GATE] = int(value)

    @property
    def is_market_still(self) -> bool:
        """Whether the played markets shall show nothing newer than the cursor."""
        return self._history[_STILL] != 0

    @is_market_still.setter
    def is_market_still(self, value: bool) -> None:
        self._history[_STILL] = int(value)
