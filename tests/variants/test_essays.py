"""An essay and its family's general loop are one algorithm, and both are about the method."""

from __future__ import annotations

import ast
import inspect
from functools import partial
from pathlib import Path

import pytest
import torch
from loop_inputs import DEMOS, PAIRS, PROMPT_ROWS, TOKENIZER
from tiny_models import gpt2_with_dropout, tiny_llama

import minialign
from minialign.algorithms.dpo import DpoConfig, dpo_loss, train_dpo
from minialign.algorithms.grpo import GrpoConfig, grpo_loss, train_grpo
from minialign.algorithms.ppo import PpoConfig, policy_loss, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.kl import k3
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.variants.averages import token_mean
from minialign.variants.loops.critic import Critic
from minialign.variants.loops.offline_loop import train_rankings, train_supervised
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.policy import clipped
from minialign.variants.preference import logistic_loss
from minialign.variants.ranks import RankLogprobs

ROOT = Path(minialign.__file__).parent
STEPS = {"steps": 3, "learning_rate": 1e-3}


def letters(completions, **columns) -> list[float]:
    """Differs within a group, whatever a random model says."""
    return [text.count("e") / 2 + len(text) / 10 for text in completions]


def scorer() -> RewardModel:
    """Of a model with dropout, which is learnt with."""
    return RewardModel.from_policy(gpt2_with_dropout())


def sft() -> tuple[list, list]:
    one, two = gpt2_with_dropout(), gpt2_with_dropout()
    config = SftConfig(**STEPS, batch_size=2)
    train_sft(one, TOKENIZER, DEMOS, config)
    train_supervised(two, TOKENIZER, DEMOS, config)
    return [one], [two]


def reward_model() -> tuple[list, list]:
    one, two = scorer(), scorer()
    config = RewardConfig(**STEPS, batch_size=2)
    train_reward(one, TOKENIZER, PAIRS, config)
    train_rankings(two, TOKENIZER, PAIRS, config)
    return [one], [two]


def dpo() -> tuple[list, list]:
    one, two = tiny_llama(), tiny_llama()
    train_dpo(one, TOKENIZER, PAIRS, DpoConfig(**STEPS, batch_size=2, beta=0.3))
    config = PreferenceConfig(**STEPS, batch_size=2)
    train_preference(two, TOKENIZER, PAIRS, config, loss=partial(logistic_loss, beta=0.3))
    return [one], [two]


def grpo() -> tuple[list, list]:
    one, two = tiny_llama(), tiny_llama()
    settings = {"prompts": 3, "group_size": 4, "epochs": 2, "max_new_tokens": 8, "beta": 0.04}
    train_grpo(one, TOKENIZER, PROMPT_ROWS, letters, GrpoConfig(**STEPS, **settings))
    train_policy(two, TOKENIZER, PROMPT_ROWS, letters, PolicyConfig(**STEPS, **settings))
    return [one], [two]


def ppo() -> tuple[list, list]:
    one, two = tiny_llama(), tiny_llama()
    old, new = ValueModel.from_policy(one), ValueModel.from_policy(two)
    settings = {"prompts": 8, "minibatches": 2, "epochs": 2, "max_new_tokens": 8, "beta": 0.05}
    config = PpoConfig(**STEPS, **settings, missing_eos=-0.5)
    train_ppo(one, TOKENIZER, PROMPT_ROWS, letters, config, value_model=old)
    config = PolicyConfig(**STEPS, **settings, group_size=1, kl="reward")
    critic = Critic(new, missing_eos=-0.5)
    train_policy(two, TOKENIZER, PROMPT_ROWS, letters, config, critic=critic, average=token_mean)
    return [one, old], [two, new]


@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("both", [sft, reward_model, dpo, grpo, ppo])
def test_essay_and_general_loop_end_with_equal_weights(monkeypatch, both, bfloat16: bool):
    """Every weight, bit by bit, after three steps that have moved it."""
    capabilities = torch.cpu.get_capabilities() | {"avx512_bf16": bfloat16}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    essays, loops = both()
    for essay, loop in zip(essays, loops, strict=True):
        one, two = essay.state_dict(), loop.state_dict()
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    start = {sft: gpt2_with_dropout, reward_model: scorer}.get(both, tiny_llama)()
    moved = zip(essays[0].parameters(), start.parameters(), strict=True)
    apart = [not torch.equal(new, old) for new, old in moved]
    assert sum(apart) > 0.8 * len(apart)  # a bias that moves all scores alike stays


