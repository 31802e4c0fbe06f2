"""Exercise checks name the mistake, and a cell is held to the package's own code."""

from __future__ import annotations

import copy
from functools import partial
from itertools import combinations
from operator import attrgetter

import pytest
import torch
from torch.nn.functional import logsigmoid

from minialign.algorithms import dpo, ppo
from minialign.algorithms.sft import cross_entropy
from minialign.core.logprobs import masked_sum
from minialign.course.exercises import check
from minialign.course.exercises.compare import MAX_LINES, plain_code, values
from minialign.evaluate import statistics

EXERCISES = [found for found in vars(check).values() if isinstance(found, check.Exercise)]
EARLY = [  # of second editions
    check.names_cold,
    check.next_token_logprobs,
    check.conversation_mask,
    check.micro_losses,
    check.restart_positions,
    check.neftune_noise,
    check.best_low_rank,
    check.best_choice_loss,
    check.fitted_temperature,
    check.best_of_n_gold,
    check.length_free,
    check.fitted_scores,
    check.rloo_advantages,
    check.lambda_advantages,
    check.whitened,
    check.kl_moments,
    check.beta_for_kl,
    check.still_pulled,
    check.pair_losses,
    check.wpo_weight,
    check.best_margins,
    check.robust_loss,
    check.kto_losses,
    check.verified,
    check.leave_out,
    check.pass_curve,
    check.kl_loss,
]
NAME = attrgetter("name")


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAME)
def test_the_reference_is_right_and_every_mistake_is_named(exercise, capsys):
    assert exercise(exercise.reference)
    for mistake, wrong in exercise.mistakes.items():
        capsys.readouterr()
        assert not exercise(wrong)
        assert capsys.readouterr().out == f"{exercise.name}: {mistake}\n"


def test_an_exercise_has_the_name_by_which_notebooks_call_it():
    assert EXERCISES and all(getattr(check, one.name) is one for one in EXERCISES)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (lambda logprobs, mask: None, "not solved yet"),
        (lambda logprobs, mask: "1", "returns a str; return a tensor of shape (3,)"),
        (lambda logprobs, mask: 1.0, "returns a float; return a tensor of shape (3,)"),
        (lambda logprobs, mask: [0.0] * 3, "returns a list; return a tensor of shape (3,)"),
        (lambda logprobs, mask: cross_entropy(logprobs, mask).sum(), "has shape ()"),
        (lambda logprobs, mask: 2 * cross_entropy(logprobs, mask), "at [0] where"),
        (lambda logprobs, mask: logprobs.undo(), "raises AttributeError: 'Tensor' object"),
    ],
)
def test_an_answer_is_told_what_is_wrong(answer, verdict: str, capsys):
    assert not check.cross_entropy(answer)
    assert verdict in capsys.readouterr().out


def test_the_losses_of_the_notebooks_are_the_package_s_without_types(capsys):
    def dpo_loss(chosen_logratio, rejected_logratio, *, beta=0.1):
        return -logsigmoid(beta * (chosen_logratio - rejected_logratio))

    assert check.same_code(dpo_loss, dpo.dpo_loss)

    def dpo_loss(chosen_logratio, rejected_logratio, *, beta=0.1):
        return -logsigmoid(beta * (rejected_logratio - chosen_logratio))

    capsys.readouterr()
    assert not check.same_code(dpo_loss, dpo.dpo_loss)
    assert "rejected_logratio - chosen_logratio" in capsys.readouterr().out


def test_a_changed_cell_is_shown_beside_the_package_s_and_nothing_stops(capsys):
    ours = cross_entropy

    def changed(logprobs, mask):
        return masked_sum(logprobs, mask)

    assert check.same_code(changed, ours) is False
    printed = capsys.readouterr().out
    assert "changed above is your version, and what trains" in printed
    assert "-    return -masked_sum(logprobs, mask)\n" in printed
    assert "+    return masked_sum(logprobs, mask)\n" in printed

    assert not check.same_code(changed, ppo.train_ppo)  # all of it differs: the start is enough
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == MAX_LINES + 2 and lines[-1] == "..."


@pytest.mark.parametrize("sourceless", [partial(cross_entropy, mask=None), eval("lambda x: x")])
def test_what_has_no_source_is_not_compared(sourceless, capsys):
    assert check.same_code(sourceless, cross_entropy) is False
    assert "yours has no source" in capsys.readouterr().out


