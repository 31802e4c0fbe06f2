"""PPO's essay and its parts: alignment of columns, details, determinism, resuming, learning.

What the general loop adds to it is in tests/variants/test_critic.py.
"""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from random import Random
from types import SimpleNamespace

import pytest
import torch
from loop_inputs import ASK, PROMPTS, TOKENIZER, brevity, critic, small, stop_at
from same_weights import same, weights
from tiny_models import gpt2_with_dropout, tiny_llama
from torch.optim.optimizer import register_optimizer_step_pre_hook

from minialign.algorithms import ppo
from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.core.advantages import minibatches, token_rewards, whiten
from minialign.core.batching import collate
from minialign.core.logprobs import masked_mean, token_logprobs
from minialign.core.models.architecture import disable_dropout
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.run import prompt_batches
from minialign.core.sampling import sample
from minialign.core.tokens import encode

settings = partial(small, PpoConfig)
METRICS = [
    "reward", "kl", "entropy", "length", "stops", "clip_fraction", "value_loss", "grad_norm",
    "learning_rate", "explained_variance",
]  # fmt: skip


def trained(config=None, seed: int = 0, **named):
    policy = tiny_llama(seed)
    value_model = critic(policy)
    history = train_ppo(
        policy, TOKENIZER, ASK, brevity, config or settings(), value_model=value_model, **named
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
        policy, TOKENIZER, ASK, brevity, settings(steps=2), value_model=value_model, watch=watch,
        on_step=seen.append,
    )  # fmt: skip
    assert sorted(history.names) == sorted([*METRICS, "letters"]) and len(seen) == 2
    assert same(before, made[0].parameters()) and not same(before, policy.parameters())
    assert not any(p.requires_grad for p in made[0].parameters())
    assert not same(weights(critic(tiny_llama())), value_model.parameters())


def seen_by(monkeypatch, module, name: str) -> list[tuple]:
    """Arguments of each call of a function of a module, which is called all the same."""
    calls, real = [], getattr(module, name)

    def watched(*args, **named):
        calls.append(args)
        return real(*args, **named)

    monkeypatch.setattr(module, name, watched)
    return calls


def test_the_critic_learns_returns_from_before_the_whitening(monkeypatch):
    """Traps 17 and 18; trap 21: Adam's eps is 1e-5. What losses compare with are constants."""
    policies, values = (seen_by(monkeypatch, ppo, f"{name}_loss") for name in ("policy", "value"))
    rollouts, eps = seen_by(monkeypatch, ppo, "minibatches"), set()
    handle = register_optimizer_step_pre_hook(
        lambda optimizer, *_: eps.update(group["eps"] for group in optimizer.param_groups)
    )
    trained(settings(steps=1, epochs=1, minibatches=1))
    handle.remove()
    ((_, advantages),), ((_, old_values, returns),) = policies, values
    rollout = rollouts[0][0]
    lengths = rollout.attention_mask.sum(1)
    assert not any(x.requires_grad for x in (advantages, old_values, returns))
    mask = advantages != 0  # whitened, they are 0 outside the completions and nowhere else
    raw = (returns - old_values) * mask
    assert mask.sum() == rollout.completion_mask.sum() and int(lengths.max()) == mask.shape[1]
    assert torch.allclose(advantages, whiten(raw, mask), atol=1e-5)
    assert abs(masked_mean(advantages, mask)) < 1e-5 < abs(masked_mean(raw, mask))
    assert eps == {1e-5}


class Stained(torch.nn.Module):
    """A value model whose values of padding, and of the text's first token, are beside the point.

    No completion has a token there.
    """

    def __init__(self, model: ValueModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        outside = attention_mask == 0
        outside[:, 0] = True
        return self.model(input_ids, attention_mask) + 1e6 * outside


def test_nothing_outside_the_mask_counts():
    """Trap 25, of the critic: its values at a prompt and at padding are never compared."""
    clean, stained = tiny_llama(), tiny_llama()
    one, two = critic(clean), Stained(critic(stained))
    for policy, value_model in ((clean, one), (stained, two)):
        train_ppo(policy, TOKENIZER, ASK, brevity, settings(), value_model=value_model)
    assert same(weights(clean, one), weights(stained, two))


def test_one_seed_gives_one_result_and_another_seed_another():
    first, again, other = trained(), trained(), trained(settings(seed=1))
    assert same(weights(*first[:2]), weights(*again[:2]))
    assert first[2].to_rows() == again[2].to_rows()
    assert not same(weights(*first[:2]), weights(*other[:2]))


def test_an_interrupted_run_ends_bit_equal(tmp_path):
    whole = trained()

    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint_dir=tmp_path / "c", on_step=stop_at(3))
    resumed = trained(checkpoint_dir=tmp_path / "c")
    assert same(weights(*whole[:2]), weights(*resumed[:2]))
    assert whole[2].to_rows() == resumed[2].to_rows()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 3])
def test_training_earns_more_reward(seed):
    """From nearly -1, the price of a cut completion, to nearly 0: with all of six seeds."""
    config = settings(steps=40, prompts=32, learning_rate=6e-3, beta=0.0, seed=seed)
    reward = trained(config)[2]["reward"]
    assert reward[-5:].mean() > reward[:5].mean() + 0.5


