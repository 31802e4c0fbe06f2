"""The miscellaneous documents of the corpus: nature, lists, reviews, letters, quizzes, judgements.

Every writer is a pure function of a random generator and returns one raw document of 20 to 110
words, as a crawl of the world's web would hold it. The wording lives in the `documents_*` siblings.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tools.world_builder.documents_copies import copies
from tools.world_builder.documents_judgements import comparison, critique
from tools.world_builder.documents_letters import diary, letter, notice
from tools.world_builder.documents_lists import list_page
from tools.world_builder.documents_nature import nature_page
from tools.world_builder.documents_quiz import quiz_in_context
from tools.world_builder.documents_reviews import review
from tools.world_builder.documents_views import (
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
