"""Load a policy, freeze a reference, add LoRA adapters or a score head; any causal model does."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from minialign.data import data_folder
from minialign.hub import is_cached, is_name, require_hub
from minialign.logprobs import position_ids
from minialign.offline_models import WHEELS, offline_model

PAD = "<|pad|>"
HEAD_FILE = "score_head.safetensors"
# For models that come without a chat format, as base models do: plain words, and EOS after a reply.
CHAT_TEMPLATE = (
    "{{ bos_token | default('', true) }}"
    "{% for message in messages %}"
    "{{ message['role'] | capitalize + ':\\n' + message['content'] }}"
    "{{ eos_token + '\\n' if message['role'] == 'assistant' else '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:\\n' }}{% endif %}"
)
ATTENTION = {"cpu": "eager"}  # fused attention is slow backwards there, half as fast in bfloat16


def model_path(name: str | Path) -> str:
    """Where to load a model from: its folder, or the name itself for one of the hub.

    Raises:
        ConnectionError: if it is neither here nor kept from an earlier run, and the hub is silent.
    """
    shipped = data_folder() / "models" / str(name)
    if shipped.is_dir():
        return str(shipped)
    if str(name) in WHEELS:
        return str(offline_model(str(name)))
    if is_name(str(name)) and not Path(name).is_dir() and not is_cached(str(name)):
        require_hub(f"the model {name}")
    return str(name)


def load_policy(
    name: str | Path = "tiny-base",
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model and its tokenizer, ready to be trained.

    Args:
        name: "tiny-base", a local folder, a model of the Hugging Face hub, or, without the hub,
            "smollm2-135m-instruct".
        device: where to put it.
        dtype: of the weights.

    Returns:
        (policy, tokenizer). Dropout is off for good, since ratios of logprobs are compared; the pad
        token differs from EOS, since a masked EOS would never be learnt; there is a chat template.
    """
    path = model_path(name)
    tokenizer = AutoTokenizer.from_pretrained(path)
    attention = ATTENTION.get(torch.device(device).type, "sdpa")
    policy = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation=attention)
    if tokenizer.pad_token is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        tokenizer.add_special_tokens({"pad_token": PAD})
        if len(tokenizer) > policy.get_input_embeddings().num_embeddings:
            policy.resize_token_embeddings(len(tokenizer))
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHAT_TEMPLATE
    policy.config.pad_token_id = tokenizer.pad_token_id
    return disable_dropout(policy).to(device), tokenizer


def disable_dropout(model: PreTrainedModel) -> PreTrainedModel:
    """Set every dropout to 0, in modules, as plain numbers in modules, and in the config."""
    for owner, name in dropouts(model):
        setattr(owner, name, 0.0)
    return model


def dropouts(model: torch.nn.Module) -> list[tuple[object, str]]:
    """Where the rates of dropout stand that are not 0: (owner, name of its attribute)."""
    marks = ("dropout", "pdrop", "layerdrop")
    found = [(m, "p") for m in model.modules() if isinstance(m, torch.nn.Dropout) and m.p]
    owners = [*model.modules(), *filter(None, [getattr(model, "config", None)])]
    return found + [
        (owner, name)
        for owner in owners
        for name, value in vars(owner).items()
        if isinstance(value, float) and value and any(mark in name for mark in marks)
    ]


def frozen_reference(policy: PreTrainedModel) -> PreTrainedModel:
    """A copy of the policy as it is now that no training can change.

    A LoRA policy is merged first: with its adapter only switched off, the reference would be the
    base model and not the model that the training started from.
    """
    reference = copy.deepcopy(policy)
    if hasattr(reference, "merge_and_unload"):
        reference = reference.merge_and_unload()
    return reference.requires_grad_(False).eval()