@pytest.mark.slow
def test_the_critic_learns_what_to_expect():
    """While rewards differ; later all completions earn the same, and nothing is to be explained."""
    config = settings(steps=30, prompts=16, learning_rate=3e-3, beta=0.0)
    explained = trained(config)[2]["explained_variance"]
    assert explained[-5:].mean() > explained[:2].mean()


@pytest.mark.slow
def test_the_leash_holds():
    loose, tight = (
        trained(settings(steps=30, prompts=16, learning_rate=1e-3, beta=beta))[2]["kl"][-5:].mean()
        for beta in (0.0, 5.0)
    )
    assert tight < 0.5 * loose


def test_the_score_goes_to_the_last_token_and_the_penalty_to_each():
    """Traps 7 and 14."""
    kl = torch.tensor([[9.0, 1.0, 2.0, 9.0], [9.0, 9.0, 3.0, 4.0]])
    mask = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 1]])
    found = token_rewards(torch.tensor([10.0, 20.0]), kl, mask, 0.5)
    assert found.tolist() == [[0.0, -0.5, 9.0, 0.0], [0.0, 0.0, -1.5, 18.0]]
    white = whiten(found, mask, shift_mean=False)[mask.bool()]
    plain = found[mask.bool()]
    torch.testing.assert_close(white.var(), torch.tensor(1.0))
    torch.testing.assert_close(white.mean(), plain.mean())


@pytest.mark.parametrize("missing_eos", [-1.0, None])
def test_a_cut_completion_gets_the_fixed_low_score(monkeypatch, missing_eos: float | None):
    """Trap 11."""
    rollout = sample(tiny_llama(), TOKENIZER, PROMPTS, max_new_tokens=3)
    finished = torch.tensor([True, False, True, False, True])
    rollout = replace(rollout, finished=finished)
    monkeypatch.setattr(ppo, "sample", lambda *args, **named: rollout)
    calls = seen_by(monkeypatch, ppo, "token_rewards")
    policy = tiny_llama()
    history = train_ppo(
        policy, TOKENIZER, ASK, lambda completions, **_: [5.0] * len(completions),
        settings(steps=1, prompts=5, missing_eos=missing_eos), value_model=critic(policy),
    )  # fmt: skip
    low = 5.0 if missing_eos is None else missing_eos
    assert calls[0][0].tolist() == [5.0, low, 5.0, low, 5.0]
    assert history["reward"][0] == pytest.approx((15 + 2 * low) / 5)


def test_minibatches_hold_every_row_once_per_epoch_and_rows_of_like_length():
    lengths = torch.randint(5, 90, (32,), generator=torch.Generator().manual_seed(0))
    rollout = SimpleNamespace(attention_mask=(torch.arange(90) < lengths[:, None]).long())
    found = list(minibatches(rollout, 2, 4, torch.Generator().manual_seed(0)))
    parts = [rows for rows, _ in found]
    assert len(parts) == 8 and not torch.equal(parts[0], parts[4])
    assert all(columns == slice(int(lengths[rows].max())) for rows, columns in found)
    for epoch in (parts[:4], parts[4:]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(32))
        spans = [int(lengths[part].max() - lengths[part].min()) for part in epoch]
        assert sum(spans) < 2 * int(lengths.max())


def test_reading_a_rollout_by_length_changes_nothing():
    policy = tiny_llama()
    rollout = sample(policy, TOKENIZER, PROMPTS, max_new_tokens=8)
    found = rollout.read(lambda i, m: token_logprobs(policy, i, m), size=2)
    with torch.no_grad():
        whole = token_logprobs(policy, rollout.input_ids, rollout.attention_mask)
    torch.testing.assert_close(found, whole)
    torch.testing.assert_close(rollout.logprobs_under(policy), whole * rollout.completion_mask)


def test_all_prompts_come_before_any_comes_again():
    batches = itertools.islice(prompt_batches(ASK, 3, Random(0)), 5)
    drawn = [i for batch in batches for i in batch]
    assert [sorted(drawn[k : k + 5]) for k in (0, 5, 10)] == [[0, 1, 2, 3, 4]] * 3


def test_dropout_is_off_in_what_the_loop_compares():
    """Trap 10: with dropout in the policy, the ratio of the first pass would not be 1."""
    policy = disable_dropout(gpt2_with_dropout())
    policy.train()
    value_model = critic(policy)
    config = settings(epochs=1, minibatches=1, steps=1)
    history = train_ppo(policy, TOKENIZER, ASK, brevity, config, value_model=value_model)
    assert history["clip_fraction"][0] == 0 and policy.training


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 0}, "steps is 0; use 1 or more"),
        ({"minibatches": 9}, "minibatches=9 of 4 prompts, .*: fill each minibatch"),
        ({"beta": -1.0}, r"beta=-1\.0, .*: fill each minibatch, and use at least 0"),
        ({"clip": 1.0}, r"clip=1\.0: .* between 0 and 1"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0; use a number above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)


@pytest.mark.parametrize("rows", [[], PROMPTS, [{"question": "the cat"}]])
def test_missing_prompts_are_refused(rows):
    policy = tiny_llama()
    with pytest.raises(ValueError, match=f"{len(rows)} rows: give at least one, each a dict with"):
        train_ppo(policy, TOKENIZER, rows, brevity, settings(), value_model=critic(policy))
