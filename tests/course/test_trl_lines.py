"""The lines under `# With TRL` in a notebook start where the notebook's own training starts."""

from __future__ import annotations

import math
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch

pytest.importorskip("trl")
import trl
from transformers import TrainerCallback, trainer
from trl import GRPOTrainer

from minialign.algorithms.dpo import dpo_loss
from minialign.algorithms.grpo import group_zscore, grpo_loss
from minialign.algorithms.reward_model import bradley_terry
from minialign.algorithms.sft import cross_entropy
from minialign.core.batching import Batch, collate
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import load_policy, model_path
from minialign.core.tokens import encode
from minialign.world.problems import problem_rows
from minialign.world.replies.demonstrations import demonstrations
from minialign.world.replies.preferences import comparisons

NOTEBOOKS = {
    path.stem[:2]: path
    for path in sorted(Path(__file__).parents[2].glob("notebooks/[0-9][0-9]_*.ipynb"))
}
if not NOTEBOOKS:
    pytest.skip("an installed package has no notebooks", allow_module_level=True)
FENCED = re.compile(r"^```python\n(# With TRL\n.*?)^```", re.MULTILINE | re.DOTALL)
ROWS = 4  # fewer than any batch holds, so that the first one holds all


def lines_with_trl(path: Path) -> list[str]:
    """The blocks of a notebook's markdown cells whose first line is `# With TRL`."""
    cells = nbformat.read(path, as_version=4).cells
    return [
        block
        for cell in cells
        if cell.cell_type == "markdown"
        for block in FENCED.findall(cell.source)
    ]


def batch_of(rows: list[dict[str, str]], *replies: str) -> Batch:
    """The rows as minialign encodes them, the replies to one prompt one under the other."""
    _, tokenizer = load_policy("tiny-base")
    encoded = [encode(tokenizer, row["prompt"], row[reply]) for row in rows for reply in replies]
    return collate(encoded, tokenizer.pad_token_id)


@torch.no_grad()
def tuning() -> SimpleNamespace:
    """Demonstrations, and the mean cost of a token of their replies."""
    shown = demonstrations(ROWS, "train", 0)
    rows = [{"prompt": d.instruction.prompt, "completion": d.completion} for d in shown]
    policy, _ = load_policy("tiny-base")
    batch = batch_of(rows, "completion")
    logprobs = token_logprobs(policy, batch.input_ids, batch.attention_mask)
    costs = cross_entropy(logprobs, batch.completion_mask)
    return SimpleNamespace(names={"rows": rows}, loss=costs.sum() / batch.completion_mask.sum())


