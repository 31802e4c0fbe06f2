"""What is compared with TRL: a loss of minialign, TRL's name for it, and inputs for both.

A case draws inputs (`parity_draws`), and has two functions of a draw: minialign's own, and TRL's,
which `trl_calls` gets out of TRL's code. What both return is compared, a number or a tensor, and
its gradient with respect to the draw's leaves. `rows` are the rows of `methods.toml` it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import torch
from torch import Generator, Tensor

from benchmarks import parity_draws as draws
from benchmarks import trl_calls as trl
from minialign.algorithms.dpo import dpo_loss
from minialign.algorithms.reward_model import bradley_terry
from minialign.algorithms.sft import cross_entropy
from minialign.core.logprobs import masked_sum
from minialign.variants import preference as p
from minialign.variants.loops.preference_loop import tail_sum, wpo_weights
from minialign.variants.ranks import RankLogprobs
from minialign.variants.reference_free import cpo_loss, orpo_loss, simpo_loss
from minialign.variants.reward_losses import adjusted_bradley_terry, split_pairs
from minialign.variants.unpaired import bco_loss, kto_loss, mismatched_kl

Draw = SimpleNamespace
Function = Callable[[Draw], Tensor]
SUPERVISED, REWARD = "Supervised tuning", "Reward models"
PAIRS, FREE, UNPAIRED = "Preferences", "Preferences without a reference", "Unpaired feedback"
GIVEN = "given log-ratios"  # a formula of TRL's that minialign applies to something else


@dataclass(frozen=True)
class Case:
    """One comparison."""

    family: str
    ours: str  # minialign's name of it
    theirs: str  # TRL's
    draw: Callable[[Generator], Draw]
    of_ours: Function
    of_theirs: Function
    rows: tuple[str, ...] = ()  # of the registry
    value: bool = True  # whether values are equal too, not the gradient alone
    dtype: torch.dtype = torch.float64  # of the coarser of the two

    @property
    def name(self) -> str:
        """What a test calls it."""
        return f"{self.ours} | {self.theirs}"


# --- supervised tuning and reward models


def token_mean_loss(d: Draw) -> Tensor:
    """The loss of `train_sft`."""
    return cross_entropy(d.logprobs, d.mask).sum() / d.mask.sum()


def all_tokens(generator: Generator) -> Draw:
    """Demonstrations of which prompt and completion are imitated, but for the first token."""
    draw = draws.pairs(generator)
    draw.mask = draw.mask.flip(1).cumsum(1).flip(1).clamp(max=1)
    draw.mask[:, 0] = 0
    return draw


def split_rankings(d: Draw) -> Tensor:
    """TRL's reward loss of all pairs of each ranking."""
    better, worse = torch.triu_indices(d.scores.shape[1], d.scores.shape[1], 1)
    return trl.reward(d.scores[:, better].flatten(), d.scores[:, worse].flatten())


def smoothed(d: Draw) -> Tensor:
    """TRL's smoothed sigmoid of the scores."""
    return trl.cpo_formula(d.chosen, d.rejected, beta=1.0, label_smoothing=0.1).mean()


def adjusted(**settings: float) -> Function:
    """The mean `adjusted_bradley_terry` of a draw."""
    return lambda d: adjusted_bradley_terry(d.chosen, d.rejected, **settings).mean()


