"""The same work by TRL's trainers: same models, tokens, batches and precision.

What TRL would do besides is switched off: gradient checkpointing, logging, saving. Rows are given
as tokens, prompts as messages; GRPO samples with `generate`. PPO has no trainer there.
"""

from __future__ import annotations

import copy
import tempfile
from importlib.util import find_spec
from typing import Any
from unittest import mock

import torch
from transformers import (
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
)

from benchmarks.gpu.measuring import Steps, peak_memory, taken
from benchmarks.gpu.models import RANK, Rows, Sizes, Spec, build, draw_rows
from benchmarks.gpu.ours import even_share
from minialign.core.models import fast_dtype

LOOPS = ("sft", "reward", "dpo", "grpo")


def missing() -> str:
    """Why nothing of TRL can be measured; "" where its trainers can be imported."""
    if not find_spec("trl"):
        return "trl is not installed"
    try:
        from trl import DPOTrainer, GRPOTrainer, RewardTrainer, SFTTrainer  # noqa: F401
    except Exception as error:  # as where it and transformers do not fit together
        return f"trl cannot be imported ({type(error).__name__}: {error})".splitlines()[0]
    return ""


def common(sizes: Sizes, device: str, folder: str) -> dict[str, Any]:
    """What every trainer is told: as the loops here have it."""
    return {
        "output_dir": folder, "max_steps": sizes.warm + sizes.steps, "report_to": "none",
        "per_device_train_batch_size": sizes.batch_size, "gradient_accumulation_steps": 1,
        "gradient_checkpointing": False, "use_cpu": device == "cpu", "disable_tqdm": True,
        "bf16": fast_dtype(torch.device(device)) == torch.bfloat16, "optim": "adamw_torch_fused",
        "save_strategy": "no", "logging_strategy": "no", "learning_rate": 1e-5,
    }  # fmt: skip


def _callback(steps: Steps) -> Any:
    """A callback that notes the end of each step and stops when enough are timed."""

    class Noted(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            control.should_training_stop = steps.note()

    return Noted()


def _as_it_is(trainer: type) -> type:
    """A trainer that takes its rows as tokens."""
    return type(
        trainer.__name__, (trainer,), {"_prepare_dataset": lambda self, rows, *_, **__: rows}
    )


def _lora(spec: Spec, task: str) -> Any:
    """The adapters that `add_lora` would make, or None."""
    from peft import LoraConfig

    settings = {"r": RANK, "lora_alpha": 2 * RANK, "target_modules": "all-linear"}
    return LoraConfig(**settings, lora_dropout=0.0, task_type=task) if spec.lora else None


def scorer(policy: PreTrainedModel, device: str) -> PreTrainedModel:
    """A classifier with one score, of the policy's shape."""
    config = copy.deepcopy(policy.config)
    config.num_labels = 1
    with torch.device(device):
        return LlamaForSequenceClassification(config)


def tokens_of(loop: str, rows: Rows) -> list[dict[str, Any]]:
    """Rows as the trainer of a loop without sampling would have made them."""
    if loop == "sft":
        return [
            {"input_ids": row.ids, "labels": [-100] * len(row.prompt_ids) + row.completion_ids}
            for row in rows.demonstrations
        ]
    if loop == "reward":
        return [{"chosen_ids": c.ids, "rejected_ids": r.ids} for c, r in rows.pairs]
    return [
        {"prompt_ids": c.prompt_ids, "chosen_ids": c.completion_ids,
         "rejected_ids": r.completion_ids}
        for c, r in rows.pairs
    ]  # fmt: skip


def prepare(
    loop: str, spec: Spec, policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Rows,
    sizes: Sizes, device: str, folder: str,
) -> Any:  # fmt: skip
    """The trainer of a loop."""
    import trl
    from datasets import Dataset

    same = common(sizes, device, folder)
    told = {"processing_class": tokenizer, "peft_config": _lora(spec, "CAUSAL_LM")}
    if loop == "grpo":
        return _sampling(spec, policy, rows, sizes, same, told)
    told["train_dataset"] = Dataset.from_list(tokens_of(loop, rows))
    same["max_length"] = None
    if loop == "sft":
        return _as_it_is(trl.SFTTrainer)(policy, trl.SFTConfig(**same), **told)
    if loop == "reward":
        told["peft_config"] = _lora(spec, "SEQ_CLS")
        model = scorer(policy, device)
        return _as_it_is(trl.RewardTrainer)(model, trl.RewardConfig(**same), **told)
    # The reference is read once, before the first step, as `train_dpo` does.
    args = trl.DPOConfig(**same, precompute_ref_log_probs=True)
    return _as_it_is(trl.DPOTrainer)(policy, args=args, **told)


def _sampling(
    spec: Spec, policy: PreTrainedModel, rows: Rows, sizes: Sizes, same: dict[str, Any],
    told: dict[str, Any],
) -> Any:  # fmt: skip
    """The trainer of GRPO."""
    import trl
    from datasets import Dataset

    args = trl.GRPOConfig(
        **same | {"per_device_train_batch_size": sizes.prompts * sizes.group_size},
        num_generations=sizes.group_size, max_completion_length=sizes.new_tokens, beta=0.04,
        loss_type="grpo", temperature=1.0, top_p=1.0, top_k=0,
    )  # fmt: skip
    # The reference would be loaded by its name, which a random model does not have.
    copied = None if spec.lora else copy.deepcopy(policy)
    with mock.patch("trl.trainer.grpo_trainer.create_model_from_path", lambda *_, **__: copied):
        data = Dataset.from_list(rows.prompts)
        return trl.GRPOTrainer(policy, even_share, args, train_dataset=data, **told)


def measure(loop: str, spec: Spec, sizes: Sizes, device: str) -> dict[str, Any]:
    """One trainer with one model: seconds of a step, and memory."""
    before = taken(device)
    policy, tokenizer = build(spec, device, adapters=False)
    rows = draw_rows(tokenizer, policy.config.vocab_size, sizes)
    with tempfile.TemporaryDirectory() as folder:
        trainer = prepare(loop, spec, policy, tokenizer, rows, sizes, device, folder)
        del policy
        steps = Steps(device, sizes.warm, sizes.steps, sizes.seconds)
        trainer.add_callback(_callback(steps))
        trainer.remove_callback(PrinterCallback)
        with peak_memory(device, [trainer.model], before) as peak:
            trainer.train()
    sequences = {"sft": 1, "reward": 2, "dpo": 2}.get(loop, 0) * sizes.batch_size
    return {
        "batch": sequences or sizes.prompts * sizes.group_size, "length": sizes.length,
        "dtype": str(fast_dtype(torch.device(device))).removeprefix("torch."),
        **peak.row(), **steps.row(),
    }  # fmt: skip
