"""The project's READMEs, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import lightning_mbo

ROOT = Path(lightning_mbo.__file__).parents[1]


@dataclass(frozen=True)
class Section:
    """What stands under a heading of a page; without a title, what stands before the first."""

    page: str
    title: str
    text: str

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """Language and content of the code blocks."""
        return re.findall(r"^```(\w*)\n(.*?)^```$", self.text, flags=re.DOTALL | re.MULTILINE)

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the tables' rows, headings left out."""
        lines = re.findall(r"^\| (.*) \|$", prose(self.text), flags=re.MULTILINE)
        rows = [line.split(" | ") for line in lines]
        bars = [i for i, row in enumerate(rows) if set("".join(row)) <= {"-"}]
        return [row for i, row in enumerate(rows) if i not in bars and i + 1 not in bars]


def prose(text: str) -> str:
    """A text without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def pages() -> dict[str, str]:
    """The text of every README, by its path from the root."""
    paths = [path.relative_to(ROOT) for path in sorted(ROOT.rglob("README.md"))]
    built = {"build", "dist", "runs"}
    return {
        str(path): (ROOT / path).read_text(encoding="utf-8")
        for path in paths
        if not built & set(path.parts) and not any(part.startswith(".") for part in path.parts)
    }


def sections(page: str) -> list[Section]:
    """The sections of a page."""
    _, *parts = re.split(r"^## |\A", pages()[page], flags=re.MULTILINE)
    first, *others = parts
    titled = [part.partition("\n") for part in others]
    return [
        Section(page, "", first),
        *(Section(page, title, text) for title, _, text in titled),
    ]


def section(page: str, title: str) -> Section:
    """A section of a page."""
    (found,) = (each for each in sections(page) if each.title == title)
    return found


def all_sections() -> list[Section]:
    """Those of all pages."""
    return [each for page in pages() for each in sections(page)]


def named_blocks() -> dict[str, str]:
    """The code blocks that begin with the name of a file, by that name.

    Raises:
        ValueError: If two have one name.
    """
    found: dict[str, str] = {}
    for _, content in (block for each in all_sections() for block in each.blocks):
        if match := re.match(r"# (\w+\.(?:py|yaml))\n", content):
            if match[1] in found:
                raise ValueError(f"two blocks are {match[1]}")
            found[match[1]] = content
    return found


def anchors(page: str) -> set[str]:
    """What a link to a heading of a page may name."""
    headings = re.findall(r"^#+ (.*)$", prose(pages()[page]), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
