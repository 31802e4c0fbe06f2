"""Train tiny-base from nothing on the corpus: `python -m tools.world_builder.pretrain`.

One document is one row, right-padded among rows of like length: causal attention then needs no
mask, no document sees another one, and positions restart by themselves. A run can be stopped at any
moment and continues from its last checkpoint (`--work`), on the same kind of device or another: a
run that began on a graphics card can be finished on a CPU. With `--seconds` it measures its speed
first and trains on as many chunks as fit, so that the learning rate falls to its end in time. The
result is an ordinary `LlamaForCausalLM` folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import chain, cycle
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from minialign.core.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from minialign.core.models import fast_matmul
from minialign.core.optim import NonFiniteStep
from minialign.world import WORLD_VERSION
from tools.world_builder.corpus import corpus
from tools.world_builder.training.batches import Chunk, Plan, chunks
from tools.world_builder.training.optimizers import Optimizers, make_optimizers
from tools.world_builder.training.tokenizer import MAX_LENGTH, VOCAB_SIZE, train_tokenizer

MODEL_FOLDER = Path(__file__).resolve().parents[2] / "data" / "models" / "tiny-base"
TOKENIZER_DOCUMENTS = 40_000
TRIAL_STEPS, TRIAL_SECONDS = 20, 5.0  # steps before the speed is measured, and for how long
SAFE_SHARE, END_SECONDS = 0.93, 8.0  # of the time left, what is planned with; kept for the end
CPU_TOKENS = 2048  # of a batch that a CPU reads at once: as fast as 8,192, with less memory
LOG_FIELDS = ("step", "tokens", "loss", "learning_rate", "tokens_per_second", "minutes")


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the run, the same on every device."""

    hidden: int = 192  # width of the residual stream
    layers: int = 6
    heads: int = 6
    mlp: int = 640  # width of the gated MLP
    chunks: int = 209  # parts of the corpus, each seen once
    chunk_documents: int = 4096
    batch_tokens: int = 16384  # padded tokens of an update, before its width is rounded up
    matrix_rate: float = 0.028  # peak rate of Muon, for the matrices inside the layers
    vector_rate: float = 4e-3  # peak rate of AdamW, for embeddings and norms
    warmup: int = 100  # updates; then a cosine down to a twentieth
    weight_decay: float = 0.1  # of the matrices
    init_std: float = 0.08  # about 1 / sqrt(hidden): attention must not start out flat
    max_tokens: int = 256  # longer documents are cut
    seed: int = 0


def build_model(
    config: PretrainConfig, tokenizer: PreTrainedTokenizerFast, device: torch.device | str = "cpu"
) -> LlamaForCausalLM:
    """A freshly initialised Llama of the configured size, the same one on every device."""
    torch.manual_seed(config.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB_SIZE,
            hidden_size=config.hidden,
            intermediate_size=config.mlp,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=MAX_LENGTH,
            initializer_range=config.init_std,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            # On a CPU, eager is twice as fast backwards in bfloat16.
            attn_implementation="eager" if str(device) == "cpu" else "sdpa",
        )
    )
    return model.to(device)


def make_plan(config: PretrainConfig, tokenizer: PreTrainedTokenizerFast) -> Plan:
    """What the makers of batches need to know."""
    return Plan(
        tokenizer=tokenizer.backend_tokenizer.to_str(),
        pad=tokenizer.pad_token_id,
        bos=tokenizer.bos_token_id,
        eos=tokenizer.eos_token_id,
        documents=config.chunk_documents,
        batch_tokens=config.batch_tokens,
        max_tokens=config.max_tokens,
        seed=config.seed,
    )


def batches_of(chunk: Chunk, device: torch.device | str) -> list[Tensor]:
    """The batches of a chunk, each (rows, T): views of one tensor that was copied at once."""
    flat = torch.from_numpy(chunk.ids).to(device).long()
    parts = flat.split([rows * width for rows, width in chunk.shapes])
    return [part.view(shape) for part, shape in zip(parts, chunk.shapes, strict=True)]


def next_token_loss(model: LlamaForCausalLM, ids: Tensor, pad: int) -> Tensor:
    """Mean cross-entropy in nats per token over a right-padded batch (rows, T) of document ids."""
    logits = model(ids, use_cache=False).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=pad
    )


