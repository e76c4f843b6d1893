"""A progress bar on stderr; stdout is the report's."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from devices import send


@contextmanager
def progress_bar(label: str, records: int | None) -> Iterator[send.Progress]:
    """Show a progress bar while records are sent. records: the expected number, None where it is unknown.

    Draws nothing without a terminal.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=records)
        yield lambda sent: bar.update(task, advance=sent)
