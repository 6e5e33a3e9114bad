"""Images: references, content store, pull, import, load."""
