"""The engine's log: lines on standard error, with priorities where the journal reads them."""

from __future__ import annotations

import logging
import os
import sys

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_PLAIN = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _JournalFormatter(logging.Formatter):
    """Each line begins with ``<priority>`` (sd-daemon(3)); the journal has its own time stamps."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def _to_journal() -> bool:
    """Whether standard error goes to the journal: systemd tells which file that is (systemd.exec(5))."""
    try:
        there = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def set_up(level: str) -> None:
    """Log to standard error from *level* on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JournalFormatter("%(name)s: %(message)s") if _to_journal() else logging.Formatter(_PLAIN))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)


def set_level(level: str) -> None:
    """Log from *level* on (one of daemon.json's names)."""
    logging.getLogger().setLevel(_LEVELS.get(level, logging.CRITICAL))
    # asyncio at its debug level tells of each poll: of no use to anyone who runs an engine.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
