"""A lease in Redis: of several beats one leads, and another takes over when it dies."""

from pathlib import Path
from uuid import uuid4

import redis

from adapters import keys
from adapters.redis_client import talking_to_redis

_LEAD = (Path(__file__).parent / "lua" / "lead.lua").read_text(encoding="utf-8")


class Leadership:
    """Asks for the lease, under a name of its own.

    Attributes:
        lease_s: How long the lease lasts without renewal; another one takes over after that at the latest.
    """

    def __init__(self, client: "redis.Redis", namespace: str, *, lease_s: float = 3.0) -> None:
        self.lease_s = lease_s
        self._name = uuid4().hex
        self._keys = [keys.beat_leader(namespace), keys.beat_epoch(namespace)]
        self._lead = client.register_script(_LEAD)

    def epoch(self) -> int:
        """Take or renew the lease, and return its number; 0 while another one leads. The number grows with each leader.

        Raises:
            Transient: Redis did not answer.
        """
        with talking_to_redis():
            return int(self._lead(keys=self._keys, args=[self._name, int(self.lease_s * 1000)]))
