"""A column that changes what a row means is read, or the row is refused and counted."""

from __future__ import annotations

import pytest
from public_rows import VALID
from tiny_models import small_tokenizer

from minialign.data.checks import FRAME
from minialign.data.formats import FORMATS
from minialign.data.reading import read, read_public
from minialign.data.shapes import Demonstration, Feedback, Pair, Prompt
from minialign.data.training_rows import demonstrations_of, problems_of

TOKENIZER = small_tokenizer()


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def bot(text: str, **more: object) -> dict:
    return {"role": "assistant", "content": text, **more}


def system(text: str) -> dict:
    return {"role": "system", "content": text}


PIRATE, ASKED = system("You are a pirate."), user("Name a tree.")
EARLIER = [user("Hi."), bot("Hello.")]
TASK = {"instruction": "Name a tree.", "output": "Oak."}
PAIR = {"prompt": "Name a tree.", "chosen": "Oak.", "rejected": "Ash."}
TALK = {"messages": [ASKED, bot("Oak.")]}
GPT = {
    "conversations": [{"from": "human", "value": "Name a tree."}, {"from": "gpt", "value": "Oak."}]
}
OAK = Demonstration([ASKED], "Oak.")

# --- What is read: a row, and what it becomes ---

READ: dict[str, tuple[dict, object]] = {
    "alpaca, system": ({**TASK, "system": "You are a pirate."},
                       Demonstration([PIRATE, ASKED], "Oak.")),
    "alpaca, history": ({**TASK, "history": [["Hi.", "Hello."]]},
                        Demonstration([*EARLIER, ASKED], "Oak.")),
    "alpaca, both": ({**TASK, "system": "You are a pirate.", "history": [("Hi.", "Hello.")]},
                     Demonstration([PIRATE, *EARLIER, ASKED], "Oak.")),
    "alpaca, neither": ({**TASK, "system": "", "history": [], "input": None},
                        Demonstration("Name a tree.", "Oak.")),
    "alpaca, context": ({**TASK, "input": "Acorns.", "context": "A park."},
                        Demonstration("Name a tree.\n\nAcorns.\n\nA park.", "Oak.")),
    "alpaca, the input again": (
        {**TASK, "instruction": "Name it.\nA tree.", "input": "A tree."},
        Demonstration("Name it.\nA tree.", "Oak.")),
    "alpaca, an input whose words the instruction has": (
        {**TASK, "instruction": "Capitalize the letter.", "input": "a"},
        Demonstration("Capitalize the letter.\n\na", "Oak.")),
    "dolly, a context whose words end the instruction": (
        {"instruction": "Is it a tree", "context": "tree", "response": "Yes."},
        Demonstration("Is it a tree\n\ntree", "Yes.")),
    "worked, an input whose digits the question has": (
        {"question": "Is it prime? Answer in 10 words.", "input": "1", "answer": "#### 4"},
        Prompt("Is it prime? Answer in 10 words.\n\n1", "4")),
    "dolly, system": ({"instruction": "Name a tree.", "response": "Oak.", "context": "",
                       "system_prompt": "You are a pirate."},
                      Demonstration([PIRATE, ASKED], "Oak.")),
    "sharegpt, system": ({**GPT, "system": "You are a pirate."},
                         Demonstration([PIRATE, ASKED], "Oak.")),
    "sharegpt, the same system twice": (
        {"system": "You are a pirate.", "conversations": [
            {"from": "system", "value": "You are a pirate."}, *GPT["conversations"]]},
        Demonstration([PIRATE, ASKED], "Oak.")),
    "sharegpt of role and content": ({"conversations": TALK["messages"]}, OAK),
    "sharegpt of both": ({"conversations": [GPT["conversations"][0], bot("Oak.")]}, OAK),
    "messages, system": ({**TALK, "system": "You are a pirate."},
                         Demonstration([PIRATE, ASKED], "Oak.")),
    "messages and their prompt": ({**TALK, "prompt": "Name a tree. "}, OAK),
    "messages and their prompt as messages": ({**TALK, "prompt": [ASKED]}, OAK),
    "messages of text parts": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Name "},
                                                   {"type": "text", "text": "a tree."}]},
                      {"role": "assistant", "content": [{"type": "text", "text": "Oak."}]}]}, OAK),
    "messages, nothing called": (
        {"tools": None, "messages": [ASKED, bot("Oak.", tool_calls=[], images=None, weight=1)]},
        OAK),
    "messages, an earlier reply unweighted": (
        {"messages": [user("Hi."), bot("Hello.", weight=0), ASKED, bot("Oak.", weight=1)]},
        Demonstration([*EARLIER, ASKED], "Oak.")),
    "seed task": ({"instruction": "Name a tree.", "id": "seed_task_0", "name": "tree",
                   "is_classification": False, "instances": [{"input": "", "output": "Oak."}]},
                  Demonstration("Name a tree.", "Oak.")),
    "seed task, input": ({"instruction": "Name a tree.",
                          "instances": [{"input": "Acorns.", "output": "Oak."}]},
                         Demonstration("Name a tree.\n\nAcorns.", "Oak.")),
    "demonstrations, context": ({"prompt": "Name a tree.", "context": "Acorns.",
                                 "completion": "Oak."},
                                Demonstration("Name a tree.\n\nAcorns.", "Oak.")),
    "preferences, system": ({**PAIR, "system": "You are a pirate."},
                            Pair([PIRATE, ASKED], "Oak.", "Ash.")),
    "preferences, question": ({"system": "You are a pirate.", "question": "Name a tree.",
                               "chosen": "Oak.", "rejected": "Ash."},
                              Pair([PIRATE, ASKED], "Oak.", "Ash.")),
    "preferences, instruction": ({"instruction": "Name a tree.", "input": "Acorns.",
                                  "chosen": "Oak.", "rejected": "Ash."},
                                 Pair("Name a tree.\n\nAcorns.", "Oak.", "Ash.")),
    "preferences, input": ({"input": "Name a tree.", "chosen": "Oak.", "rejected": "Ash."},
                           Pair("Name a tree.", "Oak.", "Ash.")),
    "transcripts, system": ({"system": "You are a pirate.",
                             "chosen": "\n\nHuman: Name a tree.\n\nAssistant: Oak.",
                             "rejected": "\n\nHuman: Name a tree.\n\nAssistant: Ash."},
                            Pair([PIRATE, ASKED], "Oak.", "Ash.")),
    "feedback, system": ({"prompt": "Name a tree.", "completion": "Oak.", "label": False,
                          "system": "You are a pirate."},
                         Feedback([PIRATE, ASKED], "Oak.", False)),
    "worked, context": ({"question": "Name a tree.", "context": "Acorns.", "answer": "#### 4"},
                        Prompt("Name a tree.\n\nAcorns.", "4")),
    "worked, system": ({"question": "Name a tree.", "system": "You are a pirate.",
                        "answer": "#### 4"}, Prompt([PIRATE, ASKED], "4")),
    "boxed, an answer of its own": ({"problem": "p", "solution": "It is 4.", "answer": "4"},
                                    Prompt("p", "4")),
    "options of a problem": (
        {"problem": "Which is a fruit?", "options": ["Oak", "Pear"], "answer": "B"},
        Prompt("Which is a fruit?\nA. Oak\nB. Pear", "B")),
    "options of a solved problem": (
        {"problem": "Which?", "solution": "s", "options": ["Oak", "Pear"], "answer": "B"},
        Prompt("Which?\nA. Oak\nB. Pear", "B")),
    "options of a question": ({"question": "Which?", "options": ["Oak", "Pear"], "answer": 1},
                              Prompt("Which?\nA. Oak\nB. Pear", "B")),
    "choices of a prompt": ({"prompt": "Which?", "choices": ["Oak", "Pear"], "answer": "B"},
                            Prompt("Which?\nA. Oak\nB. Pear", "B")),
    "no options": ({"problem": "Which?", "options": [], "answer": "4"}, Prompt("Which?", "4")),
    "alpaca, a question": (
        {"instruction": "Answer the question.", "question": "What is aspirin?", "input": "",
         "output": "A drug."},
        Demonstration("Answer the question.\n\nWhat is aspirin?", "A drug.")),
    "preferences, a question after its instruction": (
        {"instruction": "You are a tutor.", "question": "2+2?", "chosen": "4", "rejected": "5"},
        Pair("You are a tutor.\n\n2+2?", "4", "5")),
    "a weight of one": ({**PAIR, "weight": 1.0}, Pair("Name a tree.", "Oak.", "Ash.")),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_it_is_read(name: str):
    row, expected = READ[name]
    assert read_public([row], on_bad="refuse") == [expected]


