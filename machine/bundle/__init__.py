"""What a Docker client needs to reach a machine's engine, in the forms clients take."""
