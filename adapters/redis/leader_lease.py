"""A lease in Redis: of several beats one leads, and another takes over when it dies."""

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
    """Asks for the lease, under the name `host:pid:random`.

    Attributes:
        lease_s: How long the lease lasts without renewal; another one takes over after that at the latest.
        config_revision: The counter of configuration changes, as it stood when the lease was last asked for.
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
        """Take or renew the lease, and return its number; 0 while another one leads. The number grows with each leader.

        Raises:
            Transient: Redis did not answer.
        """
        asked_s = self._clock()
        with talking_to_redis():
            answer: Any = self._lead(keys=self._keys, args=[self._name, int(self.lease_s * 1000)])
        epoch, revision = answer
        self.config_revision = revision.decode()
        self._held_until_s = asked_s + self.lease_s if epoch else -math.inf
        return int(epoch)

    @property
    def left_s(self) -> float:
        """Seconds for which the lease lasts still, by our own clock; nobody else leads before. Below 0 when it is over.

        Redis began to count after we did, so we give up first.
        """
        return self._held_until_s - self._clock()
