"""Logprobs of a ranking of completions, and what all preference losses read from them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RankLogprobs:
    """Summed completion logprobs of B rankings of K completions, the best first, in nats.

    `logprobs`, `ref_logprobs` and `lengths` are (B, K); what is read from them is (B,), but for
    what is in the plural. The best is the chosen one, the last the rejected one; a pair is K = 2.
    Reference fields may be zeros for losses without one. Lengths count tokens, ends included.
    """

    logprobs: Tensor
    ref_logprobs: Tensor
    lengths: Tensor

    @property
    def logratios(self) -> Tensor:
        """(B, K) log pi - log pi_ref."""
        return self.logprobs - self.ref_logprobs

    @property
    def means(self) -> Tensor:
        """(B, K) mean logprob per token."""
        return self.logprobs / self.lengths.clamp(min=1)

    @property
    def utilities(self) -> Tensor:
        """(B, K) labels from the order alone: 1 for the best, in equal steps down to 0."""
        k = self.logprobs.shape[1]
        return torch.linspace(1, 0, k).to(self.logprobs).expand_as(self.logprobs)

    @property
    def chosen(self) -> Tensor:
        """Logprob of the best completion."""
        return self.logprobs[:, 0]

    @property
    def rejected(self) -> Tensor:
        """Logprob of the last completion."""
        return self.logprobs[:, -1]

    @property
    def ref_chosen(self) -> Tensor:
        """The reference's logprob of the best completion."""
        return self.ref_logprobs[:, 0]

    @property
    def ref_rejected(self) -> Tensor:
        """The reference's logprob of the last completion."""
        return self.ref_logprobs[:, -1]

    @property
    def chosen_length(self) -> Tensor:
        """Tokens of the best completion."""
        return self.lengths[:, 0]

    @property
    def rejected_length(self) -> Tensor:
        """Tokens of the last completion."""
        return self.lengths[:, -1]

    @property
    def chosen_logratio(self) -> Tensor:
        """log pi - log pi_ref of the best completion."""
        return self.chosen - self.ref_chosen

    @property
    def rejected_logratio(self) -> Tensor:
        """log pi - log pi_ref of the last completion."""
        return self.rejected - self.ref_rejected

    @property
    def margin(self) -> Tensor:
        """Chosen minus rejected logratio; times beta it is the lead in implicit reward."""
        return self.chosen_logratio - self.rejected_logratio

    @property
    def chosen_mean(self) -> Tensor:
        """Mean logprob per token of the best completion."""
        return self.chosen / self.chosen_length.clamp(min=1)

    @property
    def rejected_mean(self) -> Tensor:
        """Mean logprob per token of the last completion."""
        return self.rejected / self.rejected_length.clamp(min=1)

    @property
    def mean_margin(self) -> Tensor:
        """The margin of logratios per token."""
        chosen = self.chosen_logratio / self.chosen_length.clamp(min=1)
        return chosen - self.rejected_logratio / self.rejected_length.clamp(min=1)

    @classmethod
    def of(
        cls,
        chosen: list[float] | Tensor,
        rejected: list[float] | Tensor,
        ref_chosen: list[float] | Tensor | None = None,
        ref_rejected: list[float] | Tensor | None = None,
        length: int | tuple[Tensor, Tensor] = 1,
    ) -> RankLogprobs:
        """Pairs from (B,) numbers: a reference of 0 and equal lengths unless given."""
        sums = [chosen, rejected, ref_chosen, ref_rejected]
        zeros = torch.zeros(len(chosen))
        sums = [zeros if x is None else torch.as_tensor(x) for x in sums]
        logprobs, ref_logprobs = torch.stack(sums[:2], 1), torch.stack(sums[2:], 1)
        if isinstance(length, int):
            return cls(logprobs, ref_logprobs, torch.full(logprobs.shape, length))
        return cls(logprobs, ref_logprobs, torch.stack(length, 1))
