"""The references of exercises against slow computations of the same, and what cases must hold."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from minialign.course.exercises import check, replies
from minialign.course.exercises.replies import ATTACKS, VERDICTS
from minialign.rewards.verifiers import right_answer
from minialign.world.tasks import Instruction


def three_rounds(wins):
    """Scores by Hunter's algorithm, stopped early."""
    strengths = torch.ones(len(wins))
    for _ in range(3):
        strengths = wins.sum(1) / ((wins + wins.T) / (strengths[:, None] + strengths)).sum(1)
    return strengths.log() - strengths.log().mean()


def test_a_mask_holds_the_replies_of_a_conversation_token_by_token():
    def mask(ids, assistant, eos, padding):
        learnt = torch.zeros_like(ids)
        for i, row in enumerate(ids.tolist()):
            inside = False
            for t, token in enumerate(row):
                learnt[i, t] = inside and token != padding
                inside = token == assistant or (inside and token != eos)
        return learnt

    assert check.conversation_mask(mask)


def test_masks_and_positions_are_asked_for_under_either_padding():
    for ids, _, _, padding in check.conversation_mask.cases[:2]:
        assert len(set((ids != padding).sum(1).tolist())) > 1
    paddings = [(ids[:, 0] == pad, ids[:, -1] == pad) for ids, _, _, pad in
                check.conversation_mask.cases]  # fmt: skip
    assert any(left.any() for left, _ in paddings) and any(end.any() for _, end in paddings)
    for exercise, mask in ((check.restart_positions, 0), (check.neftune_noise, 1)):
        masks = [case[mask] > 0 for case in exercise.cases]
        assert any((~one[:, 0]).any() for one in masks), "none is padded on the left"
        assert any((~one[:, -1]).any() for one in masks), "none is padded on the right"
        assert all(len(set(one.sum(1).tolist())) > 1 for one in masks)
    for logprobs, masks in check.micro_losses.cases:
        assert len({one.shape for one in logprobs}) == len({int(one.sum()) for one in masks}) > 1


@pytest.mark.parametrize("left", [0, 2])
@pytest.mark.parametrize("right", [0, 3])
def test_the_last_real_token_is_found_under_any_padding(left: int, right: int):
    mask = torch.tensor([[0] * left + [1] * 4 + [0] * right])
    assert check.last_column.reference(mask).tolist() == [left + 3]


def test_losses_of_micro_batches_have_the_gradient_of_the_whole_batch():
    for logprobs, masks in check.micro_losses.cases:
        parts = [one.clone().requires_grad_() for one in logprobs]
        check.micro_losses.reference(parts, masks).sum().backward()
        flat = torch.cat([one.flatten() for one in logprobs]).requires_grad_()
        loss = -flat[torch.cat([mask.flatten() for mask in masks]) == 1].mean()
        loss.backward()
        assert torch.allclose(torch.cat([one.grad.flatten() for one in parts]), flat.grad)


def test_positions_count_the_tokens_before_within_the_document():
    def positions(documents):
        same = documents[:, :, None] == documents[:, None]
        return same.tril(-1).sum(-1) * (documents > 0)

    assert check.restart_positions(positions)


def test_noise_of_a_row_is_as_long_as_alpha_at_most():
    for uniform, mask, alpha in check.neftune_noise.cases:
        noise = check.neftune_noise.reference(uniform.sign(), mask, alpha)
        assert torch.allclose(noise.flatten(1).norm(dim=1), torch.full((len(mask),), alpha))


def test_no_search_finds_a_nearer_matrix_of_low_rank():
    """Alternating least squares over b a reaches the distance, and not less."""
    for update, r in check.best_low_rank.cases:
        best = check.best_low_rank.reference(update, r)
        assert torch.linalg.matrix_rank(best, rtol=1e-5) == r
        a = torch.randn(r, update.shape[1], generator=torch.Generator().manual_seed(1))
        for _ in range(300):
            b = torch.linalg.lstsq(a.T, update.T).solution.T
            a = torch.linalg.lstsq(b, update).solution
        assert torch.allclose((update - b @ a).norm(), (update - best).norm(), rtol=1e-3)


def test_the_temperature_is_the_best_of_a_grid():
    def on_a_grid(leads, wins):
        grid = torch.linspace(0.1, 10, 4000)
        losses = [binary_cross_entropy_with_logits(leads / t, wins) for t in grid]
        return grid[torch.stack(losses).argmin()]

    assert check.fitted_temperature(on_a_grid)
    assert check.fitted_temperature(lambda *given: torch.as_tensor(on_a_grid(*given)).view(1))


def test_the_best_of_n_is_a_mean_over_all_choices():
    def over_choices(proxy, gold, n):
        choices = torch.tensor([*combinations(range(proxy.shape[1]), n)])
        best = proxy[:, choices].argmax(-1, keepdim=True)
        return gold[:, choices].gather(-1, best)[..., 0].mean(1)

    assert check.best_of_n_gold(over_choices)


