"""Public conversations: rows of demonstrations and feedback as the columns of a shape.

A conversation gives one example: what comes before its last reply is the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minialign.data.checks import (
    BadRow,
    brief,
    is_empty,
    message_of,
    missing,
    refuse_unread,
    refuse_unused,
)
from minialign.data.shapes import Messages, Row

SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
            "system": "system"}  # of ShareGPT  # fmt: skip
REQUESTS = ("prompt", "instruction", "question", "input")  # the first of them that a row has
CONTEXT = ("input", "context", "passage")  # what a request is about: it follows the request
CHOICES = ("choices", "options")  # `problems` reads them, and no one else


def column(row: Row, name: str) -> Any:
    """A column that must be there."""
    if row.get(name) is None:
        raise missing(row, name)
    return row[name]


def text(row: Row, name: str) -> str:
    """A column that must be there and hold a string."""
    value = column(row, name)
    if not isinstance(value, str):
        raise BadRow("wrong type", f"column {name!r} is a {type(value).__name__}; use a string")
    return value


def request_of(row: Row, name: str) -> str:
    """A request, and after a blank line each what it is about, if it does not say so itself."""
    refuse_unread(row, CHOICES)
    request = text(row, name)
    further = REQUESTS[REQUESTS.index(name) + 1 :] if name in REQUESTS else ()
    names = dict.fromkeys((*further, *CONTEXT))
    others = (other for other in names if other != name and not is_empty(row.get(other)))
    about = [text(row, other) for other in others]
    new = (words for words in about if not f"\n{request}".endswith(f"\n{words}"))
    return "\n\n".join([request, *new])


def messages(name: str, value: Any) -> Messages:
    """Messages of role and content that a user began, or a system turn before the user."""
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        raise BadRow("wrong type", f"column {name!r} is a {type(value).__name__}; use messages")
    turns = [message_of(name, turn) for turn in value]
    in_turn(name, turns)
    if turns:
        refuse_unused(value[-1], f"the last message of column {name!r}")
    return turns


def in_turn(name: str, turns: Messages) -> None:
    """Refuse messages in which user and assistant do not take turns."""
    roles = [turn["role"] for turn in turns]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if spoken != ["user", "assistant"] * (len(spoken) // 2) + ["user"] * (len(spoken) % 2):
        rule = "user and assistant take turns, after one system message or none"
        raise BadRow("turns out of order", f"column {name!r} has roles {', '.join(roles)}; {rule}")


def split_reply(name: str, turns: Messages) -> tuple[Messages, str]:
    """What comes before the last reply, and the last reply."""
    if len(turns) < 2 or turns[-1]["role"] != "assistant":
        raise BadRow("no reply", f"column {name!r} does not end with a reply; drop the row")
    return turns[:-1], turns[-1]["content"]


def with_frame(row: Row, example: dict[str, Any]) -> dict[str, Any]:
    """An example whose prompt begins with the row's system text and history of turns, if any."""
    system = {
        text(row, name) for name in ("system", "system_prompt") if not is_empty(row.get(name))
    }
    history = [] if is_empty(row.get("history")) else _history(row["history"])
    prompt = example["prompt"]
    if not system and not history:
        return example
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    if turns[0]["role"] == "system":
        system.add(turns.pop(0)["content"])
    if len(system) > 1:
        raise BadRow("two systems", "the row has two system texts that differ; keep one of them")
    first = [{"role": "system", "content": one} for one in system]
    turns = [*first, *history, *turns]
    in_turn("history", turns)
    return {**example, "prompt": turns}


def _history(value: Any) -> Messages:
    """Earlier turns, as pairs of a request and its reply."""
    whole = isinstance(value, list) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(t, str) for t in pair)
        for pair in value
    )
    if not whole:
        rule = "use a list of pairs, a request and its reply each"
        raise BadRow("wrong type", f"column 'history' is {brief(value)}; {rule}")
    roles = ("user", "assistant")
    return [{"role": r, "content": t} for pair in value for r, t in zip(roles, pair, strict=True)]


