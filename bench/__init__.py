"""Side-by-side benchmarks with peers: each runs ours and the other's in one run and prints the ratio."""
