"""The Docker Engine API on the wire, shared by engine, swarm and client: HTTP, TLS, framing, errors."""
