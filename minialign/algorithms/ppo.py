"""Proximal policy optimisation of a language model against a reward, with a critic and a KL leash.

Schulman et al. 2017, arXiv:1707.06347, as Ziegler et al. 2019, arXiv:1909.08593, and Ouyang et al.
2022, arXiv:2203.02155, use it for language: one completion is one episode, a token one action, the
score comes with the last token and a penalty on log pi - log pi_ref with every token.

Details of Huang et al. 2024, arXiv:2403.17031, by number. Done: 3 own pad, and EOS is learnt; 7 no
dropout (`load_policy`); 11 and 12 head and place of the score (`RewardModel`); 15 its zero
(`set_zero`); 20 Adam's eps, lambda and clips; 21 prompts in a new order each epoch; 22
critic from the reward model; 23 EOS trick; 24 and 25 whitening, of rewards as an option.
Not done: 1, 2 and 4 to 6 describe their data; 8 to 10 their hardware and the training of the other
models; 13, 14 and 16 to 19 observe their reward models (padding moves no score of ours); of 20, a
temperature of 0.7 (ours is 1, the policy itself), four epochs (the course takes one, in four
minibatches), 0.1 on the value loss (each model's gradient is clipped alone) and a rate that falls
to 0 (ours to a twentieth).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.advantages import explained_variance, gae, whiten
from minialign.core.batching import Messages, Row, by_length, collate, prompt_batches
from minialign.core.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from minialign.core.history import History
from minialign.core.kl import adapt_beta, k1
from minialign.core.logprobs import masked_mean, masked_sum, token_logprobs
from minialign.core.models.loading import ValueModel, frozen_reference
from minialign.core.models.modes import evaluating, training
from minialign.core.optim import (
    due,
    fast_matmul,
    linear_schedule,
    make_optimizer,
    refuse_non_finite,
    run_settings,
)
from minialign.core.sampling import Rollout, sample
from minialign.rewards.contract import Data, Reward, paid_by, rewards_of, watched
from minialign.variants.policy import clipped, value_loss
from minialign.variants.supervised import cross_entropy

REWARDS = ("plain", "whitened", "normalised", "clipped")
SCORE_CLIP = 0.3  # standard deviations: delta of Zheng et al. 2023
EPS = 1e-5  # of Adam, details 9, 10 and 20
WARMUP = 5  # steps until the learning rate's peak
MAX_GRAD_NORM = 1.0


@dataclass(frozen=True)
class PpoConfig:
    """Settings of `train_ppo`."""

    steps: int = 100  # rollouts
    prompts: int = 64  # of a rollout, one completion each
    epochs: int = 2  # passes over a rollout
    minibatches: int = 4  # updates in a pass
    learning_rate: float = 1e-4  # of policy and critic; 3e-6 for models of 1 B parameters
    clip: float = 0.2  # a ratio, or a value, that has moved farther is pulled no farther
    lam: float = 0.95  # of the generalised advantages
    beta: float = 0.05  # KL penalty: reward per nat
    target_kl: float | None = None  # nats per completion that beta is adapted to; None keeps beta
    rewards: str = "plain"  # or whitened, normalised, clipped: see `Running`, `token_rewards`
    missing_eos: float | None = -1.0  # score of a completion that was cut; None scores it as it is
    ptx: float = 0.0  # weight of the demonstrations' cross-entropy
    max_new_tokens: int = 64  # a completion is cut there
    seed: int = 0  # of prompts, sampling and minibatches
    save_every: int = 10  # steps between checkpoints

    def __post_init__(self) -> None:
        whole = ("steps", "prompts", "epochs", "minibatches", "max_new_tokens", "save_every")
        if small := [name for name in whole if getattr(self, name) < 1]:
            raise ValueError(f"{small[0]} is {getattr(self, small[0])}; use 1 or more")
        if self.minibatches > self.prompts:
            raise ValueError(
                f"{self.prompts} prompts cannot fill {self.minibatches} minibatches; use fewer"
            )
        if not self.learning_rate > 0 or self.ptx < 0 or self.beta < 0:
            raise ValueError(
                f"learning_rate={self.learning_rate}, ptx={self.ptx}, beta={self.beta}: the first "
                "must be above 0, the others at least 0"
            )
        if self.target_kl is not None and not (self.target_kl > 0 and self.beta > 0):
            raise ValueError(
                f"target_kl={self.target_kl}, beta={self.beta}: beta is adapted by factors, so "
                "both must be above 0; target_kl=None keeps beta fixed"
            )
        if self.rewards not in REWARDS:
            raise ValueError(f"rewards is {self.rewards!r}; use one of {', '.join(REWARDS)}")


def token_rewards(
    scores: Tensor, kl: Tensor, mask: Tensor, beta: float, how: str = "plain"
) -> Tensor:
    """(B,) scores and (B, T) log pi - log pi_ref as rewards per token: (B, T), 0 outside the mask.

    -beta * kl at every completion token, and the score at the last one: Ouyang et al. 2022,
    equation 2, spread over tokens. "whitened": their variance is made 1 and their mean kept.

    >>> kl = torch.tensor([[0.0, 1.0, 2.0]])
    >>> token_rewards(torch.tensor([3.0]), kl, torch.tensor([[0, 1, 1]]), beta=0.5)
    tensor([[ 0.0000, -0.5000,  2.0000]])
    """
    last = mask.shape[1] - 1 - mask.flip(1).long().argmax(1)
    rewards = torch.where(mask.bool(), -beta * kl, 0.0)
    rewards = rewards.scatter_add(1, last[:, None], scores[:, None].to(rewards.dtype))
    return whiten(rewards, mask, shift_mean=False) if how == "whitened" else rewards


@dataclass
class Running:
    """Count, mean and sum of squares of all scores so far, by which scores are normalised."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def __call__(self, scores: Tensor, how: str) -> Tensor:
        """(B,) scores, taken in; "normalised" to mean 0 and variance 1, or "clipped" as well.

        Zheng et al. 2023 (Secrets of RLHF, part I), arXiv:2307.04964, equation 18, centres, scales
        and clips; their code scales without centring, and clips at 10, if asked. Ziegler et al.
        2019 normalise once, before training; here all scores so far count.
        """
        for score in scores.tolist():  # Welford's update
            self.count += 1
            off = score - self.mean
            self.mean += off / self.count
            self.squares += off * (score - self.mean)
        if how not in ("normalised", "clipped"):
            return scores
        spread = math.sqrt(self.squares / max(1, self.count - 1)) or 1.0
        found = (scores - self.mean) / spread
        return found.clamp(-SCORE_CLIP, SCORE_CLIP) if how == "clipped" else found


