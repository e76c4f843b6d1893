"""Consoles and tables of the command line: a figure or a key is never cut.

Piped output is as wide as its content. On a terminal text is wrapped between words to fit; where figures, keys and
words need more room than the terminal has, the table is wider than the terminal.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import IO

from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table

PIPED_WIDTH = 10_000
"""Columns of a console that is not a terminal: more than any line needs."""


def open_console(file: IO[str] | None = None) -> Console:
    """A console on `file`, by default standard output."""
    console = Console(file=file)
    if not console.file.isatty():
        console.width = PIPED_WIDTH
    return console


def text(heading: str) -> Column:
    """A column of prose: it may take several lines, cut between words."""
    return Column(heading, overflow="fold")


def key(heading: str) -> Column:
    """A column of names, ids and times: each on one line, whole."""
    return Column(heading, no_wrap=True)


def figure(heading: str) -> Column:
    """A column of numbers: each on one line, whole."""
    return Column(heading, justify="right", no_wrap=True)


def aligned(values: Sequence[int | float | Decimal | None], most: int = 5, *, grouped: bool = False) -> list[str]:
    """A column's numbers with their points one below the other: as many decimals as one of them needs, up to `most`."""
    group = "," if grouped else ""
    places = max((_places(value, most) for value in values if value is not None), default=0)
    return ["" if value is None else f"{value:{group}.{places}f}" for value in values]


def _places(value: int | float | Decimal, most: int) -> int:
    return len(f"{value:.{most}f}".rstrip("0").partition(".")[2])


def print_table(table: Table, console: Console | None = None) -> None:
    """Print a table made of these columns, on standard output by default."""
    console = console or open_console()
    unlimited = console.options.update(width=PIPED_WIDTH)
    for column in table.columns:
        if column.no_wrap:
            cells = (column.header, *column.cells)
            column.min_width = max(Measurement.get(console, unlimited, cell).maximum for cell in cells)
    terminal_width = console.width
    console.width = max(terminal_width, Measurement.get(console, unlimited, table).minimum)
    console.print(table)
    console.width = terminal_width
