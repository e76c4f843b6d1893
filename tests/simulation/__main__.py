"""Play histories: one, with its trace, or many.

python -m tests.simulation --seed 42 --trace            one history again, exactly
python -m tests.simulation --first 0 --count 10000      many, over two processes
"""

import argparse
import sys

from tests.simulation.history import play
from tests.simulation.hunt import hunt
from tests.simulation.mutants import MUTANTS, mutated


def main() -> int:
    """Exit code 0 where every promise was kept, 1 where one was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Histories of a simulated cluster.")
    parser.add_argument("--seed", type=int, help="play this history only")
    parser.add_argument("--trace", action="store_true", help="and print what happened in it")
    parser.add_argument("--first", type=int, default=0, help="seed of the first of many")
    parser.add_argument("--count", type=int, default=1_000, help="how many")
    parser.add_argument("--processes", type=int, default=2, help="over how many processes")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="with this part broken on purpose (one process)")
    options = parser.parse_args()
    with mutated(options.mutant) as made:
        if options.seed is not None:
            return _one(options.seed, options.trace, made)
        processes = 1 if options.mutant else options.processes
        found = hunt(options.first, options.count, processes=processes, made=made)
    print(found.text())
    return 1 if found.failures else 0


def _one(seed: int, trace: bool, made: object) -> int:
    outcome = play(seed, made)  # type: ignore[arg-type]
    if trace:
        print("\n".join(outcome.lines))
    print(
        f"seed {seed}: {outcome.records} records, {outcome.commits} commits, {outcome.virtual_s:.0f} s of virtual time"
    )
    print(f"digest {outcome.digest}")
    print("\n".join(f"BROKEN {fault}" for fault in outcome.broken) or "every promise was kept")
    return 1 if outcome.broken else 0


if __name__ == "__main__":
    sys.exit(main())