TUNING = (
    Case(SUPERVISED, "`cross_entropy`, token mean", "SFT, `nll`", draws.pairs,
         token_mean_loss, lambda d: trl.sft(d.logprobs, d.mask), ("sft",)),
    Case(SUPERVISED, "the same of a whole batch", "SFT, `nll`, in micro-batches",
         draws.pairs, token_mean_loss, lambda d: trl.sft(d.logprobs, d.mask, 2), ("sft",)),
    Case(SUPERVISED, "`loss_on=\"all\"`", "SFT, `completion_only_loss=False`", all_tokens,
         token_mean_loss, lambda d: trl.sft(d.logprobs, d.mask), ("sft_all_tokens",)),
    Case(REWARD, "`bradley_terry`", "Reward", draws.scores,
         lambda d: bradley_terry(d.chosen, d.rejected).mean(),
         lambda d: trl.reward(d.chosen, d.rejected), ("bradley_terry", "pairwise")),
    Case(REWARD, "`adjusted_bradley_terry`, margin", "Reward, column `margin`", draws.scores,
         lambda d: adjusted(margin=d.margin)(d),
         lambda d: trl.reward(d.chosen, d.rejected, d.margin), ("margin",)),
    Case(REWARD, "`adjusted_bradley_terry`, centering", "Reward, `center_rewards_coefficient`",
         draws.scores, adjusted(centering=0.01),
         lambda d: trl.reward(d.chosen, d.rejected, centering=0.01), ("centering",)),
    Case(REWARD, "`adjusted_bradley_terry`, label_smoothing",
         "CPO, `label_smoothing`, given scores", draws.scores, adjusted(label_smoothing=0.1),
         smoothed, ("label_smoothing",)),
    Case(REWARD, "`split_pairs`", "Reward, all pairs of a ranking", draws.ranked_scores,
         lambda d: split_pairs(d.scores).mean(), split_rankings, ("split_pairs",)),
)  # fmt: skip


# --- preferences


def ranks_of(d: Draw, tail: float = 1.0) -> RankLogprobs:
    """What the loop makes of the logprobs of a batch of pairs."""
    total = masked_sum if tail == 1 else partial(tail_sum, k=2, tail=tail)
    sums = [total(x, d.mask).view(-1, 2) for x in (d.logprobs, d.ref_logprobs)]
    return RankLogprobs(*sums, d.mask.sum(1).view(-1, 2))


def by_dpo(*types: str, tail: float | None = None, **settings: object) -> Function:
    """TRL's DPO loss of a draw."""
    weight = 1.0 if tail is None else tail
    return lambda d: trl.dpo(
        d.logprobs, d.mask, ranks_of(d, weight).ref_logprobs, *types, ld_alpha=tail, **settings
    )


def pair_case(
    function: Callable, theirs: str, *types: str, rows: tuple[str, ...], most: float = draws.FAR,
    dtype: torch.dtype = torch.float64, ours: dict | None = None, **settings: object,
) -> Case:  # fmt: skip
    """A preference loss of minialign beside a `loss_type` of TRL's DPO."""
    options = {} if ours is None else ours
    return Case(
        PAIRS, _call(function, options), theirs,
        partial(draws.pairs, most=most, dtype=dtype),
        lambda d: function(ranks_of(d), **options).mean(), by_dpo(*types, **settings),
        rows, dtype=dtype,
    )  # fmt: skip


def _call(function: Callable, options: dict) -> str:
    """A function and its settings in a cell."""
    settings = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"`{function.__name__}`" + (f", {settings}" if settings else "")


def essay(d: Draw) -> Tensor:
    """The loss of `train_dpo`."""
    chosen, rejected = ranks_of(d).logratios.unbind(1)
    return dpo_loss(chosen, rejected).mean()


def given_logratios(**settings: object) -> Function:
    """A formula of TRL's CPO, given log-ratios where it expects logprobs."""
    return lambda d: trl.cpo_formula(*ranks_of(d).logratios.unbind(1), **settings).mean()


