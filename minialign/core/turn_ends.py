"""What ends a turn: every token that the tokenizer, its chat template or the model declares.

A chat model often declares several: its own end of text and that of the chat format. Sampling stops
at any of them; a written reply ends, for training, with the one that the chat template writes.
"""

from __future__ import annotations

from functools import lru_cache

from jinja2 import TemplateError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

REPLY = "qwertz"  # found again in a rendered conversation


def declare_ends(tokenizer: PreTrainedTokenizerBase, policy: PreTrainedModel) -> None:
    """Tell a tokenizer what its model declares, so that written text is read by the same rule.

    Raises:
        ValueError: if neither declares any end.
    """
    tokenizer.turn_ends = end_ids(tokenizer, policy)
    if tokenizer.eos_token is None:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(tokenizer.turn_ends[0])


def end_ids(
    tokenizer: PreTrainedTokenizerBase, policy: PreTrainedModel | None = None
) -> tuple[int, ...]:
    """Ids of all tokens that end a turn.

    They are the tokenizer's EOS, those of the model's generation config, which may be several, and
    the added token that the chat template writes after a reply.

    Args:
        tokenizer: with or without a chat template.
        policy: None is without those that only the model declares, unless `load_policy` has noted
            them on the tokenizer.

    Raises:
        ValueError: if there is none.
    """
    found = {*_declared(tokenizer, policy), _after_a_reply(tokenizer)} - {None}
    if not found:
        raise ValueError(
            f"nothing ends a turn of {tokenizer.name_or_path or 'this tokenizer'}: it has no "
            "eos_token, no eos_token_id in its generation config, and no special token after a "
            "reply in its chat template; set tokenizer.eos_token to one of its tokens"
        )
    return tuple(sorted(found))


def turn_end(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id of the token with which a written reply ends: the chat template's own, else EOS.

    Raises:
        ValueError: if there is no end at all.
    """
    ends = end_ids(tokenizer)
    written = _after_a_reply(tokenizer)
    if written is not None:
        return written
    return ends[0] if tokenizer.eos_token_id is None else tokenizer.eos_token_id


def ids_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """Number of ids up to the largest: more than `len(tokenizer)` where a vocabulary has gaps."""
    return _largest_id(tokenizer, len(tokenizer)) + 1


@lru_cache(maxsize=16)  # asked for every row
def _largest_id(tokenizer: PreTrainedTokenizerBase, size: int) -> int:
    """The size is given so that a token that is added is seen."""
    return max(tokenizer.get_vocab().values())


def _declared(tokenizer: PreTrainedTokenizerBase, policy: PreTrainedModel | None) -> set[int]:
    """Ids by the tokenizer, by the generation config, and by what was noted on loading."""
    settings = getattr(policy, "generation_config", None)
    given = getattr(settings, "eos_token_id", None)
    ids = given if isinstance(given, (list, tuple)) else [given]
    ids = [*ids, tokenizer.eos_token_id, *getattr(tokenizer, "turn_ends", ())]
    return {i for i in ids if i is not None and 0 <= i < ids_of(tokenizer)}


def _after_a_reply(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id of the end that the chat template writes after a reply; None if it writes none."""
    declared = frozenset(_declared(tokenizer, None))
    return _in_template(tokenizer, str(tokenizer.chat_template), declared, len(tokenizer))


@lru_cache(maxsize=16)  # asked for every row
def _in_template(
    tokenizer: PreTrainedTokenizerBase, template: str, declared: frozenset[int], size: int
) -> int | None:
    """The declared or added token that stands after a reply, maybe behind a space.

    The template and the size of the vocabulary are given so that a change of them is seen.
    """
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": REPLY}]
    try:
        written = tokenizer.apply_chat_template(turns, tokenize=False)
    except (ValueError, TypeError, TemplateError):  # no template, or one that wants other turns
        return None
    _, mark, tail = written.rpartition(REPLY)
    if not mark:  # a template that writes no reply ends none
        return None
    tail = tail.lstrip()
    start = written.removeprefix(tokenizer.bos_token or "").lstrip()
    added = {  # what begins a turn ends none
        i
        for i, token in tokenizer.added_tokens_decoder.items()
        if token.special or not start.startswith(token.content)
    }
    ends = {tokenizer.convert_ids_to_tokens(i): i for i in added | declared}
    found = [text for text in ends if text and tail.startswith(text)]
    return ends[max(found, key=len)] if found else None
