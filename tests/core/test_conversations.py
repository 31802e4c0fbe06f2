"""Prompts that are conversations, through every loop: messages instead of a text."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from loop_runs import PROMPTS, RUNS, SCORERS, TOKENIZER
from same_weights import same, weights
from tiny_models import tiny_llama

from minialign.core.models.heads import RewardModel
from minialign.core.tokens import encode, prompt_ids
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.rounds import by_reward, own_rankings


def one_turn(prompt: str) -> list[dict]:
    return [{"role": "user", "content": prompt}]


def several_turns(prompt: str) -> list[dict]:
    before = [("system", "a dog"), ("user", "is it 5?"), ("assistant", "it is 5.")]
    return [*({"role": r, "content": c} for r, c in before), *one_turn(prompt)]


SAMPLERS = ("grpo", "policy", "policy_critic", "ppo")
KINDS = {"text": str, "one turn": one_turn, "several turns": several_turns}


def rows_of(loop: str, kind: str) -> list:
    """Two columns of texts are what the loops need; each gets the rows that it takes."""
    prompts = [KINDS[kind](prompt) for prompt in PROMPTS]
    if loop in SAMPLERS:
        return [{"prompt": prompt, "answer": i} for i, prompt in enumerate(prompts)]
    good = [encode(TOKENIZER, prompt, "it is 5.") for prompt in prompts]
    if loop in ("reward", "rankings", "dpo", "preference"):
        return [
            (row, encode(TOKENIZER, p, "the mat")) for row, p in zip(good, prompts, strict=True)
        ]
    return good


def length(completions, **columns) -> list[float]:
    """A reward that reads a text, and a conversation's messages."""
    texts = [said if isinstance(said, str) else said[0]["content"] for said in completions]
    return [len(text) / 10 for text in texts]


def trained(loop: str, kind: str) -> list:
    """The weights after a run of two steps."""
    scores = loop in SCORERS
    model = RewardModel.from_policy(tiny_llama()) if scores else tiny_llama()
    more = {"reward": length} if loop in SAMPLERS else {}
    name = "model" if scores else "policy"
    history = RUNS[loop](None, **{name: model}, rows=rows_of(loop, kind), **more)
    assert len(history) == 2
    return weights(model)


@pytest.mark.parametrize("loop", RUNS)
def test_one_turn_is_the_text_and_earlier_turns_are_read(loop: str):
    plain = trained(loop, "text")
    assert same(trained(loop, "one turn"), plain)
    assert not same(trained(loop, "several turns"), plain)


def test_only_the_completion_is_in_the_loss_and_not_an_earlier_reply():
    row = encode(TOKENIZER, several_turns("the cat"), "the mat")
    assert row.prompt_ids == prompt_ids(TOKENIZER, several_turns("the cat"))
    assert "it is 5." in TOKENIZER.decode(row.prompt_ids)
    assert TOKENIZER.decode(row.completion_ids, skip_special_tokens=True) == "the mat"


@pytest.mark.parametrize("loop", SAMPLERS)
def test_a_reward_is_asked_with_messages_and_paid_by_the_same_row(loop: str):
    """TRL's way: a completion of a conversation is a list of messages, its columns go with it."""
    asked = []

    def reward(prompts, completions, answer, **columns):
        asked.extend(zip(prompts, completions, answer, strict=True))
        return [0.1 * len(turns[0]["content"]) for turns in completions]

    RUNS[loop](None, rows=rows_of(loop, "several turns"), reward=reward)
    assert asked and all(turns[0]["role"] == "assistant" for _, turns, _ in asked)
    assert all(prompt == several_turns(PROMPTS[i]) for prompt, _, i in asked)


def test_own_replies_continue_a_conversation():
    asked = [SimpleNamespace(prompt=several_turns(prompt)) for prompt in PROMPTS]
    rankings = own_rankings(tiny_llama(), TOKENIZER, asked, by_reward(length), max_new_tokens=6)
    prompts = [prompt_ids(TOKENIZER, instruction.prompt) for instruction in asked]
    assert rankings and all(row.prompt_ids in prompts for pair in rankings for row in pair)
    policy = tiny_llama()
    history = train_preference(
        policy, TOKENIZER, rankings, PreferenceConfig(steps=2, batch_size=2, warmup=1)
    )
    assert len(history) == 2 and not same(weights(policy), weights(tiny_llama()))
