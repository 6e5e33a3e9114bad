"""``pyengine``: reads the configuration, starts the spawner, serves the Engine API until told to stop.

The order matters. The spawner is started first, while this process has one thread and little memory, because
it is a fork; only then come asyncio and the services. SIGTERM and SIGINT stop the engine and leave containers
running; SIGHUP reads certificates and configuration again.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from pymachine.engine.config import ConfigError, EngineConfig
from pymachine.engine.config_sources import Sources


def main(argv: list[str] | None = None) -> None:
    """Run the engine; exits with 1 when it cannot start, after one line for each reason."""
    try:
        sources = Sources(sys.argv[1:] if argv is None else argv)
        config = sources.load()
    except ConfigError as error:
        _die(*error.problems)
    _run(sources, config)


def _run(sources: Sources, config: EngineConfig) -> None:
    from pymachine.engine import logsetup
    from pymachine.engine.lock import AlreadyRunning, EngineLock

    logsetup.set_up(config.level)
    try:
        lock = EngineLock(config.data_root, config.pidfile)
    except AlreadyRunning as error:
        _die(str(error))
    except OSError as error:
        _die(f"cannot use {error.filename}: {error.strerror}")
    try:
        _serve(sources, config)
    finally:
        lock.release()


def _serve(sources: Sources, config: EngineConfig) -> None:
    from pymachine.dockerapi.listeners import systemd_descriptors
    from pymachine.engine.runtime.client import ShimRuntime

    systemd_descriptors()  # before the first child process: they are not for it
    try:
        runtime = ShimRuntime.launch(exec_root=config.exec_root)
    except OSError as error:
        _die(f"cannot start the spawner: {error}")

    _raise_descriptor_limit()

    import asyncio

    from pymachine.engine.life import StartError, live

    try:
        asyncio.run(live(sources, config, runtime))
    except StartError as error:
        _die(str(error))


def _raise_descriptor_limit() -> None:
    """Connections and containers take descriptors: have all that we may. After the spawner, whose children
    are to get the limits that the engine was started with."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _die(*lines: str) -> NoReturn:
    for line in lines:
        print(f"pyengine: {line}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