def add_lora(
    policy: PreTrainedModel, *, rank: int = 8, alpha: float | None = None, seed: int = 0
) -> PreTrainedModel:
    """The policy with low-rank adapters on all linear layers; only they are trained.

    W x becomes W x + (alpha / rank) B A x, with A random and B = 0, so that nothing changes at
    first. Hu et al. 2021, arXiv:2106.09685, section 4.1.

    Args:
        policy: any causal language model.
        rank: inner width of A and B.
        alpha: scale of the update; None is twice the rank.
        seed: of A.
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM" if policy.can_generate() else "FEATURE_EXTRACTION",
    )
    with torch.random.fork_rng():  # the caller's random state stays as it is
        torch.manual_seed(seed)
        return get_peft_model(policy, config)


def parameter_counts(model: torch.nn.Module) -> tuple[int, int]:
    """(trainable, all) parameters."""
    every = list(model.parameters())
    return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)


class RewardModel(torch.nn.Module):
    """A transformer's body with a linear head: one score for a whole text.

    The score is read at the last real token, which has seen everything before it. The head starts
    with standard deviation 1 / sqrt(d + 1) for width d, so that first scores are about 1 in size:
    Stiennon et al. 2020, arXiv:2009.01325; Huang et al. 2024, arXiv:2403.17031.
    """

    def __init__(self, body: PreTrainedModel, seed: int = 0) -> None:
        super().__init__()
        self.body = body
        width = body.config.hidden_size
        self.head = torch.nn.Linear(width, 1, bias=False)
        generator = torch.Generator().manual_seed(seed)
        torch.nn.init.normal_(self.head.weight, std=(width + 1) ** -0.5, generator=generator)
        self.register_buffer("zero", torch.zeros(()))  # subtracted: comparisons leave it free
        self.to(body.device, body.dtype)

    @classmethod
    def from_policy(cls, policy: PreTrainedModel, seed: int = 0) -> RewardModel:
        """A reward model that starts from a copy of a policy's body."""
        return cls(copy.deepcopy(policy.base_model).requires_grad_(True), seed)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.head.weight.device

    def token_scores(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) the score of the text up to and including each token; padding is meaningless."""
        out = self.body(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids(attention_mask),
            use_cache=False,
        )
        return self.head(out.last_hidden_state)[..., 0].float() - self.zero

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B,) the score of each text, whichever side is padded."""
        last = attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(1)
        scores = self.token_scores(input_ids, attention_mask)
        return scores.gather(1, last[:, None])[:, 0]

    def save_pretrained(self, folder: Path) -> None:
        """Write body and head; LoRA adapters are merged into the body, so that nothing is lost."""
        body = self.body
        if hasattr(body, "merge_and_unload"):
            body = copy.deepcopy(body).merge_and_unload()
        body.save_pretrained(folder)
        head = {"head": self.head.weight.detach().contiguous(), "zero": self.zero}
        save_file(head, Path(folder) / HEAD_FILE)

    @classmethod
    def from_pretrained(
        cls, folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> RewardModel:
        """A reward model that `save_pretrained` wrote.

        Raises:
            FileNotFoundError: if the folder holds no score head.
        """
        if not (Path(folder) / HEAD_FILE).exists():
            raise FileNotFoundError(
                f"{Path(folder).name} holds no {HEAD_FILE}, so it is no reward model; "
                "make one with RewardModel.from_policy and train it"
            )
        attention = ATTENTION.get(torch.device(device).type, "sdpa")
        body = AutoModel.from_pretrained(folder, dtype=dtype, attn_implementation=attention)
        model = cls(disable_dropout(body).to(device))
        saved = load_file(Path(folder) / HEAD_FILE)
        model.head.weight.data.copy_(saved["head"])
        model.zero.copy_(saved["zero"])
        return model


class ValueModel(RewardModel):
    """A critic: the expected score of the finished reply, given what is written so far.

    The same body and head as a reward model, from which it starts (Ouyang et al. 2022, section
    3.5), read before every token instead of after the last.
    """

    @classmethod
    def from_reward_model(cls, reward_model: RewardModel) -> ValueModel:
        """A critic that starts as a copy of a reward model, zero included."""
        model = cls(copy.deepcopy(reward_model.body).requires_grad_(True))
        model.head.weight.data.copy_(reward_model.head.weight)
        model.zero.copy_(reward_model.zero)
        return model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) value of the prefix before each token; column 0, with no prefix, is 0."""
        after = self.token_scores(input_ids, attention_mask)
        return torch.nn.functional.pad(after[:, :-1], (1, 0))
