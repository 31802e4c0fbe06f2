"""Runs of every training loop and of `sample` whose numbers tests/golden.json holds.

`python tests/golden_runs.py` writes the file anew, or the cases that are named behind it (see
test_golden.py before you do). When names in the package move, this module changes and the values do
not.

A case is a function of a model's name that makes models and rows with fixed seeds and trains. It
returns the history's rows, the models by name, and their weights from before.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from golden_rows import (
    BASE,
    GPT2,
    NEW,
    asked_rows,
    brevity,
    demonstration_rows,
    every_third,
    pairs,
    problems,
    scorer,
    short_instructions,
    snapshot,
    start,
    triples,
    vowels,
    with_ends,
    with_letter,
)
from tiny_models import gpt2_with_dropout

from minialign.algorithms.ppo import PpoConfig
from minialign.core.models.heads import ValueModel
from minialign.core.models.loading import add_lora
from minialign.core.sampling import sample
from minialign.variants.averages import token_mean
from minialign.variants.loops.critic import Critic, imitation
from minialign.variants.loops.offline_loop import train_rankings, train_supervised
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.rounds import by_reward
from minialign.variants.loops.unpaired_loop import balanced
from minialign.variants.methods import method, registry
from minialign.variants.policy import clipped
from minialign.variants.reward_losses import adjusted_bradley_terry, both_orders
from minialign.variants.unpaired import kto_loss
from minialign.world.replies.preferences import comparisons

STEPS = 5
# So large that five steps leave the start by far more than rounding, and no policy collapses.
RATES = {BASE: 5e-5, GPT2: 2e-3}


# --- one function per family; a case names a method of the registry, or what it is made of


def short(policy_name: str, **changes) -> dict[str, Any]:
    """Settings of a few steps."""
    return {"steps": STEPS, "learning_rate": RATES[policy_name], **changes}


small = partial(short, warmup=2)  # where the warmup is a setting


def sft(
    policy_name: str,
    name: str = "sft",
    *,
    train: Callable | None = None,
    lora: bool = False,
    dropout: bool = False,
):
    """Five steps of imitation."""
    policy, tokenizer = start(policy_name)
    if dropout:
        policy = with_ends(gpt2_with_dropout())
    if lora:
        policy = add_lora(policy, rank=4)
    train = train or method(name).trainer()
    config = method(name).settings(**small(policy_name, batch_size=4))
    before = snapshot(policy=policy)
    history = train(policy, tokenizer, demonstration_rows(tokenizer), config)
    return history.to_rows(), {"policy": policy}, before


def reward(policy_name: str, name: str = "bradley_terry", *, train: Callable | None = None):
    """Five steps of a reward model."""
    policy, tokenizer = start(policy_name)
    model = scorer(policy)
    train = train or method(name).trainer()
    config = method(name).settings(**small(policy_name, batch_size=3))
    rows = (triples if "loss" in method(name).functions else pairs)(tokenizer)
    if name == "pairwise":
        texts = [c for c in comparisons(40) if len(c.first + c.second) < 100][:8]
        rows = [both_orders(tokenizer, c.instruction.prompt, c.chosen, c.rejected) for c in texts]
    before = snapshot(model=model)
    history = train(model, tokenizer, rows, config)
    return history.to_rows(), {"model": model}, before


def ppo(policy_name: str, **changes):
    """Five rollouts of PPO by the essay."""
    policy, tokenizer = start(policy_name)
    value_model = ValueModel.from_reward_model(scorer(policy))
    settings = {"prompts": 4, "minibatches": 2, "max_new_tokens": NEW, "missing_eos": None}
    config = PpoConfig(**short(policy_name, **settings | changes))
    before = snapshot(policy=policy, value=value_model)
    history = method("ppo").trainer(value_model=value_model)(
        policy, tokenizer, asked_rows(), vowels, config
    )
    return history.to_rows(), {"policy": policy, "value": value_model}, before


def ppo_in_general(
    policy_name: str,
    name: str = "ppo",
    *,
    clip: float = 0.2,
    ptx: float = 0.0,
    watch: bool = False,
    critic: dict[str, Any] | None = None,
    **changes,
):
    """Five rollouts of PPO, or of a row of the registry, by the general loop."""
    policy, tokenizer = start(policy_name)
    value_model = ValueModel.from_reward_model(scorer(policy))
    entry = method(name).functions.get("critic", {})
    of_row = {} if isinstance(entry, str) else {k: v for k, v in entry.items() if k != "function"}
    made = Critic(value_model, clip=clip, **{"missing_eos": None} | of_row | (critic or {}))
    ptx = ptx or float("extra_loss" in method(name).functions)
    extra = imitation(demonstration_rows(tokenizer), weight=ptx) if ptx else None
    settings = {"epochs": 2, "beta": 0.05, "group_size": 1, "kl": "reward"} | method(name).config
    settings |= {"prompts": 4, "minibatches": 2, "max_new_tokens": NEW} | changes
    before = snapshot(policy=policy, value=value_model)
    history = train_policy(
        policy, tokenizer, asked_rows(), vowels, PolicyConfig(**short(policy_name, **settings)),
        objective=partial(clipped, clip=clip), average=token_mean, critic=made, extra_loss=extra,
        watch={"brevity": brevity} if watch else None,
    )  # fmt: skip
    return history.to_rows(), {"policy": policy, "value": value_model}, before


def preference(
    policy_name: str,
    name: str = "dpo",
    *,
    train: Callable | None = None,
    own_reference: bool = False,
    fallen: bool = False,
    **changes,
):
    """Five steps of preference optimisation, from which the reference is a little away."""
    policy, tokenizer = start(policy_name)
    m = method(name)
    kind = m.settings if train is None else PreferenceConfig
    config = kind(**small(policy_name, batch_size=3, **changes))
    rows = (triples if "listwise" in str(m.functions) else pairs)(tokenizer)
    reference = None if own_reference else _other(policy)
    if fallen:
        policy, reference = reference.requires_grad_(True), policy.requires_grad_(False)
    before = snapshot(policy=policy)
    given = {} if own_reference else {"reference": reference}
    history = (train or m.trainer())(policy, tokenizer, rows, config, **given)
    return history.to_rows(), {"policy": policy}, before


def _other(policy: torch.nn.Module) -> torch.nn.Module:
    """A frozen copy, each weight of which is another percent or two larger or smaller."""
    other = copy.deepcopy(policy).requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for weight in other.parameters():
        weight.mul_(1 + 0.02 * torch.randn(weight.shape, generator=generator))
    return other


def stepwise(policy_name: str, name: str):
    """Two rounds of three steps."""
    policy, tokenizer = start(policy_name)
    rows = pairs(tokenizer)
    before = snapshot(policy=policy)
    config = PreferenceConfig(**small(policy_name, batch_size=3, steps=3))
    histories = method(name).trainer()(policy, tokenizer, [rows[:5], rows[5:]], config)
    return _in_rounds(histories), {"policy": policy}, before


def own_replies(policy_name: str, name: str):
    """Four steps on the policy's own replies."""
    policy, tokenizer = start(policy_name)
    before = snapshot(policy=policy)
    config = PreferenceConfig(**small(policy_name, batch_size=3, steps=4))
    histories = method(name).trainer()(
        policy, tokenizer, short_instructions(12), by_reward(vowels), config, max_new_tokens=NEW
    )
    return _in_rounds(histories), {"policy": policy}, before


