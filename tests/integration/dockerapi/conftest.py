"""Where the API server of a test listens."""

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A unix socket that is not there yet."""
    return tmp_path / "api.sock"
