"""The doctor finds what is wrong and says how to mend it; a talk goes on until it ends."""

from __future__ import annotations

import builtins
import subprocess
import sys
from importlib import metadata

import pytest
import torch

from minialign.__main__ import main
from minialign.course import chat, doctor, pipeline


@pytest.mark.parametrize(
    ("running", "state"), [((3, 10), "old"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "note")]
)
def test_python_versions(running, state):
    finding = doctor.check_python(running)
    assert finding.state == state and finding.bad == (state == "old")
    assert bool(finding.repair) == finding.bad


@pytest.mark.parametrize(
    ("installed", "state"),
    [("2.13.0", "ok"), ("2.13.1+cu130", "ok"), ("2.14.0.dev1", "ok"), ("2.12.9", "old")],
)
def test_versions_against_the_lower_bound(monkeypatch, installed, state):
    monkeypatch.setattr(metadata, "version", lambda name: installed)
    finding = doctor.check_requirement("torch>=2.13")
    assert finding.state == state and installed in finding.text
    assert ("torch>=2.13" in finding.repair) == finding.bad


def test_a_missing_package_comes_with_its_command():
    finding = doctor.check_requirement("no-such-package-here>=1")
    assert finding.state == "missing" and finding.bad
    assert finding.repair == 'python -m pip install --upgrade "no-such-package-here>=1"'


def test_every_requirement_is_checked():
    names = [text.split(">=")[0] for text in doctor.requirements()]
    assert {"torch", "transformers", "papermill"} <= set(names) and "pytest" not in names


def test_low_disk_is_a_problem_and_little_memory_a_note():
    assert doctor.check_disk(0.2).bad and not doctor.check_disk(5).bad
    assert doctor.check_memory((8, 0.5)).state == "note"
    assert doctor.check_memory(None).state == "note" and doctor.check_memory((8, 4)).state == "ok"


@pytest.mark.parametrize(
    ("card", "cores", "memory", "expected"),
    [
        (("Tesla T4", 14.7), 2, (12, 10), "small"),
        (("a card of 8 GB", 7.6), 2, (12, 10), "small, batch_size=4"),
        (("old card", 4.0), 8, (32, 20), "tiny"),
        (("Apple MPS", 12.0), 8, (16, 9), "tiny"),
        (None, 2, None, "tiny"),
        (None, 1, (8, 4), "tiny"),
        (None, 2, (2, 1), "smoke"),
    ],
)
def test_the_profile_that_fits(card, cores, memory, expected):
    name, why = doctor.recommend(card, cores, memory)
    assert name == expected and why


def test_a_healthy_machine(monkeypatch, capsys):
    monkeypatch.setattr(doctor.hardware, "free_disk", lambda folder: 50.0)
    monkeypatch.setattr(doctor, "sample_once", lambda: "tiny-base, 9 tokens")
    monkeypatch.setattr(doctor, "requirements", lambda: ["numpy>=1"])
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "use the profile " in printed and "repair" not in printed
    assert "ok       sample         tiny-base, 9 tokens" in printed


def test_each_problem_is_named_with_its_repair(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("MINIALIGN_DATA", str(tmp_path))
    monkeypatch.setenv("MINIALIGN_PROFILE", "huge")
    monkeypatch.setattr(doctor, "requirements", lambda: ["no-such-package-here>=1", "numpy>=999"])
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    for what in ("no-such-package-here", "numpy", "data", "profile", "sample"):
        assert f"\nrepair {what}: " in printed, what
    assert "use the profile" not in printed


def test_the_sample_is_plain_text(monkeypatch):
    from minialign.core import sampling

    real = sampling.sample

    def evil(*positional, **named):
        sampled = real(*positional, **named)
        sampled.texts[:] = ["\x1b[31mred\x1b]0;title\x07 \u202eturned\rback"]
        return sampled

    monkeypatch.setattr(sampling, "sample", evil)
    text = doctor.sample_once()
    assert text.endswith("sample: red \\u202eturned\\rback") and "tokens/s" in text


def test_the_command_line_needs_no_package_before_a_command_is_known():
    heavy = "{'torch', 'numpy', 'pandas', 'transformers', 'papermill'}"
    checked = (
        "import sys, minialign.__main__, minialign.course.doctor; "
        f"sys.exit({heavy} & {{*sys.modules}})"
    )
    ran = subprocess.run([sys.executable, "-c", checked], capture_output=True, text=True)
    assert ran.stderr.strip() in ("", "set()")


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return chat.load("tiny-base", torch.device("cpu"))


def test_a_stage_is_talked_with_by_its_name(monkeypatch):
    asked = []
    monkeypatch.setattr(pipeline, "stage", lambda name: asked.append(name) or "tiny-base")
    for name in chat.POLICIES:
        chat.load(name, torch.device("cpu"))
    assert tuple(asked) == chat.POLICIES and set(chat.POLICIES) == {*pipeline.STAGES} - {"reward"}


def talk_of(model, seed: int = 0, new: int = 8) -> chat.Chat:
    return chat.Chat(*model, torch.Generator().manual_seed(seed), max_new_tokens=new)


def lines(*given):
    """An `input` that gives these lines, raises those that are exceptions, and then ends."""
    left = iter(given)

    def ask(prompt: str) -> str:
        line = next(left, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line

    return ask


def test_a_talk_remembers_its_turns_and_one_seed_gives_one_talk(model, capsys):
    talks = [talk_of(model, seed) for seed in (1, 1, 2)]
    for one in talks:
        chat.talk(one, lines("Who is Mia?", "", "  ", "And \udc80 then?"))
    first, again, _ = talks
    assert [m["role"] for m in first.messages] == ["user", "assistant"] * 2
    assert first.messages == again.messages
    assert capsys.readouterr().out.count("model: ") == 6


def test_a_new_talk_forgets(model):
    one = talk_of(model)
    chat.talk(one, lines("Hello.", "/new", "/quit", "Never said."))
    assert one.messages == []


def test_ctrl_c_stops_a_reply_and_at_the_prompt_the_talk(model, monkeypatch, capsys):
    one = talk_of(model)

    def interrupted(*positional, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(chat, "sample", interrupted)
    chat.talk(one, lines("Hello.", KeyboardInterrupt(), "Never said."))
    assert one.messages == [] and "(stopped)" in capsys.readouterr().out


def test_the_oldest_turns_leave_when_the_context_is_full(model, capsys):
    one = talk_of(model)
    for _ in range(12):
        one.reply("a long story about a fox and a mirror and a scarf " * 4)
    ids = chat.prompt_ids(one.tokenizer, one.messages[:-1])
    assert len(ids) + 8 <= one.policy.config.max_position_embeddings
    assert one.messages[0]["role"] == "user" and len(one.messages) < 24
    chat.talk(one, lines("word " * 999))
    assert "say it shorter" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--model", "/no/such/folder"], "cannot be loaded"), (["--temperature", "-1"], "0 or more")],
)
def test_a_chat_that_cannot_be_is_refused(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(builtins, "input", lines())
    with pytest.raises(SystemExit) as refused:
        main(["chat", *arguments])
    assert refused.value.code == 2 and message in capsys.readouterr().err