def one_pair_each(d: Draw) -> Tensor:
    """TRL's DPO and SFT losses with a pair to each micro-batch."""
    ref = ranks_of(d).ref_logprobs
    rows = range(0, len(d.mask), 2)
    of = [
        trl.dpo(d.logprobs[i : i + 2], d.mask[i : i + 2], ref[i // 2, None], "sigmoid", "sft")
        for i in rows
    ]
    return torch.stack(of).mean()


def believable(generator: Generator) -> Draw:
    """Pairs whose WPO weights are below 1, so that none is capped."""
    draw = draws.pairs(generator)
    draw.collisions = draw.collisions.clamp(min=draw.logprobs.detach())
    return draw


def weighted(d: Draw) -> Tensor:
    """The loss of the preference loop with `weigh`."""
    weights = wpo_weights(d.logprobs, d.collisions, d.mask).view(-1, 2).prod(1)
    return (weights * p.logistic_loss(ranks_of(d))).mean()


def by_wpo(d: Draw) -> Tensor:
    """TRL's, with its weights."""
    return by_dpo("sigmoid", use_weighting=True, collisions=d.collisions)(d)


NEAR = 15.0  # nats, where a loss takes an exponential that minialign bounds at 20
PREFERENCES = (
    Case(PAIRS, "`dpo_loss`, the essay", "DPO, `sigmoid`", draws.pairs, essay, by_dpo("sigmoid"),
         ("dpo",)),
    pair_case(p.logistic_loss, "DPO, `sigmoid`", "sigmoid",
              rows=("sft_sample_rank", "iterative_dpo")),
    Case(PAIRS, "`logistic_loss`, label_smoothing", f"CPO, `label_smoothing`, {GIVEN}",
         draws.pairs, lambda d: p.logistic_loss(ranks_of(d), label_smoothing=0.1).mean(),
         given_logratios(label_smoothing=0.1), ("cdpo",)),
    pair_case(p.robust_dpo_loss, "DPO, `robust`", "robust", rows=("robust_dpo",),
              label_smoothing=0.1),
    pair_case(p.ipo_loss, "DPO, `ipo`", "ipo", rows=("ipo",)),
    Case(PAIRS, "`ipo_loss`, per_token=False", f"CPO, `ipo`, {GIVEN}", draws.pairs,
         lambda d: p.ipo_loss(ranks_of(d), per_token=False).mean(),
         given_logratios(loss_type="ipo"), ("ipo_sum",)),
    pair_case(p.hinge_loss, "DPO, `hinge`", "hinge", rows=("hinge",)),
    pair_case(p.dpo_norm_loss, "DPO, `sigmoid_norm`", "sigmoid_norm", rows=("dpo_norm",), beta=5.0),
    Case(PAIRS, "`rpo_loss`", "DPO, `sigmoid` and `sft`, a pair to a micro-batch", draws.pairs,
         lambda d: p.rpo_loss(ranks_of(d)).mean(), one_pair_each, ("rpo",)),
    Case(PAIRS, "`odpo_loss`", f"CPO, `simpo`, {GIVEN}", draws.pairs,
         lambda d: p.odpo_loss(ranks_of(d), offset=0.5).mean(),
         given_logratios(loss_type="simpo", simpo_gamma=0.5), ("odpo",)),
    Case(PAIRS, "`tail_sum`, tail=0.5", "DPO, `ld_alpha`", draws.pairs,
         lambda d: p.logistic_loss(ranks_of(d, 0.5)).mean(), by_dpo("sigmoid", tail=0.5),
         ("ld_dpo",)),
    Case(PAIRS, "`wpo_weights`, weights below 1", "DPO, `use_weighting`", believable, weighted,
         by_wpo, ("wpo",)),
    pair_case(p.exo_loss, "DPO, `exo_pair`", "exo_pair", rows=("exo",), label_smoothing=1e-3,
              dtype=torch.float32),
    pair_case(p.sppo_loss, "DPO, `sppo_hard`", "sppo_hard", rows=("sppo_hard",)),
    pair_case(p.nca_loss, "DPO, `nca_pair`", "nca_pair", rows=("nca",)),
    pair_case(p.bco_pair_loss, "DPO, `bco_pair`", "bco_pair", rows=("bco_pair",)),
    pair_case(p.apo_zero_loss, "DPO, `apo_zero`", "apo_zero", rows=("apo_zero",)),
    pair_case(p.apo_down_loss, "DPO, `apo_down`", "apo_down", rows=("apo_down",)),
    pair_case(p.discopop_loss, "DPO, `discopop`", "discopop", rows=("discopop",), beta=0.05),
    pair_case(p.aot_loss, "DPO, `aot`", "aot", rows=("aot",)),
    pair_case(p.aot_loss, "DPO, `aot_unpaired`", "aot_unpaired", rows=("aot_unpaired",),
              ours={"paired": False}),
    pair_case(p.fdpo_loss, "DPO, `forward_kl`", "sigmoid", rows=("fdpo_forward_kl",), most=NEAR,
              ours={"divergence": "forward_kl"}, f_divergence_type="forward_kl"),
    pair_case(p.fdpo_loss, "DPO, `js_divergence`", "sigmoid", rows=("fdpo_js",),
              ours={"divergence": "jensen_shannon"}, f_divergence_type="js_divergence"),
    pair_case(p.fdpo_loss, "DPO, `alpha_divergence`, coefficient 0.7", "sigmoid", most=NEAR,
              rows=("fdpo_alpha",), dtype=torch.float32, ours={"divergence": "alpha", "alpha": 0.3},
              f_divergence_type="alpha_divergence", f_alpha_divergence_coef=0.7),
)  # fmt: skip


# --- preferences without a reference, and unpaired feedback


def ranks_of_logits(d: Draw) -> RankLogprobs:
    """Summed logprobs of the rows of a draw of logits."""
    logprobs = d.logits[:, :-1].log_softmax(-1).gather(-1, d.ids[:, 1:, None])[..., 0]
    sums = masked_sum(logprobs, d.mask[:, 1:]).view(-1, 2)
    return RankLogprobs(sums, torch.zeros_like(sums), d.mask.sum(1).view(-1, 2))


def free_case(
    function: Callable, theirs: str, trainer: type, rows: tuple[str, ...],
    dtype: torch.dtype = torch.float64, **settings: object,
) -> Case:  # fmt: skip
    """A loss without a reference beside the whole loss of TRL's trainer, from logits."""
    return Case(
        FREE, f"`{function.__name__}`", theirs, partial(draws.logits, dtype=dtype),
        lambda d: function(ranks_of_logits(d)).mean(),
        lambda d: trl.without_reference(trainer, d.logits, d.ids, d.lengths, 1, **settings),
        rows, dtype=dtype,
    )  # fmt: skip


def by_kto(d: Draw) -> Tensor:
    """TRL's KTO loss."""
    ref = masked_sum(d.ref_logprobs, d.mask)
    weight = {"undesirable_weight": 1.5}
    return trl.kto(d.logprobs, d.mask, ref, d.liked, d.mismatched, **weight)


def our_kto(d: Draw) -> Tensor:
    """The loss of the unpaired loop."""
    logratios = ranks_of(d).logratios.flatten()
    return kto_loss(logratios, d.liked, mismatched_kl(d.mismatched), disliked_weight=1.5).mean()


def bco_of_pairs(d: Draw) -> Tensor:
    """`bco_loss` of chosen as liked and rejected as disliked, added up for each pair."""
    logratios = ranks_of(d).logratios
    liked = torch.tensor([True, False]).expand(logratios.shape)
    return bco_loss(logratios, liked).sum(1).mean()


OTHERS = (
    free_case(simpo_loss, "CPO, `simpo`", trl.CPOTrainer, ("simpo",), loss_type="simpo", beta=2.0,
              simpo_gamma=1.0),
    free_case(cpo_loss, "CPO, `sigmoid`, a pair to a micro-batch", trl.CPOTrainer, ("cpo",),
              cpo_alpha=1.0),
    free_case(orpo_loss, "ORPO, a pair to a micro-batch, prompts of one token", trl.ORPOTrainer,
              ("orpo",), dtype=torch.float32),
    Case(UNPAIRED, "`kto_loss` and `mismatched_kl`", "KTO, `kto`", draws.pairs, our_kto, by_kto,
         ("kto",)),
    Case(UNPAIRED, "`bco_loss` around 0", "DPO, `bco_pair`", draws.pairs, bco_of_pairs,
         by_dpo("bco_pair"), ("bco",)),
)  # fmt: skip
