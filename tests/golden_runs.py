"""Runs of every training loop and of `sample` whose numbers tests/golden.json holds.

`python tests/golden_runs.py` writes the file anew (see test_golden.py before you do). When names in
the package move, this module changes and the values do not.

A case is a function of a model's name that makes models and rows with fixed seeds and trains. It
returns the history's rows, the models by name, and their weights from before.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from minialign.batching import Row, encode
from minialign.models import RewardModel, ValueModel, add_lora, load_policy
from minialign.own_replies import by_reward, train_on_own_replies
from minialign.registry import REGISTRY, method
from minialign.rollout import sample
from minialign.train.ppo import PpoConfig, train_ppo
from minialign.train.preference import LISTWISE, PreferenceConfig, train_preference
from minialign.train.reward import RewardConfig, both_orders, train_reward
from minialign.train.rl import RlConfig, train_rl
from minialign.train.sft import SftConfig, train_sft
from minialign.train.stepwise import train_stepwise
from minialign.train.unpaired import UnpairedConfig, balanced, train_unpaired
from tiny_models import gpt2_with_dropout, small_tokenizer, tiny
from torch import Tensor

from minialign.world.problems import problem_rows
from minialign.world.replies.demonstrations import demonstrations
from minialign.world.replies.preferences import comparisons, rankings
from minialign.world.tasks import instructions

BASE, GPT2 = "tiny-base", "tiny-gpt2"
STEPS, NEW = 5, 12
# So large that five steps leave the start by far more than rounding, and no policy collapses.
RATES = {BASE: 5e-5, GPT2: 2e-3}

Models = dict[str, torch.nn.Module]
Rows = list[dict[str, Any]]


# --- models and rows


@cache
def _load(policy_name: str):
    if policy_name == GPT2:
        return with_ends(tiny("gpt2")), small_tokenizer()
    return load_policy(policy_name)


def with_ends(policy: torch.nn.Module) -> torch.nn.Module:
    """The policy with a large embedding of its end, so that completions differ in length."""
    policy.get_input_embeddings().weight.data[policy.config.eos_token_id] *= 2.5
    return policy


def start(policy_name: str):
    """A fresh policy and its tokenizer."""
    policy, tokenizer = _load(policy_name)
    return copy.deepcopy(policy), tokenizer


def scorer(policy: torch.nn.Module) -> RewardModel:
    """A reward model whose head does not depend on when it is made."""
    return RewardModel.from_policy(policy, seed=3)


def _rows(tokenizer, texts: list[tuple[str, ...]], n: int = 10, longest: int = 140) -> list:
    """Rows of the first n rankings (prompt, best, ..., worst) of short texts, as tuples."""
    few = [t for t in texts if max(len(t[0]) + len(x) for x in t[1:]) <= longest][:n]
    return [tuple(encode(tokenizer, t[0], x) for x in t[1:]) for t in few]


def demonstration_rows(tokenizer) -> list[Row]:
    """Demonstrations of the village."""
    texts = [(d.instruction.prompt, d.completion) for d in demonstrations(50)]
    return [row for (row,) in _rows(tokenizer, texts)]


def pairs(tokenizer) -> list[tuple[Row, Row]]:
    """Comparisons of the village, the chosen reply first."""
    texts = [(c.instruction.prompt, c.chosen, c.rejected) for c in comparisons(50)]
    return _rows(tokenizer, texts)


def triples(tokenizer) -> list[tuple[Row, Row, Row]]:
    """Rankings of the village."""
    return _rows(tokenizer, [(i.prompt, *replies) for i, replies in rankings(80, 3)], 8, 200)


def short_instructions(n: int) -> list:
    """Short instructions of the village."""
    return [i for i in instructions(40) if len(i.prompt) < 70][:n]


def problems() -> list[dict[str, Any]]:
    """Problems of the village with a column that the reward reads."""
    rows = enumerate(problem_rows(6, levels=(1, 2)))
    return [{"prompt": r["prompt"], "level": r["level"], "letter": "aeiost"[i]} for i, r in rows]


# --- rewards: functions of the texts, or of the ids, alone


def vowels(prompts, completions, **columns) -> list[float]:
    """Share of vowels, and a little for each letter."""
    return [
        sum(c in "aeiou" for c in t) / max(1, len(t)) + len(t) / 100 - 0.25 for t in completions
    ]


def with_letter(prompts, completions, letter, **columns) -> list[float]:
    """As `vowels`, and a tenth for each time that the row's own letter comes."""
    each = zip(vowels(prompts, completions), completions, letter, strict=True)
    return [value + 0.1 * text.count(one) for value, text, one in each]


def brevity(prompts, completions, **columns) -> list[float]:
    """Short completions are good."""
    return [-len(text) / 20 for text in completions]


