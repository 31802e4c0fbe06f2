"""Train tiny-base from nothing on the corpus: `python -m tools.world_builder.pretrain`.

One document is one row, right-padded among rows of like length: causal attention then needs no
mask, no document sees another one, and positions restart by themselves. A run can be stopped at any
moment and continues from its last checkpoint (`--work`). The result is an ordinary
`LlamaForCausalLM` folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import torch
from tqdm.auto import tqdm
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from minialign.core.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from minialign.core.models import fast_matmul
from minialign.core.optim import refuse_non_finite
from minialign.world import WORLD_VERSION
from tools.world_builder.corpus import TRAIN_SEED, corpus
from tools.world_builder.tokenizer import MAX_LENGTH, VOCAB_SIZE, train_tokenizer

MODEL_FOLDER = Path(__file__).resolve().parents[2] / "data" / "models" / "tiny-base"
TOKENIZER_DOCUMENTS = 40_000
LOG_FIELDS = ("step", "tokens", "loss", "learning_rate", "tokens_per_second", "minutes")


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the run; the defaults made the committed weights."""

    hidden: int = 192  # width of the residual stream
    layers: int = 5
    heads: int = 6
    mlp: int = 512  # width of the gated MLP
    chunks: int = 110  # parts of the corpus, each seen once
    chunk_documents: int = 2048
    batch_tokens: int = 2048  # padded tokens of an update, before its width is rounded up
    matrix_rate: float = 0.02  # peak rate of Muon, for the matrices inside the layers
    vector_rate: float = 3e-3  # peak rate of AdamW, for embeddings and norms
    warmup: int = 100  # updates; then a cosine down to a twentieth
    weight_decay: float = 0.1  # of the matrices
    init_std: float = 0.08  # about 1 / sqrt(hidden): attention must not start out flat
    max_tokens: int = 256  # longer documents are cut
    seed: int = 0


