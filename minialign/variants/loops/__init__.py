"""The two general loops, offline and policy, which take any of the variants as callables."""

from minialign import modules_of

__getattr__ = modules_of(__name__)
