"""What docstrings and registry say of papers and of other code, where it can be computed."""

from __future__ import annotations

import inspect
import math
from importlib import import_module
from itertools import product

import pytest
import torch
from loop_inputs import (
    ASKED,
    DEMOS,
    FEEDBACK,
    LIKED,
    PAIRS,
    PROMPT_ROWS,
    PROMPTS,
    TOKENIZER,
    TRIPLES,
    brevity,
    critic,
    each_token,
    vowels,
)
from same_weights import same, weights
from slowness import slow_but
from tiny_models import tiny_llama
from torch import Tensor

from minialign.algorithms.ppo import PpoConfig, Running, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core import kl, logprobs
from minialign.core.models.heads import RewardModel
from minialign.evaluate.exact import (
    TabularPolicy,
    expected_gradient,
    gradient,
    sequence_logprobs,
    token_logprobs,
)
from minialign.variants import (
    group_advantages,
    listwise,
    methods,
    policy,
    preference,
    unpaired,
)
from minialign.variants.loops.policy_loop import RlConfig, train_rl
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.rounds import by_reward, train_on_own_replies, train_stepwise
from minialign.variants.loops.unpaired_loop import UnpairedConfig, train_unpaired
from minialign.variants.ranks import RankLogprobs
from minialign.variants.reward_losses import both_orders


def words(thing: object) -> str:
    """A docstring as one line."""
    return " ".join(inspect.getdoc(thing).split())


# --- what can be computed -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 4, 8])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_maxrl_with_g_samples_has_g_minus_1_terms(p: float, size: int):
    """All groups of right and wrong tries; the score of a try is 1 / p or -1 / (1 - p)."""
    rewards = torch.tensor(list(product([0.0, 1.0], repeat=size)), dtype=torch.float64)
    chance = torch.where(rewards == 1, p, 1 - p).prod(1)
    score = torch.where(rewards == 1, 1 / p, -1 / (1 - p))  # of the success rate
    plain = rewards / rewards.mean(1, keepdim=True).clamp(min=1e-9)

    def slope(advantages: Tensor) -> float:
        return (chance * (advantages * score).mean(1)).sum().item()

    terms = [(1 - p) ** k for k in range(size)]
    assert slope(group_advantages.mean_scaled(rewards)) == pytest.approx(sum(terms[:-1]))
    assert slope(plain) == pytest.approx(sum(terms))
    assert sum(terms[:-1]) == pytest.approx((1 - (1 - p) ** (size - 1)) / p)


@pytest.mark.parametrize(("estimator", "forward"), [(kl.k2, False), (kl.k3, True)])
def test_the_gradient_of_a_kl_loss_per_token_is_not_that_of_the_whole_kl(estimator, forward):
    """From two tokens on; at one token it is, and so it is of summed logprobs."""
    cosines = {}
    for length in (1, 3):
        here, there = (TabularPolicy(4, length, seed=seed, scale=1.2) for seed in (0, 1))
        one, two = sequence_logprobs(here), sequence_logprobs(there).detach()
        whole = (two.exp() * (two - one)).sum() if forward else (one.exp() * (one - two)).sum()
        per_token = estimator(token_logprobs(here), token_logprobs(there).detach())
        found = expected_gradient(here, per_token).flatten()
        cosines[length] = torch.cosine_similarity(found, gradient(here, whole).flatten(), 0).item()
    assert cosines[1] == pytest.approx(1.0) and cosines[3] < 0.99


def test_a_kl_paid_whole_and_one_paid_from_each_token_on_have_one_gradient_until_scaled():
    here, there = (TabularPolicy(3, 3, seed=seed, scale=1.5) for seed in (0, 1))
    logprobs, mask = token_logprobs(here), here.mask
    cost = kl.k1(logprobs, token_logprobs(there)).detach() * mask
    whole = cost.sum(1, keepdim=True).expand_as(cost)
    to_go = cost.flip(1).cumsum(1).flip(1)
    one, two = (expected_gradient(here, logprobs * x * mask) for x in (whole, to_go))
    torch.testing.assert_close(one, two)
    chance = sequence_logprobs(here).exp().detach()
    weight = chance[:, None] * mask
    spread = [
        ((x - (weight * x).sum() / weight.sum()).square() * weight).sum() / weight.sum()
        for x in (whole, to_go)
    ]
    assert abs(one / spread[0].sqrt() - two / spread[1].sqrt()).max() > 1e-2 * one.abs().max()
    assert "each of its tokens" in words(group_advantages.batch_zscore)
    assert "each of its tokens" in words(group_advantages.greedy_baseline)


def test_vespos_weight_is_largest_where_its_docstring_says():
    one = torch.ones(1, 1)

    def weight(ratio: float, sign: float) -> float:
        return -policy.vespo(-one, -one - math.log(ratio), sign * one, one).item() * sign

    for sign, top, value in ((1.0, 2 / 3, 1.21), (-1.0, 3 / 2, 1.24)):
        assert weight(1.0, sign) == pytest.approx(1.0)
        assert weight(top, sign) == pytest.approx(value, abs=0.005)
        assert weight(top, sign) > max(weight(1.05 * top, sign), weight(top / 1.05, sign), 1.2)
        assert f"{value}" in words(policy.vespo)


