"""The PPO loop and its parts: alignment of columns, details, determinism, resuming, learning."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from random import Random

import pytest
import torch
from loop_inputs import PROMPTS, TOKENIZER, brevity, critic, small, stop_at
from minialign.variants.critic import adapt_beta
from same_weights import same, weights
from slowness import slow_but
from tiny_models import gpt2_with_dropout, tiny_llama

from minialign.algorithms import ppo
from minialign.algorithms.ppo import PpoConfig, Running, train_ppo
from minialign.core import advantages
from minialign.core.advantages import token_rewards, whiten
from minialign.core.batching import collate
from minialign.core.logprobs import by_length, masked_mean, token_logprobs
from minialign.core.models.architecture import disable_dropout
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.run import prompt_batches
from minialign.core.sampling import sample
from minialign.core.tokens import encode
from minialign.course.studies import policy_optimisation
from minialign.course.studies.policy_optimisation import FAULTS, planted
from minialign.variants import methods

settings = partial(small, PpoConfig)
METRICS = [
    "reward", "kl", "entropy", "length", "stops", "beta", "clip_fraction", "value_loss",
    "learning_rate", "explained_variance",
]  # fmt: skip


def trained(config=None, seed: int = 0, **named):
    policy = tiny_llama(seed)
    value_model = critic(policy)
    history = train_ppo(
        policy, value_model, TOKENIZER, PROMPTS, brevity, config or settings(), **named
    )
    return policy, value_model, history


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_value_is_of_the_prefix_before_its_column(kind: str, side: str):
    """Trap 14: values[:, t] has not seen token t; it is the reward model's score up to t - 1."""
    policy = tiny_llama() if kind == "llama" else disable_dropout(gpt2_with_dropout()).eval()
    scorer = RewardModel.from_policy(policy)
    scorer.zero += 0.5
    value_model = ValueModel.from_reward_model(scorer)
    rows = [encode(TOKENIZER, "the cat", "sat on"), encode(TOKENIZER, "a", "dog ran to the mat")]
    batch = collate(rows, TOKENIZER.pad_token_id, side=side)
    with torch.no_grad():
        values = value_model(batch.input_ids, batch.attention_mask)
        for row, found, mask in zip(rows, values, batch.completion_mask.bool(), strict=True):
            ids = torch.tensor([row.ids])
            scores = scorer.token_scores(ids, torch.ones_like(ids))[0]
            start = len(row.prompt_ids)
            expected = scores[start - 1 : -1]
            torch.testing.assert_close(found[mask], expected, atol=1e-5, rtol=1e-4)
        last = batch.completion_mask.flip(1).argmax(1)
        changed = batch.input_ids.clone()
        for i, back in enumerate(last.tolist()):
            changed[i, -1 - back] = 7
        again = value_model(changed, batch.attention_mask)
    kept = batch.completion_mask.bool()
    assert torch.equal(values[kept], again[kept])  # the last token's value has not read it


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """Exact arithmetic wherever the tests run."""
    monkeypatch.setattr(ppo, "fast_matmul", lambda device: nullcontext())


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_critic_applies_the_final_norm_once(kind: str):
    """Trap 23: the body's states are those that the language model's head reads."""
    policy = tiny_llama() if kind == "llama" else disable_dropout(gpt2_with_dropout()).eval()
    value_model = critic(policy)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        states = value_model.body(input_ids=ids, use_cache=False).last_hidden_state
        torch.testing.assert_close(policy.lm_head(states), policy(ids).logits)


def test_the_first_pass_has_ratio_1_for_any_padding():
    """Trap 9: the sampler's logprobs are those of the loss."""
    policy = tiny_llama()
    rollout = sample(policy, TOKENIZER, PROMPTS, max_new_tokens=8)
    with torch.no_grad():
        logprobs = token_logprobs(policy, rollout.input_ids, rollout.attention_mask)
    kept = rollout.completion_mask.bool()
    torch.testing.assert_close(logprobs[kept], rollout.logprobs[kept], atol=1e-5, rtol=1e-5)
    _, _, history = trained(settings(epochs=1, minibatches=1, steps=2))
    assert (history["clip_fraction"] == 0).all()
    assert history["kl"][0] == pytest.approx(0.0, abs=1e-4)


