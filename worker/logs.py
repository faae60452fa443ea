"""How log lines look: to be read by people, or one JSON object a line."""

import json
import logging
from datetime import UTC, datetime

from configs.settings import load_settings

HUMAN = "%(asctime)s %(levelname)-7s %(processName)s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object: time (UTC, ISO 8601), level, process, logger, message, error."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": record.processName,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def format_as_set(logger: logging.Logger, **_: object) -> None:
    """Give the handlers of a logger that Celery has set up the format that the settings ask for."""
    formatter = JsonFormatter() if load_settings().log_format == "json" else logging.Formatter(HUMAN)
    for handler in logger.handlers:
        handler.setFormatter(formatter)
