"""pyswarm: discovery, cluster and scheduler over many engines (its first part is not in this version)."""