def with_missing_eos(scores: Tensor, rollout: Rollout, missing: float | None) -> Tensor:
    """(B,) scores; a completion that was cut gets `missing` in place of its own (detail 23)."""
    return scores if missing is None else torch.where(rollout.finished, scores, missing)


def minibatches(lengths: Tensor, config: PpoConfig, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of a rollout in disjoint parts of like length, new ones in every epoch.

    Each part is a step of its own, with the mean over its tokens as loss: a token of a part with
    short completions weighs a little more.
    """
    for _ in range(config.epochs):
        noise = 8 * torch.rand(len(lengths), generator=generator)
        parts = (lengths.cpu() + noise).argsort().tensor_split(config.minibatches)
        yield from (parts[i] for i in torch.randperm(len(parts), generator=generator).tolist())


def imitation(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    generator: torch.Generator,
) -> Callable[[int], Tensor] | None:
    """n -> cross-entropy per token of n demonstrations drawn at random; None without any."""

    def loss(n: int) -> Tensor:
        drawn = torch.randint(len(rows), (n,), generator=generator).tolist()
        batch = collate([rows[i] for i in drawn], tokenizer.pad_token_id).to(policy.device)
        with fast_matmul(policy.device):
            logprobs = token_logprobs(policy, batch.input_ids, batch.attention_mask)
        return cross_entropy(logprobs, batch.completion_mask).sum() / batch.completion_mask.sum()

    return loss if rows else None


def shown(rollout: Rollout, kl: Tensor, scores: Tensor) -> dict[str, float]:
    """What a rollout shows: mean score, nats per completion and token, tokens, a share."""
    mask = rollout.completion_mask
    return {
        "reward": scores.mean().item(),
        "kl": masked_sum(kl, mask).mean().item(),
        "entropy": -masked_mean(rollout.logprobs, mask).item(),  # of samples: unbiased
        "length": rollout.lengths.float().mean().item(),
        "stops": rollout.finished.float().mean().item(),
    }


def _checked(
    rows: Sequence[str | Messages | Data], demonstrations: Sequence[Row], config: PpoConfig
) -> list[Data]:
    """The rows as dicts, once there is all that the settings ask for."""
    rows = [{"prompt": row} if isinstance(row, str | list) else row for row in rows]
    if not rows or any(not isinstance(row, Mapping) or "prompt" not in row for row in rows):
        raise ValueError(f"{len(rows)} rows: give at least one, each a dict with a prompt")
    if bool(demonstrations) != (config.ptx > 0):
        raise ValueError(
            f"{len(demonstrations)} demonstrations with ptx={config.ptx}: give both, or neither"
        )
    return rows


def update(
    models: torch.nn.ModuleDict,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    values: tuple[Tensor, Tensor, Tensor],
    config: PpoConfig,
    generator: torch.Generator,
    imitate: Callable[[int], Tensor] | None = None,
    place: tuple[int, Sequence[int]] = (0, ()),
) -> dict[str, float]:
    """A few passes of clipped steps over one rollout; returns clip_fraction and value_loss.

    Args:
        models: "policy" and "value", trained in place.
        optimizer: of both.
        rollout: B completions with the logprobs of the policy that sampled.
        values: (B, T) each: advantages, returns, and the critic's values when it was sampled.
        config: epochs, minibatches, clip and ptx are read.
        generator: of the order of the minibatches.
        imitate: n -> cross-entropy of n demonstrations; None is without the pretraining mix.
        place: step and rows, for an error.
    """
    found, lengths = [], rollout.attention_mask.sum(1)
    every = (rollout.input_ids, rollout.attention_mask, rollout.completion_mask)
    every = (*every, rollout.logprobs, *values)  # (B, T) each
    with training(models):
        for rows in minibatches(lengths, config, generator):
            width = int(lengths[rows].max())  # beyond it there is padding only
            part = (x[rows, :width] for x in every)
            ids, seen, kept, old, advantages, returns, old_values = part
            with fast_matmul(ids.device):
                logprobs = token_logprobs(models["policy"], ids, seen)
                new_values = models["value"](ids, seen)
            gain = clipped(logprobs, old, advantages, kept, clip=config.clip)
            error = value_loss(new_values, old_values, returns, kept, clip=config.clip)
            loss = masked_mean(error - gain, kept)
            if imitate is not None:
                loss = loss + config.ptx * imitate(len(rows))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norms = [clip_grad_norm_(m.parameters(), MAX_GRAD_NORM) for m in models.values()]
            refuse_non_finite(*place, returns=returns, loss=loss, gradient=sum(norms))
            optimizer.step()
            outside = ((logprobs - old).exp() - 1).abs() > config.clip
            found.append([masked_mean(x.float(), kept).item() for x in (outside, error)])
    clips, errors = torch.tensor(found).mean(0).tolist()
    return {"clip_fraction": clips, "value_loss": errors}


def train_ppo(
    policy: PreTrainedModel,
    value_model: ValueModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[str | Messages | Data],
    reward: Reward,
    config: PpoConfig | None = None,
    *,
    watch: Mapping[str, Reward] | None = None,
    demonstrations: Sequence[Row] = (),
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train policy and critic in place so that completions earn more reward, near the start.

    Args:
        policy: the instruction-tuned model; a frozen copy of it is the reference.
        value_model: starts best as a copy of the reward model.
        tokenizer: with a chat template.
        rows: prompts to complete, in a new order in every epoch; or dicts of "prompt" and the
            columns that the rewards read.
        reward: TRL's signature, see `rewards.contract`; each completion needs a number.
        config: settings; None is the default.
        watch: name -> reward that is logged and never learnt from, such as the gold utility.
        demonstrations: encoded, for the pretraining mix (ptx above 0).
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of reward (mean score), kl (nats per completion), entropy (nats per token), length
        (tokens), stops (share), clip_fraction, value_loss, explained_variance, beta,
        learning_rate, and one column for each of `watch`.
    """
    config = config or PpoConfig()
    rows = _checked(rows, demonstrations, config)
    reference = frozen_reference(policy)
    both = torch.nn.ModuleDict({"policy": policy, "value": value_model})
    optimizer = make_optimizer(both, config.learning_rate, eps=EPS)
    rngs = torch.Generator(policy.device), torch.Generator()
    sampling, shuffling = (g.manual_seed(config.seed) for g in rngs)
    limits = {"max_new_tokens": config.max_new_tokens, "generator": sampling}
    imitate = imitation(policy, tokenizer, demonstrations, shuffling)
    history, scale, beta, first = History(), Running(), config.beta, 0
    data = [rows, demonstrations, tokenizer.chat_template]
    known = {"rewards": paid_by(reward, watch), "model": both, "reference": policy}
    settings = run_settings("ppo", config, data, **known)
    if checkpoint_dir is not None and has_checkpoint(checkpoint_dir):
        state = load_checkpoint(checkpoint_dir, both, optimizer, settings, rngs)
        history, first = History.from_rows(state["history"]), state["step"]
        scale, beta = Running(**state["scale"]), state["beta"]
    batches = prompt_batches(len(rows), config.prompts, Random(config.seed))
    bar = tqdm(islice(batches, first, config.steps), "ppo", config.steps, initial=first)
    for step, indices in enumerate(bar, start=first):
        # 1. Roll out: one completion of each prompt, with its logprobs.
        asked = [rows[i] for i in indices]
        prompts = [row["prompt"] for row in asked]
        with torch.no_grad(), evaluating(value_model), fast_matmul(policy.device):
            rollout = sample(policy, tokenizer, prompts, **limits)
            ids, seen = rollout.input_ids, rollout.attention_mask
            mask = rollout.completion_mask
            ref_logprobs = by_length(partial(token_logprobs, reference), ids, seen)
            values = by_length(value_model, ids, seen)
        # 2. Reward: the score at the last token, the KL penalty at every token.
        scores = rewards_of(reward, rollout, asked, indices)
        scores = with_missing_eos(scores, rollout, config.missing_eos)
        kl, used = k1(rollout.logprobs, ref_logprobs), scale(scores, config.rewards)
        rewards = token_rewards(used, kl, mask, beta, config.rewards)
        # 3. Advantage: the critic's targets come before the whitening.
        advantages = gae(rewards, values, mask, lam=config.lam)
        learnt = whiten(advantages, mask), advantages + values, values
        # 4. Update: a few passes over the rollout, in minibatches.
        peak = config.learning_rate
        rate = linear_schedule(optimizer, peak, step, config.steps, WARMUP)
        given = rollout, learnt, config, shuffling, imitate, (step, indices)
        metrics = update(both, optimizer, *given)
        # 5. Watch.
        metrics |= {"learning_rate": rate, "beta": beta, **shown(rollout, kl, scores)}
        metrics["explained_variance"] = explained_variance(values, learnt[1], mask)
        metrics |= watched(watch, rollout, asked)
        beta = adapt_beta(beta, metrics["kl"], config.target_kl, len(rollout))
        history.log(step, **metrics)
        bar.set_postfix(reward=f"{metrics['reward']:.2f}", kl=f"{metrics['kl']:.1f}")
        if on_step is not None:
            on_step(metrics)
        # 6. Save, so that a kill loses little.
        if checkpoint_dir is not None and due(step + 1, config):
            state = {"step": step + 1, "beta": beta, "scale": asdict(scale)}
            state["history"] = history.to_rows()
            save_checkpoint(checkpoint_dir, both, optimizer, settings, state, rngs)
    return history
