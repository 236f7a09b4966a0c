"""Reading chemical formulas."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Sequence

import numpy as np

from lightning_mbo.errors import DataError

_IN_ORDER = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy "
    "Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn "
    "Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)

SYMBOLS: tuple[str, ...] = tuple(_IN_ORDER.split())
"""Of the elements, by atomic number from 1."""

_KNOWN = frozenset(SYMBOLS)
_LAST_STABLE = 92
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_TOKEN = re.compile(
    rf"(?P<open>[(\[{{])|(?:(?P<close>[)\]}}])|(?P<symbol>[A-Z][a-z]?))(?P<number>{_NUMBER})?"
)
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_JOINTS = re.compile(r"[·•∙⋅*]")
_HYDRATE = re.compile(r"(.+?)(?<![a-zA-Z]0)\.([0-9]*(?:\.[0-9]+)?H2O)")
"""With a point before the water; O4.5 is no amount there, and O0.5 is."""
_PART = re.compile(rf"(?P<number>{_NUMBER})?(?P<formula>.*)", re.DOTALL)
_SURE = 0.95
_FEWEST_FORMULAS = 10
_FEWEST_ELEMENTS = 4
_OF_MOLECULES = frozenset(["H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I"])
_FEWEST_LETTERS = 4
"""Capitals without a number, by which an abbreviation is told from a formula."""


def parse_formula(formula: str, elements: Collection[str] = SYMBOLS) -> dict[str, float]:
    """Read a chemical formula.

    Amounts are decimals; brackets of all three kinds nest and take a multiplier, and an element
    that occurs again is added up: `(Ca0.5Sr0.5)2Cu1O4` has 1 Ca, 1 Sr, 1 Cu and 4 O. Space around
    the formula is dropped. An element whose amount is zero is left out.

    Args:
        formula: The formula.
        elements: The first of `SYMBOLS`, those that are allowed.

    Returns:
        The amount of each element, above zero, in order of first appearance.

    Raises:
        DataError: The formula is empty, has an unknown symbol, an element past those allowed,
            brackets that do not match or hold nothing, a stray character, or amounts that add up to
            zero or overflow. The message gives the formula, the place in it (characters count from
            1) and the reason.
    """
    if not isinstance(formula, str) or not formula.strip():
        raise DataError(f"formula {formula!r}: is empty; expected element symbols and amounts")
    text = formula.strip()
    levels: list[dict[str, float]] = [{}]
    opened: list[int] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise _problem(text, at, f"stray {text[at]!r}")
        if token["open"]:
            levels.append({})
            opened.append(at)
        else:
            factor = float(token["number"] or 1.0)
            if token["symbol"]:
                _check_symbol(text, at, token["symbol"], elements)
                part = {token["symbol"]: 1.0}
            else:
                _check_closing(text, at, opened, levels[-1])
                part = levels.pop()
                opened.pop()
            for symbol, amount in part.items():
                levels[-1][symbol] = levels[-1].get(symbol, 0.0) + factor * amount
        at = token.end()
    if opened:
        raise _problem(text, opened[-1], f"{text[opened[-1]]!r} is never closed")
    total = sum(levels[0].values())
    if not 0.0 < total < np.inf:
        reason = "add up to zero" if total == 0.0 else "are too large"
        raise _problem(text, 0, f"the amounts of its elements {reason}")
    return {symbol: amount for symbol, amount in levels[0].items() if amount > 0.0}


def read_formula(text: str) -> dict[str, float]:
    """Read a formula as people write it.

    Beside what `parse_formula` reads, blanks and subscripts, and the parts of a hydrate, of which
    each may begin with a number: ``CuSO4·5H2O``, ``CuSO4*5H2O`` or, of water at the end,
    ``CuSO4.5H2O``.

    Args:
        text: All elements are allowed.

    Returns:
        The amount of each element, above zero, in order of first appearance.

    Raises:
        DataError: As `parse_formula`, or it is an abbreviation such as YBCO.
    """
    tidied = "".join(text.translate(_SUBSCRIPTS).split())
    if re.fullmatch(rf"[A-Z]{{{_FEWEST_LETTERS},}}", tidied):
        raise DataError(f"formula {text!r}: is an abbreviation; write each element with its amount")
    hydrate = _HYDRATE.fullmatch(tidied)
    parts = list(hydrate.groups()) if hydrate else _JOINTS.split(tidied)
    amounts: dict[str, float] = {}
    try:
        for part in parts:
            match = _PART.fullmatch(part) if len(parts) > 1 else None
            factor = float(match["number"] or 1.0) if match else 1.0
            for symbol, amount in parse_formula(match["formula"] if match else part).items():
                amounts[symbol] = amounts.get(symbol, 0.0) + factor * amount
    except DataError as error:
        raise DataError(f"{error}{_advice(tidied)}") from error
    return {symbol: amount for symbol, amount in amounts.items() if amount > 0.0}


def in_small_letters(text: str) -> str | None:
    """What a formula of nothing but capitals may mean: ``Nb3Sn`` of ``NB3SN``; or None."""

    def symbol(match: re.Match[str]) -> str:
        word = match[0].capitalize()
        return word if word in SYMBOLS[:_LAST_STABLE] else match[0]

    meant = re.sub(r"[A-Z]{2}", symbol, text)
    return meant if text.upper() == text and meant != text else None


def reads_as_formulas(texts: Sequence[str]) -> bool:
    """Whether texts are formulas in all likelihood, and neither names, codes nor SMILES.

    At least 95 % can be read, most have several elements and a small letter, most have numbers, and
    there are at least four elements, two of them metals or metalloids.

    Args:
        texts: None of them twice.
    """
    if len(texts) < _FEWEST_FORMULAS:
        return False
    if sum(re.match(r"[(\[]?[A-Z]", text) is not None for text in texts) < _SURE * len(texts):
        return False
    read = {}
    for text in texts:
        with contextlib.suppress(DataError):
            read[text] = read_formula(text)
    num = _SURE * len(texts)
    several = sum(len(amounts) > 1 for amounts in read.values())
    cased = sum(re.search("[a-z]", text) is not None for text in read)
    numbered = sum(re.search("[0-9₀-₉]", text) is not None for text in read)
    elements = {element for amounts in read.values() for element in amounts}
    return (
        len(read) >= num
        and min(several, cased, numbered) > len(texts) / 2
        and len(elements) >= _FEWEST_ELEMENTS
        and len(elements - _OF_MOLECULES) > 1
    )


def _advice(text: str) -> str:
    if len({text.upper(), text.lower()} - {text}) < 2:
        return ". Symbols begin with a capital, and go on with a small letter: Nb3Sn"
    if text[:1].isdigit():
        return ". Write parts that have a number with a dot between them: 3Al2O3·2SiO2"
    if re.search(r"[-+±xzδ]", text):
        return ". Write each amount as a number: YBa2Cu3O6.9"
    return ""


def _problem(text: str, at: int, reason: str) -> DataError:
    return DataError(f"formula {text!r}, character {at + 1}: {reason}")


def _check_symbol(text: str, at: int, symbol: str, elements: Collection[str]) -> None:
    if symbol not in _KNOWN:
        raise _problem(text, at, f"unknown element symbol {symbol!r}")
    if symbol not in elements:
        last = SYMBOLS[len(elements) - 1]
        reason = f"element {symbol!r} is past {last}; only H to {last} have features"
        raise _problem(text, at, reason)


def _check_closing(text: str, at: int, opened: list[int], inside: dict[str, float]) -> None:
    if not opened:
        raise _problem(text, at, f"{text[at]!r} was never opened")
    opening = text[opened[-1]]
    if _CLOSING[opening] != text[at]:
        where = f"{opening!r} at character {opened[-1] + 1}"
        raise _problem(text, at, f"{text[at]!r} does not match {where}")
    if not inside:
        raise _problem(text, at, "nothing between the brackets")
