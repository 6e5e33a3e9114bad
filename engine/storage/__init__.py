"""Graph drivers: where layers and containers' writable layers live."""
