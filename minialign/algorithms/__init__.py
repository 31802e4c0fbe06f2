"""Essays: one canonical method a file, read from top to bottom."""
