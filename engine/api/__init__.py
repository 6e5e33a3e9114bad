"""HTTP routes by resource: thin handlers over the daemon's services."""
