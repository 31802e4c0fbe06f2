"""What ends a turn: several declared ends, the template's own, one that is missing."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from tiny_models import TURNS, sentencepiece_tokenizer, small_tokenizer, tiny_llama
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.core.logprobs import token_logprobs
from minialign.core.models.heads import ValueModel
from minialign.core.models.loading import CHAT_TEMPLATE, add_lora, load_policy
from minialign.core.sampling import sample
from minialign.core.tokens import completion_ids, encode, end_ids, prompt_ids, turn_end

ASKED = ["what is 2 plus 3?", "a dog", "it"]


def chat_tokenizer(template: str | None = TURNS, special: bool = True) -> PreTrainedTokenizerFast:
    """Turns end with </turn>, the text with <|eos|>."""
    tokenizer = copy.deepcopy(small_tokenizer())
    tokenizer.add_tokens(["<turn>", "</turn>", "<call>"], special_tokens=special)
    tokenizer.chat_template = template
    return tokenizer


def saved(folder: Path, tokenizer: PreTrainedTokenizerFast, ends: list[str] | str | None) -> Path:
    """A model whose generation config declares these ends."""
    policy = tiny_llama(vocab_size=len(tokenizer))
    policy.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(ends) if ends else None
    policy.config.eos_token_id = None
    policy.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def lifted(policy, tokenizer, tokens: list[str], by: float):
    """A policy that is fond of some tokens."""
    ids = tokenizer.convert_tokens_to_ids(tokens)

    def lift(module, inputs, logits):
        more = torch.zeros(logits.shape[-1])
        more[ids] = by
        return logits + more

    policy.get_output_embeddings().register_forward_hook(lift)
    return policy


# --- sampling


@pytest.mark.parametrize(
    "ends", [["<|eos|>", "</turn>"], ["</turn>", "<call>"], "</turn>"], ids=str
)
def test_a_reply_stops_at_every_declared_end(tmp_path, ends):
    policy, tokenizer = load_policy(saved(tmp_path, chat_tokenizer(), ends))
    names = [ends] if isinstance(ends, str) else ends
    lifted(policy, tokenizer, names, 4.0)
    drawn = sample(policy, tokenizer, ASKED, group_size=20, max_new_tokens=30)
    stops = set(tokenizer.convert_tokens_to_ids(names)) | {tokenizer.eos_token_id}
    last = set()
    for ids, mask, text, done in zip(
        drawn.input_ids, drawn.completion_mask.bool(), drawn.texts, drawn.finished, strict=True
    ):
        said = ids[mask].tolist()
        assert bool(done) == (said[-1] in stops) and not stops & set(said[:-1])
        assert text == tokenizer.decode(said[:-1] if done else said, skip_special_tokens=True)
        last |= {said[-1]} & stops
    assert last >= set(tokenizer.convert_tokens_to_ids(names))  # each of them did end a reply


def test_greedy_replies_are_those_of_generate(tmp_path):
    policy, tokenizer = load_policy(saved(tmp_path, chat_tokenizer(), ["<|eos|>", "</turn>"]))
    lifted(policy, tokenizer, ["</turn>"], 2.5)
    drawn = sample(policy, tokenizer, ASKED, max_new_tokens=12, temperature=0)
    assert drawn.finished.any()
    for i, prompt in enumerate(ASKED):
        ids = torch.tensor([prompt_ids(tokenizer, prompt)])
        whole = policy.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12
        )[0]
        assert drawn.input_ids[i][drawn.attention_mask[i].bool()].tolist() == whole.tolist()


def test_an_end_that_is_no_special_token_is_cut_from_the_text(tmp_path):
    policy, tokenizer = load_policy(saved(tmp_path, chat_tokenizer(special=False), ["</turn>"]))
    drawn = sample(lifted(policy, tokenizer, ["</turn>"], 50.0), tokenizer, ASKED, max_new_tokens=4)
    assert drawn.texts == [""] * 3 and drawn.finished.all() and drawn.lengths.tolist() == [1] * 3


def test_an_end_that_is_the_pad_token_is_said_and_learnt(tmp_path):
    """As in Qwen, whose pad token also ends a text: masks are not read from ids."""
    tokenizer = chat_tokenizer()
    tokenizer.pad_token = "<call>"
    policy, tokenizer = load_policy(saved(tmp_path, tokenizer, ["</turn>", "<call>"]))
    drawn = sample(lifted(policy, tokenizer, ["<call>"], 50.0), tokenizer, ASKED, max_new_tokens=4)
    assert drawn.finished.all() and drawn.lengths.tolist() == [1] * 3 and drawn.texts == [""] * 3
    again = token_logprobs(policy, drawn.input_ids, drawn.attention_mask)
    kept = drawn.completion_mask.bool()
    torch.testing.assert_close(again[kept], drawn.logprobs[kept], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("end", "score"), [("</turn>", 1.0), ("<|eos|>", 1.0), ("<turn>", -1.0)])
def test_another_end_than_eos_is_not_punished_as_missing(tmp_path, end, score):
    """A completion of the beginning of a turn alone is cut, which is punished."""
    policy, tokenizer = load_policy(saved(tmp_path, chat_tokenizer(), ["<|eos|>", "</turn>"]))
    critic = ValueModel.from_policy(policy)
    config = PpoConfig(steps=1, prompts=3, minibatches=1, max_new_tokens=4, missing_eos=-1.0)
    history = train_ppo(
        lifted(policy, tokenizer, [end], 50.0), tokenizer, [{"prompt": p} for p in ASKED],
        lambda completions, **columns: [1.0] * len(completions), config, value_model=critic,
    )  # fmt: skip
    assert history["reward"].tolist() == [score]


def test_a_policy_that_was_not_loaded_here_stops_as_well():
    """The generation config is read when sampling, also through adapters."""
    tokenizer = chat_tokenizer(template=small_tokenizer().chat_template)
    policy = tiny_llama(vocab_size=len(tokenizer))
    policy.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(["<call>"])
    lifted(policy, tokenizer, ["<call>"], 50.0)
    for each in (policy, add_lora(policy, rank=2)):
        assert sample(each, tokenizer, ASKED, max_new_tokens=4).finished.all()


def test_an_end_beyond_the_vocabulary_ends_nothing():
    """GPT-2's config says 50256 whatever the vocabulary is."""
    policy = tiny_llama()
    policy.generation_config.eos_token_id = 50256
    assert end_ids(small_tokenizer(), policy) == (small_tokenizer().eos_token_id,)


