"""Preference optimisation in rounds, whose reference moves after the policy between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.history import History
from minialign.core.models.loading import frozen_reference
from minialign.variants.preference_loop import PreferenceConfig, Ranking, train_preference


@torch.no_grad()
def mix_into(reference: PreTrainedModel, policy: PreTrainedModel, share: float) -> None:
    """Move every weight of the reference by `share` of the way to the policy's, adapters merged.

    >>> a, b = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    >>> mix_into(a, b, 1.0)
    >>> bool(a.weight == b.weight)
    True
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: of the way to the policy, use 0 to 1")
    if isinstance(policy, PeftModel):  # the reference has the adapters in its weights
        policy = frozen_reference(policy)
    for old, new in zip(reference.parameters(), policy.parameters(), strict=True):
        old.lerp_(new.detach().to(old.dtype), share)


def train_stepwise(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rounds: Iterable[Sequence[Ranking]],
    config: PreferenceConfig | Sequence[PreferenceConfig] | None = None,
    *,
    share: float = 1.0,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> list[History]:
    """`train_preference` on each round's rankings in turn; one history per round.

    Parts of the data in turn, easy ones first, with share 1: stepwise DPO, Kim et al. 2024,
    arXiv:2403.19270, section 3.2. The same data in every round: a trust region whose centre is
    updated, hard with share 1 and softly below, Gorbatovski et al. 2024 (TR-DPO),
    arXiv:2404.09656; here the learning rate starts anew in every round.

    Args:
        policy: trained in place; the first reference is what it is now.
        tokenizer: for its pad id.
        rounds: the rankings of each round; each is asked for when its turn comes.
        config: of every round, or one for each; None is the default.
        share: of the way that the reference moves to the policy after a round; 0 keeps it.
        on_step: called with each step's metrics.
        checkpoint_dir: a folder in it per round; an interrupted run goes on where it stopped.
    """
    reference = frozen_reference(policy)
    histories = []
    each = isinstance(config, Sequence)
    configs = config if each else repeat(config)
    for i, (rankings, settings) in enumerate(zip(rounds, configs, strict=each)):
        folder = None if checkpoint_dir is None else checkpoint_dir / f"round-{i}"
        histories.append(
            train_preference(
                policy, tokenizer, rankings, settings, reference=reference, on_step=on_step,
                checkpoint_dir=folder,
            )
        )  # fmt: skip
        mix_into(reference, policy, share)
    return histories
