"""The configuration of one process: read from its files at the start, then updated to each applied one."""

import logging

import redis

from adapters.redis.applied_config import AppliedConfig
from configs.errors import ConfigError
from configs.loading import SystemConfig, load_system
from configs.settings import Settings
from configs.snapshot import Content, content_of, follow

logger = logging.getLogger(__name__)


class ConfigFollower:
    """Reads the files again when another configuration was applied; files that cannot be used change nothing.

    Attributes:
        system: The configuration in force in this process.
        applied: The configuration applied to all processes.
        trouble: Why this process does not have the applied configuration; empty when it has.
    """

    def __init__(self, settings: Settings, system: SystemConfig, client: redis.Redis) -> None:
        self.system = system
        self.applied = AppliedConfig(client, settings.namespace)
        self.trouble = ""
        self._folder = settings.config_dir
        self._mark: tuple[int, str] | None = None

    def content(self) -> Content:
        """Return the configuration in force in this process, to compare."""
        return content_of(self.system, self._folder)

    def load(self) -> SystemConfig:
        """Return the configuration in the files now, in force or not.

        Raises:
            ConfigError: They cannot be used.
        """
        return load_system(self._folder)

    def described(self, system: SystemConfig) -> Content:
        """Return a configuration that was loaded from the same files, to compare."""
        return content_of(system, self._folder)

    def refresh(self) -> bool:
        """Take over a configuration applied since the last call, and return whether anything of it is new here.

        Raises:
            Transient: Redis did not answer.
        """
        mark = self.applied.mark()
        if mark == self._mark and not self.trouble:
            return False
        before, is_first, revision = self.system, self._mark is None, mark[0]
        content = self.applied.read() if revision else None
        self._mark = mark
        if content is None:
            return False
        try:
            self.system, behind = follow(before, self.load(), content, self._folder)
        except ConfigError as error:
            self._report(revision, f"the files cannot be used: {'; '.join(error.faults)}")
        else:
            self._report(revision, f"the files differ from what was applied in: {', '.join(behind)}" if behind else "")
        is_new = self.system != before
        if is_new and not is_first:
            logger.info("config_loaded revision=%s symbols=%s", revision, ",".join(self.system.symbols))
        return is_new

    def _report(self, revision: int, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.error("config_kept revision=%s reason=%s", revision, trouble)
        self.trouble = trouble