def every_third(rollout, rows) -> Tensor:
    """(B, T) rewards of steps, which end at every third token; nan elsewhere."""
    columns = torch.arange(rollout.input_ids.shape[1])
    ends = (columns % 3 == 0) & rollout.completion_mask.bool()
    return torch.where(ends, (rollout.input_ids % 7) / 7.0, float("nan"))


def snapshot(**models: torch.nn.Module) -> dict[str, Tensor]:
    """The weights of models before they are trained."""
    return {name: flat(model) for name, model in models.items()}


def flat(model: torch.nn.Module) -> Tensor:
    """(N,) all weights, in a copy."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# --- one function per loop; a case fixes its settings


def short(policy_name: str, **changes) -> dict[str, Any]:
    """Settings of a few steps."""
    return {"steps": STEPS, "learning_rate": RATES[policy_name], **changes}


small = partial(short, warmup=2)  # where the warmup is a setting


def sft(policy_name: str, *, lora: bool = False, dropout: bool = False, **changes):
    """Five steps of imitation."""
    policy, tokenizer = start(policy_name)
    if dropout:
        policy = with_ends(gpt2_with_dropout())
    if lora:
        policy = add_lora(policy, rank=4)
    config = SftConfig(**small(policy_name, batch_size=4, **changes))
    before = snapshot(policy=policy)
    history = train_sft(policy, tokenizer, demonstration_rows(tokenizer), config)
    return history.to_rows(), {"policy": policy}, before


def reward(policy_name: str, *, both: bool = False, **changes):
    """Five steps of a reward model."""
    policy, tokenizer = start(policy_name)
    model = scorer(policy)
    config = RewardConfig(**small(policy_name, batch_size=3, **changes))
    rows = (pairs if config.loss == "bradley_terry" else triples)(tokenizer)
    if both:
        texts = [c for c in comparisons(40) if len(c.first + c.second) < 100][:8]
        rows = [both_orders(tokenizer, c.instruction.prompt, c.chosen, c.rejected) for c in texts]
    before = snapshot(model=model)
    history = train_reward(model, tokenizer, rows, config)
    return history.to_rows(), {"model": model}, before


def ppo(policy_name: str, *, watch: bool = False, **changes):
    """Five rollouts of PPO."""
    policy, tokenizer = start(policy_name)
    critic = ValueModel.from_reward_model(scorer(policy))
    settings = {"prompts": 4, "minibatches": 2, "max_new_tokens": NEW, "missing_eos": None}
    config = PpoConfig(**short(policy_name, **settings | changes))
    mix = demonstration_rows(tokenizer) if config.ptx else ()
    before = snapshot(policy=policy, value=critic)
    history = train_ppo(
        policy, critic, tokenizer, [i.prompt for i in short_instructions(6)], vowels, config,
        demonstrations=mix, watch={"brevity": brevity} if watch else None,
    )  # fmt: skip
    return history.to_rows(), {"policy": policy, "value": critic}, before


def _preference_config(policy_name: str, **changes) -> PreferenceConfig:
    return PreferenceConfig(**small(policy_name, batch_size=3, **changes))


def preference(policy_name: str, *, own_reference: bool = False, fallen: bool = False, **changes):
    """Five steps of preference optimisation, from which the reference is a little away."""
    policy, tokenizer = start(policy_name)
    config = _preference_config(policy_name, **changes)
    rows = (triples if config.loss in LISTWISE else pairs)(tokenizer)
    reference = None if own_reference else _other(policy)
    if fallen:
        policy, reference = reference.requires_grad_(True), policy.requires_grad_(False)
    before = snapshot(policy=policy)
    history = train_preference(policy, tokenizer, rows, config, reference=reference)
    return history.to_rows(), {"policy": policy}, before


def _other(policy: torch.nn.Module) -> torch.nn.Module:
    """A frozen copy, each weight of which is another percent or two larger or smaller."""
    other = copy.deepcopy(policy).requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for weight in other.parameters():
        weight.mul_(1 + 0.02 * torch.randn(weight.shape, generator=generator))
    return other


def stepwise(policy_name: str, *, share: float):
    """Two rounds of three steps."""
    policy, tokenizer = start(policy_name)
    rows = pairs(tokenizer)
    before = snapshot(policy=policy)
    config = _preference_config(policy_name, steps=3)
    histories = train_stepwise(policy, tokenizer, [rows[:5], rows[5:]], config, share=share)
    return _in_rounds(histories), {"policy": policy}, before


def own_replies(policy_name: str, *, rounds: int):
    """Four steps on the policy's own replies."""
    policy, tokenizer = start(policy_name)
    before = snapshot(policy=policy)
    histories = train_on_own_replies(
        policy, tokenizer, short_instructions(12), by_reward(vowels),
        _preference_config(policy_name, steps=4), rounds=rounds, max_new_tokens=NEW,
    )  # fmt: skip
    return _in_rounds(histories), {"policy": policy}, before


