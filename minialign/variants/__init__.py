"""What papers change by a line: pure functions, and the loops that take any of them."""
