"""Steps whose numbers are not finite, settings that were dropped without a word, remainders."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from loop_runs import DEMOS, MODULES, PAIRS, ROWS, RUNS, dpo, kto, letters, ppo, rl, sft
from same_weights import same, weights
from tiny_models import small_tokenizer, tiny_llama

from minialign.algorithms import ppo as ppo_module
from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.core.advantages import minibatches
from minialign.core.checkpoint import has_checkpoint
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.optim import NonFiniteStep, reference_sums, refuse_non_finite
from minialign.core.sampling import sample
from minialign.variants.loops.policy_loop import RlConfig, train_rl
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.rounds import by_reward, train_on_own_replies
from minialign.variants.loops.unpaired_loop import UnpairedConfig
from minialign.world.tasks import instructions

TOKENIZER = small_tokenizer()
loops = pytest.mark.parametrize("name", RUNS)


@loops
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_touches_no_weight(name, bad, monkeypatch, tmp_path):
    """In the second step; the checkpoint of the first stands, and the run goes on from it."""
    model = RewardModel.from_policy(tiny_llama()) if name == "reward" else tiny_llama()
    key, steps, before = "model" if name == "reward" else "policy", [], []
    module = import_module(MODULES[name])
    clip = torch.nn.utils.clip_grad_norm_

    def spoil(parameters, limit):
        parameters = list(parameters)
        found = clip(parameters, limit)
        steps.append(found)
        if len(steps) > (4 if name == "ppo" else 1):  # two models in two passes
            before[:] = weights(model)
            next(p for p in parameters if p.grad is not None).grad.fill_(bad)
            return clip(parameters, limit)
        return found

    with monkeypatch.context() as patch:
        target = module if hasattr(module, "clip_grad_norm_") else torch.nn.utils
        patch.setattr(target, "clip_grad_norm_", spoil)
        with pytest.raises(NonFiniteStep, match=r"step 1, rows \d.*gradient is not finite"):
            RUNS[name](tmp_path / "run", **{key: model})
    assert same(before, weights(model)) and has_checkpoint(tmp_path / "run")
    assert len(RUNS[name](tmp_path / "run")) == 2


def test_a_model_whose_weights_are_nan_already_is_refused():
    """Before any step, and by sampling."""
    policy = tiny_llama()
    policy.lm_head.weight.data[5] = float("nan")
    for loop in (sft, dpo, kto, rl, ppo):
        with pytest.raises(ValueError, match=r"not finite before any step \(.*lm_head.weight"):
            loop(None, policy=policy)
    with pytest.raises(ValueError, match=r"logits after 2 of 2 prompts are nan"):
        sample(policy, TOKENIZER, ["the cat", "a dog"])


def test_the_first_cause_is_named():
    nan = torch.tensor([1.0, float("nan")])
    with pytest.raises(NonFiniteStep, match=r"step 7, rows 2, 5 .*: scores is not finite, so"):
        refuse_non_finite(7, [5, 2, 5], scores=nan, loss=nan.mean(), gradient=1.0)
    with pytest.raises(NonFiniteStep, match=r"loss is not finite \(inf\)"):
        refuse_non_finite(0, [0], scores=torch.ones(2), loss=torch.tensor(float("inf")))
    refuse_non_finite(0, [0], scores=torch.ones(2), loss=0.0)


# --- settings


def test_a_penalty_that_has_no_place_is_refused():
    with pytest.raises(ValueError, match="kl='loss', or beta=0"):
        RlConfig(advantage="process", kl="reward", beta=0.1)
    RlConfig(advantage="process", kl="reward"), RlConfig(advantage="process", beta=0.1)


@pytest.mark.parametrize("labels", [["yes", "no"], [1.5, 0], [None, True], ["False", "True"]])
def test_labels_are_true_or_false(labels):
    with pytest.raises(ValueError, match=r"a label is .*; use True"):
        kto(None, liked=labels * 2)


def test_labels_of_0_and_1_are_labels():
    """As numbers they would pick rows 0 and 1 of the batch."""
    numbers, labels = (kto(None, liked=liked) for liked in ([1, 0, 1, 0], [True, False] * 2))
    assert numbers["liked"].tolist() == labels["liked"].tolist()


def test_bco_has_no_weights():
    with pytest.raises(ValueError, match="BCO has no weights"):
        UnpairedConfig(loss="bco", liked_weight=2.0)
    with pytest.raises(ValueError, match="BCO has no weights"):
        UnpairedConfig(loss="bco", disliked_weight=0.5)


@pytest.mark.parametrize(("n", "count"), [(10, 4), (9, 8), (5, 5), (7, 2), (64, 4)])
def test_there_are_as_many_minibatches_as_asked_for(n, count):
    config = PpoConfig(prompts=n, minibatches=count, epochs=3)
    parts = list(minibatches(torch.arange(n) + 5, config, torch.Generator().manual_seed(0)))
    assert len(parts) == 3 * count and min(map(len, parts)) >= 1
    assert sorted(torch.cat(parts[:count]).tolist()) == list(range(n))


@pytest.mark.parametrize(("steps", "rounds"), [(5, 2), (7, 3), (4, 2), (3, 3)])
def test_rounds_take_all_steps_between_them(steps, rounds):
    histories = train_on_own_replies(
        tiny_llama(), TOKENIZER, instructions(12, "train", 0), by_reward(letters),
        PreferenceConfig(steps=steps, batch_size=2), rounds=rounds, max_new_tokens=4,
    )  # fmt: skip
    assert sum(map(len, histories)) == steps and len(histories) == rounds


def test_demonstrations_are_read_as_fast_as_the_rollout(monkeypatch):
    """The pretraining mix multiplies in the number type of the update."""
    seen, real = [], ppo_module.token_logprobs

    def watched(model, *args):
        seen.append(torch.is_autocast_enabled("cpu"))
        return real(model, *args)

    monkeypatch.setattr(ppo_module, "token_logprobs", watched)
    monkeypatch.setattr(
        ppo_module, "fast_matmul", lambda device: torch.autocast("cpu", torch.bfloat16)
    )
    config = PpoConfig(steps=1, prompts=2, minibatches=1, max_new_tokens=3, ptx=1.0)
    critic = ValueModel.from_policy(tiny_llama())
    train_ppo(tiny_llama(), critic, TOKENIZER, ROWS, letters, config, demonstrations=DEMOS)
    assert seen and all(seen)


def test_dynamic_sampling_logs_the_reward_of_all_that_was_drawn():
    def bonus(completions, answer, **columns):
        return [float(a > 1) + (a == 1) * i % 2 for i, a in enumerate(answer)]

    config = RlConfig(steps=1, prompts=2, group_size=2, max_new_tokens=3, dynamic=True)
    history = train_rl(tiny_llama(), TOKENIZER, ROWS, bonus, config)
    assert history["reward"][0] == pytest.approx((0 + 0.5 + 1 + 1) / 4)


# --- references, rankings


def test_references_of_another_order_model_or_shape_are_refused():
    def train(references, rankings=PAIRS, **more):
        config = PreferenceConfig(steps=1, batch_size=2)
        policy = tiny_llama()
        return train_preference(policy, TOKENIZER, rankings, config, references=references, **more)

    right = reference_sums(tiny_llama(), TOKENIZER, PAIRS)
    assert len(train(right)) == 1
    assert len(train(right.bfloat16())) == 1  # rounding is no other reference
    for wrong in (right.flip(0), right.flip(1), reference_sums(tiny_llama(1), TOKENIZER, PAIRS)):
        with pytest.raises(ValueError, match="not those of these rankings under this reference"):
            train(wrong)
    for wrong in (right[:-1], right[:, :1], right.view(-1), right * float("nan")):
        with pytest.raises(ValueError, match="one finite sum for each completion"):
            train(wrong)
    other = tiny_llama(1)
    assert len(train(reference_sums(other, TOKENIZER, PAIRS), reference=other)) == 1


def test_a_ranking_that_holds_a_text_twice_anywhere_is_refused():
    a, b = PAIRS[0]
    with pytest.raises(ValueError, match="twice"):
        train_preference(
            tiny_llama(), TOKENIZER, [(a, b, a)], PreferenceConfig(loss="plackett_luce", steps=1)
        )
    model = RewardModel.from_policy(tiny_llama())
    with pytest.raises(ValueError, match="twice"):
        train_reward(model, TOKENIZER, [(a, b, a)], RewardConfig(loss="plackett_luce", steps=1))