def _in_rounds(histories) -> Rows:
    return [{"round": i, **row} for i, h in enumerate(histories) for row in h.to_rows()]


def unpaired(policy_name: str, *, weigh: bool = False, **changes):
    """Five steps of unpaired feedback."""
    policy, tokenizer = start(policy_name)
    rows = [row for pair in pairs(tokenizer) for row in pair][:11]
    liked = [i % 2 == 0 for i in range(len(rows))]
    if weigh:
        changes["liked_weight"], changes["disliked_weight"] = balanced(liked)
    before = snapshot(policy=policy)
    config = UnpairedConfig(**small(policy_name, batch_size=4, **changes))
    history = train_unpaired(policy, tokenizer, rows, liked, config)
    return history.to_rows(), {"policy": policy}, before


def rl(policy_name: str, *, lora: bool = False, **changes):
    """Five rollouts of reinforcement learning without a critic, two updates with each."""
    policy, tokenizer = start(policy_name)
    if lora:
        policy = add_lora(policy, rank=4)
    settings = {"prompts": 2, "group_size": 3, "epochs": 2, "max_new_tokens": NEW}
    config = RlConfig(**short(policy_name, **settings | changes))
    before = snapshot(policy=policy)
    history = train_rl(
        policy, tokenizer, problems(), with_letter, config, watch={"brevity": brevity},
        steps=every_third if config.advantage == "process" else None,
    )  # fmt: skip
    return history.to_rows(), {"policy": policy}, before


def draw(policy_name: str, *, temperature: float, group_size: int = 3):
    """Completions of prompts of unlike length; one is a conversation."""
    policy, tokenizer = start(policy_name)
    talk = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "a dog ran"}]
    prompts = [problems()[0]["prompt"], "what is 2 plus 3?", talk]
    prompts += [i.prompt for i in short_instructions(2)]
    rollout = sample(
        policy, tokenizer, prompts, group_size=group_size, max_new_tokens=NEW,
        temperature=temperature, generator=torch.Generator().manual_seed(7),
    )  # fmt: skip
    own = rollout.completion_mask.bool()
    rows = []
    for i, text in enumerate(rollout.texts):
        ids = rollout.input_ids[i][rollout.attention_mask[i].bool()].tolist()
        logprobs = rollout.logprobs[i][own[i]].tolist()
        row = {"text": text, "ids": ids, "sampled": int(own[i].sum()), "logprobs": logprobs}
        rows.append(row | {"finished": bool(rollout.finished[i])})
    return rows, {}, {}


LOOPS = {
    "train_sft": sft,
    "train_reward": reward,
    "train_ppo": ppo,
    "train_preference": preference,
    "train_stepwise": stepwise,
    "train_on_own_replies": own_replies,
    "train_unpaired": unpaired,
    "train_rl": rl,
}


def _registry_cases() -> dict[str, Callable]:
    """Every row of the registry with its settings; rows that a function makes have its option."""
    options = {"lora": {"lora": True}, "pairwise": {"both": True}}
    options |= {"dpop": {"fallen": True}, "aot": {"fallen": True}}
    return {
        name: partial(LOOPS[row.loop], **(row.settings | options.get(name, {})))
        for name, row in REGISTRY.items()
    }


def _rl_like(name: str, **changes) -> Callable:
    return partial(rl, **(method(name).settings | changes))


# What the registry's rows leave out: options together, and paths that no default takes.
MORE: dict[str, Callable] = {
    "sft_dropout": partial(sft, dropout=True),  # of GPT-2, whatever the model's name
    "reward_all_options": partial(reward, margin=0.5, label_smoothing=0.1, centering=0.01),
    "ppo_options": partial(
        ppo, target_kl=1.0, rewards="normalised", ptx=0.5, watch=True, missing_eos=None, epochs=1
    ),
    "ppo_missing_eos": partial(ppo, missing_eos=-1.0),
    "ppo_one_minibatch": partial(ppo, minibatches=1, lam=1.0, clip=0.1, seed=1),
    "dpo_own_reference": partial(preference, own_reference=True, seed=1),
    "wpo_tail": partial(preference, weigh=True, tail=0.3),
    "kto_balanced": partial(unpaired, weigh=True, beta=0.3),
    "grpo_one_epoch": _rl_like("grpo", epochs=1),
    "dapo_options": _rl_like("dapo", options={"clip": 0.1, "clip_high": 0.28}),
    "reinforce_kl_reward": _rl_like("reinforce", beta=0.1, kl="reward"),
    "grpo_lora": _rl_like("grpo", lora=True),
    "sample": partial(draw, temperature=1.0),
    "sample_half": partial(draw, temperature=0.5, group_size=1),
    "sample_greedy": partial(draw, temperature=0.0, group_size=1),
}
CASES: dict[str, Callable] = _registry_cases() | MORE


if __name__ == "__main__":
    from golden_record import record

    record()