def test_sppos_targets_are_5_nats_away_here_and_500_with_the_papers_eta():
    goal = RankLogprobs.of([5.0], [-5.0]), RankLogprobs.of([500.0], [-500.0])
    assert preference.sppo_loss(goal[0]).item() == 0
    assert preference.sppo_loss(goal[1], beta=1 / 1000).item() == 0
    assert "5 nats" in words(preference.sppo_loss) and "500" in words(preference.sppo_loss)


def test_bcos_shift_is_in_units_of_beta_times_nats():
    ratios, labels = torch.tensor([4.0, 8.0]), torch.tensor([True, False])
    for beta in (0.1, 0.5):
        shift = beta * ratios.mean()
        loss = unpaired.bco_loss(ratios.mean().expand(2), labels, beta=beta, shift=shift)
        torch.testing.assert_close(loss, torch.full((2,), math.log(2)))
    for text in (words(unpaired.bco_loss), words(preference.bco_pair_loss)):
        assert "units of beta times nats" in text


def test_luspo_has_gspos_clip_and_says_whose_it_is():
    row = methods.method("luspo")
    assert "options" not in row.settings  # the recorded runs had GSPO's
    clips = [inspect.signature(policy.gspo).parameters[x].default for x in ("clip", "clip_high")]
    assert clips == [3e-4, 4e-4] and "2e-3 and 2.5e-3" in row.paper
    assert "2e-3 and 2.5e-3" in words(policy.gspo)


def test_ppo_max_centres_clips_and_scales_as_it_goes():
    """Where Ziegler et al. normalise once, before, and MOSS-RLHF does not centre."""
    scores = torch.tensor([10.0, 12.0, 14.0])
    assert Running()(scores, "normalised").tolist() == [-1.0, 0.0, 1.0]
    assert Running()(scores, "clipped").tolist() == pytest.approx([-0.3, 0.0, 0.3])
    assert "once, before" in methods.method("ppo_adaptive_kl").paper
    assert "does not centre" in methods.method("ppo_max").paper


# --- what was looked up ---------------------------------------------------------------------------

SAID = [
    (grpo.group_zscore, "Dr. GRPO, where it runs GRPO, 1e-8", "as in TRL and"),
    (listwise.rrhf_loss, "paper sums the cross-entropy", "their code weighs the ranking by 100"),
    (listwise.rrhf_loss, "default 100, and all their scripts pass 1", "and takes sums"),
    (kl, "arXiv:2506.09477", "as a loss it has the gradient"),
    (kl, "hold the visited prefixes fixed", "as a loss its gradient is"),
    (logprobs.bounded_exp, "verl clamps", "TRL clamps"),
    (policy.vespo, "Shen et al. 2026", "VESPO, 2026"),
    (policy.gspo, "Liu et al. 2026", "LUSPO 2026"),
    (group_advantages.mean_scaled, "first G - 1 terms", "a sum of log-likelihood terms"),
    (preference_loop.wpo_weights, "here each weight is capped", "as the loop does"),
]


@pytest.mark.parametrize(("thing", "right", "wrong"), SAID)
def test_docstrings_say_what_the_sources_say(thing, right: str, wrong: str):
    assert right in words(thing) and wrong not in words(thing)


@pytest.mark.parametrize(
    ("name", "said"),
    [("luspo", "Liu et al. 2026"), ("vespo", "Shen et al. 2026"), ("sppo_hard", "theirs at 500"),
     ("remax", "whole KL"), ("reinforce_pp", "whole KL"), ("ppo_ptx", "pretraining text"),
     ("odpo", "one offset for all pairs"), ("margin", "one margin for all pairs")],
)  # fmt: skip
def test_rows_name_authors_and_departures(name: str, said: str):
    assert said in methods.method(name).paper


@pytest.mark.parametrize("row", methods.REGISTRY.values(), ids=lambda row: row.name)
def test_every_paper_has_authors_and_a_year_and_arxiv_the_form_of_an_identifier(row):
    cited = row.paper.split(";")[0]
    assert any(word.strip(",").isdigit() and len(word.strip(",")) == 4 for word in cited.split())
    assert not cited.split()[0].isupper(), f"{row.paper!r} names a method, not its authors"
    year, _, number = row.arxiv.partition(".")
    assert not row.arxiv or (len(year) == 4 and len(number) in (4, 5) and number.isdigit())


# --- rows are what they say -----------------------------------------------------------------------

BASES = {
    "train_sft": "sft",
    "train_reward": "bradley_terry",
    "train_ppo": "ppo",
    "train_preference": "dpo",
    "train_stepwise": "sdpo",
    "train_unpaired": "kto",
    "train_on_own_replies": "iterative_dpo",
}  # loop -> the row that is its default; no row of train_rl is
SMALL = {"steps": 2, "learning_rate": 1e-3, "save_every": 2}


