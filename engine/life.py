"""The engine's life on the event loop: start, signals, reloads, end."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack

from pymachine.dockerapi.errors import EngineError
from pymachine.dockerapi.listeners import ListenError
from pymachine.dockerapi.tls import CertificateError
from pymachine.engine import logsetup, notify
from pymachine.engine.config import ConfigError, EngineConfig
from pymachine.engine.config_sources import Sources
from pymachine.engine.daemon import Daemon
from pymachine.engine.runtime.base import Runtime
from pymachine.engine.serving import Front
from pymachine.engine.shutdown import computer_stops

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The engine cannot start; the message is one line."""


async def live(sources: Sources, config: EngineConfig, runtime: Runtime) -> None:
    """Serve until SIGTERM or SIGINT; containers go on, unless the whole computer stops.

    Raises `StartError` when that cannot begin.
    """
    for warning in config.warnings:
        _log.warning("%s", warning)
    ending = _on_signals()
    try:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(runtime.close)
            daemon, front = await _start(config, runtime, stack)
            reloads = _reload_on_hangup(sources, daemon, front)
            notify.ready()
            await ending.wait()
            notify.stopping()
            if await computer_stops():
                _log.info("the computer shuts down: stopping containers")
                await daemon.containers.end_all()
            reloads.cancel()
    finally:
        _log.info("stopped")


async def _start(config: EngineConfig, runtime: Runtime, stack: AsyncExitStack) -> tuple[Daemon, Front]:
    """Bring everything up; what is up already is taken down by *stack*, in the reverse order."""
    try:
        daemon = Daemon(config, runtime)
        stack.push_async_callback(daemon.close)
        front = Front(daemon.router, config)
        await daemon.start()
        await front.open()
        stack.push_async_callback(front.close, config.shutdown_timeout)
    except (ListenError, CertificateError, EngineError, OSError) as error:
        _log.debug("cannot start", exc_info=error)
        raise StartError(str(error)) from error
    return daemon, front


def _on_signals() -> asyncio.Event:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    return ending


def _reload_on_hangup(sources: Sources, daemon: Daemon, front: Front) -> asyncio.Task[None]:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)

    async def reload_each_time() -> None:
        while True:
            await asked.wait()
            asked.clear()  # before reading: what is asked for from here on needs another round
            await reload(sources, daemon, front)

    return asyncio.get_running_loop().create_task(reload_each_time())


async def reload(sources: Sources, daemon: Daemon, front: Front) -> None:
    """Read the configuration and the certificates again; what is wrong with them is logged and changes nothing."""
    notify.reloading()
    try:
        config = sources.load()
    except ConfigError as error:
        for problem in error.problems:
            _log.error("configuration not reloaded: %s", problem)
    else:
        daemon.reconfigure(config)
        logsetup.set_level(daemon.config.level)
    try:
        await front.reload_certificates()
    except CertificateError as error:
        _log.error("certificates not reloaded: %s", error)
    _log.info("reloaded")
    notify.ready()
