"""Measure the world and its base model: `python -m tools.world_builder.measure`.

Perplexity, manners, sums and facts of the base model, and the agreement of annotators; what later
lessons need of it is measured by `measuring.skills`. Sampling is seeded; `--quick` takes fewer
samples.
"""

from __future__ import annotations

import argparse
import math
import re
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from minialign.world import facts, tasks
from minialign.world.replies import annotator
from minialign.world.replies.preferences import CROWD, comparisons
from tools.world_builder import corpus
from tools.world_builder.lessons.dialogues import exchange
from tools.world_builder.measuring.ngram import NGram
from tools.world_builder.pretrain import MODEL_FOLDER, PretrainConfig, next_token_loss

OPENINGS = (
    "One morning, a little fox", "Mira had a red kite", "The owl eats", "Three birds:",
    "Mira: Good morning, Tom!\nTom:", "12 + 7 =", "Agnes lives", "Review of the inn:",
    "The opposite of hot is", "Dear Lily,",
)  # fmt: skip


class Base:
    """A model folder, ready to score and to continue text."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()

    def rows(self, texts: list[str]) -> list[list[int]]:
        """Documents as ids, between BOS and EOS, cut where training cut them."""
        bos, eos = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        cut = PretrainConfig().max_tokens
        encoded = self.tokenizer(texts, truncation=True, max_length=cut)["input_ids"]
        return [[bos, *ids, eos][:cut] for ids in encoded]

    @torch.inference_mode()
    def perplexity(self, rows: list[list[int]]) -> float:
        """exp of the mean cross-entropy per token."""
        total, count, pad = 0.0, 0, self.tokenizer.pad_token_id
        for i in range(0, len(rows), 32):
            part = rows[i : i + 32]
            width = max(map(len, part))
            ids = torch.tensor([row + [pad] * (width - len(row)) for row in part])
            n = int((ids[:, 1:] != pad).sum())
            total += next_token_loss(self.model, ids, pad).item() * n
            count += n
        return math.exp(total / count)

    @torch.inference_mode()
    def complete(
        self, prompts: list[str], *, chat: bool = False, greedy: bool = False, tokens: int = 64
    ) -> list[tuple[str, bool]]:
        """Continuations with whether each one stopped by itself; seeded, at temperature 1."""
        torch.manual_seed(0)
        if chat:
            prompts = [self._chat(p) for p in prompts]
        else:
            prompts = [self.tokenizer.bos_token + p for p in prompts]
        how = {"do_sample": False} if greedy else {"do_sample": True, "top_k": 0, "top_p": 1.0}
        found = []
        for i in range(0, len(prompts), 128):
            batch = self.tokenizer(prompts[i : i + 128], return_tensors="pt", padding=True)
            ids = self.model.generate(**batch, max_new_tokens=tokens, **how)
            ids = ids[:, batch["input_ids"].shape[1] :]
            texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
            stopped = (ids == self.tokenizer.eos_token_id).any(1).tolist()
            found += list(zip(texts, stopped, strict=True))
        return found

    def _chat(self, prompt: str) -> str:
        message = [{"role": "user", "content": prompt}]
        return self.tokenizer.apply_chat_template(
            message, tokenize=False, add_generation_prompt=True
        )


def show_perplexity(base: Base, n: int) -> None:
    """Held-out documents: the base model against count-based models of as many training
    documents."""
    held_out = base.rows([d.text for d in corpus.corpus(n, corpus.HELD_OUT_SEED)])
    train = base.rows([d.text for d in corpus.corpus(20 * n)])
    vocab = len(base.tokenizer)
    print(f"perplexity per token on {n} held-out documents ({sum(map(len, held_out))} tokens)")
    for name, order in (("unigram", 1), ("5-gram", 5)):
        model = NGram(order, vocab).fit(train)
        print(f"  {name:10s} {model.perplexity(held_out):8.2f}   (counted on {20 * n} documents)")
    print(f"  {'tiny-base':10s} {base.perplexity(held_out):8.2f}")


def show_samples(base: Base) -> None:
    """Continuations of ten openings, at temperature 1."""
    for prompt, (text, _) in zip(OPENINGS, base.complete(list(OPENINGS)), strict=True):
        print("  " + (prompt + text).replace("\n", "\n  ") + "\n")


def show_following(base: Base, n: int) -> None:
    """How often the base model follows held-out instructions in the chat format, and stops."""
    asked = tasks.instructions(n, "test")
    replies = base.complete([i.prompt for i in asked], chat=True)
    follows = [i.check(text) for i, (text, _) in zip(asked, replies, strict=True)]
    stops = [stopped for _, stopped in replies]
    print(f"chat format, {n} held-out instructions: follows {share(follows)}, stops {share(stops)}")


def show_behaviour(base: Base, n: int) -> None:
    """How often each undesirable behaviour shows when the base model continues a dialogue."""
    rng = Random("dialogues to continue")
    asked = tasks.instructions(n, "train", seed=1)
    prompts = []
    for instruction in asked:
        text = exchange(rng, instruction.prompt, "ANSWER")
        prompts.append(text[: text.index("ANSWER")].rstrip(" "))
    shown: dict[str, list[bool]] = defaultdict(list)
    for instruction, (text, _) in zip(asked, base.complete(prompts), strict=True):
        reply = text.strip().split("\n")[0]
        for name, found in annotator.flaws(instruction, reply).items():
            shown[name].append(found)
        shown["follows"].append(instruction.check(reply))
        if tasks.FAMILIES[instruction.family].unsafe:
            shown["unsafe, where asked for it"].append(shown["unsafe"][-1])
    print(f"continuing {n} dialogues at the point of the answer")
    for name, values in shown.items():
        print(f"  {name:28s} {share(values)}")


def show_sums(base: Base, n: int) -> None:
    """Exact sums and differences up to 40, as in instructions, and up to 99, greedy."""
    for limit in (40, 99):
        rng = Random(f"sums to {limit}")
        pairs = [(rng.randint(0, limit), rng.randint(0, limit)) for _ in range(4 * n)]
        sums = [(a, b, a + b) for a, b in pairs if a + b <= limit]
        differences = [(a, b, a - b) for a, b in pairs if a >= b]
        _show_results(base, f"+ up to {limit}", "+", sums[:n])
        _show_results(base, f"- up to {limit}", "-", differences[:n])


def _show_results(base: Base, name: str, op: str, kept: list[tuple[int, int, int]]) -> None:
    texts = base.complete([f"{a} {op} {b} =" for a, b, _ in kept], greedy=True, tokens=4)
    right = [
        (found := re.match(r"\s*([0-9]+)\b", text)) is not None and int(found[1]) == c
        for (text, _), (_, _, c) in zip(texts, kept, strict=True)
    ]
    print(f"  {name:10s} {share(right)}")


def show_facts(base: Base) -> None:
    """Facts about villagers recalled greedily, by how the corpus states them."""
    known = [f for f in facts.knowledge_base().values() if f.value is not None]
    prompts, values = [], []
    for fact in known:
        text = (
            facts.RELATIONS[fact.relation].statements[0].format(s=fact.subject, v="VALUE", p="PP")
        )
        cut = min(text.index(mark) for mark in ("VALUE", "PP") if mark in text)
        prompts.append(text[:cut].rstrip())
        values.append(fact.value)
    texts = base.complete(prompts, greedy=True, tokens=8)
    by_exposure: dict[str, list[bool]] = defaultdict(list)
    for fact, (text, _) in zip(known, texts, strict=True):
        first = text.split(".")[0]
        by_exposure[fact.exposure].append(f" {fact.value}" in f" {first.strip()}")
    for exposure, right in by_exposure.items():
        print(f"  stated {exposure:13s} {share(right)}")


def show_annotators(n: int) -> None:
    """Agreement of two annotators and the ceiling that their noise sets, on fresh comparisons."""
    pairs = comparisons(n, "test", seed=7)
    gaps = [p.gap for p in pairs]
    rng = Random("second opinion")
    agree = [
        (rng.random() < annotator.preference_probability(p.gap, CROWD.temperature)) == p.first_wins
        for p in pairs
    ]
    print(f"{n} comparisons: two annotators agree on {share(agree)}")
    print(f"  expected agreement   {annotator.expected_agreement(gaps, CROWD.temperature):.3f}")
    print(f"  accuracy ceiling     {annotator.accuracy_ceiling(gaps, CROWD.temperature):.3f}")


def show_corpus(n: int) -> None:
    """Distinct documents and their kinds."""
    seen: set[int] = set()
    kinds: Counter[str] = Counter()
    for document in corpus.corpus(n):
        seen.add(hash(document.text))
        kinds[document.kind] += 1
    print(f"{n} documents, {len(seen)} distinct; kinds: {dict(kinds.most_common())}")


def share(values: list[bool]) -> str:
    """A share with its standard error."""
    p = sum(values) / len(values)
    return (
        f"{100 * p:5.1f}% +- {100 * math.sqrt(p * (1 - p) / len(values)):.1f}  (n = {len(values)})"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="model folder")
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples")
    parser.add_argument("--distinct", type=int, default=0, help="count distinct among N documents")
    options = parser.parse_args()
    scale = 1 if options.quick else 10
    if options.distinct:
        return show_corpus(options.distinct)
    base = Base(options.model)
    parameters = sum(p.numel() for p in base.model.parameters())
    print(
        f"{options.model.name}: {parameters / 1e6:.2f} M parameters, {len(base.tokenizer)} tokens"
    )
    show_perplexity(base, 300 * scale)
    print("samples at temperature 1")
    show_samples(base)
    show_following(base, 60 * scale)
    show_behaviour(base, 100 * scale)
    print("sums, greedy")
    show_sums(base, 50 * scale)
    print("facts, greedy")
    show_facts(base)
    show_annotators(300 * scale)


if __name__ == "__main__":
    main()