def test_the_essays_losses_are_those_of_the_families():
    """Value and gradient on random logprobs, where ratios have left the clip."""
    draw = partial(torch.randn, 3, 5, generator=torch.Generator().manual_seed(0))
    old, ref, advantages = draw(), draw(), draw()
    logprobs, again = ((old + draw()).detach().requires_grad_() for _ in range(2))
    again.data.copy_(logprobs.data)
    mask = torch.ones(3, 5)
    gain = clipped(again, old, advantages, mask)
    for one, two in (
        (policy_loss((logprobs - old).exp(), advantages), -gain),
        (grpo_loss(logprobs, old, ref, advantages, beta=0.1), 0.1 * k3(again, ref) - gain),
    ):
        torch.testing.assert_close(one, two)
        slopes = [
            torch.autograd.grad(x.sum(), y, retain_graph=True)[0]
            for x, y in ((one, logprobs), (two, again))
        ]
        torch.testing.assert_close(*slopes)
        assert slopes[0].abs().max() > 0
    pair = RankLogprobs(draw()[:, :2], draw()[:, :2], torch.ones(3, 2))
    logratios = pair.chosen_logratio, pair.rejected_logratio
    torch.testing.assert_close(dpo_loss(*logratios, beta=0.3), logistic_loss(pair, beta=0.3))


# --- plumbing

FILES = [
    *(path for path in sorted((ROOT / "algorithms").glob("*.py")) if path.stem != "__init__"),
    *(path for path in sorted((ROOT / "variants/loops").glob("*.py")) if path.stem != "__init__"),
]
# What has to do with running for long, with refusals and with precision, not with the method.
# What a step logs is not among it: a reader follows the method by it.
RUNNING = {
    "Run", "training", "fast_matmul", "require_settings", "require_encoded", "require_rankings",
    "paid_by", "on_step", "checkpoint_dir", "watch", "watched", "save_every", "functions", "folder",
    "saved", "state", "log",
}  # fmt: skip


def _names(node: ast.AST) -> set[str]:
    """Functions that are called, and what is assigned to."""
    calls = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
    names = {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in calls}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names |= {one.id for target in targets for one in ast.walk(target)
                  if isinstance(one, ast.Name)}  # fmt: skip
    return names


def plumbing(source: str) -> tuple[int, int]:
    """(lines of plumbing, lines of code) of a module.

    Code is every line of functions and classes but blank lines, comments, docstrings and lines that
    hold nothing but brackets. Of a simple statement all lines are plumbing if it calls or sets one
    of RUNNING; of a compound one (with, for, if) the head, if that calls one; of a signature the
    lines of arguments that are named there.
    """
    tree, code, found = ast.parse(source), set(), set()
    lines = source.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node in tree.body:
            code |= set(range(node.lineno, node.end_lineno + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                code -= set(range(first.lineno, first.end_lineno + 1))
        if isinstance(node, ast.arg) and node.arg in RUNNING:
            found.add(node.lineno)
        if not isinstance(node, ast.stmt) or isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        body = getattr(node, "body", None)
        if body is None and _names(node) & RUNNING:
            found |= set(range(node.lineno, node.end_lineno + 1))
        head = [getattr(node, name, None) for name in ("iter", "test")]
        head += getattr(node, "items", [])
        if body is not None and any(_names(part) & RUNNING for part in head if part is not None):
            found |= set(range(node.lineno, body[0].lineno))
    bare = {i for i, line in enumerate(lines, 1) if not line.split("#")[0].strip("()[]{}:, \n")}
    code -= bare
    return len(found & code), len(code)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_at_most_a_quarter_of_an_essay_or_a_loop_is_plumbing(path: Path):
    found, code = plumbing(path.read_text())
    assert code > 30 and found <= code / 4, f"{found} of {code} lines"


def test_plumbing_is_counted_as_it_says():
    source = inspect.cleandoc('''
        def train(model, *, on_step=None):
            """Three lines are code, and the two
            of this docstring are not."""
            # Nor is this.
            with training(model):
                loss = model.loss()
                history = Run(
                    0, loss=loss
                )
                return history
    ''')
    assert plumbing(source) == (4, 6)
