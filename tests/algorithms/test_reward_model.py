"""The reward model and its loop: where the score is read, what is saved, training, resuming."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from loop_inputs import small, stop_at
from same_weights import same, weights
from tiny_models import gpt2_with_dropout, small_tokenizer, tiny_llama

from minialign.algorithms.reward_model import RewardConfig, bradley_terry, train_reward
from minialign.core.batching import Row, collate
from minialign.core.models.architecture import disable_dropout
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import add_lora
from minialign.core.tokens import encode
from minialign.rewards.learnt import reward_model_score, score_rows, set_zero
from minialign.variants.loops.offline_loop import train_rankings
from minialign.variants.methods import method, table
from minialign.variants.reward_losses import both_orders, plackett_luce, split_pairs

TOKENIZER = small_tokenizer()
PAD = TOKENIZER.pad_token_id
PROMPTS = ("the cat", "what is 2 plus 3?", "a dog", "the red house")
PAIRS = [
    (encode(TOKENIZER, prompt, "it is 5."), encode(TOKENIZER, prompt, "the mat"))
    for prompt in PROMPTS
]  # fmt: skip
settings = partial(small, RewardConfig)
METRICS = ["loss", "accuracy", "margin", "grad_norm", "learning_rate"]
BOTH = pytest.mark.parametrize("train", [train_reward, train_rankings])


def model(kind: str = "llama", seed: int = 0) -> RewardModel:
    policy = tiny_llama() if kind == "llama" else disable_dropout(gpt2_with_dropout())
    return RewardModel.from_policy(policy.eval(), seed).eval()


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_score_is_read_at_the_last_real_token_on_any_side(kind: str, side: str):
    """Traps 16 and 22: the same text scores the same alone and padded."""
    scorer = model(kind)
    rows = [Row([5, 6], [7, 8, 9, 10]), Row([5], [6])]
    batch = collate(rows, PAD, side=side)
    together = scorer(batch.input_ids, batch.attention_mask)
    for row, score in zip(rows, together, strict=True):
        ids = torch.tensor([row.ids])
        alone = scorer(ids, torch.ones_like(ids))
        torch.testing.assert_close(score, alone[0], atol=1e-5, rtol=1e-4)
        every = scorer.token_scores(ids, torch.ones_like(ids))
        torch.testing.assert_close(every[0, -1], alone[0])


def test_the_score_does_not_stop_at_a_pad_id_inside_the_text():
    """Trap 47: where pad is the end-of-turn token, a search for it would score the prompt."""
    ids = torch.tensor([[5, PAD, 6, 7]])
    scorer = model()
    every = scorer.token_scores(ids, torch.ones_like(ids))
    torch.testing.assert_close(scorer(ids, torch.ones_like(ids))[0], every[0, 3])
    assert (every[0, 3] - every[0, 0]).abs() > 1e-3


def test_the_head_starts_small():
    """Trap 22: standard deviation 1 / sqrt(d + 1)."""
    heads = torch.cat([model(seed=s).head.weight.flatten() for s in range(40)])
    width = tiny_llama().config.hidden_size
    assert heads.std().item() == pytest.approx((width + 1) ** -0.5, rel=0.1)
    assert not torch.equal(heads[:width], heads[width : 2 * width])


def test_the_policy_keeps_its_own_weights():
    policy = tiny_llama()
    before = [p.detach().clone() for p in policy.parameters()]
    train_reward(RewardModel.from_policy(policy), TOKENIZER, PAIRS, settings())
    assert all(torch.equal(a, b) for a, b in zip(before, policy.parameters(), strict=True))


@pytest.mark.parametrize("lora", [False, True])
def test_saving_keeps_the_head_and_the_adapters(tmp_path, lora: bool):
    """Trap 48: adapters alone would come back with a new head."""
    scorer = model()
    if lora:
        scorer.body = add_lora(scorer.body, rank=2)
    train_reward(scorer, TOKENIZER, PAIRS, settings(learning_rate=1e-2))
    scorer.zero += 3.0  # `set_zero` moves it
    scorer.save_pretrained(tmp_path)
    again = RewardModel.from_pretrained(tmp_path).eval()
    batch = collate([row for pair in PAIRS for row in pair], PAD)
    with torch.no_grad():
        found, expected = (m(batch.input_ids, batch.attention_mask) for m in (again, scorer))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    tiny_llama().save_pretrained(tmp_path / "policy")
    with pytest.raises(FileNotFoundError, match="holds no score_head"):
        RewardModel.from_pretrained(tmp_path / "policy")


@BOTH
def test_two_steps_log_the_metrics_and_the_loss_is_the_pairs_mean(train):
    scorer, seen = model(), []
    batch = collate([row for pair in PAIRS for row in pair], PAD)
    with torch.no_grad():
        scores = scorer(batch.input_ids, batch.attention_mask).view(-1, 2)
    config = settings(steps=2, batch_size=4)
    history = train(scorer, TOKENIZER, PAIRS, config, on_step=seen.append)
    assert history.names == METRICS and len(seen) == 2 and not scorer.training
    expected = bradley_terry(scores[:, 0], scores[:, 1]).mean().item()
    assert history["loss"][0] == pytest.approx(expected, abs=0.02)  # bfloat16 in the loop
    margin = (scores[:, 0] - scores[:, 1]).mean().item()
    assert history["margin"][0] == pytest.approx(margin, abs=0.05)


def test_the_zero_is_set_on_some_replies_and_changes_no_comparison():
    """Trap 22: mean 0 over the reference's own replies."""
    scorer, prompts = model(), list(PROMPTS)
    texts = ["it is 5.", "the mat", "", "ran to the house"]
    reward = reward_model_score(scorer, TOKENIZER)
    before = torch.tensor(reward(prompts, texts))
    set_zero(scorer, TOKENIZER, prompts, texts)
    after = torch.tensor(reward(prompts, texts))
    assert abs(before.mean()) > 0.01 and abs(after.mean()) < 1e-6
    torch.testing.assert_close(after - after[0], before - before[0])