@torch.no_grad()
def reward_modeling() -> SimpleNamespace:
    """Comparisons, a reward model `ours`, and its mean loss."""
    pairs = comparisons(ROWS, "train", 0)
    columns = {"chosen": [p.chosen for p in pairs], "rejected": [p.rejected for p in pairs]}
    prompts = [p.instruction.prompt for p in pairs]
    rows = [
        {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        for prompt, chosen, rejected in zip(prompts, *columns.values(), strict=True)
    ]
    ours = RewardModel.from_policy(load_policy("tiny-base")[0])
    batch = batch_of(rows, "chosen", "rejected")
    scores = ours(batch.input_ids, batch.attention_mask).view(-1, 2)
    loss = bradley_terry(*scores.unbind(1)).mean()
    return SimpleNamespace(names={"rows": rows, "ours": ours}, loss=loss)


GONE = {"03": "PPOTrainer"}  # trainers that TRL has no more, so that a notebook has no lines


@torch.no_grad()
def direct_preferences() -> SimpleNamespace:
    """Comparisons, a reference that is not the policy, and DPO's mean loss beside it."""
    pairs = comparisons(ROWS, "train", 0)
    rows = [
        {"prompt": p.instruction.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in pairs
    ]
    batch = batch_of(rows, "chosen", "rejected")
    policy, tokenizer = load_policy("tiny-base")
    reference, _ = load_policy("tiny-base")
    generator = torch.Generator().manual_seed(0)
    for weight in reference.parameters():  # a policy beside itself costs log 2, whatever is wrong
        weight += 0.05 * weight.std() * torch.randn(weight.shape, generator=generator)
    folder = tempfile.TemporaryDirectory()
    reference.save_pretrained(folder.name)
    tokenizer.save_pretrained(folder.name)
    mask = batch.completion_mask
    sums = [
        masked_sum(token_logprobs(one, batch.input_ids, batch.attention_mask), mask)
        for one in (policy, reference)
    ]
    chosen, rejected = (sums[0] - sums[1]).view(-1, 2).unbind(1)
    loss = dpo_loss(chosen, rejected, beta=0.5).mean()
    assert abs(loss - math.log(2)) > 0.1
    return SimpleNamespace(names={"rows": rows, "REFERENCE": folder.name}, loss=loss, kept=folder)


OURS: dict[str, Callable[[], SimpleNamespace]] = {
    "01": tuning,
    "02": reward_modeling,
    "04": direct_preferences,
}
SAMPLED = ("05",)  # their first loss is of tries that TRL samples


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The loss of the one step that a trainer takes, however many it is told to take."""
    losses: list[float] = []

    class OneStep(TrainerCallback):
        def on_step_end(self, args, state, control, **others) -> None:
            control.should_log = control.should_training_stop = True

        def on_log(self, args, state, control, logs, **others) -> None:
            losses.extend([logs["loss"]] if "loss" in logs else [])

    monkeypatch.setattr(trainer, "DEFAULT_CALLBACKS", [*trainer.DEFAULT_CALLBACKS, OneStep])
    return losses


def test_the_notebooks_that_are_run_have_such_lines():
    """A block in another notebook wants a row of `OURS`."""
    counts = {number: len(lines_with_trl(path)) for number, path in NOTEBOOKS.items()}
    assert {number: n for number, n in counts.items() if n} == dict.fromkeys((*OURS, *SAMPLED), 1)


@pytest.mark.parametrize("number", GONE)
def test_a_notebook_without_lines_says_that_trl_has_no_such_trainer(number: str):
    cells = nbformat.read(NOTEBOOKS[number], as_version=4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert "TRL 1.16 has no PPO trainer any more" in prose and not lines_with_trl(NOTEBOOKS[number])
    assert trl.__version__.startswith("1.16.") and not hasattr(trl, GONE[number])
    files = [str(path) for path in Path(trl.__path__[0]).rglob("*.py")]
    assert files and not [name for name in files if "ppo" in name.split("trl")[-1]]


@pytest.mark.parametrize("number", OURS)
def test_the_first_loss_is_ours(number: str, tmp_path: Path, logged: list[float]):
    """They are run with MODEL, the folder of tiny-base, OUT, an empty one, and `rows` of text."""
    (block,) = lines_with_trl(NOTEBOOKS[number])
    assert len(block.splitlines()) <= 16
    own = OURS[number]()
    names = {"MODEL": model_path("tiny-base"), "OUT": str(tmp_path), **own.names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(block, names)
    assert logged == [pytest.approx(own.loss.item(), abs=1e-4)]


def by_length(prompts, completions, answer, **columns) -> list[float]:
    """A reward that differs among tries of a policy that cannot solve anything."""
    return [len(text[0]["content"]) % 7.0 for text in completions]


def test_the_reward_of_the_lines_reads_messages():
    """TRL hands over a list of messages for each completion where the prompts are messages."""
    cells = {cell.id: cell.source for cell in nbformat.read(NOTEBOOKS["05"], as_version=4).cells}
    names = {"solved_1": False, "verified": None, "DATASET": None}
    names["curves"] = SimpleNamespace(show=lambda *given: None)
    for name in ("naive", "write-1-solution", "write-1-use"):
        exec(cells[name], names)
    texts = ["5 + 7 = 12. The answer is 12.", "The answer is 11."]
    messages = [[{"role": "assistant", "content": text}] for text in texts]
    for completions in (texts, messages):
        assert names["pay"](["?", "?"], completions, answer=[12, 12]) == [1.0, 0.0]


@pytest.mark.slow
def test_grpo_takes_ours_on_its_own_first_rollout(tmp_path: Path, logged: list[float], monkeypatch):
    """Advantages, loss and gradient of the tries that TRL has sampled, away from the reference."""
    (block,) = lines_with_trl(NOTEBOOKS["05"])
    assert len(block.splitlines()) <= 16
    for many, few in (("batch_size=128", "batch_size=16"), ("length=64", "length=16")):
        assert many in block
        block = block.replace(many, few)
    seen, norms = [], []
    score = GRPOTrainer._generate_and_score_completions
    monkeypatch.setattr(
        GRPOTrainer, "_generate_and_score_completions",
        lambda self, inputs: seen.append(score(self, inputs)) or seen[-1],
    )  # fmt: skip
    log = GRPOTrainer.log
    monkeypatch.setattr(
        GRPOTrainer, "log", lambda self, logs, *given: (norms.append(logs), log(self, logs, *given))
    )
    train = GRPOTrainer.train

    def from_another_reference(self):  # or k3 would be 0
        torch.manual_seed(0)
        for weight in self.ref_model.parameters():
            weight.data += 0.02 * torch.randn_like(weight)
        return train(self)

    monkeypatch.setattr(GRPOTrainer, "train", from_another_reference)
    names = {"MODEL": model_path("tiny-base"), "OUT": str(tmp_path), "pay": by_length}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(block, names | {"rows": problem_rows(8)})
    theirs, (loss, norm) = seen[0], [norms[0][name] for name in ("loss", "grad_norm")]

    policy, tokenizer = load_policy("tiny-base")
    texts = tokenizer.batch_decode(theirs["completion_ids"], skip_special_tokens=True)
    rewards = torch.tensor([len(text) % 7.0 for text in texts])
    advantages = group_zscore(rewards.view(-1, 8)).flatten()
    assert torch.allclose(theirs["advantages"], advantages, atol=1e-4) and advantages.std() > 0
    ids, attention = (
        torch.cat([theirs[f"prompt_{what}"], theirs[f"completion_{what}"]], 1)
        for what in ("ids", "mask")
    )
    mask = torch.cat([0 * theirs["prompt_mask"], theirs["completion_mask"]], 1)
    logprobs = token_logprobs(policy, ids, attention, mask)
    old, ref = logprobs.detach(), torch.zeros_like(logprobs)
    ref[:, theirs["prompt_mask"].shape[1] :] = theirs["ref_per_token_logps"]
    per_token = grpo_loss(logprobs, old, ref, advantages[:, None], beta=0.04)
    ours = (per_token * mask / mask.sum(1, keepdim=True)).sum(1).mean()
    ours.backward()
    length = sum(w.grad.square().sum() for w in policy.parameters() if w.grad is not None).sqrt()
    assert loss == pytest.approx(ours.item(), abs=1e-4)
    assert norm == pytest.approx(length.item(), rel=1e-3) and norm > 0.01 and ours > 1e-3
