"""From text to tensors: the only tokenizing of prompts and completions, and the only padding.

The prompt is always a prefix: prompt and completion are tokenized apart and joined, so that a token
never straddles the border, and the completion ends with its end of turn, inside its mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from random import Random

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from minialign.core.turn_ends import end_ids, turn_end

Messages = list[dict[str, str]]
# Put before a chat template that asks for today's date: 1 January 2026, in the format asked for.
FIXED_DATE = "{%- macro strftime_now(format) -%}{{ format" + "".join(
    f".replace('%{code}', '{datetime(2026, 1, 1).strftime('%' + code)}')" for code in "dbBmyYaAHMS"
) + " }}{%- endmacro -%}"  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One tokenized example: ids of a prompt and of the completion that follows it."""

    prompt_ids: list[int]
    completion_ids: list[int]

    @property
    def ids(self) -> list[int]:
        """The whole sequence."""
        return self.prompt_ids + self.completion_ids

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


@dataclass(frozen=True)
class Batch:
    """Padded rows; every tensor is (B, T) and column t is about token t."""

    input_ids: Tensor  # long
    attention_mask: Tensor  # long, 1 at real tokens; when packed, the number of the document
    completion_mask: Tensor  # long, 1 at tokens of the completion, its end included

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        return Batch(*(t.to(device) for t in vars(self).values()))

    def __len__(self) -> int:
        return len(self.input_ids)


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
        said = not has_system or messages[0]["content"].strip() in render(messages, tokenize=False)
    except TemplateError:
        if len(messages) < 2 or not has_system or messages[1]["role"] != "user":
            raise
        said = False
    if not said:
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
    found, before, start = [], 0, 0  # known: the tokens from `before` to `start`, and their text
    for stop in range(1, len(ids) + 1):
        known, text = read(ids[before:start]), read(ids[before:stop])
        whole = stop == len(ids) or not text.endswith("\ufffd")
        found.append(text[len(known) :] if whole else "")
        if whole:
            before, start = start, stop
    return found


def require_encoded(rows: Sequence[Row]) -> None:
    """Raise TypeError unless all are rows of ids."""
    if bad := next((row for row in rows if not isinstance(row, Row)), None):
        raise TypeError(
            f"a row is a {type(bad).__name__}, but a loop takes rows of ids; encode it: "
            "encode(tokenizer, prompt, completion)"
        )


def collate(rows: Sequence[Row], pad_id: int, side: str = "right") -> Batch:
    """Rows as one batch, padded to the longest on one side.

    >>> collate([Row([5, 6], [7, 2]), Row([5], [2])], pad_id=0).completion_mask
    tensor([[0, 0, 1, 1],
            [0, 1, 0, 0]])
    """
    if pad_id is None:
        raise ValueError("the tokenizer has no pad token; load it with load_policy, or set one")
    if side not in ("left", "right"):
        raise ValueError(f"side is {side!r}; use 'left' (to sample) or 'right' (to train)")
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id)
    attention, completion = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, row in enumerate(rows):
        start = width - len(row) if side == "left" else 0
        end = start + len(row)
        ids[i, start:end] = torch.tensor(row.ids)
        attention[i, start:end] = 1
        completion[i, start + len(row.prompt_ids) : end] = 1
    return Batch(ids, attention, completion)


def pack(rows: Sequence[Row], length: int, pad_id: int) -> Batch:
    """Rows one after the other in sequences of `length` tokens, first come first packed.

    The attention mask holds the number of the document within its sequence, which keeps the
    documents apart in `token_logprobs`; `(mask > 0).long()` in its place is the well-known packing
    bug.

    >>> pack([Row([5], [2]), Row([6], [7, 2])], 6, pad_id=0).attention_mask
    tensor([[1, 1, 2, 2, 2, 0]])
    """
    bins: list[list[Row]] = []
    for row in rows:
        if len(row) > length:
            raise ValueError(
                f"a row has {len(row)} tokens, more than length={length}; raise length"
            )
        if not bins or sum(map(len, bins[-1])) + len(row) > length:
            bins.append([])
        bins[-1].append(row)
    ids = torch.full((len(bins), length), pad_id)
    document, completion = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, group in enumerate(bins):
        start = 0
        for number, row in enumerate(group, start=1):
            end = start + len(row)
            ids[i, start:end] = torch.tensor(row.ids)
            document[i, start:end] = number
            completion[i, start + len(row.prompt_ids) : end] = 1
            start = end
    return Batch(ids, document, completion)


def length_batches(rows: Sequence[Row], size: int, rng: Random) -> Iterator[list[int]]:
    """Endless batches of indices, `size` rows of like length each, a new order in every epoch.

    Rows are sorted by length with a little noise, cut into batches, and the batches shuffled:
    little is padding, and every row comes once per epoch (a last short batch is kept).
    """
    require_encoded(rows)
    if not rows or size < 1:
        raise ValueError(f"{len(rows)} rows in batches of {size}: give at least one row and size 1")
    while True:
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]) + 8 * rng.random())
        groups = [order[i : i + size] for i in range(0, len(order), size)]
        rng.shuffle(groups)
        yield from groups


def by_length(
    compute: Callable[[Tensor, Tensor], Tensor], ids: Tensor, mask: Tensor, size: int = 32
) -> Tensor:
    """compute(ids, mask) -> (B, T) for rows padded on the right, without most of the padding.

    Rows of like length are computed together, cut to the longest of them; the rest is 0.
    """
    lengths = mask.sum(1)
    found = torch.zeros(ids.shape, device=ids.device)
    for rows in lengths.argsort().split(size):
        width = int(lengths[rows].max())
        found[rows, :width] = compute(ids[rows, :width], mask[rows, :width]).float()
    return found


def prompt_batches(n: int, size: int, rng: Random) -> Iterator[list[int]]:
    """Endless batches of prompt indices, all of them before any comes again (detail 21)."""
    waiting: list[int] = []
    while True:
        while len(waiting) < size:
            waiting += rng.sample(range(n), n)
        yield waiting[:size]
        waiting = waiting[size:]