def _in_rounds(histories) -> list[dict[str, Any]]:
    return [{"round": i, **row} for i, h in enumerate(histories) for row in h.to_rows()]


def unpaired(policy_name: str, name: str = "kto", *, weigh: bool = False, beta: float = 0.1):
    """Five steps of unpaired feedback."""
    policy, tokenizer = start(policy_name)
    rows = [row for pair in pairs(tokenizer) for row in pair][:11]
    liked = [i % 2 == 0 for i in range(len(rows))]
    train = method(name).trainer()
    if weigh:
        up, down = balanced(liked)
        loss = partial(kto_loss, beta=beta, liked_weight=up, disliked_weight=down)
        train = partial(train, loss=loss)
    before = snapshot(policy=policy)
    config = method(name).settings(**small(policy_name, batch_size=4))
    history = train(policy, tokenizer, rows, liked, config)
    return history.to_rows(), {"policy": policy}, before


def groups(
    policy_name: str,
    name: str,
    *,
    general: bool = False,
    lora: bool = False,
    objective: Callable | None = None,
    **changes,
):
    """Five rollouts without a critic, two updates with each."""
    policy, tokenizer = start(policy_name)
    if lora:
        policy = add_lora(policy, rank=4)
    m = method(name)
    settings = {"prompts": 2, "group_size": 3, "epochs": 2, "max_new_tokens": NEW}
    settings |= m.config | changes
    needs = {"step_rewards": every_third} if m.needs else {}
    train, kind = m.trainer(**needs), m.settings
    if general:
        train, kind = train_policy, partial(PolicyConfig, beta=0.04)
    if objective is not None:
        train = partial(train, objective=objective)
    before = snapshot(policy=policy)
    history = train(
        policy, tokenizer, problems(), with_letter, kind(**short(policy_name, **settings)),
        watch={"brevity": brevity},
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


# By the end of a row's loop.
FAMILIES = {
    "train_sft": sft,
    "train_supervised": sft,
    "train_reward": reward,
    "train_rankings": reward,
    "train_dpo": preference,
    "train_preference": preference,
    "train_stepwise": stepwise,
    "train_on_own_replies": own_replies,
    "train_unpaired": unpaired,
    "train_grpo": groups,
    "train_policy": groups,
}


def _registry_cases() -> dict[str, Callable]:
    """Every row of the registry with its settings; what no row can say are options."""
    options = {"lora": {"lora": True}, "dpop": {"fallen": True}, "aot": {"fallen": True}}
    cases = {}
    for name, row in registry().items():
        family = FAMILIES.get(row.loop.rsplit(".", 1)[1])
        if "value_model" in row.needs:
            family = ppo_in_general
        cases[name] = partial(family, name=name, **options.get(name, {}))
    # An essay's reference is its policy; the recorded runs start away from theirs.
    return cases | {"ppo": ppo, "dpo": partial(preference, train=train_preference, name="dpo")}


ALL_OPTIONS = partial(adjusted_bradley_terry, margin=0.5, label_smoothing=0.1, centering=0.01)
# What the registry's rows leave out: options together, and paths that no default takes.
MORE: dict[str, Callable] = {
    "sft_dropout": partial(sft, dropout=True),  # of GPT-2, whatever the model's name
    "reward_all_options": partial(reward, train=partial(train_rankings, pair_loss=ALL_OPTIONS)),
    "ppo_options": partial(
        ppo_in_general, critic={"target_kl": 1.0, "scores": "normalised"}, ptx=0.5, watch=True,
        epochs=1,
    ),
    "ppo_missing_eos": partial(ppo, missing_eos=-1.0),
    "ppo_one_minibatch": partial(ppo, minibatches=1, lam=1.0, clip=0.1, seed=1),
    "dpo_own_reference": partial(preference, own_reference=True, seed=1),
    "wpo_tail": partial(preference, name="wpo", tail=0.3),
    "kto_balanced": partial(unpaired, weigh=True, beta=0.3),
    "grpo_one_epoch": partial(groups, name="grpo", epochs=1),
    "dapo_options": partial(
        groups, name="dapo", objective=partial(clipped, clip=0.1, clip_high=0.28)
    ),
    "reinforce_kl_reward": partial(groups, name="reinforce", beta=0.1, kl="reward"),
    "grpo_lora": partial(groups, name="grpo", lora=True),
    "sample": partial(draw, temperature=1.0),
    "sample_half": partial(draw, temperature=0.5, group_size=1),
    "sample_greedy": partial(draw, temperature=0.0, group_size=1),
}  # fmt: skip
CASES: dict[str, Callable] = _registry_cases() | MORE

# What an essay trains, by the general loop of its family: the same numbers are recorded for both.
IN_GENERAL: dict[str, Callable] = {
    "sft": partial(sft, train=train_supervised),
    "sft_dropout": partial(sft, train=train_supervised, dropout=True),
    "bradley_terry": partial(reward, train=train_rankings),
    "ppo": ppo_in_general,
    "ppo_missing_eos": partial(ppo_in_general, critic={"missing_eos": -1.0}),
    "dpo_own_reference": partial(preference, train=train_preference, own_reference=True, seed=1),
    "grpo": partial(groups, name="grpo", general=True),
    "grpo_one_epoch": partial(groups, name="grpo", general=True, epochs=1),
    "grpo_lora": partial(groups, name="grpo", general=True, lora=True),
}


if __name__ == "__main__":
    import sys

    from golden_record import record

    record(sys.argv[1:])
