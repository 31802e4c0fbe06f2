"""Losses: pure functions of tensors, in nats, one per idea. They never log, detach or average on
the quiet."""
