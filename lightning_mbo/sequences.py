"""Sequences as designs: l places, in each of which stands one of v letters.

Search models and oracles see a sequence as a one-hot tensor ``(l, v)``, float64. It has two other
views: tokens, which are the numbers of its letters, and logits, in which gradients may move it.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_KEPT = 0.6
"""Of a one-hot tensor, before its logarithm is taken; the rest is spread over all letters."""


def one_hot(tokens: Tensor, num_letters: int) -> Tensor:
    """One-hot tensors ``(m, l, v)``, float64, of tokens ``(m, l)`` from 0 to v - 1."""
    return functional.one_hot(tokens, num_letters).double()


def tokens(designs: Tensor) -> Tensor:
    """Tokens ``(m, l)``, int64, of one-hot tensors ``(m, l, v)``."""
    return designs.argmax(-1)


def to_logits(designs: Tensor) -> Tensor:
    """Smoothed logits of one-hot tensors.

    Reference: Trabucco, Kumar, Geng and Levine, "Conservative objective models for effective
    offline model-based optimization", ICML 2021, and its released code.

    Args:
        designs: Shape ``(m, l, v)``.

    Returns:
        log(0.6 designs + 0.4 / v) relative to the first letter's, which is zero and left out:
        shape ``(m, l, v - 1)``.
    """
    logits = (_KEPT * designs + (1 - _KEPT) / designs.shape[-1]).log()
    return logits[..., 1:] - logits[..., :1]


def from_logits(logits: Tensor) -> Tensor:
    """The nearest sequences: in each place the letter of the greatest logit.

    Args:
        logits: Shape ``(m, l, v - 1)``, any numbers.

    Returns:
        One-hot, shape ``(m, l, v)``, float64; of several greatest the first letter.
    """
    whole = functional.pad(logits, (1, 0))
    return one_hot(tokens(whole), whole.shape[-1])


def letters(designs: Tensor, alphabet: str) -> list[str]:
    """One-hot tensors ``(m, l, v)`` as words over an alphabet of v letters."""
    return ["".join(alphabet[token] for token in word) for word in tokens(designs).tolist()]