# --- What is refused: a row, the reason that is counted, and a word of the message ---

TOOL = {"type": "function", "function": {"name": "trees"}}
PICTURE = [{"type": "image"}, {"type": "text", "text": "Which tree?"}]
REFUSED: dict[str, tuple[dict, str, str]] = {
    "two systems": ({"system": "Be kind.", "conversations": [
        {"from": "system", "value": "Be rude."}, *GPT["conversations"]]},
        "two systems", "keep one of them"),
    "system and system_prompt": ({**TASK, "system": "a", "system_prompt": "b"}, "two systems", ""),
    "a system that is no text": ({**TASK, "system": ["Be kind."]}, "wrong type", "'system'"),
    "a history of texts": ({**TASK, "history": ["Hi.", "Hello."]}, "wrong type", "list of pairs"),
    "a history of single turns": ({**TASK, "history": [["Hi."]]}, "wrong type", "list of pairs"),
    "a history that is a text": ({**TASK, "history": "Hi."}, "wrong type", "list of pairs"),
    "a history beside turns of its own": (
        {"history": [["Hi.", "Hello."]], "messages": [system("x"), bot("Oak.")]},
        "turns out of order", "roles"),
    "an input that is no text": ({**TASK, "input": ["Acorns."]}, "wrong type", "'input'"),
    "a context of documents": ({**TASK, "context": [{"title": "t"}]}, "wrong type", "'context'"),
    "tools": ({**TALK, "tools": [TOOL]}, "tools not read", "drop the row, or the column"),
    "tools as a text": ({**GPT, "tools": '[{"name": "trees"}]'}, "tools not read", "tools"),
    "images": ({**TALK, "images": ["tree.png"]}, "images not read", "tree.png"),
    "documents": ({**TALK, "documents": [{"text": "t"}]}, "documents not read", ""),
    "settings of the template": ({**TALK, "chat_template_kwargs": {"enable_thinking": True}},
                                 "chat_template_kwargs not read", ""),
    "a weight": ({**TASK, "weight": 0.5}, "weight not read", "counts as 1"),
    "no weight at all": ({**TASK, "weight": 0}, "weight not read", "counts as 1"),
    "an unlearnt row": ({**TASK, "train": False}, "reply not to be learnt", "'train'"),
    "a call": ({"messages": [ASKED, bot("Oak.", tool_calls=[TOOL])]}, "tool_calls not read", ""),
    "a call without words": ({"messages": [ASKED, bot(None, tool_calls=[TOOL])]},
                             "tool_calls not read", ""),
    "a thought": ({"messages": [ASKED, bot("Oak.", reasoning_content="Acorns.")]},
                  "reasoning_content not read", ""),
    "a tool's turn": ({"messages": [ASKED, {"role": "tool", "content": "4"}, bot("Oak.")]},
                      "unknown role", "use one of system, user, assistant"),
    "a function's turn": ({"messages": [ASKED, {"role": "function", "content": "4"}, bot("Oak.")]},
                          "unknown role", "'function'"),
    "a developer's turn": ({"messages": [{"role": "developer", "content": "x"}, ASKED, bot("Oak")]},
                           "unknown role", "'developer'"),
    "an observation": ({"conversations": [*GPT["conversations"],
                                          {"from": "observation", "value": "4"}]},
                       "unknown speaker", "'observation'"),
    "an unlearnt last reply": ({"messages": [ASKED, bot("Oak.", weight=0)]}, "weight not read", ""),
    "an unlearnt last turn": ({"conversations": [
        GPT["conversations"][0], {"from": "gpt", "value": "Oak.", "loss": False}]},
        "reply not to be learnt", "'loss'"),
    **{f"a last reply with {name} {value!r}": (
        {"messages": [ASKED, bot("Oak.", **{name: value})]}, "reply not to be learnt", name)
       for name, value in [("train", "false"), ("loss", 0), ("mask", True), ("mask", "True"),
                           ("train_on_turn", False), ("learn", False), ("learn", "0")]},
    "a task with options": ({**TASK, "options": ["Oak", "Ash"]}, "options not read", "options"),
    "a problem solved in its box, with options": (
        {"problem": "p", "solution": r"\boxed{B}", "options": ["a", "b"]}, "options not read", ""),
    "choices and other options": (
        {"prompt": "p", "choices": ["a", "b"], "options": ["a", "c"], "answer": "B"},
        "wrong choices", "differ"),
    "a picture": ({"messages": [{"role": "user", "content": PICTURE}, bot("Oak.")]}, "not text",
                  "only text is read"),
    "a part that is a text": ({"messages": [{"role": "user", "content": ["a"]}, bot("Oak.")]},
                              "not text", ""),
    "another prompt": ({**TALK, "prompt": "Name a bird."}, "two prompts", "none of the messages"),
    "another prompt as messages": ({**TALK, "prompt": [user("Name a bird.")]}, "two prompts", ""),
    "preferences with another prompt": (
        {"prompt": "Name a bird.", "chosen": [ASKED, bot("Oak.")],
         "rejected": [ASKED, bot("Ash.")]}, "two prompts", "Name a bird"),
    "a rejected reply of the user": (
        {"prompt": "p", "chosen": [bot("Oak.")], "rejected": [user("Ash.")]}, "no reply",
        "from user"),
    "a completion of the system": ({"prompt": "p", "completion": [system("Oak.")]}, "no reply",
                                   "from system"),
    "replies of different talks": (
        {"chosen": [ASKED, bot("Oak.")], "rejected": [PIRATE, ASKED, bot("Ash.")]}, "two prompts",
        "different prompts"),
    "a prompt that ends with a reply": ({"prompt": [ASKED, bot("Oak")], "completion": " tree."},
                                        "no request", "user's turn"),
    "a prompt of nothing": ({"prompt": [], "completion": "Oak."}, "no request", ""),
    "a label as a text": ({"prompt": "p", "completion": "Oak.", "label": "true"}, "wrong type",
                          "use true or false"),
    "a label as a number": ({"prompt": "p", "completion": "Oak.", "label": 1}, "wrong type", ""),
    "no instances": ({"instruction": "i", "instances": []}, "wrong type", "'instances'"),
    "instances that are texts": ({"instruction": "i", "instances": ["Oak."]}, "wrong type", ""),
    "an instance without output": ({"instruction": "i", "instances": [{"input": "x"}]},
                                   "missing column", "'completion'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_counted(name: str):
    row, reason, word = REFUSED[name]
    shape = Pair if "chosen" in row else Feedback if "label" in row else Demonstration
    shape = Prompt if "answer" in row or "solution" in row else shape
    found = read_public([row], shape)
    assert found == [] and found.dropped == {reason: [1]}
    assert word in found.why[reason]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("column", ["tools", "images", "documents", "function_call", "audio"])
def test_every_format_refuses_what_no_reader_takes(name: str, column: str):
    row = VALID[name]
    empty = [{**row, column: nothing} for nothing in (None, [], "", {}, "[]", False)]
    found = read_public([*empty, {**row, column: [{"a": 1}]}], FORMATS[name].shape)
    assert len(found) == len(empty)
    assert found.dropped == {f"{column} not read": [len(empty) + 1]}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_reads_a_system_text(name: str):
    row = {**VALID[name], "system": "You are a pirate."}
    (found,) = read_public([row], FORMATS[name].shape)
    assert found.prompt[0] == PIRATE and found.prompt[-1]["role"] == "user"


@pytest.mark.parametrize("column", ["tools", "images", "system", "history", "system_prompt"])
def test_rows_in_a_shapes_own_columns_are_refused_too(column: str):
    found = read([PAIR, {**PAIR, column: ["x"]}, {**PAIR, column: None}], Pair, on_bad="drop")
    assert found.numbers == [1, 3] and found.dropped == {f"{column} not read": [2]}


def test_messages_in_a_shapes_own_columns_are_checked_too():
    bad = [{"role": "tool", "content": "x"}, {**ASKED, "images": ["x"]},
           {"role": "user", "content": PICTURE}]  # fmt: skip
    rows = [{"prompt": [ASKED]}, *({"prompt": [message]} for message in bad)]
    found = read(rows, Prompt, on_bad="drop")
    assert found.numbers == [1]
    assert found.dropped == {"unknown role": [2], "images not read": [3], "not text": [4]}


def test_a_system_text_reaches_the_tokens(capsys):
    row = {**TASK, "system": "the cat sat"}
    with_it, without = demonstrations_of([row, TASK], TOKENIZER, 9)
    assert "the cat sat" in TOKENIZER.decode(with_it.prompt_ids)
    assert "the cat sat" not in TOKENIZER.decode(without.prompt_ids)


def test_a_system_text_of_a_problem_stays_before_it(capsys):
    (row,) = problems_of([{"question": "2 + 2?", "answer": "#### 4", "system": "Be brief."}], 9)
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    assert row["prompt"][1]["content"].startswith("2 + 2?\n\nWork step by step")


@pytest.mark.parametrize("name", FRAME)
def test_a_frame_that_only_read_public_takes_is_sent_there(name: str):
    row = {"prompt": "p", "completion": "Oak.", name: "Be kind."}
    with pytest.raises(ValueError, match=r"read it with `read_public`, or give `convert`") as found:
        read([row], Demonstration)
    assert "drop the row" not in str(found.value)


BAD_REPLIES = [{"prompt": "Hi.", "completion": "Idiot!"}, {"messages": [user("Hi."), bot("No!")]}]


@pytest.mark.parametrize("row", BAD_REPLIES, ids=lambda row: next(iter(row)))
@pytest.mark.parametrize(("name", "value"), [("label", False), ("label", 0), ("kto_tag", False)])
def test_a_reply_labelled_bad_is_no_demonstration(row: dict, name: str, value: object):
    found = read_public([{**row, name: value}, {**row, name: True}, row], Demonstration)
    assert found.numbers == [2, 3] and found.dropped == {"reply not to be learnt": [1]}
    own = [{"prompt": "Hi.", "completion": "Idiot!", name: value}]
    assert not read(own, Demonstration, on_bad="drop")
    assert read([{**own[0], "label": False}], Feedback)[0].label is False
