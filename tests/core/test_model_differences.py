"""What differs from one architecture or vocabulary to another, and is easily taken for granted."""

from __future__ import annotations

import copy
import functools
import tempfile
from itertools import chain
from pathlib import Path

import pytest
import torch
from model_matrix import MODELS, save
from safetensors.torch import load_file, save_file
from slowness import slow_but
from tiny_models import gpt2_with_dropout, small_tokenizer, tiny_llama
from transformers import AutoModelForCausalLM, LlamaForSequenceClassification

from minialign.core.batching import Row
from minialign.core.logprobs import token_logprobs
from minialign.core.models.architecture import is_recurrent, position_limit, window
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.models.loading import load_policy, model_path
from minialign.core.models.memory import Shape
from minialign.core.packing import pack
from minialign.core.sampling import fast, sample
from minialign.core.sampling.fast import can_cache
from minialign.rewards.learnt import set_zero
from minialign.system import hub

ASKED = ["what is 2 plus 3?", "a dog", "the cat sat on the mat"]
RECURRENT = [name for name, entry in MODELS.items() if "recurrent" in entry.refused.get("pack", "")]
WINDOWED = [name for name, entry in MODELS.items() if "than" in entry.refused.get("pack", "")
            or "more" in entry.refused.get("pack", "")]  # fmt: skip
WITHOUT_CACHE = {"Mamba", "Mamba 2", "RWKV", "RecurrentGemma", "xLSTM", "MiniMax"}


@functools.cache
def model(name: str):
    """A model of the matrix without its tokenizer."""
    with tempfile.TemporaryDirectory() as folder:
        save(name, Path(folder))
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")


def never(*args, **kwargs):
    pytest.fail("worked before it refused")


# --- recurrent layers


@torch.no_grad()
def test_the_weights_of_rwkv_do_not_change_with_its_mode(tmp_path):
    """Of its own, beyond the sixth layer, it halves them in eval mode and not in train mode."""
    save("RWKV", tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    policy, _ = load_policy(tmp_path)
    ids = torch.tensor([[5, 6, 7]])
    logits = [policy.train(mode)(input_ids=ids).logits for mode in (False, True, False)]
    found = policy.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in written.items())
    torch.testing.assert_close(logits[0], logits[1])
    own = AutoModelForCausalLM.from_pretrained(tmp_path).eval()(input_ids=ids).logits
    torch.testing.assert_close(logits[0], own, atol=1e-3, rtol=0)  # but for an epsilon


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", slow_but(RECURRENT, *sorted(RECURRENT)[:3]))
def test_recurrent_models_are_known_and_read_no_padding(name, monkeypatch):
    policy, masks = model(name), []
    assert is_recurrent(policy) and can_cache(policy) == (name not in WITHOUT_CACHE)
    handle = policy.register_forward_pre_hook(
        lambda module, args, kwargs: masks.append(kwargs["attention_mask"]), with_kwargs=True
    )
    drawn = sample(policy, small_tokenizer(), ASKED, group_size=2, max_new_tokens=5)
    handle.remove()
    assert all(mask.all() for mask in masks)
    monkeypatch.setattr(fast, "can_cache", lambda policy: False)
    whole = sample(policy, small_tokenizer(), ASKED, group_size=2, max_new_tokens=5)
    assert drawn.texts == whole.texts
    torch.testing.assert_close(drawn.logprobs, whole.logprobs, atol=1e-3, rtol=1e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RECURRENT)
def test_left_padding_is_refused_before_any_work(name):
    policy = model(name)
    ids, mask = torch.tensor([[0, 0, 5, 6], [7, 8, 9, 5]]), torch.ones(2, 4).long()
    mask[0, :2] = 0
    scorer = RewardModel.from_policy(policy)
    for each in (policy, scorer.body):
        handle = each.register_forward_pre_hook(never)
        with pytest.raises(ValueError, match=r"padded on the left, which the recurrent layers of"):
            token_logprobs(policy, ids, mask) if each is policy else scorer(ids, mask)
        handle.remove()


def test_attention_models_are_not_taken_for_recurrent():
    for name in ("GPT-2", "Bloom", "Llama", "Gemma 3 with images", "Llama 4", "DeepSeek V3"):
        assert not is_recurrent(model(name)) and can_cache(model(name))


# --- packing


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WINDOWED)
@torch.no_grad()
def test_documents_within_the_window_are_packed_rightly(name):
    policy = model(name)
    assert window(policy) == 8
    rows = [[5, 6, 7, 8], list(range(20, 28)), [9, 10, 11]]
    numbers = [[i] * len(row) for i, row in enumerate(rows, start=1)]
    ids, mask = torch.tensor([[*chain(*rows)]]), torch.tensor([[*chain(*numbers)]])
    found = token_logprobs(policy, ids, mask)[0]
    for i, row in enumerate(rows, start=1):
        alone = token_logprobs(policy, torch.tensor([row]), torch.ones(1, len(row)).long())[0]
        torch.testing.assert_close(found[mask[0] == i], alone, atol=1e-4, rtol=0)
    longer = torch.cat([ids, ids], 1), torch.cat([mask**0, 2 * mask**0], 1)
    with pytest.raises(ValueError, match="a document has 15 tokens, more than its window of 8"):
        token_logprobs(policy, *longer)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [n for n, entry in MODELS.items() if "pack" in entry.refused])
