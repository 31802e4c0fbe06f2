"""Load a policy, freeze a reference, add LoRA adapters or a score head; any causal model does."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from minialign.core.models import fast_dtype, merged
from minialign.core.models.architecture import (
    base_of,
    disable_dropout,
    rounding,
    without_adapters,
)
from minialign.core.tokens import declare_ends, ids_of
from minialign.system.folders import data_folder
from minialign.system.hub import is_cached, is_name, require_hub
from minialign.system.offline_models import WHEELS, offline_model

PAD = "<|pad|>"
# For models that come without a chat format, as base models do: plain words, and EOS after a reply.
CHAT_TEMPLATE = (
    "{{ bos_token | default('', true) }}"
    "{% for message in messages %}"
    "{{ message['role'] | capitalize + ':\\n' + message['content'] }}"
    "{{ eos_token + '\\n' if message['role'] == 'assistant' else '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:\\n' }}{% endif %}"
)
ADAPTER = "adapter_config.json"


def attention_for(device: torch.device) -> str | None:
    """What attention to load a model with; None is the model's own choice.

    On a CPU that multiplies in bfloat16, fused attention takes half as long again backwards. In
    float32 it is as fast as eager attention and holds less.
    """
    return "eager" if device.type == "cpu" and fast_dtype(device) == torch.bfloat16 else None


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
    attention = attention_for(torch.device(device))
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


def load_whole(
    kind: type, folder: str | Path, dtype: torch.dtype, attention: str | None
) -> PreTrainedModel:
    """A saved model; weights that the files lack would be random, so they are refused."""
    model, info = kind.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation=attention,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"the files of {folder} hold {len(missing)} weights too few for {type(model).__name__} "
            f"({', '.join(missing[:3])}), which would be random; give a folder with all of them"
        )
    return model


def require_causal_config(config: PreTrainedConfig) -> None:
    """Raise ValueError, before any weight is loaded, if transformers has no causal model for it."""
    if config.is_encoder_decoder or type(config) not in AutoModelForCausalLM._model_mapping:
        raise ValueError(_not_causal(config))


@torch.no_grad()
def require_causal(policy: PreTrainedModel) -> None:
    """Raise ValueError if what is said of a token depends on the tokens after it, as in BERT."""
    ids = torch.arange(1, 5, device=policy.device)[None]
    inputs = {"attention_mask": torch.ones_like(ids), "use_cache": False}
    policy.eval()
    first, second = (
        policy(input_ids=i, **inputs).logits[0, :3].float() for i in (ids, ids.clamp(max=3))
    )
    if (first - second).abs().mean() > rounding(policy.dtype) * first.std():
        raise ValueError(_not_causal(base_of(policy).config))


def _not_causal(config: PreTrainedConfig) -> str:
    return (
        f"{config.name_or_path or 'this'} is a model of the kind {config.model_type}, which is no "
        "causal language model (one that predicts each token from those before it, and no more); "
        "give one such as Llama, Qwen or Gemma"
    )
