"""Docker contexts for machines: `docker --context NAME`, over TLS or through an SSH connection.

`dockerstore` reads and writes docker's own files, `tunnel` forwards an engine's socket by SSH, `upkeep` keeps what was
made for a machine true: after starts, renewals, renames, and removals.
"""
