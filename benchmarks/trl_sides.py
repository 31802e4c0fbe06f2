"""One run of minialign and one of TRL on the same work, with what is measured of either.

Nothing of either library is changed: a step of ours is seen by `on_step` and by what `Run` is asked
for, a step of TRL by a callback. TRL's trainers are given our rows in the order in which our loop
takes them; their own tokenization is run too, since it belongs to their set-up.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

import torch
import trl
from datasets import Dataset, disable_progress_bars
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PrinterCallback, TrainerCallback
from transformers.utils import logging

from benchmarks.trl_work import BETAS, EPS, REFERENCED, Texts, Work, columns, messages, order_of
from minialign.algorithms.dpo import DpoConfig, train_dpo
from minialign.algorithms.grpo import GrpoConfig, train_grpo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import load_policy
from minialign.core.optim import linear_schedule
from minialign.core.run import WARMUP, Run
from minialign.variants.averages import sequence_mean
from minialign.variants.group_advantages import leave_one_out
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy
from minialign.variants.loops.unpaired_loop import UnpairedConfig, train_unpaired
from minialign.variants.policy import gspo

Completions = list[list[int]]
Clock = Callable[[], float]  # seconds


@dataclass
class Record:
    """What one run of one side did, and how long it took."""

    setup: float = 0.0  # seconds from the first call until the first step
    reference: float = 0.0  # seconds of reading a reference before the first step
    times: list[float] = field(default_factory=list)  # seconds of each step
    tokens: list[int] = field(default_factory=list)  # of each step; sampled ones where it samples
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)  # of each step's gradient, before clipping
    batches: list[list[tuple[int, ...]]] = field(default_factory=list)  # sorted rows of each step
    completions: list[Completions] = field(default_factory=list)  # in the order of the prompts

    @property
    def step_times(self) -> list[float]:
        """Seconds of each step, with its rows' share of the reference's pass."""
        share = self.reference / sum(self.tokens)
        return [s + share * n for s, n in zip(self.times, self.tokens, strict=True)]


@contextlib.contextmanager
def precision_of(work: Work) -> Iterator[None]:
    """Our loops multiply in the precision of the work, whatever the hardware would choose."""
    dtype = getattr(torch, work.precision)
    with (
        patch("minialign.core.models.fast_dtype", lambda device: dtype),
        patch("minialign.core.optim.fast_dtype", lambda device: dtype),
    ):
        yield


class Watch:
    """While it is open, it notes when our run is made, and each step's beginning and rows."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.made = 0.0
        self.begins: list[float] = []
        self.ends: list[float] = []
        self.metrics: list[dict[str, float]] = []
        self.indices: list[list[int]] = []

    def on_step(self, metrics: dict[str, float]) -> None:
        self.ends.append(self.clock())
        self.metrics.append(metrics)

    @contextlib.contextmanager
    def open(self) -> Iterator[Watch]:
        make, batches = Run.__init__, Run.batches

        def made(run: Run, *args, **kwargs) -> None:
            self.made = self.clock()
            make(run, *args, **kwargs)

        def watched(run: Run, order: Iterator[list[int]]) -> Iterator[tuple[int, list[int]]]:
            for step, indices in batches(run, order):
                self.begins.append(self.clock())
                self.indices.append(list(indices))
                yield step, indices

        with patch.object(Run, "__init__", made), patch.object(Run, "batches", watched):
            yield self


def our_model(work: Work) -> tuple[torch.nn.Module, object]:
    """What our loop trains, and the tokenizer."""
    policy, tokenizer = load_policy(work.folder)
    if work.method == "reward":
        return RewardModel.from_policy(policy), tokenizer
    return policy, tokenizer


