"""Load a policy, freeze a reference, add LoRA adapters or a score head; any causal model does."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from minialign.core.logprobs import inputs_for
from minialign.core.models.architecture import (
    base_of,
    body_of,
    load_whole,
    require_causal,
    require_causal_config,
    without_adapters,
)
from minialign.core.turn_ends import declare_ends, ids_of
from minialign.data.shipped import data_folder
from minialign.system.hub import is_cached, is_name, require_hub
from minialign.system.offline_models import WHEELS, offline_model

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
# Fused attention is slow backwards on the CPU, half as fast in bfloat16; elsewhere models choose.
ATTENTION = {"cpu": "eager"}
ADAPTER = "adapter_config.json"


def model_path(name: str | Path) -> str:
    """Where to load a model from: its folder, or the name itself for one of the hub.

    Raises:
        FileNotFoundError: if it is a path and no model's folder.
        ConnectionError: if it is neither here nor kept from an earlier run, and the hub is silent.
    """
    shipped = data_folder() / "models" / str(name)
    if shipped.is_dir() and shipped.name == str(name):  # no path
        return str(shipped)
    if str(name) in WHEELS:
        return str(offline_model(str(name)))
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not any((folder / file).exists() for file in ("config.json", ADAPTER)):
            raise FileNotFoundError(
                f"the folder {name} holds no model (no config.json); give one that save_pretrained "
                "wrote"
            )
        return str(folder)
    if not is_name(str(name)) or folder.exists():
        raise FileNotFoundError(
            f"there is no folder {name}; give a folder that save_pretrained wrote, or the name of "
            "a model of the Hugging Face hub"
        )
    if not is_cached(str(name)):
        require_hub(f"there is no folder of that name, and the model {name}")
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
            "smollm2-135m-instruct". From a folder of adapters, both the base model and the adapters
            are loaded; only the adapters are trained.
        device: where to put it.
        dtype: of the weights.

    Returns:
        (policy, tokenizer). Dropout is off for good, since ratios of logprobs are compared; the pad
        token differs from EOS, since a masked EOS would never be learnt; there is a chat template,
        and the tokenizer knows every token with which the model ends a turn.

    Raises:
        FileNotFoundError: if there is no such folder, or not the base of its adapters.
        ValueError: if it is no causal language model, lacks weights, or nothing ends its turns.
    """
    path = model_path(name)
    adapter = path if (Path(path) / ADAPTER).exists() else None
    base = path if adapter is None else _adapter_base(path)
    require_causal_config(AutoConfig.from_pretrained(base, trust_remote_code=False))
    here = (Path(path) / "tokenizer_config.json").exists()
    tokenizer = AutoTokenizer.from_pretrained(path if here else base, trust_remote_code=False)
    attention = ATTENTION.get(torch.device(device).type)
    policy = load_whole(AutoModelForCausalLM, base, dtype, attention)
    if getattr(policy.config, "rescale_every", 0):
        policy.config.rescale_every = 0  # RWKV's weights would change with its mode, in place
    declare_ends(tokenizer, policy)
    _add_pad(tokenizer, policy)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHAT_TEMPLATE
    if adapter is not None:
        policy = PeftModel.from_pretrained(policy, adapter, is_trainable=True)
    policy = disable_dropout(policy).to(device)
    require_causal(policy)
    return policy, tokenizer


def _adapter_base(folder: str) -> str:
    """Where the model is that the adapters of a folder were trained on."""
    base = PeftConfig.from_pretrained(folder).base_model_name_or_path
    try:
        return model_path(base or "(unnamed)")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{folder} holds adapters of the model {base or '(unnamed)'}, which is not there; put "
            f"its folder's path into base_model_name_or_path in {ADAPTER}; if they were added to "
            "merged weights, save the merged model first: merged(policy).save_pretrained, then "
            "load it and add_lora"
        ) from None


