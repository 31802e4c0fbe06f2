"""Replies of mixed quality, and who judges them: demonstrations, annotators, comparisons."""
