"""The layout holds: no folder's members import each other in a circle."""

from pathlib import Path

from tests.rooms import Folder, folder, folders_in, graph_of

CHECKOUT = Path(__file__).resolve().parents[1]


def test_no_folder_has_a_circle_of_imports():
    graph = graph_of(CHECKOUT)
    circles = {name: folder(graph, name).circles for name in folders_in(graph)}
    assert len(circles) > 20
    assert {name: found for name, found in circles.items() if found} == {}


def test_a_circle_is_found():
    arrows = frozenset({("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")})
    assert Folder("x", frozenset("abcd"), arrows).circles == [frozenset("abc")]