def with_a_gap() -> PreTrainedTokenizerFast:
    """The last id is </turn>, and ids below it are no tokens."""
    core = json.loads(chat_tokenizer().backend_tokenizer.to_str())
    size = len(chat_tokenizer())
    core["added_tokens"] = [t for t in core["added_tokens"] if t["id"] < size - 3]
    core["model"]["vocab"]["</turn>"] = size + 40
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(core)), eos_token="<|eos|>"
    )
    assert tokenizer.convert_tokens_to_ids("</turn>") == size + 40 > len(tokenizer)
    return tokenizer


def test_an_id_beyond_a_gap_is_one_of_the_vocabulary(tmp_path):
    """Such a vocabulary has fewer tokens than its largest id says."""
    tokenizer = with_a_gap()
    last = tokenizer.convert_tokens_to_ids("</turn>")
    policy = tiny_llama(vocab_size=len(tokenizer))
    policy.generation_config.eos_token_id = [tokenizer.eos_token_id, last]
    policy.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    policy, tokenizer = load_policy(tmp_path)
    assert end_ids(tokenizer) == (tokenizer.eos_token_id, last)
    assert policy.get_input_embeddings().num_embeddings > max(last, tokenizer.pad_token_id)
    assert sample(policy, tokenizer, ["it"], max_new_tokens=2)


# --- writing


def endings() -> dict[str, tuple[str | None, str]]:
    """Chat templates, and the token with which each ends a reply."""
    roles, done = "{% for m in messages %}<turn>{{ m['role'] }}\n", "{% endfor %}"
    alone = "{{ raise_exception('one turn only') if messages | length > 1 }}"
    return {
        "behind the reply, then a line": (TURNS, "</turn>"),
        "behind a space": (roles + "{{ m['content'] + ' </turn>' }}" + done, "</turn>"),
        "behind a line": (roles + "{{ m['content'] + '\n</turn>' }}" + done, "</turn>"),
        "the reply is trimmed": (roles + "{{ m['content'] | trim }}</turn>" + done, "</turn>"),
        "after a thought": (roles + "<think></think>{{ m['content'] }}</turn>" + done, "</turn>"),
        "the end of the text": (roles + "{{ m['content'] + eos_token }}" + done, "<|eos|>"),
        "nothing": (roles + "{{ m['content'] }}\n" + done, "<|eos|>"),
        "words that are no token": (roles + "{{ m['content'] }}[END]" + done, "<|eos|>"),
        "no reply at all": (
            "{{ bos_token }}{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}"
            + done,
            "<|eos|>",
        ),
        "no conversation": (alone, "<|eos|>"),
        "our own": (CHAT_TEMPLATE, "<|eos|>"),
    }


@pytest.mark.parametrize("name", endings())
def test_a_written_reply_ends_as_the_template_ends_it(name):
    template, end = endings()[name]
    tokenizer = chat_tokenizer(template)
    (expected,) = tokenizer.convert_tokens_to_ids([end])
    assert turn_end(tokenizer) == completion_ids(tokenizer, "it is 5.")[-1] == expected
    assert {expected, tokenizer.eos_token_id} == set(end_ids(tokenizer))


