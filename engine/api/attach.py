"""Streams of a container: attach, logs, wait (Engine API 1.24–1.47)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from pymachine.dockerapi.errors import Conflict, InvalidArgument
from pymachine.dockerapi.filters import timestamp
from pymachine.dockerapi.messages import (
    MULTIPLEXED_STREAM,
    RAW_STREAM,
    Answer,
    Hijack,
    Query,
    Request,
    Response,
    Stream,
)
from pymachine.dockerapi.routing import Route
from pymachine.engine.containers import detach, logs
from pymachine.engine.containers.attach import EarlyClient, Wanted, attach, relay
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.service import Containers
from pymachine.engine.containers.state import Status
from pymachine.engine.containers.waiting import CONDITIONS, Outcome

FRAMES_NAMED = (1, 42)
"""The version that gave the framed stream a content type of its own."""


def stream_type(version: tuple[int, int], *, tty: bool) -> str:
    """The content type of a container's stream."""
    return RAW_STREAM if tty or version < FRAMES_NAMED else MULTIPLEXED_STREAM


class StreamRoutes:
    """Handlers whose answers last."""

    def __init__(self, service: Containers) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("POST", "/containers/{id}/attach", self.attach),
            Route("GET", "/containers/{id}/logs", self.logs),
            Route("POST", "/containers/{id}/wait", self.wait),
        ]

    async def attach(self, request: Request) -> Answer:
        container, query = self._service.get(request.params["id"]), request.query
        keys = detach.parse(query.text("detachKeys"))
        wanted = Wanted(query.flag("stdin"), query.flag("stdout"), query.flag("stderr"), keys)
        _check_attachable(container)
        with_logs, with_stream = query.flag("logs"), query.flag("stream")
        early = None
        if with_stream and container.handle is None:
            # Joined before the answer: the client's next request may be the start.
            early = EarlyClient(container, wanted)
        self._service.context.publish(container, "attach")

        async def run(client: Stream) -> None:
            if with_logs:
                await self._send_log(container, client, wanted)
            if with_stream:
                await self._stream(container, client, wanted, early)

        return Hijack(run, stream_type(request.version, tty=container.tty))

    async def _send_log(self, container: Container, client: Stream, wanted: Wanted) -> None:
        wish = logs.Wish(stdout=wanted.stdout, stderr=wanted.stderr)
        reader = logs.open_log(self._service.context, container, wish)
        async for piece in logs.pieces(container, reader, wish):
            await client.write(piece)

    async def _stream(self, container: Container, client: Stream, wanted: Wanted, early: EarlyClient | None) -> None:
        if early is not None:
            try:
                inside = await early.stream()
            except Exception:
                return  # the start failed, and whoever asked for it was told why
        elif container.handle is not None:
            inside = await attach(container, container.handle, wanted)
        else:
            return  # it ended meanwhile
        await relay(
            client,
            inside,
            stdin=wanted.stdin,
            keys=wanted.detach_keys if container.tty else None,
            detached=lambda: self._service.context.publish(container, "detach"),
        )

    async def logs(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        wish = _log_wish(request.query)
        reader = await asyncio.to_thread(logs.open_log, self._service.context, container, wish)
        return Response(
            stream=logs.pieces(container, reader, wish),
            headers={"Content-Type": stream_type(request.version, tty=container.tty)},
        )

    async def wait(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        condition = request.query.text("condition") or "not-running"
        if condition not in CONDITIONS:
            raise InvalidArgument(f"invalid condition: {condition!r}")
        state = container.state
        if condition == "not-running" and not state.running and state.status is not Status.RESTARTING:
            outcome: Outcome = (state.exit_code, state.error)
            return Response(stream=_told(outcome), headers={"Content-Type": "application/json"})
        # Asked for before the answer's header goes out: the client starts the container once it has it.
        future = container.waiters.add(condition)

        async def answer() -> AsyncIterator[bytes]:
            try:
                yield _outcome(await future)
            finally:
                future.cancel()

        return Response(stream=answer(), headers={"Content-Type": "application/json"})


def _check_attachable(container: Container) -> None:
    if container.state.paused:
        raise Conflict(f"container {container.id} is paused, unpause the container before attach.")
    if container.state.status in (Status.REMOVING, Status.DEAD):
        raise Conflict(f"container {container.id} is being removed")


def _log_wish(query: Query) -> logs.Wish:
    stdout, stderr = query.flag("stdout"), query.flag("stderr")
    if not (stdout or stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    since, until, tail = query.text("since"), query.text("until"), query.text("tail")
    return logs.Wish(
        stdout=stdout,
        stderr=stderr,
        follow=query.flag("follow"),
        timestamps=query.flag("timestamps"),
        details=query.flag("details"),
        since=timestamp(since) if since and since != "0" else None,
        until=timestamp(until) if until and until != "0" else None,
        tail=int(tail) if tail.isascii() and tail.isdigit() else None,
    )


async def _told(outcome: Outcome) -> AsyncIterator[bytes]:
    yield _outcome(outcome)


def _outcome(outcome: Outcome) -> bytes:
    code, error = outcome
    return json.dumps({"StatusCode": code, **({"Error": {"Message": error}} if error else {})}).encode() + b"\n"
