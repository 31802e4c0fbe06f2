"""What each stage must make visible: `python -m tools.world_builder.measuring.targets`.

The stages are those of `minialign.course.pipeline`, trained if need be, in the default profile; all
are measured on held-out prompts that no setting was chosen by. `--seed` runs one seed and writes a
JSON file into `--out`; all that are there are printed. A graphics card is used if there is one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from minialign.algorithms.dpo import train_dpo
from minialign.algorithms.ppo import train_ppo
from minialign.core.models.heads import ValueModel
from minialign.core.models.loading import load_policy
from minialign.core.sampling import sample
from minialign.core.tokens import encode
from minialign.course import profiles
from minialign.course.pipeline import policy_and_scorer, stage
from minialign.course.session import pick_device
from minialign.course.stages import presets
from minialign.course.stages.recipes import comparison_rows, ppo_prompts
from minialign.evaluate.bench import bench
from minialign.evaluate.problems import passed, solve
from minialign.evaluate.statistics import mean
from minialign.evaluate.village import judge
from minialign.rewards.learnt import reward_model_score, score_rows
from minialign.world.problems import problem_rows
from minialign.world.replies.annotator import accuracy_ceiling, expected_accuracy
from minialign.world.replies.preferences import CROWD, comparisons
from minialign.world.tasks import instructions

FLAWS = ("any", "rude", "flattering", "unsafe", "untrue", "too_long")
PROMPTS, PROBLEMS, TRIES, PAIRS = 288, 96, 8, 2000  # asked, solved, tries at each, compared
Found = dict[str, float]


class Run:
    """One seed: its start, and what it finds by the name of a stage."""

    def __init__(self, profile: profiles.Profile, seed: int, save: Callable[[dict], None]) -> None:
        self.profile, self.seed, self.save = profile, seed, save
        self.found: dict[str, Found] = {}
        self.prompts = instructions(PROMPTS, "test", 1000 + seed)

    def keep(self, name: str, began: float, found: Found) -> None:
        """Add what was found, with the seconds since `began`."""
        self.found[name] = {**found, "seconds": time.perf_counter() - began}
        print(
            name,
            {key: round(float(value), 3) for key, value in self.found[name].items()},
            flush=True,
        )
        self.save(self.found)

    def tuned(self) -> None:
        """The base model in the chat format, and the policy tuned on demonstrations."""
        base, tokenizer = load_policy(self.profile.model, device=pick_device())
        began = time.perf_counter()
        first = judge(base, tokenizer, self.prompts, seed=self.seed)
        self.keep("base", began, {"follows": first.follows.mean(), "stops": first.stops.mean()})
        began = time.perf_counter()
        folder = stage("sft", profile=self.profile, seed=self.seed)
        self.reference, self.tokenizer = load_policy(folder, device=pick_device())
        self.keep("sft trained", began, {})
        worded = instructions(PROMPTS, "phrasings", 1000 + self.seed)
        ask = partial(judge, self.reference, self.tokenizer, seed=self.seed)
        for name, asked in (("phrasings", worded), ("test", self.prompts)):
            began = time.perf_counter()
            greedy = ask(asked, temperature=0.0)
            self.keep(f"sft {name}, greedy", began, _shares(greedy, ("follows", "stops")))
        began = time.perf_counter()
        self.start = ask(self.prompts)
        self.keep("sft test, sampled", began, _shares(self.start, ("follows", "stops", *FLAWS)))

    def judged(self) -> None:
        """The reward model beside the annotators' ceiling, and on pairs of known difference."""
        began = time.perf_counter()
        stage("reward", profile=self.profile, seed=self.seed)
        self.keep("reward trained", began, {})
        began = time.perf_counter()
        _, _, self.scorer = policy_and_scorer(self.profile, self.seed)
        pairs = comparisons(PAIRS, "test", seed=1000 + self.seed)
        asked = [pair.instruction.prompt for pair in pairs]
        leads = self._leads(asked, [p.first for p in pairs], [p.second for p in pairs])
        gaps = [pair.gap for pair in pairs]
        accuracy = expected_accuracy(leads, gaps, CROWD.temperature)
        ceiling = accuracy_ceiling(gaps, CROWD.temperature)
        found = {"accuracy": accuracy, "ceiling": ceiling}
        found["way from coin"] = (accuracy - 0.5) / (ceiling - 0.5)
        known = bench(50, seed=1000 + self.seed)
        asked = [pair.instruction.prompt for pair in known]
        leads = self._leads(asked, [p.better for p in known], [p.worse for p in known])
        right = defaultdict(list)
        for pair, lead in zip(known, leads, strict=True):
            right[pair.category].append(lead > 0)
        self.keep("reward", began, found | {name: np.mean(each) for name, each in right.items()})

    def _leads(self, asked: list[str], first: list[str], second: list[str]) -> list[float]:
        scores = [
            score_rows(
                self.scorer, self.tokenizer,
                [encode(self.tokenizer, *row) for row in zip(asked, replies, strict=True)],
            )
            for replies in (first, second)
        ]  # fmt: skip
        return (scores[0] - scores[1]).tolist()

    def ppo(self) -> None:
        """PPO, as the stage has it."""
        began = time.perf_counter()
        folder = stage("ppo", profile=self.profile, seed=self.seed)
        self._compare("ppo", began, load_policy(folder, device=pick_device())[0])

    def leashed(self, beta: float) -> None:
        """PPO with another leash and nothing else changed."""
        policy, tokenizer, scorer = policy_and_scorer(self.profile, self.seed)
        config = replace(presets.ppo_config(self.profile, self.seed), beta=beta)
        rows = [{"prompt": i.prompt} for i in ppo_prompts(self.profile, self.seed)]
        began = time.perf_counter()
        train_ppo(
            policy, tokenizer, rows, reward_model_score(scorer, tokenizer), config,
            value_model=ValueModel.from_reward_model(scorer),
        )  # fmt: skip
        self._compare(f"ppo, beta {beta:g}", began, policy)

    def dpo(self) -> None:
        """DPO on own replies, as the stage has it, and on written comparisons."""
        began = time.perf_counter()
        folder = stage("dpo", profile=self.profile, seed=self.seed)
        self._compare("dpo, own pairs", began, load_policy(folder, device=pick_device())[0])
        began = time.perf_counter()
        policy, tokenizer, _ = policy_and_scorer(self.profile, self.seed)
        pairs = comparison_rows(tokenizer, self.profile.comparisons, seed=self.seed)
        train_dpo(policy, tokenizer, pairs, presets.dpo_config(self.profile, self.seed))
        self._compare("dpo, written pairs", began, policy)

    def _compare(self, name: str, began: float, policy: PreTrainedModel) -> None:
        """A policy beside its start on the same prompts: paired, with half a 95% interval."""
        seconds = time.perf_counter() - began
        after = judge(
            policy, self.tokenizer, self.prompts, seed=self.seed, reference=self.reference
        )
        found = _shares(after, ("follows", "stops", *FLAWS))
        found |= {"kl": after.kl.mean(), "tokens": after.tokens.mean()}
        for measure in ("utility", "follows", "any"):
            gain = mean(list(after[measure].astype(float) - self.start[measure].astype(float)))
            found[f"{measure} gain"] = gain.mean
            found[f"{measure} half"] = gain.interval[1] - gain.mean
        found["gain in SD"] = found["utility gain"] / self.start.utility.std()
        found["proxy gain"] = self._proxy(policy) - self._proxy(self.reference)
        self.keep(name, time.perf_counter() - seconds, found)

    def _proxy(self, policy: PreTrainedModel) -> float:
        """The reward model's mean score of replies to the same prompts, as they were sampled."""
        generator = torch.Generator(policy.device).manual_seed(self.seed)
        score, scores = reward_model_score(self.scorer, self.tokenizer), []
        for start in range(0, PROMPTS, 96):
            asked = [i.prompt for i in self.prompts[start : start + 96]]
            tokens = self.profile.max_new_tokens
            rollout = sample(
                policy, self.tokenizer, asked, max_new_tokens=tokens, generator=generator
            )
            scores += score(rollout.prompts, rollout.texts, rollout.completion_ids)
        return float(np.mean(scores))

    def grpo(self) -> None:
        """GRPO on verified problems: on new ones, in new wordings, and from new templates."""
        began = time.perf_counter()
        folder = stage("grpo", profile=self.profile, seed=self.seed)
        policy, _ = load_policy(folder, device=pick_device())
        self.keep("grpo trained", began, {})
        for split in ("train", "wordings", "test"):
            rows = problem_rows(PROBLEMS, split=split, seed=1000 + self.seed)
            for name, model in (("start", self.reference), ("grpo", policy)):
                began = time.perf_counter()
                tries = solve(model, self.tokenizer, rows, group_size=TRIES, seed=self.seed)
                rates = {f"pass@{k}": np.mean(passed(tries, k)) for k in (1, TRIES)}
                self.keep(f"{name}, {split}", began, rates)


