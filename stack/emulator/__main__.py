"""`python -m stack.emulator`: ministack's server, configured by its environment, with the additions of this package."""

from ministack import app as ministack

from stack.emulator.answers import cut_answers
from stack.emulator.expiry import expire_lazily
from stack.emulator.iterators import authorize_by_iterator
from stack.emulator.snapshots import Snapshots


def main() -> None:
    """Serve until SIGTERM, which saves everything."""
    authorize_by_iterator()
    expire_lazily()
    cut_answers()
    Snapshots(ministack).install()
    ministack.main()


if __name__ == "__main__":
    main()
