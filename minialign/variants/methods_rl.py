"""The registry's rows of reinforcement learning without a critic.

`train_rl` takes an advantage, an objective and an average by name.
"""

from __future__ import annotations

from typing import Any

from minialign.variants.methods_preference import Row


def _parts(advantage: str, objective: str, average: str, **more: Any) -> dict[str, Any]:
    return {"advantage": advantage, "objective": objective, "average": average, **more}


# fmt: off
RL: tuple[Row, ...] = (
    ("reinforce", "logprob times reward",
     "Williams 1992", "", _parts("none", "reinforce", "sum")),
    ("rloo", "the others of the group are the baseline",
     "Ahmadian et al. 2024, section 2.3", "2402.14740",
     _parts("leave_one_out", "reinforce", "sum", beta=0.03, kl="reward")),
    ("remax", "the greedy completion is the baseline",
     "Li et al. 2023, algorithm 1; each token pays the whole KL", "2310.10505",
     _parts("greedy", "reinforce", "sum", beta=0.1, kl="reward")),
    ("reinforce_pp", "rewards are scaled over the whole batch",
     "Hu et al. 2025; each token pays the whole KL", "2501.03262",
     _parts("batch_zscore", "clipped", "sequence", beta=0.001, kl="reward")),
    ("reinforce_pp_baseline", "centred by the group, scaled by the batch",
     "Hu et al. 2025", "2501.03262", _parts("batch_scaled", "clipped", "sequence")),
    ("grpo", "z-score within the group, clipped ratio",
     "Shao et al. 2024, equation 3", "2402.03300",
     _parts("zscore", "clipped", "sequence", beta=0.04)),
    ("grpo_process", "z-score of the rewards of steps, summed from each token on",
     "Shao et al. 2024, section 4.1.3", "2402.03300",
     _parts("process", "clipped", "sequence", beta=0.04)),
    ("dr_grpo", "no division, by the deviation or by the length",
     "Liu et al. 2025, section 3.2", "2503.20783", _parts("centred", "clipped", "fixed")),
    ("dapo", "a higher upper clip, a mean over tokens, groups with a signal only",
     "Yu et al. 2025, equation 8", "2503.14476",
     _parts("zscore", "clipped", "token", options={"clip_high": 0.28}, dynamic=True)),
    ("gspo", "one ratio for the whole completion",
     "Zheng et al. 2025, equation 5", "2507.18071", _parts("zscore", "gspo", "sequence")),
    ("luspo", "GSPO, and a completion counts by its length",
     "Liu et al. 2026, as in TRL 1.16; with GSPO's clip, theirs is 2e-3 and 2.5e-3", "2602.05261",
     _parts("zscore", "gspo", "sum")),
    ("cispo", "the weight is capped, the gradient is not",
     "MiniMax 2025, equation 4", "2506.13585", _parts("zscore", "cispo", "token")),
    ("sapo", "a soft gate for the clip",
     "Gao et al. 2025", "2511.20347", _parts("zscore", "sapo", "sequence")),
    ("vespo", "a soft weight of the whole completion's ratio",
     "Shen et al. 2026, as in TRL 1.16", "2602.10693", _parts("zscore", "vespo", "token")),
    ("maxrl", "divided by the mean reward: hard prompts count more",
     "Tajwar et al. 2026, algorithm 1", "2602.02710",
     _parts("mean_scaled", "reinforce", "sum")),
    ("raft", "imitate the best of the group",
     "Dong et al. 2023, algorithm 1", "2304.06767", _parts("best", "reinforce", "token")),
    ("expert_iteration", "imitate all that is right",
     "Singh et al. 2023", "2312.06585", _parts("above_zero", "reinforce", "token")),
    ("kimi", "a squared log-ratio is the leash",
     "Kimi Team 2025, equation 3", "2501.12599",
     _parts("centred", "squared_ratio", "sum", epochs=2)),
    ("p3o", "pairs; without the clip it is RLOO with two",
     "Wu et al. 2023", "2310.00212",
     _parts("leave_one_out", "reinforce", "sum", group_size=2)),
)
# fmt: on
