"""Finds the single items that break a step, by halving what breaks."""

from collections.abc import Iterator


class Bisection:
    """Ranges of `count` items to try, in order: all of them first, and the halves of each range that fails.

    for start, stop in (ranges := Bisection(len(items))):
        try:
            step(items[start:stop])
        except Exception as error:
            if ranges.alone(error):
                ...  # items[start] breaks the step, whatever stands beside it
    """

    def __init__(self, count: int) -> None:
        self._left = [(0, count)] if count else []
        self._tried = (0, 0)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while self._left:
            self._tried = self._left.pop()
            yield self._tried

    def alone(self, error: Exception) -> bool:
        """Whether the range just tried is a single item, and so is to blame for the error; else it is halved.

        Raises a single item's MemoryError: the machine is to blame, not the item.
        """
        start, stop = self._tried
        if stop - start == 1:
            if isinstance(error, MemoryError):
                raise error
            return True
        middle = (start + stop) // 2
        self._left += [(middle, stop), (start, middle)]
        return False
