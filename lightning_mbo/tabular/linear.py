"""Reading sums of columns times numbers."""

from __future__ import annotations

import math
import re

CONSTANT = ""
"""Stands among the terms for what no column is multiplied by."""

Terms = dict[str, float]
"""Of a sum: the coefficient of each column."""

Token = tuple[str, str]
"""A kind, which is number, name, sign or end, and a word."""

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|`(?P<quoted>[^`]+)`|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign><=|>=|==|[-+*/()<>,])"
)
_COMPARISONS = ("<=", "<", ">=", ">", "==")
_DEEPEST = 50
_END = ("end", "its end")


def read_comparisons(text: str) -> tuple[list[Terms], list[str]]:
    """Read sums that are compared, such as ``0 <= 2*(a + `b c`) - d/2 <= 3``.

    Returns:
        The terms of each sum, and what stands between them: `<=`, `<`, `>=`, `>` or `==`.

    Raises:
        ValueError: Saying what is wrong, without the text.
    """
    return _Reader(text).comparisons()


class _Reader:
    """Reads from the left to the right, one token after the other."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens_of(text)
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _takes(self, *signs: str) -> str | None:
        """The next token if it is one of these signs, which is then read."""
        kind, word = self._next
        if kind != "sign" or word not in signs:
            return None
        self._at += 1
        return word

    def comparisons(self) -> tuple[list[Terms], list[str]]:
        sums, signs = [self._sum()], []
        while sign := self._takes(*_COMPARISONS):
            signs.append(sign)
            sums.append(self._sum())
        if self._next != _END:
            raise ValueError(f"{self._next[1]!r} cannot follow there")
        if not signs:
            raise ValueError("it compares nothing by <=, >= or ==")
        return sums, signs

    def _sum(self) -> Terms:
        terms: Terms = {}
        sign: str | None = "+"
        while sign:
            factor = -1.0 if sign == "-" else 1.0
            for name, coefficient in self._product().items():
                terms[name] = terms.get(name, 0.0) + factor * coefficient
            sign = self._takes("+", "-")
        return terms

    def _product(self) -> Terms:
        terms = self._factor()
        while sign := self._takes("*", "/"):
            other = self._factor()
            if sign == "*" and set(terms) <= {CONSTANT}:
                terms, other = other, terms
            factor = other.get(CONSTANT, 0.0)
            if not set(other) <= {CONSTANT} or (sign == "/" and factor == 0):
                raise ValueError("it is not linear: columns can be multiplied by numbers only")
            factor = factor if sign == "*" else 1 / factor
            terms = {name: factor * coefficient for name, coefficient in terms.items()}
        return terms

    def _factor(self) -> Terms:
        factor = 1.0
        while sign := self._takes("+", "-"):
            factor = -factor if sign == "-" else factor
        kind, word = self._next
        if self._takes("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise ValueError(f"it has more than {_DEEPEST} brackets within each other")
            terms = self._sum()
            if not self._takes(")"):
                raise ValueError("a bracket is not closed")
            self._depth -= 1
            return {name: factor * coefficient for name, coefficient in terms.items()}
        if kind not in ("number", "name"):
            raise ValueError(f"a number or a column is missing before {word!r}")
        self._at += 1
        if kind == "name":
            return {word: factor}
        if not math.isfinite(float(word)):
            raise ValueError("its numbers must be finite")
        return {CONSTANT: factor * float(word)}


def tokens_of(text: str) -> list[Token]:
    """What a text is made of, and its end.

    Raises:
        ValueError: Saying what is no arithmetic.
    """
    tokens: list[Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"{text[at]!r} is no arithmetic")
        kind = "name" if match.lastgroup == "quoted" else match.lastgroup
        tokens.append((kind, match[match.lastgroup]))
        at = match.end()
    return [*tokens, _END]
