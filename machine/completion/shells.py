"""The shells that completion is for."""

from __future__ import annotations

SHELLS = ("bash", "zsh", "fish")