def test_only_what_runs_is_compared():
    typed = '''
    def loss(logprobs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Nats."""
        total: Tensor = (
            logprobs.sum()  # of all
        )
        count: int
        return total
    '''
    bare = "def loss(logprobs, mask=None):\n    total = logprobs.sum()\n    return total"
    assert plain_code(typed) == plain_code(bare)
    assert plain_code(bare) != plain_code(bare.replace("sum", "mean"))
    assert plain_code(bare) != plain_code(bare.replace("mask=None", "mask=1"))


def test_only_the_values_that_differ_are_printed(capsys):
    def all_but_one(logprobs, mask):
        loss = cross_entropy(logprobs, mask)
        loss[-1] += 1
        return loss

    assert not check.cross_entropy(all_but_one)
    printed = capsys.readouterr().out
    assert "at [2] where" in printed and "at [0]" not in printed


@pytest.mark.parametrize(
    "cut",
    [
        lambda chosen, rejected: -logsigmoid(chosen - rejected).detach(),
        lambda chosen, rejected: torch.tensor((-logsigmoid(chosen - rejected)).tolist()),
        lambda chosen, rejected: -logsigmoid((chosen - rejected).data),
    ],
)
def test_a_loss_without_gradient_is_not_right(cut, capsys):
    assert not check.comparison_loss(cut)
    assert "right values, but no gradient: nothing could be trained" in capsys.readouterr().out
    assert not check.comparison_loss(lambda c, r: -logsigmoid(c - r.detach()))
    assert "has the right values, and wrong gradients (case 1)" in capsys.readouterr().out


def test_a_gradient_that_is_nan_is_told(capsys):
    """The slope of a logarithm at 0 is infinite, and torch.where multiplies it by 0."""

    def log_of_softmax(logits, ids, mask, ref_sums, beta):
        logprobs = logits[:, :-1].softmax(-1).gather(-1, ids[:, 1:, None])[..., 0].log()
        sums = torch.where(mask[:, 1:] > 0, logprobs, 0.0).sum(1)
        chosen, rejected = (sums - ref_sums).view(-1, 2).unbind(1)
        return -logsigmoid(beta * (chosen - rejected))

    assert not check.pair_losses(log_of_softmax)
    assert "gradients that are nan, as softmax(x).log() has where" in capsys.readouterr().out