def test_what_cannot_be_packed_is_refused_before_any_work(name):
    policy = model(name)
    if name in ("Bloom", "Falcon"):  # found out with one token
        handle = policy.register_forward_pre_hook(
            lambda module, args, kwargs: kwargs["input_ids"].numel() > 1 and never(),
            with_kwargs=True,
        )
    else:
        handle = policy.register_forward_pre_hook(never)
    mask = torch.tensor([[1] * 10 + [2] * 10])
    with pytest.raises(ValueError, match=r"cannot keep packed documents apart, .*use `collate`"):
        token_logprobs(policy, torch.full_like(mask, 5), mask)
    handle.remove()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["Bloom", "Falcon", "Mamba", "LFM2", "MiniMax"])
def test_a_model_is_tried_out_once(name):
    """A copy, or the same model in another dtype, is one to be tried anew."""
    policy, calls = copy.deepcopy(model(name)), []
    policy.register_forward_pre_hook(lambda *_: calls.append(1))
    mask = torch.tensor([[1, 1, 2, 2]])

    def ask(policy):
        found = can_cache(policy)
        with pytest.raises(ValueError, match="cannot keep packed documents apart"):
            token_logprobs(policy, mask, mask)
        return found

    first = ask(policy)
    tried = len(calls)
    assert ask(policy) == first and len(calls) == tried
    if tried:
        ask(copy.deepcopy(policy))
        assert len(calls) == 2 * tried


# --- positions


@pytest.mark.parametrize("name", [n for n, e in MODELS.items() if "longer text" in e.refused])
def test_beyond_its_positions_a_model_refuses_before_any_work(name):
    policy, tokenizer = model(name), small_tokenizer()
    assert position_limit(policy) == 128
    ids = torch.full((2, 128), 5)
    mask = torch.ones_like(ids)
    with torch.no_grad():
        assert token_logprobs(policy, ids, mask).isfinite().all()
    scorer = RewardModel.from_policy(policy)
    for each in (policy, scorer.body):
        each.register_forward_pre_hook(never)
    longer = torch.full((2, 129), 5)
    sentence = r"has 129 tokens, but \w+ has positions for 128: shorten"
    for refuses in (functools.partial(token_logprobs, policy), scorer):
        with pytest.raises(ValueError, match=sentence):
            refuses(longer, torch.ones_like(longer))
    room = 129 - len(tokenizer.apply_chat_template([{"role": "user", "content": "it"}],
                     add_generation_prompt=True, return_dict=True)["input_ids"])  # fmt: skip
    with pytest.raises(ValueError, match=sentence):
        sample(policy, tokenizer, ["it"], max_new_tokens=room)
    model.cache_clear()


@torch.no_grad()
def test_positions_that_restart_with_each_document_are_enough():
    """A row may be longer than the table of positions, but for a table of the mask."""
    policy = gpt2_with_dropout(n_positions=16)
    rows = [Row(list(range(a, a + 4)), list(range(a + 4, a + 9))) for a in (5, 20, 40, 60)]
    packed = pack(rows, 36, 0)
    found = token_logprobs(policy, packed.input_ids, packed.attention_mask)
    for number, row in enumerate(rows, start=1):
        alone = token_logprobs(policy, torch.tensor([row.ids]), torch.ones(1, 9).long())[0]
        torch.testing.assert_close(found[packed.attention_mask == number], alone, atol=1e-4, rtol=0)
    ids = torch.full((1, 36), 5)
    ends = (torch.arange(36) >= 20).long()[None]  # 16 tokens behind padding
    assert token_logprobs(policy, ids, ends).isfinite().all()
    sentence = r"has 19 tokens, but \w+ has positions for 16: shorten.*`length` of `pack`"
    with pytest.raises(ValueError, match=sentence):
        token_logprobs(policy, ids, (torch.arange(36) >= 17).long()[None] + 1)


def test_a_table_of_the_mask_is_as_wide_as_a_row():
    mask = torch.tensor([[1] * 8 + [2] * 121])
    with pytest.raises(ValueError, match=r"has 129 tokens, but GPTNeoFor.* positions for 128"):
        token_logprobs(model("GPT-Neo"), torch.full_like(mask, 5), mask)


def test_a_prompt_that_just_fits_is_sampled():
    policy = gpt2_with_dropout(n_positions=32)
    asked = sample(policy, small_tokenizer(), ["it"], max_new_tokens=1)
    room = 32 - int(asked.attention_mask.sum()) + 1
    assert sample(policy, small_tokenizer(), ["it"], max_new_tokens=room)


