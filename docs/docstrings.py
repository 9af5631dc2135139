"""From a class's docstring to what GitHub shows of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

from pyg_negsamp.losses import LOSSES
from pyg_negsamp.transforms import SAMPLERS


def body(cls: type) -> str:
    """What a docstring says before its arguments."""
    return re.split(r"^(?:Args|Raises):$", inspect.getdoc(cls) or "", flags=re.M)[0].strip()


def summary(cls: type) -> str:
    """Its first line, without the full stop."""
    return body(cls).partition("\n")[0].rstrip(".:")


def sources(cls: type) -> str:
    """The papers that a docstring names with their year, as links where it says where they are."""
    text = " ".join(body(cls).split())
    names = r"[A-Z][\w-]+(?: et al\.| and [A-Z][\w-]+)"
    where = r"(?:,? \(?(arXiv:[\d.]+|doi:10\.[^\s;)]+[^\s;,.)]))?"
    found = re.findall(rf"({names}),(?: [A-Za-z@ ]+?)? (\d{{4}}){where}", text)
    titles = re.findall(r"(\"[A-Z][^\"]+\") \((\d{4})\)", text)
    told = [f"{who} {year}{link(place)}" for who, year, place in found]
    told += [f"{title}, {year}" for title, year in titles]
    return "; ".join(dict.fromkeys(told))


def link(place: str) -> str:
    """`, [arXiv:…](…)`, or nothing."""
    kind, _, number = place.partition(":")
    site = {"arXiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}.get(kind)
    return f", [{place}]({site}{number})" if site else ""


def markdown(text: str, here: str = "") -> str:
    """A docstring's text for GitHub; classes of this documentation become links.

    Args:
        text: reStructuredText, as far as this library writes it.
        here: The page that it stands on. Default: none, and no links.
    """

    def named(found: re.Match[str]) -> str:
        name = found[1].rpartition(".")[2]
        kinds = {"samplers.md": SAMPLERS.values(), "losses.md": LOSSES.values()}
        for page, classes in kinds.items():
            if here and name in {cls.__name__ for cls in classes}:
                return f"[`{name}`]({'' if page == here else page}#{name.lower()})"
        return f"`{name}`"

    parts = re.split(r"^\.\. math::(.*\n(?:(?:[ ]+.*)?\n)*)", text + "\n", flags=re.M)
    for n, part in enumerate(parts):
        if n % 2:
            lines = [line.strip() for line in part.strip().splitlines()]
            if any("&" in line for line in lines) or any(x.endswith("\\\\") for x in lines):
                lines = ["\\begin{aligned}", *lines, "\\end{aligned}"]
            parts[n] = "```math\n" + "\n".join(lines) + "\n```\n\n"
            continue
        part = re.sub(r":math:`([^`]*)`", lambda found: f"$`{' '.join(found[1].split())}`$", part)
        part = re.sub(r":\w+:`~?([^`]+)`", named, part)
        parts[n] = re.sub(r"\b(Cost|When to use it):", r"**\1:**", part)
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).strip()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for GitHub."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(
        "|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in cells
    )