def test_what_is_left_of_a_lead_knows_nothing_of_length():
    for leads, doublings in check.length_free.cases:
        left = check.length_free.reference(leads, doublings)
        assert abs((left * doublings).sum()) < 1e-5 < abs((leads * doublings).sum())


def test_scores_are_where_the_likelihood_is_flat_and_their_mean_is_0():
    for (wins,) in check.fitted_scores.cases:
        scores = check.fitted_scores.reference(wins).requires_grad_()
        (wins * logsigmoid(scores[:, None] - scores)).sum().backward()
        assert scores.grad.abs().max() < 1e-6 and abs(scores.sum()) < 1e-9


def test_the_loss_of_a_pair_is_that_of_its_tokens_one_by_one():
    def by_tokens(logits, ids, mask, ref_sums, beta):
        sums = []
        for i, row in enumerate(ids.tolist()):
            places = [t for t in range(1, len(row)) if mask[i, t]]
            sums.append(sum(logits[i, t - 1].log_softmax(-1)[row[t]] for t in places))
        ratios = [a - b for a, b in zip(sums, ref_sums, strict=True)]
        leads = [beta * (c - r) for c, r in zip(ratios[::2], ratios[1::2], strict=True)]
        return torch.stack([-logsigmoid(lead) for lead in leads])

    assert check.pair_losses(by_tokens)
    for logits, ids, mask, _, _ in check.pair_losses.cases:
        dead = (logits == -torch.inf).nonzero()
        assert len(dead) and all(not mask[i, t + 1] and ids[i, t + 1] == v for i, t, v in dead)
    ends = [(mask[:, -1] == 1).all() for _, _, mask, _, _ in check.pair_losses.cases]
    assert True in ends and False in ends


def test_the_mean_weight_of_the_policy_s_own_tokens_is_1_but_for_the_mean_of_logarithms():
    """One token: the probability of a drawn token over its mean is 1 on average."""
    logits = torch.randn(1, 2, 7, generator=torch.Generator().manual_seed(0))
    chances, weight = logits[0, 0].softmax(-1), check.wpo_weight.reference
    each = [weight(logits, torch.tensor([[0, v]]), torch.tensor([[0, 1]])) for v in range(7)]
    assert torch.allclose(chances @ torch.cat(each), torch.tensor(1.0))

    def by_tokens(logits, ids, mask):
        weights = []
        for i in range(len(ids)):
            logs = []
            for t in mask[i].nonzero()[:, 0].tolist():
                p = logits[i, t - 1].softmax(-1)
                logs.append((p[ids[i, t]] / (p * p).sum()).log())
            weights.append(torch.stack(logs).mean().exp())
        return torch.stack(weights)

    assert check.wpo_weight(by_tokens)


@pytest.mark.parametrize("cut", [False, True])
def test_a_weight_is_right_with_and_without_a_gradient(cut: bool):
    """It is a constant of the loss, so what calls it cuts the gradient."""
    logits, ids, mask = check.wpo_weight.cases[0]

    def weight(logits, ids, mask):
        found = check.wpo_weight.reference(logits.requires_grad_(), ids, mask)
        return found.detach() if cut else found

    assert weight(logits.clone(), ids, mask).requires_grad != cut
    assert check.wpo_weight(weight)


def test_no_margin_of_a_grid_has_less_expected_loss():
    def on_a_grid(chance, beta):
        grid = torch.linspace(-60, 60, 240_001, dtype=torch.double)
        found = []
        for loss in (
            lambda m: -logsigmoid(beta * m),
            lambda m: (m - 1 / (2 * beta)).square(),
        ):
            each = [(p * loss(grid) + (1 - p) * loss(-grid)).argmin() for p in chance.double()]
            found.append(grid[torch.stack(each)])
        found[0][chance == 1] = torch.inf  # the grid ends
        return torch.stack(found)

    chance, beta = check.best_margins.cases[0]
    right = check.best_margins.reference(chance, beta).double()
    assert torch.allclose(on_a_grid(chance, beta), right, atol=1e-3)


def test_margins_in_columns_are_told_to_be_transposed(capsys):
    assert not check.best_margins(lambda *given: check.best_margins.reference(*given).T)
    said = capsys.readouterr().out
    assert "has shape (5, 2); it should be (2, 5) (case 1): rows and columns are exchanged" in said


def test_the_robust_loss_of_labels_that_are_swapped_at_random_is_the_true_one_s():
    for margin, beta, flip in check.robust_loss.cases:
        loss = check.robust_loss.reference
        mean = (1 - flip) * loss(margin, beta, flip) + flip * loss(-margin, beta, flip)
        assert torch.allclose(mean, -logsigmoid(beta * margin), atol=1e-4)


def test_kto_s_losses_one_by_one():
    def one_by_one(logratios, liked, mismatched, beta):
        z = max(0.0, sum(mismatched.tolist()) / len(mismatched))
        signs = [1 if like else -1 for like in liked.tolist()]
        gains = [sign * beta * (u - z) for sign, u in zip(signs, logratios, strict=True)]
        return torch.stack([1 - 1 / (1 + torch.exp(-gain)) for gain in gains])

    assert check.kto_losses(one_by_one)


