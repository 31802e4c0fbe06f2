"""The registry: each row trains something of its own, and a wrong row says what is wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from types import MappingProxyType

import pytest
import torch
from loop_inputs import (
    ASK,
    ASKED,
    DEMOS,
    FEEDBACK,
    LIKED,
    PAIRS,
    PROMPT_ROWS,
    TOKENIZER,
    TRIPLES,
    brevity,
    critic,
    each_token,
    vowels,
)
from same_weights import same, weights
from tiny_models import tiny_llama
from torch import Tensor

from minialign.core.models.heads import RewardModel
from minialign.variants import (
    averages,
    group_advantages,
    listwise,
    policy,
    preference,
    reference_free,
    unpaired,
)
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.rounds import by_reward
from minialign.variants.methods import FILE, Method, method, read, registry, table
from minialign.variants.reward_losses import both_orders

SMALL = MappingProxyType({"steps": 2, "learning_rate": 1e-3, "save_every": 2})
OF_ROWS = SMALL | {"batch_size": 4, "warmup": 1}


# --- rows are what they say: a few steps of each


def _supervised(row: Method) -> torch.nn.Module:
    model = tiny_llama()
    row.trainer()(model, TOKENIZER, DEMOS, row.settings(**OF_ROWS))
    return model


def _reward(row: Method) -> torch.nn.Module:
    model = RewardModel.from_policy(tiny_llama())
    rankings = TRIPLES if "loss" in row.functions else PAIRS
    row.trainer()(model, TOKENIZER, rankings, row.settings(**OF_ROWS | {"batch_size": 2}))
    return model


def _ppo(row: Method) -> torch.nn.Module:
    model = tiny_llama()
    needs = {"value_model": critic(model)}
    if "demonstrations" in row.needs:
        needs["demonstrations"] = DEMOS
    config = row.settings(**SMALL, prompts=4, minibatches=2, max_new_tokens=6)
    train = row.trainer(**needs)
    if row.name == "ppo":  # scores are as they are paid: six tokens are always cut
        config = replace(config, missing_eos=None)
    else:
        made = replace(train.keywords["critic"], missing_eos=None)
        train = partial(train, critic=made)
    train(model, TOKENIZER, ASK, brevity, config)
    return model


def _preference(row: Method) -> torch.nn.Module:
    """From a reference that is another model, so that margins are not 0; DPO by the general loop,
    since the essay takes none (test_essays.py has the two equal)."""
    model, train, config = tiny_llama(), row.trainer(), row.settings(**OF_ROWS)
    if row.name == "dpo":
        train, config = train_preference, PreferenceConfig(**OF_ROWS)
    train(model, TOKENIZER, TRIPLES, config, reference=tiny_llama(1))
    return model


def _stepwise(row: Method) -> torch.nn.Module:
    model, rounds = tiny_llama(), [PAIRS[:2], PAIRS[2:]]
    row.trainer()(model, TOKENIZER, rounds, row.settings(**OF_ROWS | {"batch_size": 2}))
    return model


def _own_replies(row: Method) -> torch.nn.Module:
    model, config = tiny_llama(), row.settings(**OF_ROWS | {"batch_size": 2})
    values = by_reward(lambda prompts, completions, **columns: [len(c) for c in completions])
    row.trainer()(model, TOKENIZER, ASKED, values, config, max_new_tokens=6)
    return model


def _unpaired(row: Method) -> torch.nn.Module:
    model = tiny_llama()
    row.trainer()(model, TOKENIZER, FEEDBACK, LIKED, row.settings(**OF_ROWS))
    return model


def _groups(row: Method) -> torch.nn.Module:
    """Two updates with a rollout: in the first one all ratios are 1, and many objectives alike."""
    model = tiny_llama()
    needs = {"step_rewards": each_token} if "step_rewards" in row.needs else {}
    small = {"prompts": 2, "group_size": 4, "max_new_tokens": 5, "epochs": 2}
    config = row.settings(**SMALL | small | row.config)
    row.trainer(**needs)(model, TOKENIZER, PROMPT_ROWS, vowels, config)
    return model


# Canonical row of a family -> the loops of the family, and how a row of it is run.
FAMILIES = {
    "sft": ({"train_sft", "train_supervised"}, _supervised),
    "bradley_terry": ({"train_reward", "train_rankings"}, _reward),
    "ppo": ({"train_ppo"}, _ppo),
    "dpo": ({"train_dpo", "train_preference"}, _preference),
    "sdpo": ({"train_stepwise"}, _stepwise),
    "iterative_dpo": ({"train_on_own_replies"}, _own_replies),
    "kto": ({"train_unpaired"}, _unpaired),
    "grpo": ({"train_grpo", "train_policy"}, _groups),
}


def family(row: Method) -> str:
    """The canonical row of a row's family."""
    if "value_model" in row.needs:
        return "ppo"
    loop = row.loop.rsplit(".", 1)[1]
    (found,) = (name for name, (loops, _) in FAMILIES.items() if loop in loops)
    return found


