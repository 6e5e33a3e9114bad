"""What was done to a machine's host, written down in the machine's directory, without secrets."""