def test_the_verdicts_on_replies_are_the_world_s_and_a_short_checker_s():
    def names_cold(reply):
        text = reply.lower().replace("opposite of hot", "")
        words = set(re.findall("[a-z]+", text))
        return "cold" in words and not words & {"hot", "warm", "cool", "or", "not", "isn"}

    assert check.names_cold(names_cold)
    slots = {"word": "hot", "Word": "Hot", "answer": "cold"}
    asked = Instruction("opposite", 0, slots, "train")
    assert asked.prompt == "What is the opposite of hot?"
    assert {reply: asked.check(reply) for reply in VERDICTS} == VERDICTS


def test_a_reason_stands_beside_a_verdict_that_can_be_wrong():
    right = {**VERDICTS, **ATTACKS}
    for verdict, text in replies._REASONS:
        assert right[text] == (verdict == "no"), text


def test_the_attacks_are_paid_as_the_course_s_verifier_pays_and_a_short_one_can_do_it():
    begins, ends = (
        r"(?:^|(?<=[.!?] )|(?<=\n))",
        r"(?: (?!not|maybe|perhaps)[a-z]+)?(?=[.!](\s|$)|\n|$)",
    )
    claim = re.compile(rf"{begins}the answer is ([0-9]{{1,6}}){ends}", re.IGNORECASE | re.ASCII)

    def verified(text, answer):
        claims = [*claim.finditer(text)]
        if len(text) > 1000 or {match[1] for match in claims} != {str(answer)}:
            return False
        rest = text[claims[-1].end() :]
        return text.lower().count("answer is") == len(claims) and not re.search("[0-9]", rest)

    assert check.verified(verified)
    paid = right_answer(["?"] * len(ATTACKS), [*ATTACKS], answer=[12] * len(ATTACKS))
    assert paid == [float(right) for right in ATTACKS.values()]


@pytest.mark.parametrize(
    ("exercise", "answer", "verdict"),
    [
        (
            check.names_cold,
            lambda reply: VERDICTS[reply] or reply in ("Cool or cold.", "Warm."),
            "says yes to 'Warm.', and is wrong about 1 more",
        ),
        (
            check.best_choice_loss,
            lambda scores: -(scores.softmax(1)[:, 0] + 1e-8).log(),
            "right, but not for scores 200 apart, which cost 0 and 200 and not 0 and 18.42",
        ),
        (
            check.fitted_temperature,
            lambda *given: 1.05 * check.fitted_temperature.reference(*given),
            "near, but not within 1%",
        ),
        (
            check.fitted_temperature,
            lambda leads, wins: leads.std() / 3,
            "the loss is",
        ),
        (check.fitted_temperature, lambda *given: 10.0, "it is 10 in every case"),
        (
            check.fitted_temperature,
            lambda leads, wins: -2118.0 * wins.mean(),
            "the search left T > 0",
        ),
        (
            check.best_choice_loss,
            lambda scores: scores.amax(1) - scores[:, 0],
            "the highest score stands in the place of",
        ),
        (
            check.best_choice_loss,
            lambda scores: check.best_choice_loss.reference(scores).mean(),
            "it is one number, return one per row",
        ),
        (
            check.best_of_n_gold,
            lambda *given: check.best_of_n_gold.reference(*given) + 0.01,
            "near, as a mean over random draws is",
        ),
        (
            check.fitted_scores,
            lambda wins: check.fitted_scores.reference(wins) + len(wins),
            "right but for a constant: subtract the mean",
        ),
        (
            check.fitted_scores,
            lambda wins: 2 * check.fitted_scores.reference(wins) + 1,
            "right but for their scale",
        ),
        (
            check.fitted_scores,
            lambda wins: wins.sum(1) / (wins + wins.T).sum(1) - 0.5,
            "these are shares of wins, shifted or scaled",
        ),
        (
            check.fitted_scores,
            lambda wins: check.fitted_scores.reference(wins)
            + 0.05 * torch.arange(len(wins)).cos(),
            "near, but not the maximum",
        ),
        (check.fitted_scores, three_rounds, "near, but not the maximum"),
        (check.fitted_scores, lambda wins: wins.sum(1) / 0, "gives inf at [0]"),
        (
            check.beta_for_kl,
            lambda *given: 1.2 * check.beta_for_kl.reference(*given),
            "nats from the reference, where 0.5 is wanted (case 1)",
        ),
        (
            check.verified,
            lambda text, answer: len(text) > 1000 or ATTACKS.get(text, False),
            "says yes to a text that ends with 'swer is 12. The answer is 12. '",
        ),
        (
            check.kl_loss,
            lambda pi, ref, mask: (pi - ref).mul(mask).flip(1).cumsum(1).flip(1) * pi * mask,
            "has the right values, and wrong gradients: the log-ratios are constants, so detach()",
        ),
    ],
)  # fmt: skip
def test_an_answer_that_equals_no_mistake_is_told_what_it_is_like(
    exercise, answer, verdict, capsys
):
    assert not exercise(answer)
    assert verdict in capsys.readouterr().out
