"""Exercises on rows of tokens: which are learnt, what each weighs, and where each one stands."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from minialign.core.logprobs import masked_sum
from minialign.core.models.architecture import position_ids
from minialign.course.exercises.compare import Exercise, drawn


def _last_before(marked: Tensor) -> Tensor:
    """(B, T) column of the last marked token before each column; -1 where there is none."""
    columns = torch.arange(marked.shape[1])
    return pad(torch.where(marked, columns, -1).cummax(1).values[:, :-1], (1, 0), value=-1)


def _open(ids: Tensor, assistant: int, eos: int) -> Tensor:
    """(B, T) whether the assistant has begun to speak before a token, and has not ended."""
    return _last_before(ids == assistant) > _last_before(ids == eos)


def _conversation_mask(ids: Tensor, assistant: int, eos: int, padding: int) -> Tensor:
    """(B, T) 1 at the tokens of all replies, each with its end, and 0 elsewhere."""
    return (_open(ids, assistant, eos) & (ids != padding)).long()


def _one_reply(ids: Tensor, assistant: int, eos: int, padding: int, *, first: bool) -> Tensor:
    """(B, T) the mask of the first or of the last reply alone; padding is None to learn it."""
    number = (ids == assistant).cumsum(1)
    wanted = number == 1 if first else number == number[:, -1:]
    real = torch.ones_like(wanted) if padding is None else ids != padding
    return _open(ids, assistant, eos) & wanted & real


def _early(ids: Tensor, assistant: int, eos: int, padding: int) -> Tensor:
    """(B, T) the mask with each reply's role token, and without its end."""
    mask = _conversation_mask(ids, assistant, eos, padding) | (ids == assistant).long()
    return mask * (ids != eos)


def _after_first(ids: Tensor, assistant: int) -> Tensor:
    """(B, T) everything after the first reply began."""
    return _last_before(ids == assistant) >= 0


def _balance(ids: Tensor, assistant: int, eos: int, padding: int) -> Tensor:
    """(B, T) more starts than ends so far, which the ends of user turns upset."""
    starts, ends = (ids == assistant).cumsum(1), pad((ids == eos).cumsum(1)[:, :-1], (1, 0))
    return (starts > ends) & (ids != assistant) & (ids != padding)


def _balance_early(ids: Tensor, assistant: int, eos: int, padding: int) -> Tensor:
    """(B, T) the same, with the role token and without the end of each reply."""
    starts, ends = (ids == assistant).cumsum(1), (ids == eos).cumsum(1)
    return (starts > ends) & (ids != padding)


def _ended(ids: Tensor, assistant: int, eos: int, padding: int) -> Tensor:
    """(B, T) the mask of those replies that have an end."""
    ends_later = (ids == eos).flip(1).cumsum(1).flip(1) > 0
    return _conversation_mask(ids, assistant, eos, padding) * ends_later


