"""Leader lease in Redis: one of several beat processes leads, and another takes over when it dies."""

import math
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis

from adapters.redis import keys
from adapters.redis.client import talking_to_redis

_LEAD = (Path(__file__).parent / "lua" / "lead.lua").read_text(encoding="utf-8")


class Leadership:
    """Acquires and renews the lease under the name `host:pid:random`.

    Attributes:
        lease_s: Duration of the lease without renewal; another process takes over after that at the latest.
        config_revision: Counter of configuration changes at the last lease request.
    """

    def __init__(
        self,
        client: "redis.Redis",
        namespace: str,
        *,
        lease_s: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lease_s = lease_s
        self.config_revision = ""
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._keys = [keys.beat_leader(namespace), keys.beat_epoch(namespace), keys.config_revision(namespace)]
        self._lead = client.register_script(_LEAD)
        self._clock = clock
        self._held_until_s = -math.inf

    def epoch(self) -> int:
        """Acquire or renew the lease and return its number, which grows with each leader; 0 while another one leads.

        Raises:
            Transient: Redis did not answer.
        """
        sent_s = self._clock()
        with talking_to_redis():
            answer: Any = self._lead(keys=self._keys, args=[self._name, int(self.lease_s * 1000)])
        epoch, revision = answer
        self.config_revision = revision.decode()
        self._held_until_s = sent_s + self.lease_s if epoch else -math.inf
        return int(epoch)

    @property
    def left_s(self) -> float:
        """Remaining seconds of the lease by the local clock, negative when it has expired; no one else leads before.

        Redis starts counting after this process does, so the local lease expires first.
        """
        return self._held_until_s - self._clock()
