"""Containers: documents, state machine, lifecycle, logs, exec."""