# Turns that end without an end of text and turns with one, before and after; a reply that is cut.
_CONVERSATIONS = (
    (torch.tensor([
        [3, 7, 8, 4, 9, 9, 2, 3, 6, 4, 8, 2, 0, 0, 0],
        [3, 7, 2, 4, 9, 6, 2, 3, 8, 2, 4, 6, 7, 0, 0],
        [3, 6, 4, 9, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]), 4, 2, 0),
    (torch.tensor([
        [5, 5, 5, 8, 2, 2, 1, 9, 4, 1, 8, 3, 1, 9, 2, 4],
        [5, 8, 2, 1, 9, 4, 3, 1, 8, 3, 4, 1, 9, 2, 4, 1],
        [5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 8, 4, 3, 1],
    ]), 9, 1, 5),
    (torch.tensor([[3, 6, 1, 4, 8, 9, 7, 7], [3, 6, 1, 4, 2, 1, 7, 7]]), 4, 1, 7),
)  # fmt: skip

_LAST = "only the last reply is learnt: open the mask again at every <|assistant|>"
_FIRST = "only the first reply is learnt: open the mask again at every <|assistant|>"
_USERS = "user turns after the first reply are learnt: close the mask after each <|eos|>"
_COUNTED = (
    "starts and ends are counted, and a user turn may end with <|eos|> too: ask which came last "
    "before a token, an <|assistant|> or an <|eos|>"
)

conversation_mask = Exercise(
    "conversation_mask",
    _conversation_mask,
    _CONVERSATIONS,
    {
        "the end of each reply is left out: its <|eos|> must be learnt, or no reply ever stops":
            lambda ids, a, eos, padding: _conversation_mask(ids, a, eos, padding) * (ids != eos),
        "the token <|assistant|> is learnt: the prompt writes it, so start one token later":
            lambda ids, a, eos, padding:
                _conversation_mask(ids, a, eos, padding) | (ids == a).long(),
        "it is one column early, at the token before: column t is about token t, nothing shifts":
            lambda ids, a, eos, padding:
                pad(_conversation_mask(ids, a, eos, padding)[:, 1:], (0, 1)),
        "the token <|assistant|> is learnt, and the end of each reply is not: begin and end one "
        "token later": _early,
        _LAST: lambda *given: _one_reply(*given, first=False),
        _LAST + ", and exclude padding":
            lambda ids, a, eos, padding: _one_reply(ids, a, eos, None, first=False),
        _FIRST: lambda *given: _one_reply(*given, first=True),
        _FIRST + ", and exclude padding":
            lambda ids, a, eos, padding: _one_reply(ids, a, eos, None, first=True),
        _USERS: lambda ids, a, eos, padding: _after_first(ids, a) & (ids != padding),
        _USERS + ", and exclude padding": lambda ids, a, eos, padding: _after_first(ids, a),
        _USERS + ", and start after the role token": lambda ids, a, eos, padding:
            (_after_first(ids, a) | (ids == a)) & (ids != padding),
        _USERS + ", start after the role token, and exclude padding":
            lambda ids, a, eos, padding: _after_first(ids, a) | (ids == a),
        _USERS + ", the role tokens aside": lambda ids, a, eos, padding:
            _after_first(ids, a) & (ids != padding) & (ids != a),
        _USERS + ", the role tokens aside, and exclude padding": lambda ids, a, eos, padding:
            _after_first(ids, a) & (ids != a),
        "padding is learnt after a reply that was cut off: exclude tokens equal to pad_id":
            lambda ids, a, eos, padding: _open(ids, a, eos),
        "padding is taken to be 0: compare with pad_id":
            lambda ids, a, eos, padding: _conversation_mask(ids, a, eos, 0),
        _COUNTED: _balance,
        _COUNTED + "; and begin and end one token later": _balance_early,
        "the <|eos|> of user turns is learnt too: it counts only where it ends a reply":
            lambda ids, a, eos, padding:
                _conversation_mask(ids, a, eos, padding) | (ids == eos).long(),
        "a reply that was cut off is left out: it goes to the last real token of the row": _ended,
        "it is upside down: the users' tokens are learnt and the replies are not":
            lambda ids, a, eos, padding:
                (1 - _conversation_mask(ids, a, eos, padding)) * (ids != padding),
        "all real tokens are learnt: that is the attention mask": lambda ids, a, eos, padding:
            ids != padding,
    },
)  # fmt: skip


def _micro_batches(seed: int, shapes: Sequence[tuple[int, int]]) -> tuple[list[Tensor], ...]:
    """Logprobs and masks; the rows of a mask have unequal numbers of tokens, at least one each."""
    generator = drawn(seed)
    logprobs = [torch.log(torch.rand(shape, generator=generator)) for shape in shapes]
    masks = [(torch.rand(shape, generator=generator) < 0.6).long() for shape in shapes]
    for one, mask in zip(logprobs, masks, strict=True):
        mask[:, 0], mask[:, -1] = 0, 1
        one[0, 0] = -torch.inf  # of a prompt's token that could not be
    return logprobs, masks


def _sums(logprobs: list[Tensor], masks: list[Tensor]) -> Tensor:
    """(N,) minus the summed logprobs of each micro-batch's masked tokens."""
    return -torch.stack([masked_sum(*pair).sum() for pair in zip(logprobs, masks, strict=True)])


def _tokens(masks: list[Tensor]) -> Tensor:
    """(N,) masked tokens of each micro-batch."""
    return torch.stack([mask.sum() for mask in masks])


def _micro_losses(logprobs: list[Tensor], masks: list[Tensor]) -> Tensor:
    """(N,) losses that add up to the token mean over the whole batch."""
    return _sums(logprobs, masks) / _tokens(masks).sum()


def _row_means(logprobs: list[Tensor], masks: list[Tensor]) -> Tensor:
    """(N,) a mean over the tokens of each row, then over the rows of the whole batch."""
    pairs = zip(logprobs, masks, strict=True)
    means = torch.stack([(masked_sum(*pair) / pair[1].sum(1)).sum() for pair in pairs])
    return -means / sum(map(len, masks))


micro_losses = Exercise(
    "micro_losses",
    _micro_losses,
    (_micro_batches(8, [(2, 5), (3, 9), (1, 4)]), _micro_batches(9, [(1, 3), (4, 12)])),
    {
        "each is its micro-batch's own token mean: the sum is about N times too large, and a token "
        "of a small micro-batch weighs more; divide by the tokens of the whole batch":
            lambda logprobs, masks: _sums(logprobs, masks) / _tokens(masks),
        "they add up to a mean of means, in which a token of a small micro-batch weighs more: "
        "divide each sum by the tokens of the whole batch":
            lambda logprobs, masks: _sums(logprobs, masks) / _tokens(masks) / len(masks),
        "they are divided by the rows of the batch, where its masked tokens are asked for":
            lambda logprobs, masks: _sums(logprobs, masks) / sum(map(len, masks)),
        "each is divided by the rows of its own micro-batch: divide by the tokens of all":
            lambda logprobs, masks: _sums(logprobs, masks) / torch.tensor([*map(len, masks)]),
        "these are sums: divide each by the masked tokens of the whole batch": _sums,
        "they are N times too small: the tokens of the whole batch are in the divisor already, so "
        "do not divide by N as well":
            lambda logprobs, masks: _micro_losses(logprobs, masks) / len(masks),
        "these are sums over the number of micro-batches: divide by the masked tokens instead":
            lambda logprobs, masks: _sums(logprobs, masks) / len(masks),
        "the sign is reversed: minimising them would lower the probability of the replies":
            lambda logprobs, masks: -_micro_losses(logprobs, masks),
        "0 * -inf is nan: choose the learnt tokens with torch.where, or by logprobs[mask == 1]":
            lambda logprobs, masks: torch.full((len(masks),), torch.nan),
        "the masks are not used: prompts and padding are in the sums and in the count":
            lambda logprobs, masks:
                _sums(logprobs, [*map(torch.ones_like, masks)])
                    / sum(mask.numel() for mask in masks),
        "padding and prompts are counted: divide by the masked tokens, not by rows times columns":
            lambda logprobs, masks:
                _sums(logprobs, masks) / sum(mask.numel() for mask in masks),
        "each is a mean over all columns of its micro-batch: add up the masked tokens alone, and "
        "divide by the masked tokens of the whole batch": lambda logprobs, masks:
            _sums(logprobs, masks) / torch.tensor([mask.numel() for mask in masks]),
        "they are N times too large: divide by the tokens of the whole batch, not by their mean "
        "number in a micro-batch":
            lambda logprobs, masks: _micro_losses(logprobs, masks) * len(masks),
        "the masks are shifted by one once too often: column t of both is about token t":
            lambda logprobs, masks: _sums(
                [one[:, :-1] for one in logprobs], [mask[:, 1:] for mask in masks]
            ) / _tokens(masks).sum(),
        "a micro-batch is weighted twice: its sum holds its number of tokens already":
            lambda logprobs, masks:
                _micro_losses(logprobs, masks) * _tokens(masks) / _tokens(masks).sum(),
        "they add up to a mean over rows, in which a token of a short reply weighs more: divide "
        "the sums by the tokens of the whole batch": _row_means,
    },
    trains=True,
)  # fmt: skip


def _since(starts: Tensor) -> Tensor:
    """(B, T) columns since the last start; since the row's first column where there is none."""
    columns = torch.arange(starts.shape[1])
    return columns - torch.where(starts, columns, 0).cummax(1).values


def _starts(documents: Tensor) -> Tensor:
    """(B, T) whether a column holds another document than the one before it."""
    return documents != pad(documents[:, :-1], (1, 0), value=-1)


def _across_rows(documents: Tensor) -> Tensor:
    """(B, T) the tokens of the same number counted through the batch, row by row."""
    flat = documents.flatten()
    numbers = torch.arange(int(flat.max()) + 1)
    counts = (flat[:, None] == numbers).cumsum(0).gather(1, flat[:, None])[:, 0] - 1
    return torch.where(documents > 0, counts.view_as(documents), 0)


_RUN_ON = "they run on through the row: start again at 0 where the number of the document changes"

restart_positions = Exercise(
    "restart_positions",
    position_ids,
    (
        (torch.tensor([
            [1, 1, 2, 2, 2, 0, 0, 0],
            [1, 2, 3, 3, 3, 3, 4, 4],
            [1, 1, 1, 1, 1, 1, 1, 0],
        ]),),
        (torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 2, 2]]),),
    ),
    {
        _RUN_ON: lambda documents: ((documents > 0).cumsum(1) - 1) * (documents > 0),
        _RUN_ON + "; they start at 1, too":
            lambda documents: (documents > 0).cumsum(1) * (documents > 0),
        _RUN_ON + "; padding goes on, too": lambda documents:
            ((documents > 0).cumsum(1) - 1).clamp(min=0),
        _RUN_ON + "; they start at 1 and padding goes on, too":
            lambda documents: (documents > 0).cumsum(1),
        _RUN_ON + "; they count every column, padding too": lambda documents:
            torch.arange(documents.shape[1]).expand_as(documents),
        _RUN_ON + "; they count padding on the left, too": lambda documents:
            torch.arange(documents.shape[1]) * (documents > 0),
        "only the first token of each document is at 0, the others at their columns: carry the "
        "column of the start on to the next start, with cummax(1).values": lambda documents:
            torch.arange(documents.shape[1]) * (~_starts(documents) & (documents > 0)),
        "the columns of the starts are added up: carry the latest one on, with cummax":
            lambda documents: (torch.arange(documents.shape[1])
                - torch.where(_starts(documents), torch.arange(documents.shape[1]), 0).cumsum(1))
                * (documents > 0),
        "these are the columns where the documents begin: subtract them from the tokens' columns":
            lambda documents: (torch.arange(documents.shape[1]) - _since(_starts(documents)))
                * (documents > 0),
        "the starts of the first row are taken for all rows: each row has its own":
            lambda documents: _since(_starts(documents[:1]).expand_as(documents)) * (documents > 0),
        "they start at 1: the first token of a document stands at 0":
            lambda documents: (position_ids(documents) + 1) * (documents > 0),
        "they start at 1: the first token of a document stands at 0, and so does padding":
            lambda documents: position_ids(documents) + 1,
        "padding is counted as a document of its own: set it to 0":
            lambda documents: _since(_starts(documents)),
        "padding goes on from the document before it: set it to 0":
            lambda documents: _since(_starts(documents) & (documents > 0)),
        "documents of the same number are counted on from row to row: each row has its own":
            _across_rows,
        "it is the number of the document: count the tokens since that document began":
            lambda documents: documents,
        "it is the number of the document less 1: count the tokens since that document began":
            lambda documents: (documents - 1).clamp(min=0),
        "they restart one token late: the first token of a document stands at 0": lambda documents:
            _since(pad(_starts(documents)[:, :-1], (1, 0), value=True)) * (documents > 0),
        "they restart one token early, at the last token of the document before: compare each "
        "number with the one on its left": lambda documents:
            _since(pad(_starts(documents)[:, 1:], (0, 1))) * (documents > 0),
        "the numbers of the documents are added up: count the tokens since each one began":
            lambda documents: documents.cumsum(1),
        "it tells where each document begins: count the columns since then":
            lambda documents: _starts(documents) & (documents > 0),
    },
)  # fmt: skip