def run_ours(work: Work, reward: Callable, clock: Clock = time.perf_counter) -> Record:
    """Our loop on the work."""
    model, tokenizer = our_model(work)
    drawn: list[Completions] = []

    def noted(*, completion_ids, **given) -> list[float]:
        drawn.append([list(ids) for ids in completion_ids])
        return reward(completion_ids=completion_ids, **given)

    texts, watch = Texts.of(work), Watch(clock)
    with precision_of(work), watch.open():
        start = clock()
        rows = texts.rows(tokenizer)
        encoded = clock()
        train_ours(work, model, tokenizer, texts, rows, noted, watch.on_step)
    if watch.indices != order_of(work, rows):
        raise AssertionError(
            "our loop took other rows than `order_of` says, so TRL was given others; let "
            "`order_of` draw the batches as the loop does"
        )
    reference = watch.made - encoded if work.method in REFERENCED else 0.0
    record = Record(
        setup=watch.begins[0] - start - reference,
        reference=reference,
        times=[end - begin for begin, end in zip(watch.begins, watch.ends, strict=True)],
        losses=[row["loss"] for row in watch.metrics],
        norms=[row["grad_norm"] for row in watch.metrics],
        completions=drawn,
    )
    for step, indices in enumerate(watch.indices):
        if work.sampled:
            record.tokens.append(sum(map(len, drawn[step])))
        else:
            batch = [row for i in indices for row in rows[i]]
            record.tokens.append(sum(map(len, batch)))
            record.batches.append(sorted(tuple(row.ids) for row in batch))
    return record


def train_ours(
    work: Work, model, tokenizer, texts: Texts, rows, reward: Callable, on_step: Callable
) -> None:
    """Call the loop of the method."""
    common = {"steps": work.steps, "learning_rate": work.learning_rate, "seed": work.seed}
    sized = common | {"batch_size": work.size}
    asked = [{"prompt": prompt} for prompt in texts.prompts]
    groups = common | {
        "prompts": work.size, "group_size": work.group, "max_new_tokens": work.max_new_tokens,
    }  # fmt: skip
    singles = [one[0] for one in rows if one]
    beta = BETAS.get(work.method, 0.0)
    start = {
        "sft": lambda: train_sft(model, tokenizer, singles, SftConfig(**sized), on_step=on_step),
        "reward": lambda: train_reward(
            model, tokenizer, rows, RewardConfig(**sized), on_step=on_step
        ),
        "dpo": lambda: train_dpo(
            model, tokenizer, rows, DpoConfig(beta=beta, **sized), on_step=on_step
        ),
        "kto": lambda: train_unpaired(
            model, tokenizer, singles, texts.liked, UnpairedConfig(**sized), on_step=on_step
        ),
        "grpo": lambda: train_grpo(
            model, tokenizer, asked, reward, GrpoConfig(beta=beta, **groups), on_step=on_step
        ),
        "rloo": lambda: train_policy(
            model, tokenizer, asked, reward, PolicyConfig(beta=beta, kl="reward", **groups),
            advantage=leave_one_out, average=sequence_mean, on_step=on_step,
            objective=partial(gspo, clip=0.2, clip_high=0.2, per_token=False),  # TRL's
        ),
    }  # fmt: skip
    start[work.method]()


TRAINERS = {
    "sft": (trl.SFTTrainer, trl.SFTConfig),
    "reward": (trl.RewardTrainer, trl.RewardConfig),
    "dpo": (trl.DPOTrainer, trl.DPOConfig),
    "kto": (trl.KTOTrainer, trl.KTOConfig),
    "grpo": (trl.GRPOTrainer, trl.GRPOConfig),
    "rloo": (trl.RLOOTrainer, trl.RLOOConfig),
}


def their_settings(work: Work, folder: str) -> dict[str, object]:
    """TRL's settings that do what ours do, and nothing besides: no logs, no files, no recompute."""
    shared = {
        "output_dir": folder, "max_steps": work.steps, "seed": work.seed, "use_cpu": True,
        "per_device_train_batch_size": work.size, "learning_rate": work.learning_rate,
        "adam_beta1": 0.9, "adam_beta2": 0.95, "adam_epsilon": EPS.get(work.method, 1e-8),
        "weight_decay": 0.0, "max_grad_norm": 1.0, "bf16": work.precision == "bfloat16",
        "gradient_checkpointing": False, "report_to": "none", "save_strategy": "no",
        "logging_strategy": "no", "disable_tqdm": True,
    }  # fmt: skip
    if work.method in BETAS:
        shared["beta"] = BETAS[work.method]
    if not work.sampled and work.same_order:
        shared["train_sampling_strategy"] = "sequential"
    if not work.sampled:
        return shared
    own = {"loss_type": "grpo", "scale_rewards": "group"} if work.method == "grpo" else {}
    return shared | own | {
        "per_device_train_batch_size": work.size * work.group, "num_generations": work.group,
        "max_completion_length": work.max_new_tokens, "temperature": 1.0, "top_k": 0,
        "top_p": 1.0, "num_iterations": 1, "steps_per_generation": 1, "epsilon": 0.2,
        "shuffle_dataset": False,
    }  # fmt: skip