def _sft(settings: dict) -> torch.nn.Module:
    model = tiny_llama()
    train_sft(model, TOKENIZER, DEMOS, SftConfig(**SMALL, batch_size=4, warmup=1, **settings))
    return model


def _reward(settings: dict) -> torch.nn.Module:
    model = RewardModel.from_policy(tiny_llama())
    config = RewardConfig(**SMALL, batch_size=2, warmup=1, **settings)
    rankings = PAIRS if config.loss == "bradley_terry" else TRIPLES
    train_reward(model, TOKENIZER, rankings, config)
    return model


def _ppo(settings: dict) -> torch.nn.Module:
    model = tiny_llama()
    small = {"prompts": 4, "minibatches": 2, "max_new_tokens": 6, "missing_eos": None}
    shown = DEMOS if settings.get("ptx") else ()
    config = PpoConfig(**SMALL, **small, **settings)
    given = model, critic(model), TOKENIZER, PROMPTS, brevity, config
    train_ppo(*given, demonstrations=shown)
    return model


def _preference(settings: dict) -> torch.nn.Module:
    model, config = tiny_llama(), PreferenceConfig(**SMALL, batch_size=4, warmup=1, **settings)
    train_preference(model, TOKENIZER, TRIPLES, config, reference=tiny_llama(1))  # margins not 0
    return model


def _stepwise(settings: dict) -> torch.nn.Module:
    model, config = tiny_llama(), PreferenceConfig(**SMALL, batch_size=2, warmup=1)
    train_stepwise(model, TOKENIZER, [PAIRS[:2], PAIRS[2:]], config, **settings)
    return model


def _unpaired(settings: dict) -> torch.nn.Module:
    model, config = tiny_llama(), UnpairedConfig(**SMALL, batch_size=4, warmup=1, **settings)
    train_unpaired(model, TOKENIZER, FEEDBACK, LIKED, config)
    return model


def _own(settings: dict) -> torch.nn.Module:
    model, config = tiny_llama(), PreferenceConfig(**SMALL, batch_size=2, warmup=1)
    values = by_reward(lambda prompts, completions, **columns: [len(c) for c in completions])
    given = model, TOKENIZER, ASKED, values, config
    train_on_own_replies(*given, max_new_tokens=6, **settings)
    return model


def _rl(settings: dict) -> torch.nn.Module:
    """Two updates with a rollout: in the first one all ratios are 1, and many objectives alike."""
    model = tiny_llama()
    small = {"prompts": 2, "group_size": 4, "max_new_tokens": 5, "epochs": 2}
    config = RlConfig(**SMALL | small | settings)
    steps = each_token if config.advantage == "process" else None
    train_rl(model, TOKENIZER, PROMPT_ROWS, vowels, config, steps=steps)
    return model


LOOPS = {
    "train_sft": _sft,
    "train_reward": _reward,
    "train_ppo": _ppo,
    "train_preference": _preference,
    "train_stepwise": _stepwise,
    "train_unpaired": _unpaired,
    "train_on_own_replies": _own,
    "train_rl": _rl,
}


@pytest.mark.parametrize("loop", slow_but(LOOPS, "train_sft", "train_unpaired"))
def test_every_row_trains_something_of_its_own_or_names_its_function(loop: str):
    """No two rows of a loop reach the same weights, and one at most the default's."""
    rows = {row.name: row for row in methods.REGISTRY.values() if row.loop == loop}
    by_settings = {name: row for name, row in rows.items() if not row.made_by}
    found = {name: weights(LOOPS[loop](row.settings)) for name, row in by_settings.items()}
    found["the default"] = weights(LOOPS[loop]({}))
    names = list(found)
    alike = {
        (a, b) for i, a in enumerate(names) for b in names[i + 1 :] if same(found[a], found[b])
    }
    assert alike == ({(BASES[loop], "the default")} if loop in BASES else set())
    for row in rows.values():
        module, _, function = row.made_by.rpartition(".")
        assert not row.made_by or callable(getattr(import_module(module), function))


def test_the_functions_that_rows_name_make_what_they_say():
    assert methods.method("lora").made_by == "minialign.core.models.loading.add_lora"
    module, _, name = methods.method("lora").made_by.rpartition(".")
    start = tiny_llama()
    adapted = getattr(import_module(module), name)(tiny_llama())
    train_sft(adapted, TOKENIZER, DEMOS, SftConfig(**SMALL, batch_size=4, warmup=1))
    moved = [n for n, p in adapted.named_parameters() if p.requires_grad]
    assert moved and all("lora" in n for n in moved)
    kept = adapted.merge_and_unload() if hasattr(adapted, "merge_and_unload") else adapted
    assert not same(weights(kept), weights(start))

    assert methods.method("pairwise").made_by == "minialign.algorithms.reward_model.both_orders"
    one, two = both_orders(TOKENIZER, "the cat", "sat", "ran")
    assert sorted(one.ids) == sorted(two.ids) and one.ids != two.ids


def test_the_table_shows_functions_where_there_are_any():
    assert methods.table("train_sft")["made_by"]["lora"] == "minialign.core.models.loading.add_lora"
    assert "made_by" not in methods.table("train_ppo") and "made_by" in methods.table()