def test_sampling_update_and_reference_round_alike(monkeypatch):
    """In bfloat16 the ratio of a fresh sample leaves no clip, and its KL is little."""
    monkeypatch.setattr(ppo, "fast_matmul", lambda device: torch.autocast("cpu", torch.bfloat16))
    _, _, history = trained(settings(epochs=1, minibatches=1, steps=2))
    assert (history["clip_fraction"] == 0).all()
    assert history["kl"][0] == pytest.approx(0.0, abs=0.02)


def test_two_steps_log_the_metrics_and_leave_the_reference_alone(monkeypatch):
    made, real = [], ppo.frozen_reference
    monkeypatch.setattr(ppo, "frozen_reference", lambda p: made.append(real(p)) or made[-1])
    policy, seen = tiny_llama(), []
    before = weights(policy)
    watch = {"letters": lambda prompts, completions, **_: [float(len(c)) for c in completions]}
    value_model = critic(policy)
    history = train_ppo(
        policy, value_model, TOKENIZER, PROMPTS, brevity, settings(steps=2), watch=watch,
        on_step=seen.append,
    )  # fmt: skip
    assert sorted(history.names) == sorted([*METRICS, "letters"]) and len(seen) == 2
    assert same(before, made[0].parameters()) and not same(before, policy.parameters())
    assert history["beta"].tolist() == [0.05, 0.05]
    assert not same(weights(critic(tiny_llama())), value_model.parameters())


def test_the_critic_learns_returns_from_before_the_whitening(monkeypatch):
    """Traps 17 and 18: whitened advantages plus values are no returns; trap 21: Adam's eps."""
    given, real = [], ppo.update
    monkeypatch.setattr(ppo, "update", lambda *args: given.append(args) or real(*args))
    trained(settings(steps=1))
    _, optimizer, rollout, (advantages, returns, values), *_ = given[0]
    mask = rollout.completion_mask
    raw = (returns - values) * mask
    assert torch.allclose(advantages, whiten(raw, mask), atol=1e-5)
    assert abs(masked_mean(advantages, mask)) < 1e-5 < abs(masked_mean(raw, mask))
    assert {group["eps"] for group in optimizer.param_groups} == {1e-5}


def test_one_seed_gives_one_result_and_another_seed_another():
    first, again, other = trained(), trained(), trained(settings(seed=1))
    assert same(weights(*first[:2]), weights(*again[:2]))
    assert first[2].to_rows() == again[2].to_rows()
    assert not same(weights(*first[:2]), weights(*other[:2]))


@pytest.mark.parametrize(
    "changes", slow_but([{}, {"rewards": "clipped", "target_kl": 0.5}, {"ptx": 0.5}], {})
)
def test_an_interrupted_run_ends_bit_equal(tmp_path, changes):
    shown = [encode(TOKENIZER, "the cat", "sat on the mat")] if "ptx" in changes else []
    whole = trained(settings(**changes), demonstrations=shown)

    with pytest.raises(KeyboardInterrupt):
        trained(settings(**changes), demonstrations=shown, checkpoint_dir=tmp_path / "c",
                on_step=stop_at(3))  # fmt: skip
    resumed = trained(settings(**changes), demonstrations=shown, checkpoint_dir=tmp_path / "c")
    assert same(weights(*whole[:2]), weights(*resumed[:2]))
    assert whole[2].to_rows() == resumed[2].to_rows()


@pytest.mark.parametrize("name", methods.table("train_ppo").index)
def test_every_variant_of_the_registry_runs(name: str):
    changes = methods.method(name).settings
    shown = [encode(TOKENIZER, "the cat", "sat on the mat")] if "ptx" in changes else []
    policy, _, history = trained(settings(steps=2, **changes), demonstrations=shown)
    assert len(history) == 2 and not same(weights(tiny_llama()), policy.parameters())


