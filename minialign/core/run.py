"""A training run: order of the rows, progress, learning rate, updates, history, saving, resuming.

A loop says what it is, asks for batches, hands over losses and logs; everything else about running
for a long time is here:

    run = Run("sft", config, policy, rows, on_step, checkpoint_dir)
    for step, indices in run.batches(length_batches(rows, config.batch_size, run.order)):
        loss = ...
        run.update(loss)
        run.log(step, loss=loss)
    return run.history
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm

from minialign.core.history import History
from minialign.core.optim import linear_schedule, make_optimizer, refuse_non_finite

WARMUP = 5  # updates until the learning rate's peak, where a config does not say
MAX_GRAD_NORM = 1.0  # where a config does not say
OnStep = Callable[[dict[str, float]], None]


def require_settings(
    config: Any, *, whole: Sequence[str] = (), above_0: Sequence[str] = ()
) -> None:
    """Raise ValueError unless some fields of a config are 1 or more, and others above 0."""
    whole = (*whole, "steps", "save_every")
    if small := [name for name in whole if not getattr(config, name) >= 1]:
        raise ValueError(f"{small[0]} is {getattr(config, small[0])}; use 1 or more")
    above_0 = (*above_0, "learning_rate")
    if small := [name for name in above_0 if not getattr(config, name) > 0]:
        raise ValueError(f"{small[0]} is {getattr(config, small[0])}; use a number above 0")


class Run:
    """One run of a loop, from its first step or from where a checkpoint stopped.

    Args:
        loop: its name, shown beside the bar and written into checkpoints.
        config: a dataclass with steps, learning_rate, seed and save_every; warmup, max_grad_norm,
            weight_decay and eps (of Adam) are read where it has them.
        model: what is trained in place; of a ModuleDict each model's gradient is clipped alone.
        data: all that is read of rows, labels and columns; a checkpoint is known by it.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; None saves nothing.
        reference: whose weights a checkpoint is known by.
        rewards: name -> reward, whose identities a checkpoint is known by.
        functions: name -> function that the loop was given, such as a loss; likewise.
        eps: of Adam, where the config does not say.

    Attributes:
        order: Python's random numbers, for the order of the rows.
        generator: torch's, on the model's device, for sampling.
        shuffler: torch's, on the CPU, for minibatches.
        state: what a loop must find again when it goes on, such as an adapted penalty; JSON-able.
        history: the metrics so far.
    """

    def __init__(
        self, loop: str, config: Any, model: torch.nn.Module, data: Any,
        on_step: OnStep | None = None, checkpoint_dir: Path | None = None, *,
        reference: torch.nn.Module | None = None, rewards: Mapping[str, Callable] | None = None,
        functions: Mapping[str, Callable] | None = None, eps: float = 1e-8,
    ) -> None:  # fmt: skip
        from minialign.core.models.memory import CONFIGS

        self.loop, self.config, self.model = loop, config, model
        self.on_step, self.folder = on_step, checkpoint_dir
        decay = getattr(config, "weight_decay", 0.0)
        eps = getattr(config, "eps", eps)
        self.optimizer = make_optimizer(model, config.learning_rate, decay, eps)
        several = isinstance(model, torch.nn.ModuleDict)
        self.models = list(model.values()) if several else [model]
        CONFIGS.update(dict.fromkeys(self.models, config))  # for an error that says what to lower
        device = next(model.parameters()).device
        self.order = Random(config.seed)
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.shuffler = torch.Generator().manual_seed(config.seed)
        torch.manual_seed(config.seed)  # of dropout and of noise
        self.history, self.state = History(), {}
        self.first, self.indices, self.grad_norm = 0, [], 0.0
        self.alone = nullcontext()
        if checkpoint_dir is not None:
            self._resume(data, reference, rewards, functions)

    def _resume(self, data: Any, *known: Any) -> None:
        from minialign.core.checkpoint import has_checkpoint, load_checkpoint, run_settings
        from minialign.system.folders import OnlyRun

        self.alone = OnlyRun(self.folder)
        self.settings = run_settings(self.loop, self.config, data, self.model, *known)
        self.generators = self.generator, self.shuffler
        with self.alone:
            if has_checkpoint(self.folder):
                saved = load_checkpoint(
                    self.folder, self.model, self.optimizer, self.settings, self.generators
                )
                self.first, self.state = saved["step"], saved["state"]
                self.history = History.from_rows(saved["history"])

    def batches(self, order: Iterator[list[int]]) -> Iterator[tuple[int, list[int]]]:
        """(step, indices of rows) until config.steps; after each the run is saved where it is due.

        `order` starts at the first step: a run that goes on skips what it has had.
        """
        config = self.config
        left = islice(order, self.first, config.steps)
        self.bar = tqdm(left, self.loop, config.steps, initial=self.first)
        self.optimizer.zero_grad(set_to_none=True)
        with self.alone:  # until the loop has ended, or was left by an error
            for step, indices in enumerate(self.bar, start=self.first):
                self.step, self.indices = step, indices
                warmup = getattr(config, "warmup", WARMUP)
                self.learning_rate = linear_schedule(
                    self.optimizer, config.learning_rate, step, config.steps, warmup
                )
                yield step, indices
                due = (step + 1) % config.save_every == 0 or step + 1 == config.steps
                if self.folder is not None and due:
                    self._save(step + 1)

    def _save(self, steps: int) -> None:
        from minialign.core.checkpoint import save_checkpoint

        state = {"step": steps, "state": self.state, "history": self.history.to_rows()}
        save_checkpoint(
            self.folder, self.model, self.optimizer, self.settings, state, self.generators
        )

    def backward(self, loss: Tensor, **values: Tensor | float) -> float:
        """Add the gradient of a scalar loss to that of the next update; returns the loss.

        Raises:
            NonFiniteStep: if the loss is not finite, or one of `values`, which stand in the order
                in which they were computed: the first is named. No weight has moved.
        """
        refuse_non_finite(self.step, self.indices, **values, loss=loss)
        loss.backward()
        return loss.item()

    def update(self, loss: Tensor | None = None, **values: Tensor | float) -> float:
        """One step, after `backward` of the loss if one is given; returns the norm before the clip.

        Raises:
            NonFiniteStep: as `backward`, or if the gradient is not finite.
        """
        if loss is not None:
            self.backward(loss, **values)
        most = getattr(self.config, "max_grad_norm", MAX_GRAD_NORM)
        norm = sum(clip_grad_norm_(model.parameters(), most) for model in self.models)
        refuse_non_finite(self.step, self.indices, gradient=norm)
        self.optimizer.step()
        self.grad_norm = float(norm)
        return self.grad_norm

    def log(self, step: int, **metrics: Tensor | float) -> None:
        """A row of the history; gradient norm and learning rate are added. The bar shows two."""
        metrics |= {"grad_norm": self.grad_norm, "learning_rate": self.learning_rate}
        self.history.log(step, **metrics)
        row = {n: x.item() if isinstance(x, Tensor) else float(x) for n, x in metrics.items()}
        self.bar.set_postfix({name: f"{row[name]:.2f}" for name in list(row)[:2]})
        if self.on_step is not None:
            self.on_step(row)


def prompt_batches(
    rows: Sequence[Mapping[str, Any]], size: int, rng: Random
) -> Iterator[list[int]]:
    """Endless batches of indices, all rows before any comes again.

    Raises:
        ValueError: if there is no row, or one has no prompt.
    """
    if not rows or any(not isinstance(row, Mapping) or "prompt" not in row for row in rows):
        raise ValueError(f"{len(rows)} rows: give at least one, each a dict with a prompt")
    waiting: list[int] = []
    while True:
        while len(waiting) < size:
            waiting += rng.sample(range(len(rows)), len(rows))
        yield waiting[:size]
        waiting = waiting[size:]
