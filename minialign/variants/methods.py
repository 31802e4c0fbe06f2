"""The registry: one row per method, what it is made of, and where it comes from.

A variant is a pure function and a row here. The notebooks print this table: read down a column, and
the differences between papers are a word each. Where a row departs from its paper, it says so
behind the citation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from minialign.variants.methods_preference import OWN, PREFERENCE, STEPWISE, UNPAIRED
from minialign.variants.methods_rl import RL


@dataclass(frozen=True)
class Method:
    """One method: the loop that runs it, what makes it what it is, and its paper.

    The loop's config with `settings` trains it, unless `made_by` names a function: then the loop is
    given what that function returns, and without it trains something else.
    """

    name: str
    loop: str  # the function of minialign.train that runs it
    idea: str  # in a few words
    paper: str  # authors and year
    arxiv: str  # identifier, "" where there is none
    settings: dict[str, Any] = field(default_factory=dict)  # of the loop's config
    made_by: str = ""  # a function by its full name, where settings do not make the method


REGISTRY: dict[str, Method] = {
    m.name: m
    for m in (
        Method(
            "sft",
            "train_sft",
            "imitate the tokens of the reply",
            "Ouyang et al. 2022, section 3.5",
            "2203.02155",
            {"loss_on": "completion"},
        ),
        Method(
            "sft_all_tokens",
            "train_sft",
            "imitate prompt and reply alike",
            "Shi et al. 2024 (instruction modelling)",
            "2405.14394",
            {"loss_on": "all"},
        ),
        Method(
            "neftune",
            "train_sft",
            "imitate under noise on the embeddings",
            "Jain et al. 2023",
            "2310.05914",
            {"noise_alpha": 5.0},
        ),
        Method(
            "lora",
            "train_sft",
            "train a low-rank update of each matrix",
            "Hu et al. 2021, section 4.1",
            "2106.09685",
            made_by="minialign.core.models.loading.add_lora",
        ),
        Method(
            "bradley_terry",
            "train_reward",
            "the odds of a choice are the ratio of exp(score)",
            "Ouyang et al. 2022, equation 1",
            "2203.02155",
        ),
        Method(
            "margin",
            "train_reward",
            "the chosen reply must lead by a margin",
            "Touvron et al. 2023 (Llama 2), equation 2; one margin for all pairs, theirs by rating",
            "2307.09288",
            {"margin": 1.0},
        ),
        Method(
            "label_smoothing",
            "train_reward",
            "a share of the labels is taken to be wrong",
            "Wang et al. 2024 (Secrets of RLHF, part II)",
            "2401.06080",
            {"label_smoothing": 0.1},
        ),
        Method(
            "centering",
            "train_reward",
            "scores of a pair are pulled to mean 0",
            "Eisenstein et al. 2023",
            "2312.09244",
            {"centering": 0.01},
        ),
        Method(
            "pairwise",
            "train_reward",
            "one model reads both replies, in both orders",
            "Jiang et al. 2023 (LLM-Blender)",
            "2306.02561",
            made_by="minialign.algorithms.reward_model.both_orders",
        ),
        Method(
            "plackett_luce",
            "train_reward",
            "a ranking is a choice of the best, again and again",
            "Zhu et al. 2023",
            "2301.11270",
            {"loss": "plackett_luce"},
        ),
        Method(
            "split_pairs",
            "train_reward",
            "a ranking is the mean of its pairs",
            "Ouyang et al. 2022, equation 1",
            "2203.02155",
            {"loss": "split_pairs"},
        ),
        Method(
            "ppo",
            "train_ppo",
            "clipped ratio, critic, KL penalty at every token",
            "Schulman et al. 2017; Huang et al. 2024",
            "1707.06347",
        ),
        Method(
            "ppo_adaptive_kl",
            "train_ppo",
            "the penalty follows a target KL; scores are normalised",
            "Ziegler et al. 2019, section 2.2; they normalise once, before",
            "1909.08593",
            {"target_kl": 6.0, "rewards": "normalised"},
        ),
        Method(
            "ppo_ptx",
            "train_ppo",
            "one pass per rollout, and demonstrations mixed in",
            "Ouyang et al. 2022, equation 2; they mix in pretraining text",
            "2203.02155",
            {"epochs": 1, "ptx": 1.0},
        ),
        Method(
            "ppo_normalised_rewards",
            "train_ppo",
            "scores made mean 0 and variance 1 by all seen so far",
            "Zheng et al. 2023 (Secrets of RLHF, part I), section 5.3.1",
            "2307.04964",
            {"rewards": "normalised"},
        ),
        Method(
            "ppo_max",
            "train_ppo",
            "scores normalised likewise and clipped",
            "Zheng et al. 2023 (Secrets of RLHF, part I), equation 18; their code does not centre",
            "2307.04964",
            {"rewards": "clipped"},
        ),
        Method(
            "ppo_whitened_rewards",
            "train_ppo",
            "rewards per token scaled to variance 1",
            "Huang et al. 2024, detail 24",
            "2403.17031",
            {"rewards": "whitened"},
        ),
    )
}
for _loop, _rows in (
    ("train_preference", PREFERENCE),
    ("train_stepwise", STEPWISE),
    ("train_unpaired", UNPAIRED),
    ("train_on_own_replies", OWN),
    ("train_rl", RL),
):
    for _name, *_rest, _settings in _rows:
        REGISTRY[_name] = Method(_name, _loop, *_rest, _settings)


def table(loop: str | None = None) -> pd.DataFrame:
    """The registry as a table: of one training loop, or all; made_by only where a row has it."""
    rows = [asdict(m) for m in REGISTRY.values() if loop in (None, m.loop)]
    found = pd.DataFrame(rows).set_index("name")
    return found if found["made_by"].any() else found.drop(columns="made_by")


def method(name: str) -> Method:
    """A row by its name; an unknown name lists those that there are."""
    if name not in REGISTRY:
        raise ValueError(f"method {name!r} is unknown; use one of {', '.join(REGISTRY)}")
    return REGISTRY[name]
