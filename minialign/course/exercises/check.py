"""What notebooks call: every exercise, guesses, and whether shown code is the package's own."""

from minialign.course.exercises.compare import Exercise, same_code
from minialign.course.exercises.critic import lambda_advantages, whitened
from minialign.course.exercises.derivations import (
    best_low_rank,
    best_margins,
    neftune_noise,
    robust_loss,
)
from minialign.course.exercises.divergence import (
    beta_for_kl,
    kl_loss,
    kl_moments,
    still_pulled,
)
from minialign.course.exercises.guesses import guess, reveal
from minialign.course.exercises.likelihood import (
    cross_entropy,
    next_token_logprobs,
    pair_losses,
    wpo_weight,
)
from minialign.course.exercises.policy import (
    leave_out,
    rloo_advantages,
)
from minialign.course.exercises.preference import (
    comparison_loss,
    fitted_scores,
    kto_losses,
    length_free,
)
from minialign.course.exercises.replies import names_cold, pass_curve, verified
from minialign.course.exercises.rows import (
    conversation_mask,
    last_column,
    micro_losses,
    restart_positions,
)
from minialign.course.exercises.scores import (
    best_choice_loss,
    best_of_n_gold,
    fitted_temperature,
)

__all__ = [
    "Exercise",
    "best_choice_loss",
    "best_low_rank",
    "best_margins",
    "best_of_n_gold",
    "beta_for_kl",
    "comparison_loss",
    "conversation_mask",
    "cross_entropy",
    "fitted_scores",
    "fitted_temperature",
    "guess",
    "kl_loss",
    "kl_moments",
    "kto_losses",
    "lambda_advantages",
    "last_column",
    "leave_out",
    "length_free",
    "micro_losses",
    "names_cold",
    "neftune_noise",
    "next_token_logprobs",
    "pair_losses",
    "pass_curve",
    "restart_positions",
    "reveal",
    "rloo_advantages",
    "robust_loss",
    "same_code",
    "still_pulled",
    "verified",
    "whitened",
    "wpo_weight",
]  # fmt: skip