@cache
def trained(name: str) -> list[Tensor]:
    """Weights after a few steps of a method."""
    row = method(name)
    run = FAMILIES[family(row)][1]
    return weights(run(row))


@pytest.mark.parametrize("name", registry())
def test_a_row_trains_something_of_its_own_or_names_its_function(name: str):
    """It moves its model, and no other row of its family ends with the same weights."""
    row = method(name)
    base = family(row)
    start = weights(RewardModel.from_policy(tiny_llama()) if base == "bradley_terry" else
                    tiny_llama())  # fmt: skip
    assert not same(start, trained(name))
    assert all(weight.isfinite().all() for weight in trained(name))
    if row.made_by:
        assert same(trained(name), trained(base))  # so its function alone makes it
        return
    others = [o for o in registry().values() if family(o) == base and not o.made_by]
    alike = [o.name for o in others if o.name != name and same(trained(name), trained(o.name))]
    assert not alike


def test_the_functions_that_rows_name_make_what_they_say():
    assert method("lora").made_by == "core.models.loading.add_lora"
    module, _, name = method("lora").made_by.rpartition(".")
    start = tiny_llama()
    adapted = getattr(import_module(f"minialign.{module}"), name)(tiny_llama())
    row = method("lora")
    row.trainer()(adapted, TOKENIZER, DEMOS, row.settings(**OF_ROWS))
    moved = [n for n, p in adapted.named_parameters() if p.requires_grad]
    assert moved and all("lora" in n for n in moved)
    kept = adapted.merge_and_unload() if hasattr(adapted, "merge_and_unload") else adapted
    assert not same(weights(kept), weights(start))

    assert method("pairwise").made_by == "variants.reward_losses.both_orders"
    one, two = both_orders(TOKENIZER, "the cat", "sat", "ran")
    assert sorted(one.ids) == sorted(two.ids) and one.ids != two.ids


# --- the table


def test_the_table_shows_functions_where_there_are_any():
    assert table("train_sft")["made_by"]["lora"] == "add_lora"
    assert "made_by" not in table("train_ppo") and "made_by" in table()
    assert list(table().index) == list(registry())
    policies = table("train_policy", "train_grpo")
    assert policies["advantage"]["rloo"] == "leave_one_out" and policies["advantage"]["grpo"] == ""
    assert policies["objective"]["dapo"] == "clipped(clip_high=0.28)"
    assert policies["settings"]["rloo"] == "beta=0.03, kl='reward'"


def test_a_method_gives_its_config_and_takes_what_it_needs():
    assert method("rloo").settings(steps=7, beta=0.5).beta == 0.5
    assert method("rloo").settings().beta == 0.03
    with pytest.raises(ValueError, match="method 'x' is unknown; use one of sft, "):
        method("x")
    with pytest.raises(ValueError, match="ppo_ptx needs value_model, demonstrations, but got"):
        method("ppo_ptx").trainer()
    with pytest.raises(ValueError, match="dpo needs nothing, but got value_model; give exactly"):
        method("dpo").trainer(value_model=tiny_llama())


# --- rows that are wrong

ROW = """
[mine]
idea = "an idea"
paper = "Somebody 2024"
arxiv = "2402.03300"
notebook = 5
loop = "variants.loops.policy_loop.train_policy"
"""