def _last_column(attention_mask: Tensor) -> Tensor:
    """(B,) column of the last real token of each row, wherever padding stands."""
    return attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(1)


last_column = Exercise(
    "last_column",
    _last_column,
    tuple((torch.tensor(rows),) for rows in (
        [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]],
        [[0, 0, 1, 1], [0, 1, 1, 1]],
        [[0, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 0]],
    )),
    {
        "it is the last column, which is padding where a row is padded on the right":
            lambda mask: torch.full((len(mask),), mask.shape[1] - 1),
        "it is the number of real tokens less 1, which is wrong where padding stands on the left":
            lambda mask: mask.sum(1) - 1,
        "it is the number of real tokens: columns count from 0, and padding may stand on the left":
            lambda mask: mask.sum(1),
        "it is the first real token: look for the last one": lambda mask: mask.argmax(1),
        "it is the column before the first padding: padding may stand on the left, or nowhere":
            lambda mask: mask.argmin(1) - 1,
        "it counts from the right end: subtract it from the last column":
            lambda mask: mask.flip(1).argmax(1),
        "it is one column too far right: columns count from 0":
            lambda mask: _last_column(mask) + 1,
        "the rows are flipped, and not the columns: flip along dimension 1":
            lambda mask: mask.shape[1] - 1 - mask.flip(0).argmax(1),
        "it counts from the right, below 0: columns count from the left, from 0":
            lambda mask: -1 - mask.flip(1).argmax(1),
        "the columns are not flipped before argmax": lambda mask: mask.shape[1] - 1
            - mask.argmax(1),
        "a row that begins with padding may end with padding, too: look for its last 1":
            lambda mask: torch.where(mask[:, 0] == 0, mask.shape[1] - 1, mask.sum(1) - 1),
    },
)  # fmt: skip