def test_a_guess_outlives_its_kernel_and_stands_beside_the_answer(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIALIGN_RUNS", str(tmp_path / "runs"))
    check.reveal("ends", 0.5)
    assert "0.5; you guessed nothing yet" in capsys.readouterr().out
    check.guess("ends")
    assert "no guess yet" in capsys.readouterr().out
    check.guess("ends", [0.25, "falls"])
    check.guess("other", 3)
    capsys.readouterr()
    check.guess("other")
    assert "other: your earlier guess, 3, stands" in capsys.readouterr().out
    check.reveal("ends", [0.5, "falls"])
    assert "you guessed [0.25, 'falls'], which is not so" in capsys.readouterr().out
    check.reveal("other", 3)
    assert "3; you guessed 3, which is right" in capsys.readouterr().out
    check.reveal("other", statistics.share([True, False]))
    assert "(n = 2); you guessed 3, off by 2.5" in capsys.readouterr().out
    (tmp_path / "runs" / "guesses.json").write_text("[")
    check.reveal("ends", 0.5)
    assert "you guessed nothing yet" in capsys.readouterr().out


def test_letters_may_be_one_word_and_the_right_ones_are_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIALIGN_RUNS", str(tmp_path))
    check.guess("bugs", "dcab", like=["A", "B", "C", "D"])
    check.reveal("bugs", ["D", "A", "C", "B"])
    assert "you guessed ['D', 'C', 'A', 'B'], of which 2 of 4 are right" in capsys.readouterr().out
    check.reveal("bugs", ["D", "C", "A", "B"])
    assert "which is right" in capsys.readouterr().out


def test_a_guess_has_its_unit_and_words_in_any_case(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIALIGN_RUNS", str(tmp_path))
    for value, unit in ((60, "share"), (-0.1, "share"), (101, "percent"), ([0.9, 0.4], "percent")):
        with pytest.raises(ValueError, match=f"give a {unit}, from 0 to"):
            check.guess("it", value, unit=unit)
    for value, unit in (
        (0.6, "share"),
        (1, "share"),
        ([90, 0.5, 0], "percent"),
        ([0, 1], "percent"),
    ):
        check.guess("it", value, unit=unit)
    check.guess("bug", "SHIFT", like=("EOS", "shift"))
    capsys.readouterr()
    check.reveal("bug", "shift")
    assert "you guessed shift, which is right" in capsys.readouterr().out
    check.guess("slope", 0.526)
    check.reveal("slope", -0.5262)
    assert "you guessed 0.526, right but for the sign" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "like", "message"),
    [
        (object(), None, "guess is a object; give a number, a word"),
        ("foo", ("shift", "EOS"), "guess is 'foo'; give 'shift' or 'EOS'"),
        ("foo", 0.5, "guess is 'foo'; give one like 0.5"),
        (True, 0.5, "guess is True; give one like 0.5"),
        ([0.5], [50, 50], r"guess is \[0.5\]; give one like \[50, 50\]"),
        (50, [50, 50], "guess is 50; give one like"),
        ([50, "x"], [50, 50], "give one like"),
        (["C", "A", "C"], ["A", "B", "C"], "give each of 'A', 'B', 'C' once, in a list"),
        (["C", "A"], ["A", "B", "C"], "give each of 'A', 'B', 'C' once, in a list"),
        ("CAD", ["A", "B", "C"], "give each of 'A', 'B', 'C' once, in a list"),
    ],
)
def test_a_guess_of_another_kind_is_refused(value, like, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIALIGN_RUNS", str(tmp_path))
    with pytest.raises((TypeError, ValueError), match=message):
        check.guess("it", value, like=like)
    good = [1, 2] if like == [50, 50] else like[-1] if isinstance(like, tuple) else like
    check.guess("it", good, like=like)
    check.reveal("it", [2, 4])
    said = capsys.readouterr().out
    assert ("off by 1, 2" in said) == (like == [50, 50])


def test_a_guess_is_an_order_of_words(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIALIGN_RUNS", str(tmp_path))
    check.guess("letters", ["c", "A", "b"], like=["A", "B", "C"])
    check.reveal("letters", ["C", "A", "B"])
    assert "you guessed ['C', 'A', 'B'], which is right" in capsys.readouterr().out


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAME)
def test_no_two_mistakes_give_the_same_answers(exercise):
    answers = {
        mistake: [values(wrong(*case)) for case in exercise.cases]
        for mistake, wrong in exercise.mistakes.items()
    }
    for one, two in combinations(answers, 2):
        assert not all(map(exercise.close, answers[one], answers[two])), (one, two)


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAME)
def test_a_stub_is_not_solved_and_an_answer_may_change_its_arguments(exercise, capsys):
    assert exercise(lambda *_: None) is False
    assert "not solved yet" in capsys.readouterr().out

    def careless(*given):
        answer = copy.deepcopy(exercise.reference(*given))
        for one in given:
            for tensor in one if isinstance(one, list) else [one]:
                if isinstance(tensor, torch.Tensor):
                    tensor.zero_()
        return answer

    if not exercise.trains:  # what a gradient is computed from must stay
        assert exercise(careless) == exercise(careless) != exercise.keeps
    if exercise.keeps:
        assert "changes its arguments in place" in capsys.readouterr().out


@pytest.mark.parametrize("exercise", EARLY, ids=NAME)
def test_the_first_notebooks_exercises_name_the_common_mistakes(exercise):
    assert len(exercise.mistakes) >= 5 and len(exercise.cases) >= 2
    for mistake in exercise.mistakes:
        assert len(mistake.split()) >= 5 and not mistake.endswith("."), mistake


def test_an_answer_that_forgets_a_branch_or_fails_in_a_case_is_told_where(capsys):
    assert not check.names_cold(lambda reply: reply.split()[0] == "Cold.")
    assert "list index out of range (case '')" in capsys.readouterr().out
    assert not check.names_cold(lambda reply: reply.count("o"))
    assert "returns 5; return True or False" in capsys.readouterr().out
    assert not check.names_cold(lambda reply: reply == "Cold." or None)
    assert "returns None in case 'cold'; return True or False there too" in capsys.readouterr().out


def test_a_lost_dimension_and_truth_values_are_told(capsys):
    assert not check.rloo_advantages(lambda rewards: rewards - rewards.mean(1))
    assert "keepdim=True keeps a dimension" in capsys.readouterr().out
    pulled = check.still_pulled.reference
    assert not check.still_pulled(lambda *given: pulled(*given) > 0)
    assert "holds True and False; return 1 and 0" in capsys.readouterr().out


def test_a_search_that_stops_early_is_told(capsys):
    assert not check.beta_for_kl(lambda *given: 1.03 * check.beta_for_kl.reference(*given))
    assert "does the search stop too early?" in capsys.readouterr().out
