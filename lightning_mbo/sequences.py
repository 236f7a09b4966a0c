"""Sequences as designs: l places, in each of which stands one of v letters.

Search models and oracles see a sequence as a one-hot tensor ``(l, v)``, float64. It has two other
views: tokens, which are the numbers of its letters, and logits, in which gradients may move it.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def one_hot(tokens: Tensor, num_letters: int) -> Tensor:
    """One-hot tensors ``(m, l, v)``, float64, of tokens ``(m, l)`` from 0 to v - 1."""
    return functional.one_hot(tokens, num_letters).double()


def tokens(designs: Tensor) -> Tensor:
    """Tokens ``(m, l)``, int64, of one-hot tensors ``(m, l, v)``."""
    return designs.argmax(-1)


def to_logits(designs: Tensor, smoothing: float = 0.4) -> Tensor:
    """Logits of smoothed one-hot tensors, relative to the first letter's, which are left out.

    Reference: Trabucco, Kumar, Geng and Levine, "Conservative objective models for effective
    offline model-based optimization", ICML 2021, and its released settings.

    Args:
        designs: Shape ``(..., l, v)``.
        smoothing: Share of the probability, in (0, 1), that is spread over all letters alike.

    Returns:
        Shape ``(..., l, v - 1)``.
    """
    logits = ((1 - smoothing) * designs + smoothing / designs.shape[-1]).log()
    return logits[..., 1:] - logits[..., :1]


def from_logits(logits: Tensor) -> Tensor:
    """The nearest sequences: in each place the letter of the greatest logit.

    Args:
        logits: Shape ``(..., l, v - 1)``, any numbers; the first letter's are zero.

    Returns:
        One-hot, shape ``(..., l, v)``; of several greatest the first letter.
    """
    whole = functional.pad(logits, (1, 0))
    return functional.one_hot(whole.argmax(-1), whole.shape[-1]).to(logits.dtype)


def letters(designs: Tensor, alphabet: str) -> list[str]:
    """One-hot tensors ``(m, l, v)`` as words over an alphabet of v letters."""
    return ["".join(alphabet[token] for token in word) for word in tokens(designs).tolist()]


def closed(designs: Tensor) -> Tensor:
    """One-hot tensors ``(m, l, v)`` whose letters behind a gap, the last letter, have moved up."""
    order = designs[..., -1].argsort(dim=1, stable=True)
    return designs.gather(1, order[..., None].expand_as(designs))
