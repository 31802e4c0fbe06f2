"""Replies of mixed quality, and who judges them: demonstrations, annotators, comparisons."""

from minialign import modules_of

__getattr__ = modules_of(__name__)