# --- sizes

LOADED = [name for name, entry in MODELS.items() if "load" not in entry.refused]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", slow_but(LOADED, "Llama", "GPT-2", "Mamba"))
def test_every_model_has_a_shape(name):
    shape = Shape.of(model(name))
    assert min(vars(shape).values()) > 0 and shape.parameters == model(name).num_parameters()
    assert shape.layers == (8 if name == "RWKV" else 2) and shape.hidden in (32, 16)


def test_the_head_and_the_zero_of_a_reward_model_keep_their_digits():
    """In bfloat16 a zero of 12.3 would be 12.3125, and steps of 1e-3 would not move it."""
    scorer = RewardModel.from_policy(tiny_llama().to(torch.bfloat16))
    assert scorer.body.dtype == torch.bfloat16
    assert scorer.head.weight.dtype == scorer.zero.dtype == torch.float32
    scorer.zero.fill_(12.3)
    set_zero(scorer, small_tokenizer(), ASKED, ["it is 5."] * 3)
    ids = torch.tensor([[5, 6, 7]])
    score = scorer(ids, torch.ones_like(ids))
    assert score.dtype == torch.float32
    assert ValueModel.from_reward_model(scorer).zero == scorer.zero
    scorer.zero += 1e-3
    torch.testing.assert_close(scorer(ids, torch.ones_like(ids)), score - 1e-3)


def test_a_bfloat16_reward_model_is_read_back(tmp_path):
    scorer = RewardModel.from_policy(tiny_llama().to(torch.bfloat16))
    scorer.zero.fill_(12.3)
    scorer.save_pretrained(tmp_path)
    again = RewardModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ids = torch.tensor([[5, 6, 7]])
    score, expected = (m(ids, torch.ones_like(ids)) for m in (again, scorer))
    torch.testing.assert_close(score, expected, atol=0.02, rtol=0)
    assert again.zero == scorer.zero and torch.equal(again.head.weight, scorer.head.weight)


# --- where a model is


@pytest.mark.parametrize(
    "name", ["./nowhere", "../gone/model", "/no/such/folder", "~/nothing-here"]
)
def test_a_folder_that_is_not_there_is_called_so(name, monkeypatch):
    monkeypatch.setattr(hub, "answers", never)
    with pytest.raises(FileNotFoundError, match=rf"^there is no folder {name}; give a folder"):
        load_policy(name)


def test_a_folder_or_a_file_that_is_no_model_is_called_so(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty holds no model \(no config\.json\)"):
        load_policy(tmp_path / "empty")
    monkeypatch.chdir(tmp_path)
    Path("weights.bin").write_text("")
    with pytest.raises(FileNotFoundError, match=r"^there is no folder weights\.bin; give a folder"):
        load_policy("weights.bin")


def test_a_folder_named_like_a_model_of_the_hub_is_looked_for_first(monkeypatch):
    monkeypatch.setattr(hub, "answers", lambda: False)
    with pytest.raises(
        ConnectionError, match="there is no folder of that name, and the model runs"
    ):
        model_path("runs/sft")


def test_home_is_a_place_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tiny_llama().save_pretrained(tmp_path / "model")
    assert model_path("~/model") == str(tmp_path / "model")


# --- weights that are not there


def without_a_head(folder: Path) -> None:
    torch.manual_seed(0)
    LlamaForSequenceClassification(tiny_llama().config).save_pretrained(folder)


def without_a_layer(folder: Path) -> None:
    weights = {n: w for n, w in tiny_llama().state_dict().items() if "layers.1.mlp" not in n}
    tiny_llama().save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("lose", "named"), [(without_a_head, "lm_head.weight"), (without_a_layer, "layers.1.mlp")]
)
def test_a_model_that_lacks_weights_is_not_filled_with_random_ones(tmp_path, lose, named):
    lose(tmp_path)
    small_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"hold \d weights too few for Llama.*{named}.*random"):
        load_policy(tmp_path)


def test_a_reward_model_that_lacks_weights_is_refused(tmp_path):
    RewardModel.from_policy(tiny_llama()).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    kept = {n: w for n, w in load_file(file).items() if "layers.1" not in n}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="weights too few for LlamaModel"):
        RewardModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("rope", "limit"),
    [
        ({"rope_type": "dynamic", "factor": 2.0}, 256),
        ({"rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": 64,
          "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}, 64),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}, None),
        ({"rope_type": "default"}, None),
    ],
)  # fmt: skip
def test_a_scaled_rope_is_refused_beyond_its_switch(rope, limit):
    policy = tiny_llama(rope_parameters={"rope_theta": 10000.0, **rope})
    assert position_limit(policy) == limit
    ids = torch.full((1, (limit or 256) + 1), 5)
    if limit:
        with pytest.raises(ValueError, match=f"has positions for {limit}"):
            token_logprobs(policy, ids, torch.ones_like(ids))