def alpaca(row: Row, reply: str = "output") -> Row:
    """Instruction, input and output."""
    return {"prompt": request_of(row, "instruction"), "completion": row.get(reply)}


def dolly(row: Row) -> Row:
    """Instruction, context and response."""
    return alpaca(row, "response")


def seed_task(row: Row) -> Row:
    """Self-instruct: an instruction and a list of instances, of which the first is taken."""
    instances = column(row, "instances")
    if not isinstance(instances, list) or not instances or not isinstance(instances[0], Mapping):
        rule = "use a list of one or more dicts of 'input' and 'output'"
        raise BadRow("wrong type", f"column 'instances' is {brief(instances)}; {rule}")
    first = instances[0]
    return alpaca({**row, "input": first.get("input"), "output": first.get("output")})


def conversation(row: Row) -> Row:
    """Messages; a prompt beside them must be one of them."""
    turns = messages("messages", column(row, "messages"))
    before, completion = split_reply("messages", turns)
    return {"prompt": _prompt_once(row, before), "completion": completion}


def sharegpt(row: Row) -> Row:
    """Turns of from and value, or of role and content."""
    turns = column(row, "conversations")
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise BadRow("wrong type", "column 'conversations' is no list of turns; use from and value")
    talk = messages("conversations", [_turn(turn) for turn in turns])
    before, completion = split_reply("conversations", talk)
    return {"prompt": _prompt_once(row, before), "completion": completion}


def _turn(turn: Row) -> Row:
    """A turn of ShareGPT as a message; what else it holds is kept, to be checked."""
    if "from" not in turn and "role" in turn:
        return turn
    who = text(turn, "from")
    if who not in SPEAKERS:
        rule = f"use one of {', '.join(SPEAKERS)}"
        raise BadRow("unknown speaker", f"a turn is from {brief(who)}; {rule}")
    rest = {name: value for name, value in turn.items() if name not in ("from", "value")}
    return {**rest, "role": SPEAKERS[who], "content": text(turn, "value")}


def demonstration(row: Row) -> Row:
    """A prompt and a completion, each text or messages."""
    before, completion = reply(row, "completion")
    return {"prompt": request(row, before), "completion": completion}


def feedback(row: Row) -> Row:
    """A demonstration with a label."""
    return {**demonstration(row), "label": row.get("label")}


def reply(row: Row, name: str) -> tuple[Messages, str]:
    """A completion, and the messages that it carries before itself (of plain text: none)."""
    value = column(row, name)
    if isinstance(value, str):
        return [], value
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping):
        message = message_of(name, value[0])
        if message["role"] != "assistant":
            rule = "a reply is the assistant's; drop the row"
            raise BadRow("no reply", f"column {name!r} is from {message['role']}; {rule}")
        refuse_unused(value[0], f"the message of column {name!r}")
        return [], message["content"]
    return split_reply(name, messages(name, value))


def request(row: Row, before: Messages) -> str | Messages:
    """The row's request, or the messages before the completion, which hold it already."""
    if before:
        return _prompt_once(row, before)
    name = next((name for name in REQUESTS if row.get(name) is not None), "prompt")
    value = column(row, name)
    if not isinstance(value, list):
        return request_of(row, name)
    turns = messages(name, value)
    if not turns or turns[-1]["role"] != "user":
        raise BadRow("no request", f"column {name!r} does not end with a user's turn; drop the row")
    return turns


def _prompt_once(row: Row, before: Messages) -> Messages:
    """The messages before a reply; a prompt column beside them must not say something else."""
    value = row.get("prompt")
    if is_empty(value):
        return before
    contents = [turn["content"].strip() for turn in before]
    same = value.strip() in contents if isinstance(value, str) else value == before
    if not same and isinstance(value, list):
        same = messages("prompt", value) == before
    if not same:
        rule = "which is none of the messages before the reply; drop the row or the column"
        raise BadRow("two prompts", f"column 'prompt' is {brief(value)}, {rule}")
    return before