def test_a_row_equals_the_rendered_conversation():
    tokenizer = chat_tokenizer()
    turns = [{"role": "user", "content": "a dog"}, {"role": "assistant", "content": "it is 5."}]
    whole = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
    ids = encode(tokenizer, "a dog", "it is 5.").ids
    assert ids == whole[: len(ids)] and tokenizer.decode(whole[len(ids) :]) == "\n"


def test_a_sentencepiece_tokenizer_ends_its_turns():
    ids = encode(sentencepiece_tokenizer(), "a dog", "it is 5.").ids
    assert sentencepiece_tokenizer().convert_ids_to_tokens(ids[-1]) == "</turn>"


def test_a_template_that_changes_is_read_anew():
    tokenizer = chat_tokenizer()
    first = turn_end(tokenizer)
    tokenizer.chat_template = CHAT_TEMPLATE
    assert turn_end(tokenizer) == tokenizer.eos_token_id != first
    tokenizer.chat_template = TURNS.replace("</turn>", "</later>")
    assert turn_end(tokenizer) == tokenizer.eos_token_id
    tokenizer.add_tokens(["</later>"], special_tokens=True)
    assert turn_end(tokenizer) == tokenizer.convert_tokens_to_ids("</later>")


def test_a_text_that_spells_any_end_is_refused(tmp_path):
    ends = ["<|eos|>", "</turn>", "<call>"]
    _, tokenizer = load_policy(saved(tmp_path, chat_tokenizer(), ends))
    for end in ends:
        with pytest.raises(ValueError, match=rf"holds {end.replace('|', '.')} in its text.*remove"):
            encode(tokenizer, "a dog", f"it is{end} 5.")
    assert encode(tokenizer, "a dog", "it is<turn> 5.")


def test_what_is_learnt_is_what_sampling_stops_at(tmp_path):
    for ends in (["</turn>"], ["<|eos|>"], ["<call>", "<|eos|>"]):
        policy, tokenizer = load_policy(
            saved(tmp_path / ends[0].strip("<>/|"), chat_tokenizer(), ends)
        )
        assert encode(tokenizer, "a dog", "it.").completion_ids[-1] in end_ids(tokenizer, policy)


# --- loading


def test_ends_outlive_saving_and_loading(tmp_path):
    policy, tokenizer = load_policy(
        saved(tmp_path / "one", chat_tokenizer(), ["</turn>", "<call>"])
    )
    policy.save_pretrained(tmp_path / "two")
    tokenizer.save_pretrained(tmp_path / "two")
    _, again = load_policy(tmp_path / "two")
    assert end_ids(again) == end_ids(tokenizer) and len(end_ids(again)) == 3


def test_the_shipped_model_has_one_end():
    policy, tokenizer = load_policy("tiny-base")
    assert end_ids(tokenizer, policy) == end_ids(tokenizer) == (tokenizer.eos_token_id,)
    assert turn_end(tokenizer) == tokenizer.eos_token_id


def test_an_end_that_only_the_model_declares_is_enough(tmp_path):
    tokenizer = chat_tokenizer(template=None)
    tokenizer.eos_token = None
    policy, tokenizer = load_policy(saved(tmp_path, tokenizer, ["</turn>"]))
    assert tokenizer.eos_token == "</turn>"
    assert tokenizer.decode(encode(tokenizer, "a dog", "it.").ids).endswith("it.</turn>")
    assert sample(policy, tokenizer, ["it"], max_new_tokens=2)


def test_no_end_at_all_is_one_sentence_everywhere(tmp_path):
    tokenizer = chat_tokenizer(template="{{ messages[0]['content'] }}")
    tokenizer.eos_token = None
    sentence = r"^nothing ends a turn of .*no eos_token, .*set tokenizer.eos_token to one of its"
    with pytest.raises(ValueError, match=sentence):
        load_policy(saved(tmp_path, tokenizer, None))
    with pytest.raises(ValueError, match=sentence):
        encode(tokenizer, "a dog", "it is 5.")
    policy = tiny_llama(vocab_size=len(tokenizer))
    policy.generation_config.eos_token_id = None
    policy.register_forward_pre_hook(lambda *_: pytest.fail("worked"))
    with pytest.raises(ValueError, match=sentence):
        sample(policy, tokenizer, ASKED)


def test_an_added_token_that_is_not_special_ends_a_turn():
    """As after `add_tokens(["<|im_end|>"])`; what also begins a turn ends none."""
    tokenizer = chat_tokenizer(special=False)
    assert turn_end(tokenizer) == tokenizer.convert_tokens_to_ids("</turn>")
    begins = "{% for m in messages %}<turn>{{ m['role'] + ' ' + m['content'] }}{% endfor %}<turn>"
    tokenizer.chat_template = begins
    assert turn_end(tokenizer) == tokenizer.eos_token_id
