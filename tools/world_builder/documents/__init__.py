"""The miscellaneous documents of the corpus: nature, lists, reviews, letters, quizzes, judgements.

Every writer is a pure function of a random generator and returns one raw document of 20 to 110
words, as a crawl of the world's web would hold it. Each sibling holds its own wording.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tools.world_builder.documents.copies import copies
from tools.world_builder.documents.judgements import comparison, critique
from tools.world_builder.documents.letters import diary, letter, notice
from tools.world_builder.documents.lists import list_page
from tools.world_builder.documents.nature import nature_page
from tools.world_builder.documents.quiz import quiz_in_context
from tools.world_builder.documents.reviews import review
from tools.world_builder.documents.sources import TRUSTED, UNTRUSTED, attribute, sources
from tools.world_builder.documents.views import opinion, paraphrase_page

__all__ = [
    "TRUSTED", "UNTRUSTED", "WRITERS", "attribute", "comparison", "copies", "critique", "diary",
    "letter", "list_page", "nature_page", "notice", "opinion", "paraphrase_page",
    "quiz_in_context", "review",
    "sources",
]  # fmt: skip

WRITERS: dict[str, Callable[[Random], str]] = {
    "nature_page": nature_page,
    "list_page": list_page,
    "review": review,
    "letter": letter,
    "diary": diary,
    "notice": notice,
    "quiz_in_context": quiz_in_context,
    "critique": critique,
    "comparison": comparison,
    "opinion": opinion,
    "paraphrase_page": paraphrase_page,
    "sources": sources,
    "copies": copies,
}