def schedule(config: PretrainConfig, step: int, progress: float) -> float:
    """Share of the peak rate: linear warm-up, cosine to a twentieth; `progress` is in [0, 1]."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return min(1.0, (step + 1) / config.warmup) * (0.05 + 0.95 * cosine)


def update(
    model: LlamaForCausalLM, optimizers: Optimizers, config: PretrainConfig, ids: Tensor,
    share: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One update at a share of the peak rates: loss and gradient norm, left on the device."""
    for optimizer, peak in zip(optimizers, (config.matrix_rate, config.vector_rate), strict=True):
        optimizer.param_groups[0]["lr"] = share * peak
    pad, on_cpu = model.config.pad_token_id, model.device.type == "cpu"
    total, scored = torch.zeros((), device=model.device), (ids[:, 1:] != pad).sum()
    for part in ids.split(max(1, CPU_TOKENS // ids.size(1)) if on_cpu else len(ids)):
        weight = (part[:, 1:] != pad).sum() / scored
        with fast_matmul(model.device):
            loss = weight * next_token_loss(model, part, pad)
        loss.backward()
        total += loss.detach()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return total, norm


def pretrain(
    config: PretrainConfig,
    out: Path,
    work: Path,
    *,
    device: str | None = None,
    workers: int | None = None,
    seconds: float = 0.0,
    save_every: float = 60.0,
) -> None:
    """Train, or go on training, and write the model folder `out`.

    Args:
        config: settings; of a run that measured its chunks, `chunks` is the least number.
        out: the model folder.
        work: holds the checkpoint, the tokenizer and the log.
        device: None is CUDA where there is one, else the CPU.
        workers: processes that make the batches; None is none on a CPU, whose cores train, and
            all cores but two beside a graphics card.
        seconds: as many chunks as fit into this time, at least `config.chunks`; 0 is exactly
            `config.chunks`. A run that goes on keeps the number that it had chosen.
        save_every: seconds between checkpoints, counted between chunks.
    """
    begun = time.time()
    work.mkdir(parents=True, exist_ok=True)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if workers is None:
        workers = 0 if device == "cpu" else max(1, (os.cpu_count() or 1) - 2)
    tokenizer = make_tokenizer(work)
    model = build_model(config, tokenizer, device)
    optimizers = make_optimizers(model, config.matrix_rate, config.vector_rate, config.weight_decay)
    print(f"{model.num_parameters():,} parameters, {_hardware(device)}, {workers} workers")
    state = {"chunk": 0, "step": 0, "tokens": 0, "seconds": 0.0, "log": []}
    if goes_on := has_checkpoint(work / "checkpoint"):
        config = replace(config, chunks=_saved_chunks(work)) if seconds else config
        state = load_checkpoint(work / "checkpoint", model, optimizers, _settings(config))
        print(f"continuing after chunk {state['chunk']} of {config.chunks}")
    with closing(chunks(make_plan(config, tokenizer), state["chunk"], workers)) as made:
        feed: Iterator[Chunk] = made
        if seconds and not goes_on:
            first = next(made)
            each = seconds_per_chunk(model, optimizers, config, first, workers)
            feed = chain([first], made)
            config = _fitted(config, each, seconds - (time.time() - begun))
            for optimizer in optimizers:  # the trial left its moments there
                optimizer.state.clear()
        _train(model, optimizers, config, feed, work, state, save_every)
    write_model(model, tokenizer, out, _settings(config), state["log"], _hardware(device))


def seconds_per_chunk(
    model: LlamaForCausalLM, optimizers: Optimizers, config: PretrainConfig, chunk: Chunk,
    workers: int,
) -> float:  # fmt: skip
    """The time that a chunk takes, measured in updates at a rate of 0: the model stays as it is.

    Workers make chunks while the model is trained: the slower of the two counts.
    """
    model.train()
    start, tokens = time.time(), 0
    for step, ids in enumerate(cycle(batches_of(chunk, model.device))):
        loss, _ = update(model, optimizers, config, ids, 0.0)
        tokens += ids.numel()
        if step + 1 == TRIAL_STEPS:  # the first ones choose kernels and take memory
            loss.item()  # waits for the card
            start, tokens = time.time(), 0
        if step + 1 >= 2 * TRIAL_STEPS and time.time() - start > TRIAL_SECONDS:
            break
    loss.item()
    training = (time.time() - start) * chunk.ids.size / tokens
    return max(training, chunk.seconds / workers) if workers else training + chunk.seconds


def _fitted(config: PretrainConfig, each: float, left: float) -> PretrainConfig:
    """With as many chunks of `each` seconds as fit into what is left, at least its own."""
    fit = int(SAFE_SHARE * (left - END_SECONDS) / each)
    config = replace(config, chunks=max(config.chunks, fit))
    print(f"{each:.3f} s a chunk: {fit} fit, so --chunks {config.chunks}")
    return config


def make_tokenizer(work: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in the work folder, trained there if there is none yet."""
    if not (work / "tokenizer" / "tokenizer.json").exists():
        texts = (d.text for d in corpus(TOKENIZER_DOCUMENTS))
        train_tokenizer(texts).save_pretrained(work / "tokenizer")
    return AutoTokenizer.from_pretrained(work / "tokenizer")


def _settings(config: PretrainConfig) -> dict:
    return {"config": asdict(config), "world_version": WORLD_VERSION}


def _saved_chunks(work: Path) -> int:
    saved = json.loads((work / "checkpoint" / "state.json").read_text())
    return saved["settings"]["config"]["chunks"]


def _hardware(device: str) -> str:
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return f"{name}, torch {torch.__version__}"


def _train(
    model: LlamaForCausalLM, optimizers: Optimizers, config: PretrainConfig,
    feed: Iterator[Chunk], work: Path, state: dict, save_every: float,
) -> None:  # fmt: skip
    """All chunks that are left, with a checkpoint now and then."""
    saved = time.time()
    bar = tqdm(range(state["chunk"], config.chunks), initial=state["chunk"], total=config.chunks)
    for number in bar:
        loss, speed = _train_chunk(model, optimizers, config, feed, number, state)
        state["chunk"] = number + 1
        bar.set_postfix(loss=f"{loss:.3f}", tokens_per_second=f"{speed:.0f}", refresh=False)
        if time.time() - saved > save_every or number + 1 == config.chunks:
            save_checkpoint(work / "checkpoint", model, optimizers, _settings(config), state)
            saved = time.time()


def _train_chunk(model, optimizers, config, feed, number, state) -> tuple[float, float]:
    """One pass over a chunk; updates `state` and returns mean loss and tokens per second."""
    start = time.time()
    chunk = next(feed)
    batches = batches_of(chunk, model.device)
    model.train()
    results = []
    for i, ids in enumerate(batches):
        progress = (number + i / len(batches)) / config.chunks
        share = schedule(config, state["step"] + i, progress)
        results.append(torch.stack(update(model, optimizers, config, ids, share)))
    # Read once a chunk: a card that is asked at every step waits for the next one's calls.
    losses, norms = torch.stack(results).cpu().unbind(1)
    _refuse_non_finite(state["step"], losses, norms)
    state["step"] += len(batches)
    state["tokens"] += chunk.tokens
    seconds = time.time() - start
    state["seconds"] += seconds
    mean, speed = losses.double().mean().item(), chunk.tokens / seconds
    rate = optimizers[0].param_groups[0]["lr"]
    row = (state["step"], state["tokens"], mean, rate, speed, state["seconds"] / 60)
    state["log"].append([float(f"{value:.5g}") for value in row])
    return mean, speed


def _refuse_non_finite(step: int, losses: Tensor, norms: Tensor) -> None:
    """Stop before a chunk whose numbers are not finite is saved."""
    bad = (~(losses.isfinite() & norms.isfinite())).nonzero().flatten().tolist()
    if bad:
        raise NonFiniteStep(
            f"step {step + bad[0]}: loss {losses[bad[0]]} or gradient norm {norms[bad[0]]} is not "
            "finite; this chunk is not saved. Start again with a lower --matrix-rate, or look at "
            "the chunk: the checkpoint stands as it was before it"
        )


def write_model(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path, settings: dict,
    log: list, hardware: str,
) -> None:  # fmt: skip
    """Write the model folder: float16 on disk (half the size), float32 when loaded."""
    model.cpu().half().save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    config["dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    tokenizer.save_pretrained(out)
    training = settings | {"hardware": hardware}  # of the last part, if it was stopped
    (out / "training.json").write_text(json.dumps(training, indent=2) + "\n")
    with open(out / "training_log.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LOG_FIELDS)
        writer.writerows(log)


def main() -> None:
    """Command line: every field of `PretrainConfig` is an option."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="the model folder to write")
    parser.add_argument("--work", type=Path, default=Path("runs/pretrain"), help="checkpoint, log")
    parser.add_argument("--device", help="cuda if there is one, else cpu")
    parser.add_argument("--workers", type=int, help="processes that make the batches")
    parser.add_argument("--seconds", type=float, default=0.0, help="to fit the chunks into")
    parser.add_argument("--save-every", type=float, default=60.0, help="seconds")
    for name, default in asdict(PretrainConfig()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    options = vars(parser.parse_args())
    out, work = options.pop("out"), options.pop("work")
    how = {name: options.pop(name) for name in ("device", "workers", "seconds", "save_every")}
    pretrain(PretrainConfig(**options), out, work, **how)


if __name__ == "__main__":
    main()
