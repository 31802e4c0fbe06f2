"""What each stage trains, and on what: the shipped files, the world beyond them, or your own data.

The shipped files hold the first rows that the world draws for seed 0, so whoever edits one of them
changes what is trained on. Beyond their rows, and for every other seed, the world goes on.

A recipe takes the profile, the seed, the folder to work in, and a function that gives the folder of
an earlier stage, trained if need be. It returns what is to be saved, and a tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.grpo import train_grpo
from minialign.algorithms.ppo import train_ppo
from minialign.algorithms.reward_model import train_reward
from minialign.algorithms.sft import train_sft
from minialign.core.batching import Row
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.models.loading import load_policy
from minialign.core.sampling import sample
from minialign.core.tokens import encode
from minialign.course.profiles import Profile
from minialign.course.session import pick_device
from minialign.course.stages import presets
from minialign.data.shapes import Demonstration, Pair
from minialign.data.shipped import shipped, shipped_problem
from minialign.data.training_rows import comparisons_of, demonstrations_of, problems_of
from minialign.rewards.learnt import reward_model_score, set_zero
from minialign.rewards.verifiers import right_answer
from minialign.variants.loops.rounds import by_reward, train_on_own_replies
from minialign.world.problems import problem_rows
from minialign.world.replies.demonstrations import demonstrations
from minialign.world.replies.preferences import Comparison, comparisons
from minialign.world.tasks import Instruction, instructions

SHIPPED_SEED = 0  # whose first rows the shipped files hold
FolderOf = Callable[[str], Path]
Trained = tuple[PreTrainedModel | RewardModel, PreTrainedTokenizerBase]
Recipe = Callable[[Profile, int, Path, FolderOf], Trained]


def demonstration_rows(
    tokenizer: PreTrainedTokenizerBase, n: int, *, seed: int = 0, max_length: int = 512,
    dataset: str | None = None,
) -> list[Row]:  # fmt: skip
    """`n` demonstrations, encoded: of mixed quality and the embedded world, or of `dataset`."""
    if dataset is not None:
        return demonstrations_of(dataset, tokenizer, n, max_length)
    rows = shipped("instructions", Demonstration, n) if seed == SHIPPED_SEED else []
    drawn = demonstrations(n, "train", seed)[len(rows) :] if len(rows) < n else []
    texts = [(row.prompt, row.completion) for row in rows]
    texts += [(one.instruction.prompt, one.completion) for one in drawn]
    return [encode(tokenizer, prompt, completion, max_length) for prompt, completion in texts]


def comparison_rows(
    tokenizer: PreTrainedTokenizerBase, n: int, *, seed: int = 0, split: str = "train",
    dataset: str | None = None,
) -> list[tuple[Row, ...]]:  # fmt: skip
    """`n` comparisons by the crowd of annotators, or of `dataset`: (chosen, rejected) each."""
    if dataset is not None:
        return comparisons_of(dataset, tokenizer, n)
    in_file = seed == SHIPPED_SEED and split in ("train", "test")
    rows = shipped("preferences", Pair, n, split) if in_file else []
    drawn = comparisons(n, split, seed)[len(rows) :] if len(rows) < n else []
    return encode_comparisons(tokenizer, [*rows, *drawn])


def encode_comparisons(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Comparison | Pair]
) -> list[tuple[Row, ...]]:
    """(chosen, rejected) rows of comparisons."""
    prompts = [pair.prompt if isinstance(pair, Pair) else pair.instruction.prompt for pair in pairs]
    return [
        tuple(encode(tokenizer, prompt, text) for text in (pair.chosen, pair.rejected))
        for prompt, pair in zip(prompts, pairs, strict=True)
    ]


def grpo_problems(
    profile: Profile, seed: int = 0, dataset: str | None = None
) -> list[dict[str, Any]]:
    """What GRPO's policy is asked, with the columns that verifiers read: of the world, or yours."""
    n = profile.comparisons // 4
    if dataset is not None:
        return problems_of(dataset, n)
    rows = shipped("problems", None, n, convert=shipped_problem) if seed == SHIPPED_SEED else []
    return [*rows, *(problem_rows(n, seed=seed)[len(rows) :] if len(rows) < n else [])]


