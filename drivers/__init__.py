"""Drivers: make, start, stop, find and remove a host. ``base`` is the contract."""
