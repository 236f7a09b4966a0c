from __future__ import annotations

import ast
import warnings
from pathlib import Path

import pytest

import lightning_mbo
from lightning_mbo.errors import ConfigurationError, MBOWarning, optional
from lightning_mbo.files import dispensable

ROOT = Path(lightning_mbo.__file__).parents[1]


def test_warnings_can_be_filtered_by_their_class() -> None:
    with pytest.warns(MBOWarning, match="goes on without a.png"), dispensable(Path("a.png")):
        raise ValueError("no ink")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", MBOWarning)
        with dispensable(Path("a.png")):
            raise ValueError("no ink")
    assert not caught


@pytest.mark.parametrize("folder", ["lightning_mbo", "callbacks"])
def test_every_warning_is_of_that_class(folder: str) -> None:
    calls = [
        (path.name, call)
        for path in (ROOT / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).split(".")[-1] in ("warn", "rank_zero_warn")
    ]
    assert calls
    for name, call in calls:
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert given.get("category") == "MBOWarning", f"{name}, line {call.lineno}"


def test_an_optional_package() -> None:
    assert optional("json", "files", "x") is __import__("json")
    with pytest.raises(ConfigurationError) as error:
        optional("no_such_package", "files", "t.xlsx", "save it as .csv")
    assert str(error.value) == (
        "t.xlsx needs the package no_such_package: pip install 'lightning-mbo[files]', or save it "
        "as .csv"
    )
