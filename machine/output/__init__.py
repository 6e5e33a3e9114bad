"""How results look: tables, JSON documents, progress."""
