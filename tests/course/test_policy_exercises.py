"""Exercises on policies, held against a second way to compute them."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
import torch

from minialign.algorithms.ppo import policy_loss
from minialign.core import kl
from minialign.core.advantages import whiten
from minialign.course.exercises import check
from minialign.evaluate import exact


def test_what_is_left_out_is_in_no_baseline():
    def one_by_one(rewards, counted):
        advantages = torch.zeros_like(rewards)
        for p, (row, used) in enumerate(zip(rewards.tolist(), counted.tolist(), strict=True)):
            for i, reward in enumerate(row):
                others = [r for j, r in enumerate(row) if used[j] and j != i]
                if used[i] and others:
                    advantages[p, i] = reward - sum(others) / len(others)
        return advantages

    assert check.leave_out(one_by_one)


def test_pass_at_k_is_a_share_of_all_choices():
    correct, n, ks = check.pass_curve.cases[0]
    for c, row in zip(correct.tolist(), check.pass_curve.reference(correct, n, ks), strict=True):
        tries = [i < c for i in range(n)]
        shares = [[any(some) for some in combinations(tries, k)] for k in ks]
        assert row.tolist() == pytest.approx([sum(each) / len(each) for each in shares])


BEGINS = r"(?:^|(?<=[.!?] )|(?<=\n))"


@pytest.mark.parametrize(
    ("begins", "counts", "verdict"),
    [
        (BEGINS, True, "right"),
        ("", True, "pays for 'I doubt that the answer is 12.'"),
        (BEGINS, False, "pays for 'The answer is not 11. The answer is 12.'"),
        ("", False, "yes to 'I doubt that the answer is 12.', and is wrong about 1 more: a doubt"),
    ],
)
def test_a_verifier_without_one_of_its_conditions_is_told_which(begins, counts, verdict, capsys):
    unit = "(?: (?!not|maybe|perhaps)[a-z]+)?"
    claim = re.compile(
        rf"{begins}the answer is ([0-9]{{1,6}}){unit}(?=[.!](?:\s|$)|\n|$)",
        re.IGNORECASE | re.ASCII,
    )

    def verified(text, answer):
        claims = [*claim.finditer(text)] if len(text) < 1000 else []
        if {match[1] for match in claims} != {str(answer)}:
            return False
        every = not counts or text.lower().count("answer is") == len(claims)
        return every and not re.search("[0-9]", text[claims[-1].end() :])

    assert check.verified(verified) == (verdict == "right")
    assert verdict in capsys.readouterr().out


def test_a_loss_for_the_kl_without_a_gradient_is_told(capsys):
    assert not check.kl_loss(lambda *given: check.kl_loss.reference(*given).detach())
    assert "has the right values, but no gradient" in capsys.readouterr().out


def test_a_loss_for_the_kl_has_its_gradient_on_average():
    policy, reference = exact.TabularPolicy(seed=1), exact.TabularPolicy(seed=2)
    logprobs, ref_logprobs = exact.token_logprobs(policy), exact.token_logprobs(reference).detach()
    loss = check.kl_loss.reference(logprobs, ref_logprobs, policy.mask.long())
    right = exact.gradient(policy, exact.exact_kl(policy, reference))
    assert torch.allclose(exact.expected_gradient(policy, loss), right, atol=1e-9)


def test_a_reward_is_compared_with_the_others_of_its_group():
    def one_by_one(rewards):
        advantages = torch.zeros_like(rewards)
        for i, row in enumerate(rewards.tolist()):
            for j, reward in enumerate(row):
                others = row[:j] + row[j + 1 :]
                advantages[i, j] = reward - sum(others) / len(others)
        return advantages

    assert check.rloo_advantages(one_by_one)


def test_advantages_are_a_mix_of_looks_ahead():
    """Schulman et al. 2015, equation 16: k steps of reward, then the critic, weighed by lambda."""

    def of_looks(rewards, values, mask, lam):
        advantages = torch.zeros_like(rewards)
        for i, row in enumerate(mask):
            places = row.nonzero()[:, 0].tolist()
            for t in places:
                rest = [u for u in places if u >= t]
                looks = []
                for k in range(1, len(rest) + 1):
                    after = values[i, rest[k]] if k < len(rest) else 0.0
                    looks.append(rewards[i, rest[:k]].sum() + after - values[i, t])
                shares = [(1 - lam) * lam**k for k in range(len(looks))]
                shares[-1] = lam ** (len(looks) - 1)  # all longer looks see the same
                advantages[i, t] = sum(s * look for s, look in zip(shares, looks, strict=True))
        return advantages

    assert check.lambda_advantages(of_looks)


def test_whitening_is_the_package_s_own():
    assert check.whitened(whiten)
    for values, mask in check.whitened.cases:
        inside = check.whitened.reference(values, mask)[mask.bool()]
        spread = 0 if len(values[mask.bool()].unique()) == 1 else 1
        assert abs(inside.mean()) < 1e-6 and abs(inside.std() - spread) < 1e-5


def test_moments_of_kl_estimators_are_those_of_many_samples():
    for logprobs, ref_logprobs in check.kl_moments.cases:
        drawn = torch.multinomial(logprobs.exp(), 400_000, replacement=True)
        pairs = logprobs[drawn], ref_logprobs[drawn]
        each = torch.stack([kl.k1(*pairs), kl.k2(*pairs), kl.k3(*pairs)])
        found = torch.stack([each.mean(1), each.std(1)], 1)
        assert torch.allclose(found, check.kl_moments.reference(logprobs, ref_logprobs), atol=0.02)


def test_the_beta_that_gives_a_kl_gives_it():
    for ref_logprobs, rewards, wanted in check.beta_for_kl.cases:
        beta = check.beta_for_kl.reference(ref_logprobs, rewards, wanted)
        best = exact.tilted(ref_logprobs, rewards, float(beta))[0]
        assert (best.exp() @ (best - ref_logprobs)).item() == pytest.approx(wanted, rel=1e-4)


def test_a_token_is_pulled_where_the_loss_has_a_slope():
    def by_autograd(ratio, advantages, clip):
        ratio = ratio.requires_grad_()
        policy_loss(ratio, advantages, clip=clip).sum().backward()
        return (ratio.grad != 0).float()

    assert check.still_pulled(by_autograd)
