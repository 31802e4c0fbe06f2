"""The miscellaneous documents of the corpus: nature, lists, reviews, letters, quizzes, judgements.

Every writer is a pure function of a random generator and returns one raw document of 20 to 110
words, as a crawl of the world's web would hold it. The wording lives in the `documents_*` siblings.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from minialign.world.documents_copies import copies
from minialign.world.documents_judgements import comparison, critique
from minialign.world.documents_letters import diary, letter, notice
from minialign.world.documents_lists import list_page
from minialign.world.documents_nature import nature_page
from minialign.world.documents_quiz import quiz_in_context
from minialign.world.documents_reviews import review
from minialign.world.documents_views import (
    TRUSTED,
    UNTRUSTED,
    attribute,
    opinion,
    paraphrase_page,
    sources,
)

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
