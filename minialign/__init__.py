"""minialign: a course on aligning language models, and one minimal implementation of each
algorithm."""

__version__ = "0.1.0"
