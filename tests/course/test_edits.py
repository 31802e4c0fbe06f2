"""What a notebook shows is what trains: an edit in a cell changes the training below it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

import minialign
from minialign.show import labelling

NOTEBOOKS = Path(minialign.__file__).parents[1] / "notebooks"

if not NOTEBOOKS.is_dir():
    pytest.skip("an installed package has no notebooks", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("figures_closed")]

# Notebook -> cells that may be left out, the last one that runs, and what holds the losses there.
PLANS = {
    "01": (
        {"method-figure", "dials", "measure", "by-hand"}
        | {"mask-spans", "torch-check", "bare-run", "trace", "trace-update", "train-curves"},
        "train",
        ("brief_losses", "history"),
    ),
    "02": (
        {"method-figure", "labelling", "agreement", "shift-code", "trace-tokens", "trace-step"}
        | {"trace-update", "variants-table"},
        "train",
        ("losses", "history"),
    ),
    "03": (
        {"method-figure", "errors", "rloo-use", "error-figure", "tilted-figure"}
        | {"beta-use", "beta-figure", "kl-use", "kl-figure", "trace-passes", "passes-figure"}
        | {"trace-unseen"},
        "train",
        ("chances", "history"),
    ),
    "04": (
        {"method-figure", "raw", "world", "invert-code", "minimum-code", "noise", "beta-tau-code"}
        | {"minimum-figure", "beta-tau-figure", "trace-tokens", "trace-shells"}
        | {"trace-gradients", "trace-step", "trace-after"}
        | {"curves", "judge", "moved", "moved-figure", "moved-by-flaws", "pulls", "pulls-steps"}
        | {"pulls-figure", "pulls-flaws", "pulls-after", "mass-code", "mass-figure"}
        | {"examples-moved", "ring-tokens", "replies"},
        "own-train",
        ("losses", "history_own"),
    ),
    "05": (
        {"method-figure", "verifier-source-code", "write-2-use", "group"}
        | {"trace-loss", "trace-update", "fresh", "averages", "kl-figure"}
        | {"weights-code", "weights-figure", "update-figure", "fresh-clips"},
        "train",
        ("brief_losses", "history"),
    ),
}
LOGGED = {"03": ("reward", "kl", "value_loss")}  # of a history, where it is not the loss
ALSO = {
    "01": ("bare-loop", 'brief_losses = bare_loop(load()[0], rows, 3)["loss"].tolist()'),
    # A policy that has learnt nothing is never right, so its tries are paid by their length.
    "05": (
        "write-1-use",
        "reward = lambda prompts, completions, **columns: [len(t) % 7.0 for t in completions]",
    ),
}
EDITS = {  # notebook, cell, what stands there, what is put there, which of the trainings change
    "the mask of 01": ("01", "pad-rows", "i, border:end] = 1", "i, 1:end] = 1", (True, False)),
    "the loss of 01": ("01", "cross-entropy", "-masked_sum(", "-2 * masked_sum(", (True, True)),
    "the shift of 01": (
        "01", "shift-code", "(outputs.logits,", "(outputs.logits.roll(1, 1),", (True, False)
    ),
    "the rows of 01": ("01", "encode", ", tokenizer.eos_token_id]", "]", (True, True)),
    "the loss of 02": (
        "02", "bt-code", "else solved_comparison_loss",
        "else lambda *given: 2 * solved_comparison_loss(*given)", (True, True)
    ),
    "the place of 02": (
        "02", "model-code", "[rows, last_real(attention_mask)]", "[:, -1]", (True, True)
    ),
    "the objective of 03": (
        "03", "policy-loss", "return -torch.minimum(", "return -torch.maximum(", (False, True)
    ),
    "the size of the objective of 03": (
        "03", "policy-loss", "return -torch.minimum(", "return -2 * torch.minimum(", (True, True)
    ),
    "the rewards of 03": (
        "03", "token-rewards", "scores[:, None].to(", "2 * scores[:, None].to(", (True, True)
    ),
    "the critic's loss of 03": ("03", "value-loss", "0.5 * error", "error", (False, True)),
    "the advantages of 03": (
        "03", "gae-use", "gae = lambda_advantages if solved_2 else solved_lambda_advantages",
        "gae = lambda rewards, values, mask, lam: solved_lambda_advantages(\n"
        "    rewards, values, mask, 0.0)", (True, True)
    ),
    "the whitening of 03": (
        "03", "white-use", "whiten = whitened if solved_6 else solved_whitened",
        "whiten = lambda values, mask: 2 * solved_whitened(values, mask)", (True, True)
    ),
    "the loss of 04": ("04", "loss-code", "-logsigmoid(", "-2 * logsigmoid(", (True, True)),
    "the lead of 04": ("04", "bare-loop", "beta=BETA)", "beta=2 * BETA)", (True, False)),
    "the reference of 04": (
        "04", "essay", "- ref_logprobs[indices]", "- 0 * ref_logprobs[indices]", (False, True)
    ),
    "the pairs of 04": ("04", "own-code", "worth[2 * j] > ", "worth[2 * j] < ", (False, True)),
    "the advantage of 05": (
        "05", "zscore-code", "rewards.std(1, keepdim=True)", "rewards.std()", (True, True)
    ),
    "the loss of 05": ("05", "loss-code", "beta * k3(", "2 * beta * k3(", (False, True)),
    "the average of 05": (
        "05", "essay", "mask / mask.sum(1, keepdim=True) / len(mask)", "mask / mask.sum()",
        (False, True),
    ),
    "the tries of 05": ("05", "bare-loop", "-(A * logprobs", "-(2 * A * logprobs", (True, False)),
    "the start of 02": ("02", "model-code", "(width + 1) ** 0.5", "(width + 1)", (True, True)),
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(autouse=True)
def smoke(runs, monkeypatch):
    monkeypatch.setenv("MINIALIGN_RUNS", str(runs))
    monkeypatch.setenv("MINIALIGN_PROFILE", "smoke")
    monkeypatch.setattr(labelling, "label_pairs", lambda *args: None)


def losses(number: str, edit: tuple[str, str, str] | None = None) -> list[list[float]]:
    """The losses of a notebook's two trainings, its cells executed with an edit in one of them."""
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    left_out, last, names = PLANS[number]
    space: dict = {"display": lambda *args: None}
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert left_out <= {cell.id for cell in cells}
    for cell in cells:
        source = re.sub(r"^( *)%.*$", r"\1pass", cell.source, flags=re.M)
        if edit and cell.id == edit[0]:
            assert source.count(edit[1]) == 1, edit
            source = source.replace(*edit[1:])
        if cell.id not in left_out:
            exec(compile(source, cell.id, "exec"), space)
        if number in ALSO and cell.id == ALSO[number][0]:
            exec(ALSO[number][1], space)
        if cell.id == last:
            break
    first, second = (space[name] for name in names)
    if isinstance(first, dict):  # of several short runs
        first = [loss for run in first.values() for loss in run]
    return [first, [x for name in LOGGED.get(number, ["loss"]) for x in second[name]]]


UNCHANGED: dict[str, list[list[float]]] = {}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_in_a_cell_changes_what_trains(name: str, capsys):
    number, *edit, changes = EDITS[name]
    if number not in UNCHANGED:
        UNCHANGED[number] = losses(number)
    edited = losses(number, tuple(edit))
    assert tuple(a != b for a, b in zip(UNCHANGED[number], edited, strict=True)) == changes
