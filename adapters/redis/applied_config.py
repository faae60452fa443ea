"""Applied configuration in Redis: its content, its revision, and the one each symbol's services were built from."""

import json
from collections.abc import Sequence
from typing import Self, cast

import redis
from msgspec import Struct

from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from configs.snapshot import Content, fingerprint, fingerprint_of_all, market_of
from trading.formatting import format_exit
from trading.structs import asdict

_LAUNCHER_S = 5


class EndedProcess(Struct, frozen=True):
    """A process of the launcher that has ended and waits for its restart, or fails soon after each start.

    Attributes:
        symbols: Symbols that it serves; empty for beat, Flower and the control worker.
        exit_code: Exit code; negative for a signal.
        error: Last line of its log; empty after an end by a signal.
    """

    name: str
    symbols: tuple[str, ...]
    restarts: int
    exit_code: int
    error: str

    def __str__(self) -> str:
        end = f"{self.name} ended ({format_exit(self.exit_code)}, {self.restarts} restarts)"
        return f"{end}: {self.error}" if self.error else end


class Launcher(Struct, frozen=True):
    """A running launcher, which starts a worker for each new symbol.

    Attributes:
        folder: Folder in which it was started; empty for one of an older version.
    """

    host: str
    pid: int
    ended: tuple[EndedProcess, ...] = ()
    folder: str = ""

    def __str__(self) -> str:
        return f"the launcher of process {self.pid} on {self.host}" + (f" in {self.folder}" if self.folder else "")

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        fields = json.loads(text)
        ended = (EndedProcess(**{**one, "symbols": tuple(one["symbols"])}) for one in fields.pop("ended", ()))
        return cls(**fields, ended=tuple(ended))


class Built(Struct, frozen=True):
    """Configuration from which a symbol's services were built.

    Attributes:
        fingerprint: Fingerprint of the whole configuration.
        tape: Digest of the candle source.
        pace: Playback speed; empty for the default.
        config: The symbol's own part.
        code: Digest of the code of the user's own strategies; empty without any, None if an older version built them.
    """

    fingerprint: str
    tape: str
    pace: str
    config: Content
    code: str | None = None


class AppliedConfig:
    """The applied configuration. Every method raises Transient when Redis does not answer."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def revision(self) -> int:
        """Return the number of applied changes."""
        with talking_to_redis():
            return int(cast("bytes | None", self._client.get(keys.config_revision(self._namespace))) or 0)

    def mark(self) -> tuple[int, str]:
        """Return (revision, fingerprint) of the applied configuration; it differs after every change."""
        names = [keys.config_revision(self._namespace), keys.config_mark(self._namespace)]
        with talking_to_redis():
            revision, fingerprint_ = cast("list[bytes | None]", self._client.mget(names))
        return int(revision or 0), (fingerprint_ or b"").decode()

    def read(self) -> Content | None:
        """Return the applied configuration; None when Redis holds none."""
        with talking_to_redis():
            found = cast("bytes | None", self._client.get(keys.config_applied(self._namespace)))
        return None if found is None else json.loads(found)

    def begin(self, content: Content) -> Content:
        """Record the running configuration if Redis holds none, and return the applied one."""
        with talking_to_redis():
            self._client.set(keys.config_applied(self._namespace), json.dumps(content), nx=True)
        return self.read() or content

    def apply(self, content: Content, *, seen: int, renewed: Sequence[str]) -> int | None:
        """Apply a configuration: record it, and rebuild the services of symbols at their next tick.

        Args:
            seen: The revision with which it was compared.

        Returns:
            The new revision; None, without a write, when another change was applied first.
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
        """Return the configuration of the running services; for services never built, the applied one.

        Args:
            otherwise: Default when Redis holds no configuration.
        """
        content = self.read() or otherwise
        built = self.built(list(content["symbols"]))
        symbols = {name: built[name].config if name in built else own for name, own in content["symbols"].items()}
        return {**content, "symbols": symbols}

    def built(self, symbols: Sequence[str]) -> dict[str, Built]:
        """Return the configuration from which each symbol's services were built, for symbols built so far."""
        if not symbols:
            return {}
        with talking_to_redis():
            found = cast("list[bytes | None]", self._client.hmget(keys.config_built(self._namespace), list(symbols)))
        return {name: Built(**json.loads(text)) for name, text in zip(symbols, found, strict=True) if text}

    def record_built(self, symbol: str, content: Content, *, code: str = "") -> None:
        """Record the configuration and the code of own strategies from which a symbol's services are built.

        A changed candle source deletes the stored candles. A changed playback speed resets the market clock, so that
        the market continues from the last decided candle.
        """
        built = Built(fingerprint(content, symbol), *market_of(content, symbol), content["symbols"][symbol], code)
        before = self.built([symbol]).get(symbol)
        with talking_to_redis(), self._client.pipeline(transaction=True) as pipe:
            if before and before.tape != built.tape:
                pipe.delete(keys.window(self._namespace, symbol))
            if before and (before.tape, before.pace) != (built.tape, built.pace):
                pipe.delete(keys.market_clock(self._namespace, symbol))
            pipe.hset(keys.config_built(self._namespace), symbol, json.dumps(asdict(built)))
            pipe.execute()

    def record_launcher(self, launcher: Launcher) -> None:
        """Record that a launcher is running; the record expires within seconds."""
        with talking_to_redis():
            self._client.set(keys.launcher(self._namespace), json.dumps(asdict(launcher)), ex=_LAUNCHER_S)

    def launcher_age_s(self) -> float | None:
        """Return the seconds since the launcher's last record, which it renews each second; None without one."""
        with talking_to_redis():
            left_ms = self._client.pttl(keys.launcher(self._namespace))
        return None if left_ms < 0 else _LAUNCHER_S - left_ms / 1000

    def launcher(self) -> Launcher | None:
        """Return the running launcher; None when there is none."""
        with talking_to_redis():
            found = cast("bytes | None", self._client.get(keys.launcher(self._namespace)))
        return None if found is None else Launcher.from_json(found)