def _add_pad(tokenizer: PreTrainedTokenizerBase, policy: PreTrainedModel) -> None:
    """Make the pad token one of its own, and give every token of the tokenizer an embedding.

    New rows are drawn around the mean of the others, the same ones whenever the model is loaded.
    """
    if tokenizer.pad_token is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        tokenizer.add_special_tokens({"pad_token": PAD})
    if ids_of(tokenizer) > policy.get_input_embeddings().num_embeddings:
        with torch.random.fork_rng():  # the caller's random state stays as it is
            torch.manual_seed(0)
            policy.resize_token_embeddings(ids_of(tokenizer))
    policy.config.pad_token_id = tokenizer.pad_token_id


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
    return merged(copy.deepcopy(policy)).requires_grad_(False).eval()


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its adapters added into the weights, in place; without any, as it is."""
    return model.merge_and_unload() if isinstance(model, PeftModel) else model


def add_lora(
    policy: PreTrainedModel, *, rank: int = 8, alpha: float | None = None, seed: int = 0
) -> PreTrainedModel:
    """The policy with low-rank adapters on all linear layers; only they are trained.

    W x becomes W x + (alpha / rank) B A x, with A random and B = 0, so that nothing changes at
    first. Hu et al. 2021, arXiv:2106.09685, section 4.1.

    Args:
        policy: any causal language model; adapters that it has are merged into it first.
        rank: inner width of A and B.
        alpha: scale of the update; None is twice the rank.
        seed: of A.
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        exclude_modules=without_adapters(base_of(policy)) or None,
        task_type="CAUSAL_LM" if policy.can_generate() else "FEATURE_EXTRACTION",
    )
    with torch.random.fork_rng():  # the caller's random state stays as it is
        torch.manual_seed(seed)
        base = merged(policy)
        if base is not policy:
            base.name_or_path = ""  # no folder holds the merged weights
        return get_peft_model(base, config)


def parameter_counts(model: torch.nn.Module) -> tuple[int, int]:
    """(trainable, all) parameters."""
    every = list(model.parameters())
    return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)


@torch.no_grad()
def _output_width(body: PreTrainedModel) -> int:
    """Width of what a body puts out, which its config does not always tell; by trying."""
    ids = torch.zeros(1, 1, dtype=torch.long, device=body.device)
    was_training = body.training
    width = body.eval()(input_ids=ids, use_cache=False).last_hidden_state.shape[-1]
    body.train(was_training)
    return width


def _unfreeze(body: PreTrainedModel) -> None:
    """Let all parameters be trained, or of a body with adapters only theirs."""
    for name, parameter in body.named_parameters():
        parameter.requires_grad_(not isinstance(body, PeftModel) or "lora_" in name)


class RewardModel(torch.nn.Module):
    """A transformer's body with a linear head: one score for a whole text.

    The score is read at the last real token, which has seen everything before it. The head starts
    with standard deviation 1 / sqrt(d + 1) for width d, so that first scores are about 1 in size:
    Stiennon et al. 2020, arXiv:2009.01325; Huang et al. 2024, arXiv:2403.17031.
    """

    def __init__(self, body: PreTrainedModel, seed: int = 0) -> None:
        super().__init__()
        self.body = body
        width = _output_width(body)
        self.head = torch.nn.Linear(width, 1, bias=False)  # float32 whatever the body is
        generator = torch.Generator().manual_seed(seed)
        torch.nn.init.normal_(self.head.weight, std=(width + 1) ** -0.5, generator=generator)
        self.register_buffer("zero", torch.zeros(()))  # subtracted: comparisons leave it free
        self.to(body.device)

    @classmethod
    def from_policy(cls, policy: PreTrainedModel, seed: int = 0) -> RewardModel:
        """A reward model that starts from a copy of a policy's body, its adapters merged."""
        body = body_of(merged(copy.deepcopy(policy)))
        return cls(body.requires_grad_(True), seed)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.head.weight.device

    def token_scores(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) the score of the text up to and including each token; padding is meaningless."""
        out = self.body(**inputs_for(self.body, input_ids, attention_mask))
        return self.head(out.last_hidden_state.float())[..., 0].float() - self.zero

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B,) the score of each text, whichever side is padded."""
        last = attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(1)
        scores = self.token_scores(input_ids, attention_mask)
        return scores.gather(1, last[:, None])[:, 0]

    def save_pretrained(self, folder: Path) -> None:
        """Write body and head; LoRA adapters are merged into the body, so that nothing is lost."""
        body = self.body
        if isinstance(body, PeftModel):
            body = merged(copy.deepcopy(body))
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
        attention = ATTENTION.get(torch.device(device).type)
        body = load_whole(AutoModel, folder, dtype, attention)
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
        """A critic that starts as a copy of a reward model, zero included.

        It trains what the reward model trained: with adapters, those alone. If the reward model is
        frozen, the whole body is trained, or its adapters.
        """
        body = copy.deepcopy(reward_model.body)
        if not any(p.requires_grad for p in body.parameters()):
            _unfreeze(body)
        model = cls(body)
        model.head.weight.data.copy_(reward_model.head.weight)
        model.zero.copy_(reward_model.zero)
        return model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) value of the prefix before each token; column 0, with no prefix, is 0."""
        after = self.token_scores(input_ids, attention_mask)
        return torch.nn.functional.pad(after[:, :-1], (1, 0))
