"""Talk with a model in a terminal, turn after turn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.models.architecture import text_config
from minialign.core.models.loading import load_policy
from minialign.core.sampling import sample
from minialign.core.tokens import Messages, prompt_ids
from minialign.course import pipeline
from minialign.course.session import start
from minialign.system.terminal import plain

POLICIES = ("sft", "ppo", "dpo", "grpo")  # stages that can be talked with
HELP = "an empty line asks again, /new starts a new talk, /quit or Ctrl-D ends"


def load(model: str, device: torch.device) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model to talk with.

    Args:
        model: "tiny-base", the policy of a stage in POLICIES (trained once if need be), a folder,
            or a model of the hub.
        device: where to put it.

    Raises:
        ValueError: if it cannot be loaded.
    """
    if model in POLICIES:
        model = str(pipeline.stage(model))
    try:
        policy, tokenizer = load_policy(model, device=device)
    except OSError as error:
        raise ValueError(
            f"model {model!r} cannot be loaded; use tiny-base, {', '.join(POLICIES)}, a "
            f"folder that save_pretrained wrote, or a model of the hub ({error})"
        ) from error
    return policy.eval(), tokenizer


class Chat:
    """A talk: what was said so far, and the model that replies."""

    def __init__(
        self,
        policy: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        generator: torch.Generator,
        *,
        temperature: float = 0.7,
        max_new_tokens: int = 128,
    ) -> None:
        self.policy, self.tokenizer, self.generator = policy, tokenizer, generator
        self.temperature, self.max_new_tokens = temperature, max_new_tokens
        self.messages: Messages = []

    def reply(self, text: str) -> str:
        """The model's reply, kept in the talk; an interrupted turn leaves the talk as it was."""
        turns = self._fitting([*self.messages, {"role": "user", "content": text}])
        rollout = sample(
            self.policy,
            self.tokenizer,
            [turns],
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            generator=self.generator,
        )
        self.messages = [*turns, {"role": "assistant", "content": rollout.texts[0]}]
        return rollout.texts[0]

    def _fitting(self, turns: Messages) -> Messages:
        """The turns without the oldest pairs that would not fit into the context.

        Raises ValueError if the last turn alone is too long.
        """
        limit = getattr(text_config(self.policy), "max_position_embeddings", None)
        while limit and len(prompt_ids(self.tokenizer, turns)) + self.max_new_tokens > limit:
            if len(turns) == 1:
                raise ValueError(
                    f"too long: it and {self.max_new_tokens} new tokens exceed the context of "
                    f"{limit} tokens; say it shorter"
                )
            turns = turns[2:]
        return turns


def talk(chat: Chat, ask: Callable[[str], str] = input) -> None:
    """Read, reply and print until the input ends. Ctrl-C stops a reply; at the prompt it ends."""
    while True:
        try:
            text = ask("you: ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if text == "/quit":
            return
        if text == "/new":
            chat.messages = []
            print("(a new talk)")
        elif text:
            _turn(chat, text.encode(errors="replace").decode())  # a stray byte breaks tokenizers


def _turn(chat: Chat, text: str) -> None:
    try:
        print("model:", plain(chat.reply(text)))
    except KeyboardInterrupt:
        print("(stopped)")
    except ValueError as error:
        print(f"({error})")


def open_chat(model: str = "tiny-base", *, seed: int = 0, temperature: float = 0.7) -> Chat:
    """A talk with a model; one seed and the same lines give the same replies.

    Args:
        model: as `load` takes it.
        seed: of the sampling.
        temperature: 0 takes the likeliest token.

    Raises:
        ValueError: if the model cannot be loaded or a number is out of range.
    """
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature is {temperature}, but must be 0 or more; 0.7 is usual")
    session = start(seed, quiet=True)
    policy, tokenizer = load(model, session.device)
    with contextlib.suppress(ImportError):  # some systems lack it
        import readline  # noqa: F401  line editing in `input`
    print(f"{model}, seed {seed}, temperature {temperature:g}; {HELP}")
    return Chat(policy, tokenizer, session.generator, temperature=temperature)
