"""What the READMEs name is there, and nothing is said twice."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.readmes import ROOT, anchors, pages, prose, section

pytestmark = pytest.mark.skipif(
    not (ROOT / "README.md").is_file(), reason="the package is not a checkout"
)

PAGES = pages()
LINKS = [
    (page, target)
    for page, text in PAGES.items()
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text))
]


def test_every_page_is_reached_from_the_first() -> None:
    reached, before = {"README.md"}, set()
    while reached != before:
        before = set(reached)
        for page, target in LINKS:
            path = (ROOT / page).parent / target.partition("#")[0]
            if page in reached and path.name == "README.md":
                reached.add(str(path.resolve().relative_to(ROOT.resolve())))
    assert reached == set(PAGES)


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    assert not target.startswith(("http", "/")), "links are relative"
    path, _, anchor = target.partition("#")
    place = ((ROOT / page).parent / path).resolve() if path else (ROOT / page).resolve()
    assert place.exists()
    if anchor:
        assert anchor in anchors(str(place.relative_to(ROOT.resolve())))


def test_the_first_page_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 230


def test_every_config_is_named_and_every_name_is_a_config() -> None:
    named = set(re.findall(r"[\w/]+\.yaml", "\n".join(PAGES.values())))
    shipped = {path.name for path in (ROOT / "configs").rglob("*.yaml")}
    examples = {"mine.yaml", "my_benchmark.yaml", "my_tasks.yaml"}
    assert named - examples - {"config.yaml", "verdict.yaml"} == shipped


@pytest.mark.parametrize(
    ("page", "title", "folder"),
    [
        ("configs/README.md", "Shipped configs", "configs"),
        ("lightning_mbo/benchmark/README.md", "Shipped benchmarks", "configs/benchmarks"),
    ],
)
def test_a_table_of_configs_is_complete(page: str, title: str, folder: str) -> None:
    named = {name for row in section(page, title).rows for name in re.findall(r"`(\S+)`", row[0])}
    there = {path.name for path in (ROOT / folder).glob("*.yaml")}
    assert named ^ there <= {"tf_bind_8_ascent.yaml"}, "which is a part of benchmarks, for fit"


@pytest.mark.parametrize("room", ["oracles", "search_models", "algorithms"])
def test_a_table_of_classes_is_complete(room: str) -> None:
    module = importlib.import_module(f"lightning_mbo.{room}")
    base = {"oracles": "Oracle", "search_models": "SearchModel", "algorithms": "Algorithm"}[room]
    there = {
        name
        for name in module.__all__
        if inspect.isclass(each := getattr(module, name))
        and issubclass(each, getattr(module, base))
        and not inspect.isabstract(each)
    }
    rows = section(f"lightning_mbo/{room}/README.md", "").rows
    assert {row[0].strip("`") for row in rows} == there


def test_callbacks_are_listed_in_the_order_in_which_they_act() -> None:
    callbacks = importlib.import_module("lightning_mbo.callbacks")
    search = callbacks.PoolSearch()
    made = callbacks.design_callbacks(search, callbacks.ImportanceWeighting())
    rows = section("callbacks/README.md", "Order").rows
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    acting = [type(callback).__name__ for callback in made]
    assert [name for name in named if name in acting] == acting
    assert set(named) - set(acting) == {
        "SearchModelUpdate",
        "GradientAscent",
        "ModelInversion",
        "DesignCheckpoint",
        "DesignProgress",
    }


def test_every_room_is_on_the_map() -> None:
    (map_,) = (content for _, content in section("lightning_mbo/README.md", "The parts").blocks)
    named = {line.split()[0].rstrip("/").split("/")[-1] for line in map_.splitlines() if line}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]
    assert named == {name.split(".")[1] for name in packages if "." in name}


def test_nothing_is_said_twice() -> None:
    written = {page: text for page, text in PAGES.items() if Path(page).parent.name != "tables"}
    sentences = Counter(
        sentence
        for text in written.values()
        for part in re.split(r"\n\n|\n\| |\n- | \| ", prose(text))
        for sentence in re.split(r"(?<=[.:;?]) ", " ".join(part.split()))
        if len(sentence.split()) > 4
    )
    assert [sentence for sentence, count in sentences.items() if count > 1] == []
