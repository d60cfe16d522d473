"""Logs of a service: one JSON object a line on stderr.

A line tells what happened in a fixed sentence, and gives what belongs to it (UIDs, AE titles, counts) as facts. No
patient's name is ever among them.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

LONGEST_FACT: Final = 500
"""Texts in a line are cut after so many characters."""


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object; everything that is no ASCII letter or sign in it is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("tamperscan.serve."),
            "message": record.getMessage()[:LONGEST_FACT],
        }
        line |= {name: _short(fact) for name, fact in getattr(record, "facts", {}).items()}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error"] = _short(f"{type(error).__name__}: {error}")
        return json.dumps(line, ensure_ascii=True, default=str)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send what tamperscan's services log to stderr, and leave out what the libraries below them have to say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    ours = logging.getLogger("tamperscan.serve")
    ours.handlers[:] = [handler]
    ours.setLevel(level)
    ours.propagate = False
    for name in ("pynetdicom", "pydicom"):  # these print UIDs, names and whole data sets
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _short(fact: object) -> object:
    return fact[:LONGEST_FACT] if isinstance(fact, str) else fact
