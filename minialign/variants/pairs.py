"""Logprobs of a preference pair, and what all preference losses read from them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PairLogprobs:
    """Summed completion logprobs of B pairs under policy and reference, in nats: (B,) each.

    Reference fields may be zeros for losses without one. Lengths count completion tokens, EOS
    included.
    """

    chosen: Tensor
    rejected: Tensor
    ref_chosen: Tensor
    ref_rejected: Tensor
    chosen_length: Tensor
    rejected_length: Tensor

    @property
    def chosen_logratio(self) -> Tensor:
        """log pi - log pi_ref of the chosen completion."""
        return self.chosen - self.ref_chosen

    @property
    def rejected_logratio(self) -> Tensor:
        """log pi - log pi_ref of the rejected completion."""
        return self.rejected - self.ref_rejected

    @property
    def margin(self) -> Tensor:
        """Chosen minus rejected logratio; times beta it is the lead in implicit reward."""
        return self.chosen_logratio - self.rejected_logratio

    @property
    def chosen_mean(self) -> Tensor:
        """Mean logprob per token of the chosen completion."""
        return self.chosen / self.chosen_length.clamp(min=1)

    @property
    def rejected_mean(self) -> Tensor:
        """Mean logprob per token of the rejected completion."""
        return self.rejected / self.rejected_length.clamp(min=1)

    @property
    def mean_margin(self) -> Tensor:
        """The margin of logratios per token."""
        chosen = self.chosen_logratio / self.chosen_length.clamp(min=1)
        return chosen - self.rejected_logratio / self.rejected_length.clamp(min=1)

    @classmethod
    def of(
        cls,
        chosen: list[float],
        rejected: list[float],
        ref_chosen: list[float] | None = None,
        ref_rejected: list[float] | None = None,
        length: int = 1,
    ) -> PairLogprobs:
        """From plain numbers: a reference of 0 and equal lengths unless given. For examples."""
        zeros = [0.0] * len(chosen)
        sums = (chosen, rejected, ref_chosen or zeros, ref_rejected or zeros)
        lengths = torch.full((len(chosen),), length)
        return cls(*(torch.tensor(x) for x in sums), lengths, lengths)


@dataclass(frozen=True)
class RankLogprobs:
    """Summed completion logprobs of B rankings of K completions, the best first: (B, K) each."""

    logprobs: Tensor
    ref_logprobs: Tensor
    lengths: Tensor

    @property
    def logratios(self) -> Tensor:
        """log pi - log pi_ref."""
        return self.logprobs - self.ref_logprobs

    @property
    def means(self) -> Tensor:
        """Mean logprob per token."""
        return self.logprobs / self.lengths.clamp(min=1)

    @property
    def utilities(self) -> Tensor:
        """Labels from the order alone: 1 for the best, in equal steps down to 0 for the last."""
        k = self.logprobs.shape[1]
        return torch.linspace(1, 0, k).to(self.logprobs).expand_as(self.logprobs)

    @property
    def pair(self) -> PairLogprobs:
        """The best and the worst of each ranking."""
        ends = [x[:, i] for x in (self.logprobs, self.ref_logprobs, self.lengths) for i in (0, -1)]
        return PairLogprobs(*ends)
