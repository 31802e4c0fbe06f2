"""The two general loops, offline and policy, which take any of the variants as callables."""
