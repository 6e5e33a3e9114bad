"""Gives each test a `Lab`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from support.network_lab import Lab, opened_lab

T = TypeVar("T")


@pytest.fixture
def in_lab(tmp_path: Path) -> Callable[[Callable[[Lab], Awaitable[T]]], T]:
    """Runs an async test body with a `Lab`."""

    def run(body: Callable[[Lab], Awaitable[T]], **options: object) -> T:
        async def main() -> T:
            async with asyncio.timeout(60), opened_lab(tmp_path, **options) as lab:
                return await body(lab)

        return asyncio.run(main())

    return run