@pytest.mark.parametrize("name", table("train_reward", "train_rankings").index)
def test_every_variant_of_the_registry_runs_on_pairs(name: str):
    scorer = model()
    before = weights(scorer)
    train = method(name).trainer()
    assert len(train(scorer, TOKENIZER, PAIRS, settings(steps=2))) == 2
    assert not same(before, weights(scorer))


RANKINGS = [
    (*pair, encode(TOKENIZER, p, "a dog ran")) for p, pair in zip(PROMPTS, PAIRS, strict=True)
]


@pytest.mark.parametrize(
    ("train", "rows"),
    [(train_reward, PAIRS), (train_rankings, PAIRS),
     (partial(train_rankings, loss=plackett_luce), RANKINGS),
     (partial(train_rankings, loss=split_pairs), RANKINGS)],
    ids=["essay", "loop", "plackett_luce", "split_pairs"],
)  # fmt: skip
def test_training_learns_who_wins(train, rows):
    config = settings(steps=30, batch_size=4, learning_rate=1e-2)
    history = train(model(), TOKENIZER, rows, config)
    assert history["accuracy"][-1] == 1.0 and history["loss"][-1] < 0.3 * history["loss"][0]


@BOTH
def test_one_seed_gives_one_result_and_resuming_changes_nothing(tmp_path, train):
    straight, saved = model(), {"checkpoint_dir": tmp_path / "run"}
    expected = train(straight, TOKENIZER, PAIRS, settings())
    with pytest.raises(KeyboardInterrupt):
        train(model(), TOKENIZER, PAIRS, settings(), on_step=stop_at(3), **saved)
    resumed = model(seed=5)
    history = train(resumed, TOKENIZER, PAIRS, settings(), **saved)
    assert history.to_rows() == expected.to_rows()
    assert same(weights(resumed), weights(straight))
    with pytest.raises(ValueError, match="delete the folder to start anew"):
        train(model(), TOKENIZER, PAIRS[:3], settings(), **saved)


@BOTH
def test_what_cannot_be_ranked_is_refused(train):
    with pytest.raises(ValueError, match="ranking 0 holds the same completion twice"):
        train(model(), TOKENIZER, [(PAIRS[0][0], PAIRS[0][0])], settings())
    with pytest.raises(ValueError, match=r"rankings of \[2, 3\] completions"):
        train(model(), TOKENIZER, [PAIRS[0], RANKINGS[0]], settings())
    with pytest.raises(ValueError, match="each of 2 completions; split or cut the others"):
        train(model(), TOKENIZER, RANKINGS, settings())
    with pytest.raises(ValueError, match="0 rankings"):
        train(model(), TOKENIZER, [], settings())


def test_a_loss_of_rankings_takes_any_length_but_one_length():
    train = partial(train_rankings, loss=plackett_luce)
    with pytest.raises(ValueError, match="all of the same length, 2 or more"):
        train(model(), TOKENIZER, [PAIRS[0], RANKINGS[0]], settings())
    assert len(train(model(), TOKENIZER, RANKINGS, settings(steps=1))) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"steps": 0}, "steps is 0; use 1 or more"),
     ({"batch_size": 0}, "batch_size is 0; use 1 or more"),
     ({"learning_rate": 0.0}, r"learning_rate is 0\.0; use a number above 0")],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)


def test_a_model_of_pairs_reads_both_replies_and_learns_who_wins():
    won, lost = "it is 5.", "the mat"
    shown = [both_orders(TOKENIZER, prompt, won, lost) for prompt in PROMPTS]
    first, second = shown[0]
    assert first.prompt_ids == second.prompt_ids and first.ids != second.ids
    assert sorted(first.completion_ids) == sorted(second.completion_ids)
    assert first.completion_ids.count(TOKENIZER.eos_token_id) == 2
    scorer = model()
    train_reward(scorer, TOKENIZER, shown, settings(steps=30, learning_rate=1e-2))
    a, b = score_rows(scorer, TOKENIZER, list(both_orders(TOKENIZER, "the dog", won, lost)))
    c, d = score_rows(scorer, TOKENIZER, list(both_orders(TOKENIZER, "the dog", lost, won)))
    assert a - b > 1 and (c - d).item() == pytest.approx(-(a - b).item(), abs=1e-4)
