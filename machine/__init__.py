"""The client: command line, machine operations, SSH, certificates, output."""
