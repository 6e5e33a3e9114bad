"""Machines that live for a time only (``--ttl``): how long, and the process that removes them when it is over."""
