"""Steps whose numbers are not finite, settings that were dropped without a word, remainders."""

from __future__ import annotations

import pytest
import torch
from loop_runs import (
    CRITICS,
    DEMOS,
    PAIRS,
    ROWS,
    RUNS,
    SCORERS,
    kto,
    letters,
    trained_model,
)
from same_weights import same, weights
from tiny_models import small_tokenizer, tiny_llama

from minialign.algorithms.ppo import PpoConfig
from minialign.core import run as run_module
from minialign.core.advantages import minibatches
from minialign.core.checkpoint import has_checkpoint
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.models.references import completion_logprobs
from minialign.core.optim import NonFiniteStep, refuse_non_finite
from minialign.core.sampling import sample
from minialign.variants.listwise import plackett_luce_loss
from minialign.variants.loops import critic as critic_module
from minialign.variants.loops.critic import Critic, imitation
from minialign.variants.loops.offline_loop import train_rankings
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.rounds import by_reward, train_on_own_replies
from minialign.variants.methods import method
from minialign.variants.reward_losses import plackett_luce
from minialign.world.tasks import instructions

TOKENIZER = small_tokenizer()
loops = pytest.mark.parametrize("name", RUNS)


def spoilt(value: float, name: str):
    """`clip_grad_norm_` that finds a gradient of this value in the second step."""
    clip, norms = run_module.clip_grad_norm_, []

    def spoil(parameters, limit):
        parameters = list(parameters)
        norms.append(clip(parameters, limit))
        if len(norms) > (4 if name in CRITICS else 1):  # two models in two passes
            next(p for p in parameters if p.grad is not None).grad.fill_(value)
            return clip(parameters, limit)
        return norms[-1]

    return spoil


@loops
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_touches_no_weight(name, bad, monkeypatch, tmp_path):
    """In the second step; the checkpoint of the first stands, and the run goes on from it."""
    given, before = trained_model(name), []
    (model,) = given.values()

    def note(metrics):
        before[:] = weights(model)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "clip_grad_norm_", spoilt(bad, name))
        with pytest.raises(NonFiniteStep, match=r"step 1, rows \d.*gradient is not finite"):
            RUNS[name](tmp_path / "run", **given, on_step=note)
    assert before and same(before, weights(model)) and has_checkpoint(tmp_path / "run")
    assert len(RUNS[name](tmp_path / "run")) == 2


FIRST = {"reward": "scores", "rankings": "scores", "sft": "loss", "supervised": "loss",
         "ppo": "loss"}  # fmt: skip


@loops
def test_the_first_value_of_a_step_that_is_not_finite_is_named(name, monkeypatch, tmp_path):
    """Weights that have become infinite after the first step: what they said comes first."""
    given = trained_model(name)
    (model,) = given.values()
    head = model.head if name in SCORERS else model.lm_head

    def spoil(module, inputs, output):
        return output * float("nan") if torch.is_grad_enabled() and model.spoilt else output

    def after_the_first(metrics):
        model.spoilt = True
        before[:] = weights(model)

    before, model.spoilt = [], False
    head.register_forward_hook(spoil)
    named = FIRST.get(name, "logprobs")
    with pytest.raises(NonFiniteStep, match=rf"step 1, rows \d.*: {named} is not finite"):
        RUNS[name](tmp_path / "run", **given, on_step=after_the_first)
    assert same(before, weights(model)) and has_checkpoint(tmp_path / "run")


@pytest.mark.parametrize("name", ["grpo", "policy"])
def test_advantages_that_overflow_are_named(name):
    """Rewards that float32 holds, and whose sum it does not."""

    def vast(completions, **columns):
        return [3e38] * len(completions)

    with pytest.raises(NonFiniteStep, match=r"step 0, rows \d.*: advantages is not finite"):
        RUNS[name](None, reward=vast)


@loops
def test_a_model_whose_weights_are_nan_already_is_refused(name):
    """Before any step."""
    given = trained_model(name)
    (model,) = given.values()
    head = model.head if name in SCORERS else model.lm_head
    head.weight.data[0] = float("nan")
    with pytest.raises(ValueError, match=r"not finite before any step \(.*head.weight"):
        RUNS[name](None, **given)


def test_nothing_is_sampled_from_nan():
    policy = tiny_llama()
    policy.lm_head.weight.data[5] = float("nan")
    for fast in (True, False):
        with pytest.raises(ValueError, match=r"logits after 2 of 2 prompts are nan"):
            sample(policy, TOKENIZER, ["the cat", "a dog"], fast=fast)


def test_the_first_cause_is_named():
    nan = torch.tensor([1.0, float("nan")])
    with pytest.raises(NonFiniteStep, match=r"step 7, rows 2, 5 .*: scores is not finite, so"):
        refuse_non_finite(7, [5, 2, 5], scores=nan, loss=nan.mean(), gradient=1.0)
    with pytest.raises(NonFiniteStep, match=r"loss is not finite \(inf\)"):
        refuse_non_finite(0, [0], scores=torch.ones(2), loss=torch.tensor(float("inf")))
    refuse_non_finite(0, [0], scores=torch.ones(2), loss=0.0)


# --- settings


def test_a_penalty_that_has_no_place_is_refused():
    def steps(rollout, rows):
        return torch.zeros(rollout.logprobs.shape)

    def train(**settings):
        config = PolicyConfig(steps=1, prompts=2, group_size=2, max_new_tokens=3, **settings)
        return train_policy(tiny_llama(), TOKENIZER, ROWS, letters, config, step_rewards=steps)

    with pytest.raises(ValueError, match="kl='loss', or beta=0"):
        train(kl="reward", beta=0.1)
    assert len(train(kl="reward")) == len(train(beta=0.1)) == 1


