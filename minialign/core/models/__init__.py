"""Causal language models of any kind: loading, heads, what differs between them."""
