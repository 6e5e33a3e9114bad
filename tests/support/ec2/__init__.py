"""EC2 for tests: the moto server behind a front that adds what it lacks, in a network with no way out."""
