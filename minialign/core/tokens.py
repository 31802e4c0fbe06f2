"""From text to tokens: prompts in the chat format, completions with the end of their turn.

The prompt is always a prefix: prompt and completion are tokenized apart and joined, so that a token
never straddles the border, and the completion ends with its end of turn, inside its mask. A chat
model often declares several ends: its own end of text and that of the chat format. Sampling stops
at any of them; a written reply ends, for training, with the one that the chat template writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache, partial

from jinja2 import TemplateError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Row

Messages = list[dict[str, str]]
# Put before a chat template that asks for today's date: 1 January 2026, in the format asked for.
FIXED_DATE = "{%- macro strftime_now(format) -%}{{ format" + "".join(
    f".replace('%{code}', '{datetime(2026, 1, 1).strftime('%' + code)}')" for code in "dbBmyYaAHMS"
) + " }}{%- endmacro -%}"  # fmt: skip
REPLY = "qwertz"  # found again in a rendered conversation


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str | Messages) -> list[int]:
    """Ids of a prompt in the tokenizer's chat format, up to where the reply begins.

    A plain string is one user turn. Every prompt that is trained on, or that `sample` continues,
    comes through here: the template writes every special token, so none is added twice. A template
    that refuses or leaves out system turns, such as Gemma's, gets the system's words before the
    user's; one that writes today's date gets a fixed one, so that a run of yesterday is the same
    run today.
    """
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    render = partial(tokenizer.apply_chat_template, add_generation_prompt=True, return_dict=True)
    if "strftime_now" in str(template := tokenizer.chat_template) and isinstance(template, str):
        render = partial(render, chat_template=FIXED_DATE + template)
    has_system = bool(messages) and messages[0]["role"] == "system"
    try:
        encoded = render(messages)
        heard = not has_system or messages[0]["content"].strip() in render(messages, tokenize=False)
    except TemplateError:
        if len(messages) < 2 or not has_system or messages[1]["role"] != "user":
            raise
        heard = False
    if not heard:
        if len(messages) < 2 or messages[1]["role"] != "user":
            raise ValueError(
                "the chat template leaves the system turn out, and no user turn follows it to take "
                "its words; put a user turn after it"
            )
        first = f"{messages[0]['content']}\n\n{messages[1]['content']}"
        encoded = render([{**messages[1], "content": first}, *messages[2:]])
    return list(encoded["input_ids"])


def completion_ids(tokenizer: PreTrainedTokenizerBase, completion: str) -> list[int]:
    """Ids of a completion with its end of turn, which must be learnt like any other token.

    Raises:
        ValueError: if nothing ends a turn of this tokenizer.
    """
    end = turn_end(tokenizer)
    return [*tokenizer(completion, add_special_tokens=False)["input_ids"], end]


def encode(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str | Messages,
    completion: str,
    max_length: int = 512,
) -> Row:
    """A prompt and its completion as ids.

    Raises:
        ValueError: if the prompt leaves no room for the completion within max_length tokens, if the
            completion is blank (its mask would hold nothing but its end), if its text spells out
            any token that ends a turn, or if nothing ends a turn of this tokenizer.
    """
    if not completion.strip():
        raise ValueError("completion is blank, so nothing would be learnt; drop the row")
    completion_part = completion_ids(tokenizer, completion)
    if spelt := set(completion_part[:-1]).intersection(end_ids(tokenizer)):
        raise ValueError(
            f"completion holds {tokenizer.convert_ids_to_tokens(min(spelt))} in its text, but the "
            "end of a turn is added at the end; remove it from the text"
        )
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    marks = [*tokenizer.convert_ids_to_tokens(list(end_ids(tokenizer))), tokenizer.bos_token]
    marks = tokenizer.get_added_vocab().keys() & set(marks)
    if any(mark in turn["content"] for turn in turns if turn["role"] == "user" for mark in marks):
        raise ValueError("the prompt is in a chat format already; give the words alone")
    prompt_part = prompt_ids(tokenizer, prompt)
    if len(prompt_part) + len(completion_part) > max_length:
        raise ValueError(
            f"prompt ({len(prompt_part)} tokens) and completion ({len(completion_part)}) exceed "
            f"max_length={max_length}; raise max_length or drop the row"
        )
    return Row(prompt_part, completion_part)


def pieces(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[str]:
    """The text that each token adds to a text, so that the pieces joined are the whole.

    A token decoded alone may lose its space (SentencePiece) or be a part of a character (bytes);
    here a space stays, and a character comes with its last token.
    """
    read = partial(tokenizer.decode, clean_up_tokenization_spaces=False)
    texts, before, start = [], 0, 0  # known: the tokens from `before` to `start`, and their text
    for stop in range(1, len(ids) + 1):
        known, text = read(ids[before:start]), read(ids[before:stop])
        whole = stop == len(ids) or not text.endswith("\ufffd")
        texts.append(text[len(known) :] if whole else "")
        if whole:
            before, start = start, stop
    return texts


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
    ids = {*_declared(tokenizer, policy), _after_a_reply(tokenizer)} - {None}
    if not ids:
        raise ValueError(
            f"nothing ends a turn of {tokenizer.name_or_path or 'this tokenizer'}: it has no "
            "eos_token, no eos_token_id in its generation config, and no special token after a "
            "reply in its chat template; set tokenizer.eos_token to one of its tokens"
        )
    return tuple(sorted(ids))


def turn_end(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id of the token with which a written reply ends: the chat template's own, else EOS.

    Raises:
        ValueError: if there is no end at all.
    """
    ends = end_ids(tokenizer)
    template_end = _after_a_reply(tokenizer)
    if template_end is not None:
        return template_end
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
    declared = getattr(settings, "eos_token_id", None)
    ids = declared if isinstance(declared, (list, tuple)) else [declared]
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
        text = tokenizer.apply_chat_template(turns, tokenize=False)
    except (ValueError, TypeError, TemplateError):  # no template, or one that wants other turns
        return None
    _, mark, tail = text.rpartition(REPLY)
    if not mark:  # a template that writes no reply ends none
        return None
    tail = tail.lstrip()
    start = text.removeprefix(tokenizer.bos_token or "").lstrip()
    added = {  # what begins a turn ends none
        i
        for i, token in tokenizer.added_tokens_decoder.items()
        if token.special or not start.startswith(token.content)
    }
    ends = {tokenizer.convert_ids_to_tokens(i): i for i in added | declared}
    matches = [text for text in ends if text and tail.startswith(text)]
    return ends[max(matches, key=len)] if matches else None