def ppo_prompts(profile: Profile, seed: int = 0) -> list[Instruction]:
    """What PPO's policy is asked: as many training instructions as there are comparisons."""
    return instructions(profile.comparisons, "train", seed + 2000)


def dpo_prompts(profile: Profile, seed: int = 0) -> list[Instruction]:
    """What DPO's policy is asked for its own replies: half of PPO's prompts."""
    return ppo_prompts(profile, seed)[: profile.comparisons // 2]


def sft(profile: Profile, seed: int, work: Path, folder_of: FolderOf) -> Trained:
    """The profile's model, tuned on demonstrations."""
    policy, tokenizer = load_policy(profile.model, device=pick_device())  # float32, to be trained
    rows = demonstration_rows(tokenizer, profile.examples, seed=seed)
    config = presets.sft_config(profile, seed)
    history = train_sft(policy, tokenizer, rows, config, checkpoint_dir=work / "checkpoint")
    history.to_csv(work / "history.csv")
    return policy, tokenizer


def reward(profile: Profile, seed: int, work: Path, folder_of: FolderOf) -> Trained:
    """A reward model, started from the tuned policy, whose mean score becomes 0."""
    policy, tokenizer = load_policy(folder_of("sft"), device=pick_device())
    model = RewardModel.from_policy(policy, seed)
    rankings = comparison_rows(tokenizer, profile.comparisons, seed=seed)
    config = presets.reward_config(profile, seed)
    history = train_reward(model, tokenizer, rankings, config, checkpoint_dir=work / "checkpoint")
    history.to_csv(work / "history.csv")
    prompts = [i.prompt for i in instructions(profile.eval_prompts, "train", seed)]
    rollout = sample(policy, tokenizer, prompts, max_new_tokens=profile.max_new_tokens)
    set_zero(model, tokenizer, rollout.prompts, rollout.texts, rollout.completion_ids)
    return model, tokenizer


def load_policy_and_scorer(
    folder_of: FolderOf,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, RewardModel]:
    """The tuned policy, its tokenizer and the reward model."""
    device = pick_device()
    policy, tokenizer = load_policy(folder_of("sft"), device=device)
    scorer = RewardModel.from_pretrained(folder_of("reward"), device=device).eval()
    return policy, tokenizer, scorer


def ppo(profile: Profile, seed: int, work: Path, folder_of: FolderOf) -> Trained:
    """The tuned policy, moved towards what the reward model pays."""
    policy, tokenizer, scorer = load_policy_and_scorer(folder_of)
    history = train_ppo(
        policy,
        tokenizer,
        [{"prompt": i.prompt} for i in ppo_prompts(profile, seed)],
        reward_model_score(scorer, tokenizer),
        presets.ppo_config(profile, seed),
        value_model=ValueModel.from_reward_model(scorer),
        checkpoint_dir=work / "checkpoint",
    )
    history.to_csv(work / "history.csv")
    return policy, tokenizer


def dpo(profile: Profile, seed: int, work: Path, folder_of: FolderOf) -> Trained:
    """The tuned policy, on its own replies as the reward model ranks them."""
    policy, tokenizer, scorer = load_policy_and_scorer(folder_of)
    histories = train_on_own_replies(
        policy,
        tokenizer,
        dpo_prompts(profile, seed),
        by_reward(reward_model_score(scorer, tokenizer)),
        presets.own_config(profile, seed),
        loss=presets.OWN_LOSS,
        max_new_tokens=profile.max_new_tokens,
        checkpoint_dir=work / "checkpoint",
    )
    for i, history in enumerate(histories):
        history.to_csv(work / f"history-{i}.csv")
    return policy, tokenizer


def grpo(profile: Profile, seed: int, work: Path, folder_of: FolderOf) -> Trained:
    """The tuned policy, on problems whose answers are verified."""
    policy, tokenizer = load_policy(folder_of("sft"), device=pick_device())
    rows = grpo_problems(profile, seed)
    config = presets.grpo_config(profile, seed)
    checkpoint = work / "checkpoint"
    history = train_grpo(policy, tokenizer, rows, right_answer, config, checkpoint_dir=checkpoint)
    history.to_csv(work / "history.csv")
    return policy, tokenizer
