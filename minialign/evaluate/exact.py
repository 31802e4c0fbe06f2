"""A world small enough to enumerate, where every expectation is a finite sum.

A `TabularPolicy` is a language model whose logits are a table: one row for every prefix, one column
for every token. There are so few completions that E[reward], KL, entropy, their gradients and the
optimal policy are computed, not estimated. A sampled estimator or a loss is right when its exact
expectation over this world is the exact quantity:

>>> policy, reference = TabularPolicy(seed=0), TabularPolicy(seed=1)
>>> k1 = token_logprobs(policy) - token_logprobs(reference)  # (N, L)
>>> torch.allclose(expectation(policy, k1), exact_kl(policy, reference))
True

N is the number of completions, L the tokens of the longest. There is no prompt, so column t of an
(N, L) tensor is about token t of the completion, from t = 0. Logprobs, KL and entropy are in nats.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minialign.core.logprobs import gather_logprobs, masked_sum

MAX_VOCAB, MAX_LENGTH = 10, 4  # 7381 completions


def _tree(vocab_size: int, max_length: int, eos: int) -> tuple[list, list, list]:
    """Prefixes and completions, shortest first, and what each (prefix, token) leads to.

    A child i >= 0 is prefix i; a child -1 - i is completion i.
    """
    prefixes, completions, children = [()], [], []
    for prefix in prefixes:  # grows while it is walked: breadth first
        row = []
        for token in range(vocab_size):
            longer = (*prefix, token)
            if token == eos or len(longer) == max_length:
                row.append(-1 - len(completions))
                completions.append(longer)
            else:
                row.append(len(prefixes))
                prefixes.append(longer)
        children.append(row)
    return prefixes, completions, children


def _check_world(vocab_size: int, max_length: int, eos: int) -> None:
    if not (2 <= vocab_size <= MAX_VOCAB and 1 <= max_length <= MAX_LENGTH):
        raise ValueError(
            f"vocab_size={vocab_size}, max_length={max_length} is no world to enumerate; "
            f"use 2 to {MAX_VOCAB} tokens and a length of 1 to {MAX_LENGTH}"
        )
    if not 0 <= eos < vocab_size:
        raise ValueError(f"eos is {eos}, but must be one of the ids 0 to {vocab_size - 1}")


class TabularPolicy(nn.Module):
    """A language model that is a table of logits, one row per prefix.

    The token `eos` finishes a completion; one that reaches `max_length` tokens ends without it.

    Args:
        vocab_size: V, 2 to 10 tokens, `eos` among them.
        max_length: L, 1 to 4 tokens; at 1 the policy is a bandit with V arms.
        eos: id of the token that ends a completion.
        seed: of the random logits; the global random state is not touched.
        scale: standard deviation of the logits; 0 is uniform at every token, 3 is peaked.
        dtype: of the logits; float64 leaves no doubt whether a difference is rounding.

    Attributes:
        logits: (prefixes, V) the parameter; row i belongs to `prefixes()[i]`.
        tokens: (N, L) ids of the completions, -1 at padding.
        mask: (N, L) bool, true at tokens, EOS included.
        prefix_index: (N, L) the row of `logits` that predicts each token, 0 at padding; a table of
            values per prefix becomes values per token by `values[policy.prefix_index]`.
        finished: (N,) bool, true where the completion ends with EOS.

    Raises:
        ValueError: for a world that is too large to enumerate, or an eos outside the vocabulary.

    >>> TabularPolicy(vocab_size=3, max_length=2).completions()
    [(0,), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    """

    def __init__(
        self,
        vocab_size: int = 4,
        max_length: int = 3,
        *,
        eos: int = 0,
        seed: int = 0,
        scale: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ):
        super().__init__()
        _check_world(vocab_size, max_length, eos)
        self.vocab_size, self.max_length, self.eos = vocab_size, max_length, eos
        self._prefixes, self._completions, children = _tree(vocab_size, max_length, eos)
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(len(children), vocab_size, dtype=dtype, generator=generator)
        self.logits = nn.Parameter(scale * start)
        row_of = {prefix: row for row, prefix in enumerate(self._prefixes)}
        steps = range(max_length)
        tokens = [[y[t] if t < len(y) else -1 for t in steps] for y in self._completions]
        rows = [[row_of[y[:t]] if t < len(y) else 0 for t in steps] for y in self._completions]
        self._constant("tokens", torch.tensor(tokens))
        self._constant("mask", self.tokens >= 0)
        self._constant("prefix_index", torch.tensor(rows))
        self._constant("finished", (self.tokens == eos).any(1))
        self._constant("child", torch.tensor(children))  # (prefixes, V), see _tree

    def _constant(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)  # moves with .to(), is not saved

    def completions(self) -> list[tuple[int, ...]]:
        """All N completions, shortest first: the order of every (N,) tensor."""
        return list(self._completions)

    def prefixes(self) -> list[tuple[int, ...]]:
        """All prefixes that a token can follow, shortest first: the order of `logits`' rows."""
        return list(self._prefixes)

    def forward(self) -> Tensor:
        """(prefixes, V) log pi(token | prefix)."""
        return self.logits.log_softmax(-1)

    def __len__(self) -> int:
        return len(self._completions)

    def extra_repr(self) -> str:
        world = f"vocab_size={self.vocab_size}, max_length={self.max_length}, eos={self.eos}"
        return f"{world}, completions={len(self)}"


def _check_same_world(policy: TabularPolicy, other: TabularPolicy) -> None:
    if policy.extra_repr() != other.extra_repr():
        raise ValueError(
            f"policies of two worlds, ({policy.extra_repr()}) and ({other.extra_repr()}); "
            "make both with the same vocab_size, max_length and eos"
        )


def _per_completion(policy: TabularPolicy, values: Tensor) -> Tensor:
    """(N,) as it is; (N, L) summed over the tokens of each completion."""
    if values.shape == policy.mask.shape:
        return masked_sum(values, policy.mask)
    if values.shape == (len(policy),):
        return values
    raise ValueError(
        f"values have shape {tuple(values.shape)}, but must be one per completion, "
        f"({len(policy)},), or per token, {tuple(policy.mask.shape)}, in the order of completions()"
    )


def token_logprobs(policy: TabularPolicy) -> Tensor:
    """(N, L) log pi(token t | tokens before t), 0 at padding; differentiable."""
    found = gather_logprobs(policy.logits[policy.prefix_index], policy.tokens.clamp(min=0))
    return found.masked_fill(~policy.mask, 0.0)


def sequence_logprobs(policy: TabularPolicy) -> Tensor:
    """(N,) log pi(completion), the sum over its tokens; differentiable.

    A coin is thrown at most twice, and 0 ends it:

    >>> sequence_logprobs(TabularPolicy(vocab_size=2, max_length=2, scale=0)).exp().tolist()
    [0.5, 0.25, 0.25]
    """
    return masked_sum(token_logprobs(policy), policy.mask)


def expectation(policy: TabularPolicy, values: Tensor) -> Tensor:
    """E of `values` over the policy's completions; differentiable in the policy and in the values.

    Args:
        policy: whose completions they are.
        values: (N,) one per completion, or (N, L) one per token, summed over each completion.

    Returns:
        A scalar. Here the expected number of throws, 1/2 * 1 + 1/2 * 2:

    >>> coin = TabularPolicy(vocab_size=2, max_length=2, scale=0)
    >>> expectation(coin, torch.ones(3, 2)).item()
    1.5
    """
    return (sequence_logprobs(policy).exp() * _per_completion(policy, values)).sum()


def exact_kl(policy: TabularPolicy, reference: TabularPolicy) -> Tensor:
    """KL(policy || reference) of their distributions over completions, in nats; 0 when equal.

    By the chain rule it is also the sum of the KLs between their next-token distributions along the
    prefixes that the policy visits. Differentiable in both; swap them for KL(reference || policy).
    """
    _check_same_world(policy, reference)
    return expectation(policy, sequence_logprobs(policy) - sequence_logprobs(reference))


def exact_entropy(policy: TabularPolicy) -> Tensor:
    """Entropy of the distribution over completions, in nats; differentiable.

    >>> exact_entropy(TabularPolicy(vocab_size=3, max_length=1, scale=0)).exp().round().item()
    3.0
    """
    return -expectation(policy, sequence_logprobs(policy))


def gradient(policy: TabularPolicy, value: Tensor) -> Tensor:
    """Gradient of a scalar in the policy's logits, flat; `.view_as(policy.logits)` has its rows.

    Raises:
        ValueError: if `value` does not depend on the policy.
    """
    if not value.requires_grad:
        raise ValueError(
            "the value has no gradient; compute it from the policy, without detach or no_grad"
        )
    return torch.autograd.grad(value, policy.logits, retain_graph=True)[0].flatten()


def policy_gradient(policy: TabularPolicy, rewards: Tensor) -> Tensor:
    """Gradient of the exact expected reward, flat: what policy-gradient methods estimate.

    Args:
        policy: whose logits are differentiated.
        rewards: (N,) a constant per completion; (N, L) rewards per token are summed.
    """
    return gradient(policy, expectation(policy, rewards.detach()))


def expected_gradient(
    policy: TabularPolicy, loss_per_completion: Tensor, *, sampler: TabularPolicy | None = None
) -> Tensor:
    """E[gradient of loss(y)] over sampled y: the gradient of a sampled loss on average, flat.

    A sample is a constant: the loss is differentiated, but not the probability of having drawn it.
    So log pi(y) as a loss has no gradient on average, and -log pi(y) * reward(y) has that of
    -E[reward]:

    >>> policy, rewards = TabularPolicy(), torch.arange(40.0)
    >>> found = expected_gradient(policy, -sequence_logprobs(policy) * rewards)
    >>> torch.allclose(found, -policy_gradient(policy, rewards))
    True

    Args:
        policy: whose logits are differentiated.
        loss_per_completion: (N,) computed from the policy, or (N, L), summed over tokens.
        sampler: who drew the completions; None is the policy itself (on-policy).

    Returns:
        Flat vector, as long as the policy has logits.
    """
    sampler = policy if sampler is None else sampler
    _check_same_world(policy, sampler)
    drawn = sequence_logprobs(sampler).exp().detach()
    return gradient(policy, (drawn * _per_completion(policy, loss_per_completion)).sum())


def tilted(reference_logprobs: Tensor, rewards: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """log of pi_ref(y) exp(r(y) / beta) / Z, and log Z.

    Args:
        reference_logprobs: (N,) of all completions.
        rewards: (N,) of the same completions.
        beta: > 0, reward per nat; small goes to the best completion, large stays at the reference.

    Returns:
        (N,) logprobs, and the scalar log Z; beta log Z is the largest E[r] - beta KL(pi || pi_ref).

    Raises:
        ValueError: if beta is not above 0, or the shapes differ.
    """
    if not beta > 0:
        raise ValueError(f"beta is {beta}, but must be > 0; near 0 for the best completion")
    if reference_logprobs.shape != rewards.shape:
        raise ValueError(
            f"rewards have shape {tuple(rewards.shape)}, but must have one per completion, "
            f"{tuple(reference_logprobs.shape)}"
        )
    scores = reference_logprobs + rewards / beta
    log_z = scores.logsumexp(-1)
    return scores - log_z, log_z


def optimal_policy(reference: TabularPolicy, rewards: Tensor, beta: float) -> Tensor:
    """The distribution that maximises E[reward] - beta KL(policy || reference); (N,) probabilities.

    pi_ref(y) exp(r(y) / beta) / Z: Rafailov et al., "Direct Preference Optimization" (2023),
    arXiv:2305.18290, eq. 4. Equal rewards leave the reference as it is; see `tilted` for beta.
    """
    return tilted(sequence_logprobs(reference), rewards, beta)[0].exp()


@torch.no_grad()
def to_tabular(distribution: Tensor, like: TabularPolicy) -> TabularPolicy:
    """The policy whose completions have exactly this distribution.

    Args:
        distribution: (N,) probabilities in the order of `like.completions()`; above 0, of sum 1.
        like: a policy of the same world; its logits do not matter, and it is left as it is.

    Raises:
        ValueError: for another shape, a sum that is not 1, or a probability of 0 (a logit of -inf).

    >>> reference, rewards = TabularPolicy(), torch.arange(40.0)
    >>> best = to_tabular(optimal_policy(reference, rewards, beta=10.0), reference)
    >>> bool(expectation(best, rewards) > expectation(reference, rewards))
    True
    """
    total = float(distribution.sum())
    if distribution.shape != (len(like),) or not abs(total - 1) < 1e-5:
        raise ValueError(
            f"a distribution of shape {tuple(distribution.shape)} and sum {total:.6g}; "
            f"give {len(like)} probabilities, one per completion, of sum 1"
        )
    if not (distribution > 0).all():
        worst = int(distribution.argmin())
        raise ValueError(
            f"completion {like.completions()[worst]} has probability {float(distribution[worst])}, "
            "but must have more than 0; mix in a little of the uniform distribution"
        )
    policy = TabularPolicy(like.vocab_size, like.max_length, eos=like.eos, dtype=distribution.dtype)
    policy.to(distribution.device)
    mass = torch.zeros_like(policy.logits)  # probability of passing through (prefix, token)
    edges = policy.prefix_index[policy.mask], policy.tokens[policy.mask]
    passing = distribution[:, None].expand_as(policy.mask)[policy.mask]
    policy.logits.copy_(mass.index_put(edges, passing, accumulate=True).log())
    return policy


@torch.no_grad()
def draw(policy: TabularPolicy, n: int, generator: torch.Generator) -> Tensor:
    """(n,) indices of completions, sampled token by token as a language model does.

    `values[draw(...)]` are then the sampled values, of rewards (N,) or of logprobs (N, L).
    """
    probabilities = policy().exp()
    node = torch.zeros(n, dtype=torch.long, device=policy.logits.device)  # below 0: it has ended
    while (going := node >= 0).any():
        tokens = torch.multinomial(probabilities[node[going]], 1, generator=generator)[:, 0]
        node[going] = policy.child[node[going], tokens]
    return -1 - node