def real_rows(ids: Tensor, mask: Tensor) -> list[tuple[int, ...]]:
    """Each row of a padded batch without its padding."""
    return [tuple(row[keep].tolist()) for row, keep in zip(ids, mask.bool(), strict=True)]


class OurRates:
    """Our learning rates, so that those of both sides are equal step by step."""

    warmup = 20  # updates

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        if self.lr_scheduler is None:
            unset = SimpleNamespace(param_groups=[])  # only the rate is asked for
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer,
                lambda step: linear_schedule(unset, 1.0, step, num_training_steps, self.warmup),
            )
        return self.lr_scheduler


def watched_trainer(work: Work, record: Record, data: list[dict], given: Completions | None):
    """TRL's trainer of the method that notes what it does.

    Args:
        work: what is done.
        record: where it is noted.
        data: the encoded rows that take the place of those that it encoded itself.
        given: completions of the first step in place of its own; None lets it sample.
    """

    class Watched(OurRates, TRAINERS[work.method][0]):
        warmup = WARMUP if work.sampled else OurRates.warmup

        def _prepare_dataset(self, dataset, *args, **kwargs):
            super()._prepare_dataset(dataset, *args, **kwargs)
            return Dataset.from_list(data)

        def _generate_single_turn(self, *args, **kwargs):
            if given is not None:
                return (given, None) if work.method == "grpo" else given
            return super()._generate_single_turn(*args, **kwargs)

        def compute_loss(self, model, inputs, *args, **kwargs):
            if work.sampled:
                record.tokens.append(int(inputs["completion_mask"].sum()))
            else:
                record.tokens.append(int(inputs["attention_mask"].sum()))
                rows = real_rows(inputs["input_ids"], inputs["attention_mask"])
                record.batches.append(sorted(rows))
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            record.losses.append(float(loss.detach()))
            return loss

        def _clip_grad_norm(self, model):
            norm = super()._clip_grad_norm(model)
            record.norms.append(float(norm))
            return norm

    return Watched


class Stopwatch(TrainerCallback):
    """Notes the beginning of the training and the end of each step."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.marks: list[float] = []

    def on_train_begin(self, *args, **kwargs) -> None:
        self.marks.append(self.clock())

    def on_step_end(self, *args, **kwargs) -> None:
        self.marks.append(self.clock())


def their_model(work: Work) -> tuple[torch.nn.Module, object]:
    """What TRL trains, and the tokenizer; a reward model's head is ours."""
    policy, tokenizer = load_policy(work.folder)
    if work.method != "reward":
        policy.set_attn_implementation(work.trl_attention)
        return policy, tokenizer
    model = AutoModelForSequenceClassification.from_pretrained(
        work.folder, num_labels=1, attn_implementation=work.trl_attention
    )
    head = RewardModel.from_policy(policy).head.weight
    with torch.no_grad():
        model.score.weight.copy_(head)
    return model, tokenizer


def run_theirs(
    work: Work,
    reward: Callable,
    given: Completions | None = None,
    clock: Clock = time.perf_counter,
) -> Record:
    """TRL's trainer on the work; `given` are completions to take in place of its own."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    model, tokenizer = their_model(work)
    texts = Texts.of(work)
    rows = texts.rows(tokenizer)
    order = list(range(len(rows)))
    if work.same_order:
        order = [i for batch in order_of(work, rows) for i in batch]
    data = [] if work.sampled else columns(work, rows, texts.liked)
    dataset = Dataset.from_list([messages(texts, work.method, i) for i in order])
    record, watch = Record(), Stopwatch(clock)
    trainer_class = watched_trainer(work, record, [data[i] for i in order] if data else [], given)
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        start = clock()
        trainer = trainer_class(
            model=model, args=TRAINERS[work.method][1](**their_settings(work, folder)),
            train_dataset=dataset, processing_class=tokenizer, callbacks=[watch],
            **({"reward_funcs": reward} if work.sampled else {}),
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    if torch.get_num_threads() != threads:
        raise AssertionError(f"TRL has set {torch.get_num_threads()} threads in place of {threads}")
    record.setup = watch.marks[0] - start
    record.times = [b - a for a, b in zip(watch.marks, watch.marks[1:], strict=False)]
    return record
