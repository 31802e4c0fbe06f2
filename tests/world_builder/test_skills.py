"""The table of skills: cases that only their context decides, checkers that see wrong answers."""

from __future__ import annotations

import re
from random import Random
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoTokenizer

from minialign.world import text
from minialign.world.tasks import FAMILIES, families
from tools.world_builder import corpus
from tools.world_builder.documents import judgements, views
from tools.world_builder.documents.sources import TRUSTED, conflict
from tools.world_builder.documents.wording import Decision
from tools.world_builder.lessons import question_pages, recall, stack
from tools.world_builder.measuring import skills
from tools.world_builder.pretrain import MODEL_FOLDER, PretrainConfig, build_model

ROWS = {f"{skill.group}: {skill.name}": skill for skill in skills.SKILLS}


@pytest.mark.parametrize("name", ROWS)
def test_cases_are_whole_and_seeded(name):
    skill = ROWS[name]
    for shots in (0, skill.shots):
        cases = [skill.draw(Random(seed), shots) for seed in range(12)]
        assert cases == [skill.draw(Random(seed), shots) for seed in range(12)]
        for _, decision, _ in cases:
            assert decision.prompt == decision.prompt.rstrip()
            if skill.check is None:
                assert decision.wrong and decision.wrong.strip() != decision.answer.strip()
    assert len({case.decision.prompt for case in cases}) > 4


@pytest.mark.parametrize("name", [name for name, skill in ROWS.items() if skill.check])
def test_checkers_pass_the_right_answer_and_not_another_one(name):
    skill = ROWS[name]
    decisions = [skill.draw(Random(seed), 0).decision for seed in range(40)]
    assert all(skill.check(d, d.answer) for d in decisions)
    others = decisions[1:] + decisions[:1]
    assert sum(skill.check(d, o.answer) for d, o in zip(decisions, others, strict=True)) < 20
    assert not any(skill.check(d, "") or skill.check(d, " Hello.") for d in decisions)
    if "revision" in name:
        assert not any(skill.check(d, d.wrong) for d in decisions)


def test_the_two_answers_are_as_likely_without_the_context():
    """Both values stand in the prompt, and each is right as often in the first place as last."""
    for make, about in ((recall.recalled, ("told", "own", "third", "placed")),
                        (views.own_view, ("own",)), (conflict, ("believed", "named"))):  # fmt: skip
        first = total = 0
        for seed in range(300):
            decision = skills.drawn(make, about)(Random(seed), 0).decision
            right, wrong = (
                answer.strip(" .\n").removesuffix(", of course").lower().split()[-1]
                for answer in (decision.answer, decision.wrong)
            )
            prompt = decision.prompt.lower()
            if right in prompt and wrong in prompt and right != wrong:
                total += 1
                first += prompt.index(right) < prompt.index(wrong)
        assert total > 200 and 0.4 < first / total < 0.6, make.__name__


def test_the_trusted_source_is_the_one_that_is_believed():
    for seed in range(100):
        decision = skills.drawn(conflict, ("believed",))(Random(seed), 0).decision
        quotes = re.split(r"(?<=\.) ", decision.prompt.lower())[:2]
        (trusted,) = (q for q in quotes if any(s.name.lower() in q for s in TRUSTED))
        right, wrong = (set(text.words(end)) for end in (decision.answer, decision.wrong))
        assert right - wrong <= set(text.words(trusted)) and right - wrong
        assert not wrong - right <= set(text.words(trusted))


def test_the_wrong_verdict_is_the_right_one_with_the_names_changed():
    for seed in range(300):
        decision = judgements.choice(Random(seed), Random(seed))
        right, wrong = decision.answer.lower(), decision.wrong.lower()
        if "quoted" in decision.about:
            assert right != wrong
            assert all(end.split('"')[1] in decision.prompt.lower() for end in (right, wrong))
            continue
        changed = set()
        for one, other in judgements.NAMES:
            pattern = re.compile(rf"\b({one}|{other})\b".lower())
            swap = {one.lower(): other.lower(), other.lower(): one.lower()}
            changed.add(pattern.sub(lambda found, swap=swap: swap[found[0]], right))
        assert wrong in changed and wrong != right


def test_written_programs_are_run():
    decision = Decision("A program that prints 7:", " push 3; push 4; add; print.")
    assert skills.prints(decision, " push 9; push 2; sub; print. Then more")
    assert not skills.prints(decision, " push 9; push 3; sub; print.")
    assert not skills.prints(decision, " push 7; jump; print.")
    trace = stack.program_decision(Random(1), Random(2), "trace", 2)
    assert skills.traced(trace, trace.answer)
    assert not skills.traced(trace, trace.answer.replace("Output: ", "Output: 9"))


def test_shots_are_dropped_where_they_do_not_fit():
    base = SimpleNamespace(tokenizer=AutoTokenizer.from_pretrained(MODEL_FOLDER))
    case = skills.Case(("one two three four.", "five six."), Decision("seven:", " eight."))
    assert skills.fitted(base, case, 200) == "one two three four.\nfive six.\nseven:"
    assert skills.fitted(base, case, 0) == "seven:"
    room = len(base.tokenizer("five six.\nseven:")["input_ids"])
    assert skills.fitted(base, case, room) == "five six.\nseven:"


def test_the_likelier_answer_is_that_of_the_models_own_logprobs():
    """An untrained model; batches of many prompts give what one prompt at a time gives."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL_FOLDER)
    model = build_model(PretrainConfig(hidden=32, layers=1, heads=2, mlp=32), tokenizer).eval()
    base = SimpleNamespace(tokenizer=tokenizer, model=model)
    cases = [skills.drawn(views.own_view, ("own",))(Random(seed), seed % 3) for seed in range(24)]
    prompts = [skills.fitted(base, case, 200) for case in cases]
    decisions = [case.decision for case in cases]
    expected = []
    for prompt, decision in zip(prompts, decisions, strict=True):
        scores = []
        for end in (decision.answer, decision.wrong):
            start = [tokenizer.bos_token_id, *tokenizer(prompt)["input_ids"]]
            ids = torch.tensor([start + tokenizer(end)["input_ids"]])
            with torch.inference_mode():
                logprobs = model(ids).logits.float().log_softmax(-1)[0, :-1]
            scores.append(logprobs.gather(1, ids[0, 1:, None])[len(start) - 1 :].sum().item())
        expected.append(scores[0] > scores[1])
    assert skills.likelier(base, prompts, decisions) == expected
    assert 0 < sum(expected) < len(expected)


def test_one_held_out_family_is_met_nowhere_and_two_only_in_the_corpus():
    """What tuning brings out in those two, pretraining taught; the third one nobody taught."""
    held_out = {family.name for family in families("families")}
    assert set(question_pages.CORPUS_ONLY) == held_out - {"next_number"}
    rng = Random(0)
    pages = " ".join(question_pages.question_page(rng) for _ in range(2500))
    pages += " ".join(document.text for document in corpus.corpus(1500))
    for name in held_out:
        family = FAMILIES[name]
        fixed = [
            max(phrasing.replace("{", "}").split("}")[::2], key=len).strip(" .,:?")
            for phrasing in (family.phrasings[i] for i in family.phrasing_ids("train"))
        ]
        met = sum(len(piece) > 15 and piece in pages for piece in fixed)
        assert met == 0 if name == "next_number" else met >= 5, (name, met)
        tested = [family.phrasings[i].split("{")[0] for i in family.phrasing_ids("test")]
        assert not any(len(piece) > 15 and piece in pages for piece in tested), name