@pytest.mark.slow
def test_training_earns_more_reward():
    _, _, history = trained(settings(steps=30, prompts=16, learning_rate=3e-3, beta=0.0))
    early, late = history["reward"][:5].mean(), history["reward"][-5:].mean()
    assert late > early + 0.2
    assert history["explained_variance"][-5:].mean() > history["explained_variance"][:2].mean()


@pytest.mark.slow
def test_the_leash_holds():
    loose, tight = (
        trained(settings(steps=30, prompts=16, learning_rate=1e-3, beta=beta))[2]["kl"][-5:].mean()
        for beta in (0.0, 5.0)
    )
    assert tight < 0.5 * loose


def test_the_score_goes_to_the_last_token_and_the_penalty_to_each():
    """Traps 7 and 14: a sum over tokens, and no column too early."""
    kl = torch.tensor([[9.0, 1.0, 2.0, 9.0], [9.0, 9.0, 3.0, 4.0]])
    mask = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 1]])
    found = token_rewards(torch.tensor([10.0, 20.0]), kl, mask, 0.5)
    assert found.tolist() == [[0.0, -0.5, 9.0, 0.0], [0.0, 0.0, -1.5, 18.0]]
    white = token_rewards(torch.tensor([10.0, 20.0]), kl, mask, 0.5, "whitened")[mask.bool()]
    plain = found[mask.bool()]
    torch.testing.assert_close(white.var(), torch.tensor(1.0))
    torch.testing.assert_close(white.mean(), plain.mean())


def test_a_cut_completion_gets_the_fixed_low_score():
    """Trap 11: in place of its own score."""
    rollout = sample(tiny_llama(), TOKENIZER, PROMPTS, max_new_tokens=3)
    finished = torch.tensor([True, False, True, False, True])
    rollout = replace(rollout, finished=finished)
    found = ppo.with_missing_eos(torch.full((5,), 5.0), rollout, -1.0)
    assert found.tolist() == [5.0, -1.0, 5.0, -1.0, 5.0]
    assert ppo.with_missing_eos(torch.full((5,), 5.0), rollout, None).tolist() == [5.0] * 5


def test_scores_are_normalised_by_all_that_were_seen():
    running = Running()
    first, second = torch.tensor([1.0, 3.0]), torch.tensor([5.0, 100.0])
    assert running(first, "plain").tolist() == [1.0, 3.0]
    found = running(second, "normalised")
    everything = torch.cat([first, second])
    torch.testing.assert_close(found, (second - everything.mean()) / everything.std())
    limit = ppo.SCORE_CLIP
    far = Running()(torch.cat([torch.zeros(200), torch.tensor([1e6])]), "clipped")
    assert far.max().item() == pytest.approx(limit)
    assert Running()(torch.tensor([2.0]), "normalised").tolist() == [0.0]


def test_the_adaptive_penalty_follows_its_target_within_a_fifth():
    assert adapt_beta(1.0, 6.0, 6.0, 500) == 1.0
    assert adapt_beta(1.0, 100.0, 6.0, 500) == pytest.approx(1.1)
    assert adapt_beta(1.0, 0.0, 6.0, 500) == pytest.approx(0.9)
    config = settings(target_kl=1e-6, learning_rate=3e-3, prompts=16, steps=8)
    _, _, history = trained(config)
    betas, kls = history["beta"], history["kl"]
    assert betas[-1] > betas[1]  # the first step's KL is 0 but for rounding
    for before, kl, after in zip(betas, kls, betas[1:], strict=False):
        assert after == pytest.approx(adapt_beta(before, kl, 1e-6, 16))


@pytest.mark.slow
def test_ptx_pulls_towards_the_demonstrations():
    shown = [encode(TOKENIZER, "the cat", "sat on the mat")]

    def surprise(policy) -> float:
        batch = collate(shown, TOKENIZER.pad_token_id)
        with torch.no_grad():
            found = token_logprobs(policy, batch.input_ids, batch.attention_mask)
        return -found[batch.completion_mask.bool()].mean().item()

    without, _, _ = trained(settings(steps=10))
    mixed, _, _ = trained(settings(steps=10, ptx=1.0), demonstrations=shown)
    assert surprise(mixed) < surprise(without) - 0.5


