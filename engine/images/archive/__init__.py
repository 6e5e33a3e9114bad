"""Tar archives: reading them safely into directories, and giving back the very same bytes."""