def test_a_row_that_is_right_is_read():
    right = ROW + 'objective = { function = "policy.clipped", clip = 0.1 }\nconfig = { beta = 1 }'
    row = read(right)["mine"]
    assert row.settings().beta == 1 and row.trainer().keywords["objective"].keywords["clip"] == 0.1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('objectiv = "policy.clipped"',
         "row mine: variants.loops.policy_loop.train_policy for its functions takes no "
         "'objectiv'; use one of advantage"),
        ('objective = "policy.cliped"',
         "row mine, objective: there is no minialign.variants.policy.cliped; name a function"),
        ('objective = "polici.clipped"', "row mine, objective: there is no minialign.variants.pol"),
        ('objective = "clipped"', "row mine, objective: there is no minialign.variants.clipped"),
        ("objective = { clip = 0.1 }", "row mine, objective: there is no minialign.variants."),
        ('objective = { function = "policy.clipped", clop = 0.1 }',
         "row mine: policy.clipped takes no 'clop'; use one of advantages, clip, clip_high"),
        ("objective = 3", "row mine: objective is 3; name a function of variants, or give a tab"),
        ('critic = "loops.critic.Critic"', "row mine is made of value_model; add it to needs"),
        ('needs = ["demonstrations"]', "for its needs takes no 'demonstrations'; use one of"),
        ("config = { betta = 0.1 }", "row mine: PolicyConfig takes no 'betta'; use one of beta"),
        ("config = { beta = -0.1 }", r"row mine, config: beta=-0\.1"),
        ("arguments = { share = 0.1 }", "for its arguments takes no 'share'; use one of"),
        ('needs = ["value"]', "for its needs takes no 'value'; use one of advantage"),
        ('made_by = "core.nothing.x"', r"row mine, made_by: there is no minialign\.core\.nothing"),
    ],
)  # fmt: skip
def test_a_row_that_is_wrong_is_refused_by_row_and_key(line: str, message: str):
    with pytest.raises(ValueError, match=message):
        read(ROW + line)


@pytest.mark.parametrize("key", ["idea", "paper", "arxiv", "notebook", "loop"])
def test_a_row_without_what_every_row_has_is_refused(key: str):
    lines = [line for line in ROW.splitlines() if not line.startswith(key)]
    with pytest.raises(ValueError, match=f"row mine has no {key}; add it"):
        read("\n".join(lines))


def test_a_loop_that_is_not_there_and_a_paper_that_cannot_be_looked_up_are_refused():
    with pytest.raises(ValueError, match=r"row mine, loop: there is no minialign\.variants\.x"):
        read(ROW.replace("variants.loops.policy_loop.train_policy", "variants.x"))
    with pytest.raises(ValueError, match="row mine has no arxiv; give the identifier, or why_no"):
        read(ROW.replace("2402.03300", ""))
    read(ROW.replace("2402.03300", "") + 'why_no_arxiv = "a blog"')


# --- papers


@pytest.mark.parametrize("row", registry().values(), ids=lambda row: row.name)
def test_every_paper_has_authors_and_a_year_and_an_identifier_or_why_not(row: Method):
    cited = row.paper.split(";")[0]
    assert any(word.strip(",").isdigit() and len(word.strip(",")) == 4 for word in cited.split())
    assert not cited.split()[0].isupper(), f"{row.paper!r} names a method, not its authors"
    year, _, number = row.arxiv.partition(".")
    right = len(year) == 4 and len(number) in (4, 5) and number.isdigit()
    assert right if row.arxiv else len(row.why_no_arxiv) > 10
    assert not (row.arxiv and row.why_no_arxiv)
    assert 1 <= row.notebook <= 5 and row.idea


@pytest.mark.parametrize(
    ("name", "said"),
    [("luspo", "Liu et al. 2026"), ("vespo", "Shen et al. 2026"), ("sppo_hard", "theirs at 500"),
     ("remax", "whole KL"), ("reinforce_pp", "whole KL"), ("ppo_ptx", "pretraining text"),
     ("odpo", "one offset for all pairs"), ("margin", "one margin for all pairs")],
)  # fmt: skip
def test_rows_name_authors_and_departures(name: str, said: str):
    assert said in method(name).paper


def test_every_loss_and_objective_of_the_families_is_a_method():
    """What is written is reached: no function of a family is left without a row."""
    text = FILE.read_text()
    families = averages, group_advantages, listwise, policy, preference, reference_free, unpaired
    for module in families:
        own = [
            name for name, f in vars(module).items()
            if callable(f) and getattr(f, "__module__", "") == module.__name__
            and not name.startswith("_")
        ]  # fmt: skip
        short = module.__name__.rsplit(".", 1)[1]
        missing = [name for name in own if f'"{short}.{name}"' not in text]
        # The loops call these, or other losses do.
        helpers = {"has_signal", "greedy_baseline", "process_zscore", "mismatched_kl"}
        assert set(missing) <= helpers | {"lambda_loss", "order_loss"}, missing
