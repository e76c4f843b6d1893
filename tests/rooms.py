"""The rooms and wings of the project, and the imports between them: `python -m tests.rooms [CHECKOUT]`.

A member of a folder is a file or a sub-folder of it. An arrow is one member that imports another, however many names it
takes. A circle is a set of members that import each other in a loop.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import grimp

LOOKED_AT = ("", "ingest", "ingest.worker", "lake")
"""The whole tree, then the folders with the most inside."""


@dataclass(frozen=True)
class Folder:
    """One folder: its members, and which of them import which."""

    name: str
    members: frozenset[str]
    arrows: frozenset[tuple[str, str]]

    @property
    def circles(self) -> list[frozenset[str]]:
        """Each set of two or more members that reach each other."""
        reached = {member: self._reached_from(member) for member in self.members}
        found = {
            frozenset({member, *(other for other in reached[member] if member in reached[other])})
            for member in self.members
        }
        return sorted((circle for circle in found if len(circle) > 1), key=sorted)

    def _reached_from(self, member: str) -> set[str]:
        reached: set[str] = set()
        waiting = [member]
        while waiting:
            one = waiting.pop()
            following = {into for out, into in self.arrows if out == one} - reached
            reached |= following
            waiting += following
        return reached


def rooms_of(checkout: Path) -> list[str]:
    """The top-level packages of a checkout, tests left out."""
    return sorted(file.parent.name for file in checkout.glob("*/__init__.py") if file.parent.name != "tests")


def graph_of(checkout: Path) -> grimp.ImportGraph:
    """Every import of a checkout's rooms, also those inside functions."""
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    return grimp.build_graph(*rooms_of(checkout), cache_dir=None)


def folders_in(graph: grimp.ImportGraph) -> list[str]:
    """The tree ("") and every package that holds modules."""
    return ["", *sorted({name.rpartition(".")[0] for name in graph.modules if "." in name})]


def folder(graph: grimp.ImportGraph, name: str) -> Folder:
    """A package as its members and their arrows; the name "" is the whole tree."""
    inside = {module: _member(module, name) for module in graph.modules}
    members = frozenset(member for member in inside.values() if member)
    arrows = {
        (out, into)
        for module, out in inside.items()
        if out
        for imported in graph.find_modules_directly_imported_by(module)
        if (into := inside.get(imported)) and into != out
    }
    return Folder(name, members, frozenset(arrows))


def _member(module: str, package: str) -> str:
    """The member of `package` that `module` is or lies in; empty where it lies elsewhere."""
    if not package:
        return module.split(".", maxsplit=1)[0]
    return module[len(package) + 1 :].split(".", maxsplit=1)[0] if module.startswith(f"{package}.") else ""


def main() -> None:
    """Print one line a folder: members, arrows, circles."""
    checkout = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    graph = graph_of(checkout)
    print(f"{'folder':<16}{'members':>9}{'arrows':>8}{'circles':>9}")
    for name in LOOKED_AT:
        seen = folder(graph, name)
        print(f"{name or 'the tree':<16}{len(seen.members):>9}{len(seen.arrows):>8}{len(seen.circles):>9}")
    for name in folders_in(graph):
        for circle in folder(graph, name).circles:
            print(f"circle in {name or 'the tree'}: {', '.join(sorted(circle))}")


if __name__ == "__main__":
    main()