PARTS: dict[str, Callable[[Run], None]] = {
    "ppo": Run.ppo,
    "unleashed": partial(Run.leashed, beta=0.0),
    "shorter leash": partial(Run.leashed, beta=0.2),
    "longer leash": partial(Run.leashed, beta=0.05),
    "dpo": Run.dpo,
    "grpo": Run.grpo,
}
DEFAULT = ["ppo", "unleashed", "dpo", "grpo"]


def _shares(judged: pd.DataFrame, columns: tuple[str, ...]) -> Found:
    return {name: float(judged[name].mean()) for name in columns}


def measure(profile: profiles.Profile, seed: int, out: Path, parts: list[str]) -> None:
    """Run the parts of a seed; what is found is kept after each."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{seed}.json"

    def save(found: dict) -> None:
        path.write_text(json.dumps(found, indent=1, default=float) + "\n")

    run = Run(profile, seed, save)
    run.found = json.loads(path.read_text()) if path.exists() else {}  # of parts run before
    run.tuned()
    if parts != ["grpo"]:
        run.judged()
    for part in parts:
        PARTS[part](run)


def table(out: Path) -> pd.DataFrame:
    """All that was found: a row per stage and measure, a column per seed, and their mean."""
    columns = {}
    for path in sorted(out.glob("[0-9]*.json")):
        found = json.loads(path.read_text())
        columns[f"seed {path.stem}"] = {
            (s, m): v for s, row in found.items() for m, v in row.items()
        }
    frame = pd.DataFrame(columns)
    return frame.assign(mean=frame.mean(axis=1))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, help="the seed to run; none only prints")
    parser.add_argument("--profile", default=None, help="of the course; the default one if none")
    parser.add_argument("--out", type=Path, default=Path("runs/targets"), help="a file a seed")
    parser.add_argument("--parts", nargs="*", default=DEFAULT, choices=PARTS, help="to run")
    options = parser.parse_args()
    if options.seed is not None:
        measure(profiles.get(options.profile), options.seed, options.out, options.parts)
    print(table(options.out).round(3).to_string())


if __name__ == "__main__":
    main()
