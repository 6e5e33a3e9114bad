"""Provisioners: detect a host's operating system and converge it over SSH."""
