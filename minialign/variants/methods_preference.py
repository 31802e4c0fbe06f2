"""The registry's rows of preference optimisation: name, idea, paper, arXiv id, settings.

`train_preference` takes a pair's loss by name; `options` are that loss's keywords.
"""

from __future__ import annotations

from typing import Any

Row = tuple[str, str, str, str, dict[str, Any]]


def _loss(name: str, **options: Any) -> dict[str, Any]:
    return {"loss": name, "options": options} if options else {"loss": name}


# fmt: off
PREFERENCE: tuple[Row, ...] = (
    ("dpo", "logistic link of the margin of log-ratios",
     "Rafailov et al. 2023, equation 7", "2305.18290", _loss("dpo")),
    ("cdpo", "a share of labels is taken to be wrong",
     "Mitchell 2023 (A note on DPO with noisy preferences), equation 3", "",
     _loss("dpo", label_smoothing=0.1)),
    ("robust_dpo", "unbiased when a known share of labels was swapped",
     "Chowdhury et al. 2024", "2403.00409", _loss("robust", flip=0.1)),
    ("ipo", "squared distance of the margin per token to a target",
     "Azar et al. 2023, equation 17; per token as in TRL", "2310.12036", _loss("ipo")),
    ("ipo_sum", "the same of whole sequences",
     "Azar et al. 2023, equation 17", "2310.12036", _loss("ipo", per_token=False)),
    ("hinge", "no pull beyond a lead of 1",
     "Liu et al. 2023 (RSO), equation 10, after SLiC-HF", "2309.06657", _loss("hinge")),
    ("dpo_norm", "log-ratios per token",
     "Lambert et al. 2024 (Tulu 3), equation 6", "2411.15124", _loss("dpo_norm")),
    ("dpop", "the chosen completion must not fall",
     "Pal et al. 2024 (Smaug), equation 3", "2402.13228", _loss("dpop", beta=0.1)),
    ("rpo", "DPO and imitation of the chosen completion",
     "Pang et al. 2024, equation 1", "2404.19733", _loss("rpo")),
    ("rdpo", "length explains part of the preference",
     "Park et al. 2024", "2403.19159", _loss("rdpo")),
    ("ld_dpo", "tokens beyond the shorter completion count half",
     "Liu et al. 2024", "2409.06411", {"loss": "dpo", "tail": 0.5}),
    ("wpo", "pairs count as much as the policy is likely to write them",
     "Zhou et al. 2024, equations 1 and 2", "2406.11827", {"loss": "dpo", "weigh": True}),
    ("odpo", "the lead must exceed an offset",
     "Amini et al. 2024; one offset for all pairs", "2402.10571", _loss("odpo", offset=0.5)),
    ("exo", "the KL to the annotator's choice, reversed",
     "Ji et al. 2024", "2402.00856", _loss("exo")),
    ("sppo_hard", "each completion has its own target",
     "Wu et al. 2024, equation 4.12; goals at 5 nats, theirs at 500", "2405.00675", _loss("sppo")),
    ("nca", "the chosen reward has a finite goal",
     "Chen et al. 2024, table 1", "2402.05369", _loss("nca")),
    ("bco_pair", "chosen and rejected are classified, each by itself",
     "Jung et al. 2024", "2404.04656", _loss("bco_pair")),
    ("apo_zero", "chosen up and rejected down, each by itself",
     "D'Oosterlinck et al. 2024", "2408.06266", _loss("apo_zero")),
    ("apo_down", "both down, rejected more",
     "D'Oosterlinck et al. 2024", "2408.06266", _loss("apo_down")),
    ("discopop", "a blend of two links, found by search",
     "Lu et al. 2024, equation 5", "2406.08414", _loss("discopop")),
    ("aot", "sorted leads of a batch, policy against reference",
     "Melnyk et al. 2024", "2406.05882", _loss("aot")),
    ("aot_unpaired", "sorted log-ratios, chosen against rejected",
     "Melnyk et al. 2024", "2406.05882", _loss("aot", paired=False)),
    ("fdpo_forward_kl", "the leash is the forward KL",
     "Wang et al. 2023", "2309.16240", _loss("fdpo", divergence="forward_kl")),
    ("fdpo_js", "the leash is the Jensen-Shannon divergence",
     "Wang et al. 2023", "2309.16240", _loss("fdpo", divergence="jensen_shannon")),
    ("fdpo_alpha", "the leash is an alpha-divergence",
     "Wang et al. 2023", "2309.16240", _loss("fdpo", divergence="alpha", alpha=0.5)),
    ("simpo", "mean logprobs and a margin, no reference",
     "Meng et al. 2024, equation 6", "2405.14734", _loss("simpo")),
    ("orpo", "imitation and an odds ratio, no reference",
     "Hong et al. 2024, equations 6 and 7", "2403.07691", _loss("orpo")),
    ("cpo", "imitation and a logistic link, no reference",
     "Xu et al. 2024, equations 3 and 5", "2401.08417", _loss("cpo")),
    ("cpl", "sums of log pi are sums of advantages, no reference",
     "Hejna et al. 2023", "2310.13639", _loss("cpl")),
    ("plackett_luce_dpo", "DPO of a whole ranking",
     "Rafailov et al. 2023, equation 20", "2305.18290", _loss("plackett_luce")),
    ("lipo_lambda", "pairs of a ranking, weighted by what a swap would cost",
     "Liu et al. 2024, equation 8", "2402.01878", _loss("lipo")),
    ("rrhf", "mean logprobs in the order of a ranking, and imitation of the best",
     "Yuan et al. 2023", "2304.05302", _loss("rrhf")),
)

UNPAIRED: tuple[Row, ...] = (
    ("kto", "gains and losses against a reference point",
     "Ethayarajh et al. 2024, equation 8", "2402.01306", {"loss": "kto"}),
    ("bco", "liked or not is classified by the implicit reward",
     "Jung et al. 2024", "2404.04656", {"loss": "bco"}),
)

STEPWISE: tuple[Row, ...] = (
    ("sdpo", "easy pairs first; each round's reference is the policy of the last",
     "Kim et al. 2024, section 3.2", "2403.19270", {"share": 1.0}),
    ("tr_dpo", "the reference moves towards the policy after each round",
     "Gorbatovski et al. 2024", "2404.09656", {"share": 0.5}),
)

OWN: tuple[Row, ...] = (
    ("sft_sample_rank", "pairs of the policy's own replies, as a reward model ranks them",
     "Liu et al. 2023 (RSO)", "2309.06657", {"rounds": 1}),
    ("iterative_dpo", "the same, sampled anew from the policy as it learns",
     "Xiong et al. 2023", "2312.11456", {"rounds": 2}),
)
# fmt: on
