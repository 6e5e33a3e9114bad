"""The client of registries (Docker Registry HTTP API v2, OCI distribution specification)."""
