"""Tiny random models of many kinds, and what each can do: `python tests/model_matrix.py`.

A row is a configuration of transformers, a tokenizer, and what is refused. The command prints the
matrix with the sentences; test_model_matrix.py holds every cell to it.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from model_abilities import ABILITIES, in_float32
from tiny_models import TURNS, sentencepiece_tokenizer, small_tokenizer
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from minialign.core.models.loading import load_policy

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<s>system: Be kind.</s>{% endif %}"
    "<s>{{ message['role'] + ': ' + message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
HIDDEN = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
          "initializer_range": 0.2}  # fmt: skip
PLAIN = {**HIDDEN, "intermediate_size": 48, "num_key_value_heads": 2,
         "max_position_embeddings": 128}  # fmt: skip
HEADS = {**PLAIN, "head_dim": 8}
WINDOW = {**HEADS, "sliding_window": 8}
MIXED = {**WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
MLA = {**PLAIN, "num_key_value_heads": 4, "kv_lora_rank": 8, "qk_rope_head_dim": 4,
       "qk_nope_head_dim": 4, "v_head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2,
       "n_shared_experts": 1, "moe_intermediate_size": 16, "first_k_dense_replace": 1,
       "n_group": 1, "topk_group": 1}  # fmt: skip
STATE = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 2, "mamba_d_state": 8,
         "mamba_chunk_size": 8}  # fmt: skip
DELTA = {**HEADS, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
         "linear_value_head_dim": 8,
         "layer_types": ["linear_attention", "full_attention"]}  # fmt: skip
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "initializer_range": 0.2}
TEXT = {"vocab_size": 0, **MIXED}
SIGHT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
         "num_attention_heads": 2, "image_size": 28, "patch_size": 14}  # fmt: skip

WINDOWS = {"pack": r"cannot keep packed documents apart, since a document has \d+ tokens, more"}
STATES = {"pack": "cannot keep packed documents apart, since its recurrent layers carry a state"}
ALIBI = {"pack": r"cannot keep packed documents apart, since its positions \(ALiBi\)"}
LIMIT = {"longer text": r"a row has \d+ tokens, but \w+ has positions for 128"}


@dataclass(frozen=True)
class Entry:
    """A tiny model, what is special about it, and the sentences with which it is refused."""

    config: str
    settings: Mapping
    special: str
    refused: Mapping[str, str] = field(default_factory=dict)  # ability, or "load" -> pattern
    tokenizer: str = "course"
    ends: tuple[str, ...] = ()  # declared in the generation config


MODELS = {
    "GPT-2": Entry("GPT2Config", GPT2, "absolute positions", LIMIT),
    "OPT-350m": Entry("OPTConfig", {"hidden_size": 32, "word_embed_proj_dim": 16, "ffn_dim": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 128,
        "do_layer_norm_before": False, "init_std": 0.2},
        "absolute positions with an offset, narrower at both ends than inside", LIMIT),
    "GPT-Neo": Entry("GPTNeoConfig", {"hidden_size": 32, "num_layers": 2, "num_heads": 4,
        "attention_types": [[["global", "local"], 1]], "window_size": 8,
        "max_position_embeddings": 128, "initializer_range": 0.2},
        "absolute positions, a window of its own making", LIMIT),
    "GPT-J": Entry("GPTJConfig", {**GPT2, "rotary_dim": 4}, "rotary positions in a table", LIMIT),
    "GPT-BigCode": Entry("GPTBigCodeConfig", GPT2, "absolute positions, one key head", LIMIT),
    "BioGPT": Entry("BioGptConfig", {**HIDDEN, "intermediate_size": 48,
        "max_position_embeddings": 128}, "absolute positions with an offset, scaled embeddings",
        LIMIT),
    "GPT-NeoX": Entry("GPTNeoXConfig", {**HIDDEN, "intermediate_size": 48, "rotary_pct": 0.25,
        "max_position_embeddings": 128}, "partial rotary positions, parallel layers"),
    "Bloom": Entry("BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 4,
        "initializer_range": 0.2}, "ALiBi", ALIBI),
    "MPT": Entry("MptConfig", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128,
        "initializer_range": 0.2}, "ALiBi in a table", LIMIT),
    "Falcon": Entry("FalconConfig", {**HIDDEN, "alibi": True, "max_position_embeddings": 128},
        "ALiBi, one key head", ALIBI),
    "Llama": Entry("LlamaConfig", PLAIN, "untied, a base model without template and pad",
        tokenizer="base"),
    "SmolLM2": Entry("LlamaConfig", {**PLAIN, "tie_word_embeddings": True},
        "tied head, pad is EOS, the template adds a system turn", tokenizer="pad is EOS"),
    "Llama 3": Entry("LlamaConfig", PLAIN, "several ends of a turn",
        tokenizer="turns", ends=("<|eos|>", "</turn>", "<|/tool|>")),
    "Llama 2": Entry("LlamaConfig", PLAIN, "SentencePiece, ends of its turns",
        tokenizer="SentencePiece", ends=("</s>", "</turn>")),
    "Qwen2": Entry("Qwen2Config", {**PLAIN, "tie_word_embeddings": True}, "tied head, no BOS",
        tokenizer="no BOS"),
    "Qwen2, window": Entry("Qwen2Config", {**PLAIN, "use_sliding_window": True,
        "sliding_window": 8, "max_window_layers": 1}, "window in some layers", WINDOWS),
    "Qwen3": Entry("Qwen3Config", {**PLAIN, "head_dim": 12},
        "heads wider than the model, normalised queries, pad beyond the embedding",
        tokenizer="pad beyond"),
    "Phi-3": Entry("Phi3Config", {**PLAIN, "original_max_position_embeddings": 128},
        "fused projections, ends of its turns", tokenizer="turns", ends=("<|eos|>", "</turn>")),
    "StableLM": Entry("StableLmConfig", PLAIN, "partial rotary positions, layer norm"),
    "Mistral": Entry("MistralConfig", WINDOW, "window in all layers", WINDOWS),
    "Gemma 2": Entry("Gemma2Config", MIXED, "windows, soft-capped logits", WINDOWS),
    "Gemma 3": Entry("Gemma3TextConfig", MIXED, "windows, no system turns, ends of its turns",
        WINDOWS, tokenizer="no system", ends=("<|eos|>", "</turn>")),
    "Gemma 3 with images": Entry("Gemma3Config", {"text_config": TEXT, "vision_config": SIGHT,
        "mm_tokens_per_image": 4}, "composite configuration, windows", WINDOWS),
    "Gemma 3n": Entry("Gemma3nTextConfig", {**MIXED, "hidden_size_per_layer_input": 8,
        "num_kv_shared_layers": 0, "laurel_rank": 4, "activation_sparsity_pattern": [0.0, 0.0]},
        "embeddings in every layer, windows", WINDOWS),
    "Cohere": Entry("CohereConfig", {**PLAIN, "logit_scale": 1.0},
        "scaled logits, parallel layers"),
    "Cohere 2": Entry("Cohere2Config", MIXED, "windows, no positions in full layers", WINDOWS),
    "OLMo 2": Entry("Olmo2Config", PLAIN, "norms after the layers"),
    "GPT-OSS": Entry("GptOssConfig", {**MIXED, "num_local_experts": 4},
        "experts, windows, attention sinks", WINDOWS),
    "Mixtral": Entry("MixtralConfig", {**PLAIN, "num_local_experts": 4}, "experts"),
    "OLMoE": Entry("OlmoeConfig", {**PLAIN, "num_experts": 4, "num_experts_per_tok": 2},
        "experts, normalised queries"),
    "DeepSeek V2": Entry("DeepseekV2Config", {**MLA, "q_lora_rank": None},
        "latent attention, experts"),
    "DeepSeek V3": Entry("DeepseekV3Config", {**MLA, "q_lora_rank": 16},
        "latent attention, experts"),
    "Llama 4": Entry("Llama4TextConfig", {**HEADS, "attention_chunk_size": 8,
        "num_local_experts": 2, "intermediate_size_mlp": 48, "no_rope_layers": [1, 0],
        "interleave_moe_layer_step": 2}, "chunked attention, experts", WINDOWS),
    "Mamba": Entry("MambaConfig", {"hidden_size": 32, "state_size": 4, "num_hidden_layers": 2,
        "initializer_range": 0.2}, "recurrent, no attention", STATES),
    "Mamba 2": Entry("Mamba2Config", {"hidden_size": 32, "state_size": 8, "num_hidden_layers": 2,
        "head_dim": 8, "num_heads": 8, "n_groups": 2, "chunk_size": 8, "initializer_range": 0.2},
        "recurrent, no attention", STATES),
    "RWKV": Entry("RwkvConfig", {"hidden_size": 32, "attention_hidden_size": 32,
        "num_hidden_layers": 8, "intermediate_size": 48, "context_length": 128},
        "recurrent, ignores masks, scales its weights by its mode", STATES),
    "RecurrentGemma": Entry("RecurrentGemmaConfig", {**HIDDEN, "intermediate_size": 48,
        "num_key_value_heads": 1, "lru_width": 32, "attention_window_size": 8,
        "block_types": ["recurrent", "attention"]}, "recurrent with windows", STATES),
    "Jamba": Entry("JambaConfig", {**PLAIN, "num_experts": 2, "mamba_d_state": 4,
        "mamba_dt_rank": 4, "attn_layer_period": 2, "attn_layer_offset": 1,
        "use_mamba_kernels": False}, "recurrent and attention layers, experts", STATES),
    "Bamba": Entry("BambaConfig", {**PLAIN, **STATE, "attn_layer_indices": [1],
        "mamba_expand": 2}, "recurrent and attention layers", STATES),
    "LFM2": Entry("Lfm2Config", {**PLAIN, "layer_types": ["conv", "full_attention"]},
        "convolutions and attention layers", STATES),
    "Qwen3-Next": Entry("Qwen3NextConfig", {**DELTA, **MOE,
        "shared_expert_intermediate_size": 16}, "gated delta rule and attention, experts", STATES),
    "Qwen3.5": Entry("Qwen3_5Config", {"text_config": {"vocab_size": 0, **DELTA}},
        "composite configuration, gated delta rule and attention", STATES),
    "Falcon H1": Entry("FalconH1Config", {**HEADS, **STATE, "mamba_d_ssm": 64},
        "recurrent and attention in one layer", STATES),
    "Zamba 2": Entry("Zamba2Config", {**PLAIN, "mamba_d_state": 8, "n_mamba_heads": 8,
        "mamba_ngroups": 2, "chunk_size": 8, "layers_block_type": ["mamba", "hybrid"],
        "hybrid_layer_ids": [1], "num_mem_blocks": 1, "adapter_rank": 4, "use_mem_rope": True},
        "recurrent, attention layers share weights", STATES),
    "Granite 4": Entry("GraniteMoeHybridConfig", {**PLAIN, **STATE,
        "layer_types": ["mamba", "attention"], "shared_intermediate_size": 48,
        "num_local_experts": 4, "num_experts_per_tok": 2},
        "recurrent and attention layers, experts", STATES),
    "Nemotron-H": Entry("NemotronHConfig", {**HEADS, "hybrid_override_pattern": "M*",
        "mamba_num_heads": 8, "mamba_head_dim": 8, "n_groups": 2, "ssm_state_size": 8,
        "chunk_size": 8}, "recurrent and attention layers without positions", STATES),
    "xLSTM": Entry("xLSTMConfig", {"hidden_size": 32, "num_heads": 4, "num_hidden_layers": 2,
        "qk_dim_factor": 0.5, "chunk_size": 8}, "recurrent, a cache of its own kind", STATES),
    "MiniMax": Entry("MiniMaxConfig", {**HEADS, "num_local_experts": 2, "block_size": 8,
        "layer_types": ["linear_attention", "full_attention"]}, "a cache of its own kind", STATES),
    "BERT": Entry("BertConfig", {**HIDDEN, "intermediate_size": 48}, "sees what comes after",
        {"load": "of the kind bert, which is no causal language model"}),
    "T5": Entry("T5Config", {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2,
        "num_heads": 4}, "encoder and decoder",
        {"load": "of the kind t5, which is no causal language model"}),
    "Llama without an end": Entry("LlamaConfig", PLAIN, "nothing ends a turn",
        {"load": "nothing ends a turn of .*set tokenizer.eos_token"}, tokenizer="no end"),
}  # fmt: skip


def tokenizer_of(kind: str) -> tuple[PreTrainedTokenizerFast, int]:
    """A tokenizer, and the number of embeddings that its model has."""
    if kind == "SentencePiece":
        return copy.deepcopy(sentencepiece_tokenizer()), len(sentencepiece_tokenizer())
    tokenizer = copy.deepcopy(small_tokenizer())
    if kind in ("turns", "no system"):
        tokenizer.add_special_tokens({"extra_special_tokens": ["<turn>", "</turn>", "<|/tool|>"]})
        tokenizer.chat_template = TURNS
    if kind == "no system":
        refusal = "{{ raise_exception('System role not supported') }}"
        tokenizer.chat_template = (
            "{% if messages[0]['role'] == 'system' %}" + refusal + "{% endif %}" + TURNS
        )
    rows = len(tokenizer)
    if kind == "pad beyond":
        tokenizer.add_special_tokens({"pad_token": "<|beyond|>"})
    if kind in ("pad is EOS", "no BOS", "no end"):
        tokenizer.chat_template = CHATML
    if kind == "base":
        tokenizer.chat_template, tokenizer.pad_token = None, None
    for name, what in (("bos_token", "no BOS"), ("eos_token", "no end")):
        if kind == what:
            setattr(tokenizer, name, None)
    if kind == "pad is EOS":
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, rows


def save(name: str, folder: Path) -> None:
    """Write a tiny model of the matrix into a folder, as somebody else would have."""
    entry = MODELS[name]
    tokenizer, rows = tokenizer_of(entry.tokenizer)
    ids = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id") for n in ("bos", "eos")}
    ids["pad_token_id"] = min(tokenizer.pad_token_id or 0, rows - 1)
    settings = {**ids, **entry.settings}
    if "text_config" in settings:
        settings["text_config"] = {**settings["text_config"], **ids, "vocab_size": rows}
    else:
        settings["vocab_size"] = rows
    torch.manual_seed(0)
    config = getattr(transformers, entry.config)(**settings)
    known = type(config) in AutoModelForCausalLM._model_mapping
    made = AutoModelForCausalLM if known else transformers.AutoModelForSeq2SeqLM
    model = made.from_config(config, attn_implementation="eager")
    if entry.ends:
        model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(list(entry.ends))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def cells(name: str) -> dict[str, str]:
    """Ability -> "yes", or the sentence with which it is refused."""
    with tempfile.TemporaryDirectory() as folder, in_float32():
        save(name, Path(folder))
        found = {}
        for ability, check in ABILITIES.items():
            try:
                policy, tokenizer = load_policy(folder)
            except ValueError as error:
                return {"load": str(error)}
            try:
                check(policy, tokenizer)
            except ValueError as error:
                found[ability] = str(error)
            else:
                found[ability] = "yes"
    return found


def table() -> str:
    """The matrix in Markdown; the sentences of refusals stand below it, one of each kind."""
    lines = [["model", "what is special", *ABILITIES], ["---"] * (len(ABILITIES) + 2)]
    notes: dict[str, str] = {}
    for name, entry in MODELS.items():
        found = cells(name)
        line = [name, entry.special]
        for ability in ABILITIES:
            cell = found.get(ability, found.get("load", ""))
            if cell != "yes":
                kind = entry.refused.get(ability, entry.refused.get("load", cell))
                notes.setdefault(kind, cell)
                cell = f"refused ({list(notes).index(kind) + 1})"
            line.append(cell)
        lines.append(line)
    rows = [f"| {' | '.join(line)} |" for line in lines]
    below = [f"{number}. {sentence}" for number, sentence in enumerate(notes.values(), start=1)]
    return "\n".join([*rows, "", *below])


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    print(table())
