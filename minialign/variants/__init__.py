"""What papers change by a line: pure functions, and the loops that take any of them."""

from minialign import modules_of

__getattr__ = modules_of(__name__)