@pytest.mark.parametrize("labels", [["yes", "no"], [1.5, 0], [None, True], ["False", "True"]])
def test_labels_are_true_or_false(labels):
    with pytest.raises(ValueError, match=r"a label is .*; use True"):
        kto(None, liked=labels * 2)


def test_labels_of_0_and_1_are_labels():
    """As numbers they would pick rows 0 and 1 of the batch."""
    numbers, labels = (kto(None, liked=liked) for liked in ([1, 0, 1, 0], [True, False] * 2))
    assert numbers["liked"].tolist() == labels["liked"].tolist()


def test_bco_has_no_weights():
    bco = method("bco").trainer().keywords["loss"]
    with pytest.raises(TypeError, match="liked_weight"):
        bco(torch.zeros(2), torch.tensor([True, False]), 0.0, liked_weight=2.0)


@pytest.mark.parametrize(("n", "count"), [(10, 4), (9, 8), (5, 5), (7, 2), (64, 4)])
def test_there_are_as_many_minibatches_as_asked_for(n, count):
    PpoConfig(prompts=n, minibatches=count, epochs=3)
    rollout = sample(tiny_llama(), TOKENIZER, ["a dog"] * n, max_new_tokens=2)
    parts = list(minibatches(rollout, 3, count, torch.Generator().manual_seed(0)))
    rows = [part for part, _ in parts]
    assert len(parts) == 3 * count and min(map(len, rows)) >= 1
    assert sorted(torch.cat(rows[:count]).tolist()) == list(range(n))
    lengths = rollout.attention_mask.sum(1)
    assert all(columns.stop == lengths[part].max() for part, columns in parts)


@pytest.mark.parametrize(("steps", "rounds"), [(5, 2), (7, 3), (4, 2), (3, 3)])
def test_rounds_take_all_steps_between_them(steps, rounds):
    histories = train_on_own_replies(
        tiny_llama(), TOKENIZER, instructions(12, "train", 0), by_reward(letters),
        PreferenceConfig(steps=steps, batch_size=2), rounds=rounds, max_new_tokens=4,
    )  # fmt: skip
    assert sum(map(len, histories)) == steps and len(histories) == rounds


def test_demonstrations_are_read_as_fast_as_the_rollout(monkeypatch):
    """The pretraining mix multiplies in the number type of the update."""
    seen, real = [], critic_module.token_logprobs

    def watched(model, *args):
        seen.append(torch.is_autocast_enabled("cpu"))
        return real(model, *args)

    monkeypatch.setattr(critic_module, "token_logprobs", watched)
    monkeypatch.setattr(
        critic_module, "fast_matmul", lambda device: torch.autocast("cpu", torch.bfloat16)
    )
    config = PolicyConfig(
        steps=1, prompts=2, group_size=1, minibatches=1, max_new_tokens=3, kl="reward", beta=0.1
    )
    train_policy(
        tiny_llama(), TOKENIZER, ROWS, letters, config,
        critic=Critic(ValueModel.from_policy(tiny_llama())), extra_loss=imitation(DEMOS),
    )  # fmt: skip
    assert seen and all(seen)


def test_dynamic_sampling_logs_the_reward_of_all_that_was_drawn():
    def bonus(completions, answer, **columns):
        return [float(a > 1) + (a == 1) * i % 2 for i, a in enumerate(answer)]

    config = PolicyConfig(steps=1, prompts=2, group_size=2, max_new_tokens=3, dynamic=True)
    history = train_policy(tiny_llama(), TOKENIZER, ROWS, bonus, config)
    assert history["reward"][0] == pytest.approx((0 + 0.5 + 1 + 1) / 4)


# --- references, rankings


def test_references_of_another_order_model_or_shape_are_refused():
    pad = TOKENIZER.pad_token_id

    def train(ref_logprobs, rankings=PAIRS, **more):
        config = PreferenceConfig(steps=1, batch_size=2)
        return train_preference(
            tiny_llama(), TOKENIZER, rankings, config, ref_logprobs=ref_logprobs, **more
        )

    right, others = (completion_logprobs(tiny_llama(seed), PAIRS, pad) for seed in (0, 1))
    assert len(train(right)) == 1
    assert len(train(right.bfloat16())) == 1  # rounding is no other reference
    for wrong in (right.flip(0), right.flip(1), others):
        with pytest.raises(ValueError, match="not those of these rankings under this reference"):
            train(wrong)
    for wrong in (right[:-1], right[:, :1], right.view(-1), right * float("nan")):
        with pytest.raises(ValueError, match="one finite sum for each completion"):
            train(wrong)
    assert len(train(others, reference=tiny_llama(1))) == 1


def test_a_ranking_that_holds_a_text_twice_anywhere_is_refused():
    a, b = PAIRS[0]
    config = PreferenceConfig(steps=1)
    with pytest.raises(ValueError, match="twice"):
        train_preference(tiny_llama(), TOKENIZER, [(a, b, a)], config, loss=plackett_luce_loss)
    model = RewardModel.from_policy(tiny_llama())
    with pytest.raises(ValueError, match="twice"):
        train_rankings(model, TOKENIZER, [(a, b, a)], loss=plackett_luce)
