"""SSH to a machine: one contract (``base``), paramiko and the OpenSSH binary behind it."""