def test_minibatches_hold_every_row_once_per_epoch_and_rows_of_like_length():
    lengths = torch.randint(5, 90, (32,), generator=torch.Generator().manual_seed(0))
    config = settings(prompts=32, minibatches=4, epochs=2)
    parts = list(advantages.minibatches(lengths, config, torch.Generator().manual_seed(0)))
    assert len(parts) == 8 and not torch.equal(parts[0], parts[4])
    for epoch in (parts[:4], parts[4:]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(32))
        spans = [int(lengths[part].max() - lengths[part].min()) for part in epoch]
        assert sum(spans) < 2 * int(lengths.max())


def test_computing_by_length_changes_nothing():
    policy = tiny_llama()
    rollout = sample(policy, TOKENIZER, PROMPTS, max_new_tokens=8)
    ids, seen = rollout.input_ids, rollout.attention_mask
    with torch.no_grad():
        found = by_length(lambda i, m: token_logprobs(policy, i, m), ids, seen, size=2)
        torch.testing.assert_close(found, token_logprobs(policy, ids, seen))


def test_all_prompts_come_before_any_comes_again():
    batches = itertools.islice(prompt_batches(5, 3, Random(0)), 5)
    drawn = [i for batch in batches for i in batch]
    assert [sorted(drawn[k : k + 5]) for k in (0, 5, 10)] == [[0, 1, 2, 3, 4]] * 3


def test_dropout_is_off_in_what_the_loop_compares():
    """Trap 10: with dropout in the policy, the ratio of the first pass would not be 1."""
    policy = disable_dropout(gpt2_with_dropout())
    policy.train()
    value_model = critic(policy)
    config = settings(epochs=1, minibatches=1, steps=1)
    history = train_ppo(policy, value_model, TOKENIZER, PROMPTS, brevity, config)
    assert history["clip_fraction"][0] == 0 and policy.training


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 0}, "steps is 0; use 1 or more"),
        ({"minibatches": 9}, "4 prompts cannot fill 9 minibatches"),
        ({"target_kl": 6.0, "beta": 0.0}, "both must be above 0"),
        ({"rewards": "x"}, "use one of plain, whitened, normalised, clipped"),
        ({"learning_rate": 0.0}, "the first must be above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)


def test_missing_prompts_and_demonstrations_are_refused():
    policy = tiny_llama()
    with pytest.raises(ValueError, match="0 rows"):
        train_ppo(policy, critic(policy), TOKENIZER, [], brevity, settings())
    with pytest.raises(ValueError, match="give both, or neither"):
        train_ppo(policy, critic(policy), TOKENIZER, PROMPTS, brevity, settings(ptx=1.0))


def test_the_fault_of_a_masked_eos_takes_the_last_token_out(monkeypatch):
    """Trap 12, planted: random models hardly ever stop, so the rollout is made to have stopped."""
    rollout = sample(tiny_llama(), TOKENIZER, PROMPTS, max_new_tokens=4)
    rollout = replace(rollout, finished=torch.tensor([True, True, False, True, True]))
    monkeypatch.setattr(policy_optimisation, "sample", lambda *args, **named: rollout)
    found = FAULTS["EOS outside the mask"][1]["sample"]()
    shorter = torch.tensor([1, 1, 0, 1, 1])
    assert torch.equal(found.completion_mask.sum(1), rollout.lengths - shorter)
    assert (found.completion_mask <= rollout.completion_mask).all()


@pytest.mark.parametrize(
    "fault", slow_but([f for f in FAULTS if "EOS" not in f], "healthy", "KL sign")
)
def test_a_planted_fault_changes_the_run_and_is_gone_afterwards(fault: str):
    def steps():
        with planted(fault) as changes:
            return trained(settings(steps=3, prompts=8, **changes))[2].to_rows()

    healthy = trained(settings(steps=3, prompts=8))[2].to_rows()
    assert (steps() == healthy) == (fault == "healthy")
    assert trained(settings(steps=3, prompts=8))[2].to_rows() == healthy
