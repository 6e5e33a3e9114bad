"""Stores: machine records, certificates, leases and journals. ``base`` is the contract."""
