"""What was applied last, in Redis: the configuration, its revision, and what each symbol's services were built of."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import redis

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from configs.snapshot import Content, fingerprint, fingerprint_of_all, market_of
from trading.structs import asdict

_LAUNCHER_S = 5


@dataclass(frozen=True, slots=True)
class Launcher:
    """A launcher that runs: it starts a worker for each new symbol."""

    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class Built:
    """What a symbol's services were built of.

    Attributes:
        fingerprint: Of all of it.
        tape: Digest of where its candles come from.
        pace: How fast they are played; empty for the default.
        config: The symbol's own part.
    """

    fingerprint: str
    tape: str
    pace: str
    config: Content


class AppliedConfig:
    """The configuration that is in force. Every method raises Transient when Redis does not answer."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def revision(self) -> int:
        """Return how many changes were applied."""
        with talking_to_redis():
            return int(cast("bytes | None", self._client.get(keys.config_revision(self._namespace))) or 0)

    def mark(self) -> tuple[int, str]:
        """Return (revision, fingerprint) of what was applied last: another one whenever something else was."""
        names = [keys.config_revision(self._namespace), keys.config_mark(self._namespace)]
        with talking_to_redis():
            revision, fingerprint_ = cast("list[bytes | None]", self._client.mget(names))
        return int(revision or 0), (fingerprint_ or b"").decode()

    def read(self) -> Content | None:
        """Return what was applied last; None when Redis knows of nothing."""
        with talking_to_redis():
            found = cast("bytes | None", self._client.get(keys.config_applied(self._namespace)))
        return None if found is None else json.loads(found)

    def begin(self, content: Content) -> Content:
        """Write down what runs where Redis knows of nothing, and return what is applied."""
        with talking_to_redis():
            self._client.set(keys.config_applied(self._namespace), json.dumps(content), nx=True)
        return self.read() or content

    def apply(self, content: Content, *, seen: int, renewed: Sequence[str]) -> int | None:
        """Put a configuration in force: write it down, and have the services of symbols begin anew at their next tick.

        Args:
            seen: The revision with which it was compared.

        Returns:
            Its revision; None, and nothing is written, when another change came in between.
        """
        revision_key = keys.config_revision(self._namespace)
        with talking_to_redis(), self._client.pipeline(transaction=True) as pipe:
            pipe.watch(revision_key)  # type: ignore[no-untyped-call]  # redis-py ships no type for it
            if int(cast("bytes | None", pipe.get(revision_key)) or 0) != seen:
                return None
            pipe.multi()
            pipe.set(keys.config_applied(self._namespace), json.dumps(content))
            pipe.set(keys.config_mark(self._namespace), fingerprint_of_all(content))
            for symbol in renewed:
                pipe.hincrby(keys.state(self._namespace, symbol), "generation", 1)
            pipe.incr(revision_key)
            try:
                return int(pipe.execute()[-1])
            except redis.WatchError:
                return None

    def in_force(self, otherwise: Content) -> Content:
        """Return what the running services were built of; of those that never were, what was applied last.

        Args:
            otherwise: Taken where Redis knows of nothing.
        """
        content = self.read() or otherwise
        built = self.built(list(content["symbols"]))
        symbols = {name: built[name].config if name in built else own for name, own in content["symbols"].items()}
        return {**content, "symbols": symbols}

    def built(self, symbols: Sequence[str]) -> dict[str, Built]:
        """Return what the services of each symbol were built of, of those that ever were."""
        if not symbols:
            return {}
        with talking_to_redis():
            found = cast("list[bytes | None]", self._client.hmget(keys.config_built(self._namespace), list(symbols)))
        return {name: Built(**json.loads(text)) for name, text in zip(symbols, found, strict=True) if text}

    def note_built(self, symbol: str, content: Content) -> None:
        """Write down what a symbol's services are built of.

        Where its candles now come from elsewhere, those kept of it are forgotten, and where they are played at another
        pace, what time it is: the market goes on from the last candle decided.
        """
        built = Built(fingerprint(content, symbol), *market_of(content, symbol), content["symbols"][symbol])
        before = self.built([symbol]).get(symbol)
        with talking_to_redis(), self._client.pipeline(transaction=True) as pipe:
            if before and before.tape != built.tape:
                pipe.delete(keys.window(self._namespace, symbol))
            if before and (before.tape, before.pace) != (built.tape, built.pace):
                pipe.delete(keys.market_clock(self._namespace, symbol))
            pipe.hset(keys.config_built(self._namespace), symbol, json.dumps(asdict(built)))
            pipe.execute()

    def note_launcher(self, launcher: Launcher) -> None:
        """Say for the next seconds that a launcher runs."""
        with talking_to_redis():
            self._client.set(keys.launcher(self._namespace), json.dumps(asdict(launcher)), ex=_LAUNCHER_S)

    def launcher(self) -> Launcher | None:
        """Return the launcher that runs; None when there is none."""
        with talking_to_redis():
            found = cast("bytes | None", self._client.get(keys.launcher(self._namespace)))
        return None if found is None else Launcher(**json.loads(found))
