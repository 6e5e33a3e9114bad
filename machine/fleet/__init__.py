"""Fleets: files that say which machines there are to be, and what has to be done to get there."""