def build_model(config: PretrainConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A freshly initialised Llama of the configured size."""
    torch.manual_seed(config.seed)
    return LlamaForCausalLM(
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
            attn_implementation="eager",  # on a CPU, twice as fast backwards in bfloat16
        )
    )


def batches(
    tokenizer: PreTrainedTokenizerFast, config: PretrainConfig, chunk: int
) -> Iterator[torch.Tensor]:
    """The batches of one chunk of the corpus, each (rows, T), right-padded, in a seeded order.

    Documents are sorted by length before they are cut into batches, so that little is padding, and
    the batches are shuffled afterwards, so that lengths mix over time.
    """
    n = config.chunk_documents
    texts = [d.text for d in corpus(n, TRAIN_SEED, start=chunk * n)]
    bos, eos, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    encoded = tokenizer(texts, truncation=True, max_length=config.max_tokens)["input_ids"]
    rows = [[bos, *ids, eos] for ids in encoded]
    rows = sorted((row[: config.max_tokens] for row in rows), key=len)
    groups: list[list[list[int]]] = [[]]
    for row in rows:
        if (len(groups[-1]) + 1) * len(row) > config.batch_tokens:
            groups.append([])
        groups[-1].append(row)
    Random(f"order {config.seed} {chunk}").shuffle(groups)
    for group in groups:
        width = -(-max(map(len, group)) // 16) * 16  # few widths, so that memory is used again
        yield torch.tensor([row + [pad] * (width - len(row)) for row in group])


def next_token_loss(model: LlamaForCausalLM, ids: torch.Tensor, pad: int) -> torch.Tensor:
    """Mean cross-entropy in nats per token over a right-padded batch (rows, T) of document ids."""
    logits = model(ids).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=pad
    )


def make_optimizers(
    model: LlamaForCausalLM, config: PretrainConfig
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms.

    Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) reached the loss of AdamW in less
    than half of the time here.
    """
    inner = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() != 2 or "embed" in n]
    muon = torch.optim.Muon(inner, lr=config.matrix_rate, weight_decay=config.weight_decay)
    adamw = torch.optim.AdamW(
        others, lr=config.vector_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    return muon, adamw


def schedule(config: PretrainConfig, step: int, progress: float) -> float:
    """Share of the peak rate: linear warm-up, cosine to a twentieth; `progress` is in [0, 1]."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return min(1.0, (step + 1) / config.warmup) * (0.05 + 0.95 * cosine)


def pretrain(config: PretrainConfig, out: Path, work: Path, save_every: float = 60.0) -> None:
    """Train, or go on training, and write the model folder `out`.

    `work` holds the checkpoint, the tokenizer and the log; `save_every` is in seconds, counted
    between chunks, which take about 25 s each on two cores.
    """
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(work)
    model = build_model(config, tokenizer)
    optimizers = make_optimizers(model, config)
    settings = {"config": asdict(config), "world_version": WORLD_VERSION}
    state = {"chunk": 0, "step": 0, "tokens": 0, "seconds": 0.0, "log": []}
    if has_checkpoint(work / "checkpoint"):
        state = load_checkpoint(work / "checkpoint", model, optimizers, settings)
        print(f"continuing after chunk {state['chunk']} of {config.chunks}")
    saved = time.time()
    bar = tqdm(range(state["chunk"], config.chunks), initial=state["chunk"], total=config.chunks)
    for chunk in bar:
        loss, speed = _train_chunk(model, optimizers, tokenizer, config, chunk, state)
        state["chunk"] = chunk + 1
        bar.set_postfix(loss=f"{loss:.3f}", tokens_per_second=f"{speed:.0f}")
        if time.time() - saved > save_every or chunk + 1 == config.chunks:
            save_checkpoint(work / "checkpoint", model, optimizers, settings, state)
            saved = time.time()
    write_model(model, tokenizer, out, settings, state["log"])


def _tokenizer(work: Path) -> PreTrainedTokenizerFast:
    if not (work / "tokenizer" / "tokenizer.json").exists():
        texts = (d.text for d in corpus(TOKENIZER_DOCUMENTS))
        train_tokenizer(texts).save_pretrained(work / "tokenizer")
    return AutoTokenizer.from_pretrained(work / "tokenizer")


def _train_chunk(model, optimizers, tokenizer, config, chunk, state) -> tuple[float, float]:
    """One pass over a chunk; updates `state` and returns mean loss and tokens per second."""
    start, tokens, losses = time.time(), 0, []
    chunk_batches = list(batches(tokenizer, config, chunk))
    model.train()
    for i, ids in enumerate(chunk_batches):
        progress = (chunk + i / len(chunk_batches)) / config.chunks
        share = schedule(config, state["step"], progress)
        for optimizer, peak in zip(
            optimizers, (config.matrix_rate, config.vector_rate), strict=True
        ):
            optimizer.param_groups[0]["lr"] = share * peak
        with fast_matmul(model.device):
            loss = next_token_loss(model, ids, tokenizer.pad_token_id)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        refuse_non_finite(state["step"], (), loss=loss, gradient=norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        tokens += int((ids != tokenizer.pad_token_id).sum())
        state["step"] += 1
    seconds = time.time() - start
    state["tokens"] += tokens
    state["seconds"] += seconds
    mean = sum(losses) / len(losses)
    rate = optimizers[0].param_groups[0]["lr"]
    minutes = state["seconds"] / 60
    row = (state["step"], state["tokens"], mean, rate, tokens / seconds, minutes)
    state["log"].append([float(f"{value:.5g}") for value in row])
    return mean, tokens / seconds


def write_model(model, tokenizer, out: Path, settings: dict, log: list) -> None:
    """Write the model folder: float16 on disk (half the size), float32 when loaded."""
    model.half().save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    config["dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    tokenizer.save_pretrained(out)
    (out / "training.json").write_text(json.dumps(settings, indent=2) + "\n")
    with open(out / "training_log.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LOG_FIELDS)
        writer.writerows(log)


def main() -> None:
    """Command line: every field of `PretrainConfig` is an option."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="the model folder to write")
    parser.add_argument("--work", type=Path, default=Path("runs/pretrain"), help="checkpoint, log")
    for name, default in asdict(PretrainConfig()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    options = vars(parser.parse_args())
    out, work = options.pop("out"), options.pop("work")
    pretrain(PretrainConfig(**options), out, work)


if __name__ == "__main__":
    main()
