"""The resident memory of worker processes over a long run, and whether it grows."""

import asyncio
import sys
import time
from dataclasses import dataclass, field

import psutil

from bench.rows import Row
from bench.team import Member, Producer

FLAT = 1.1
"""Memory is flat where the last third's mean is at most so many times the first third's."""
_LOOK_S = 1.0


@dataclass
class Memory:
    """The workers' resident memory, by the second."""

    workers: list[Member]
    part_s: float
    samples: list[tuple[float, list[float]]] = field(default_factory=list)
    """Seconds since the start, and MiB of each worker."""
    stopping: bool = False

    async def run(self, producer: Producer) -> None:
        """Until `stopping`."""
        processes = [psutil.Process(worker._process.pid) for worker in self.workers]
        since_s, told_s = time.monotonic(), 0.0
        while not self.stopping:
            now_s = time.monotonic() - since_s
            self.samples.append((now_s, [process.memory_info().rss / 2**20 for process in processes]))
            await asyncio.sleep(_LOOK_S)
            if now_s - told_s >= self.part_s:
                told_s += self.part_s
                sizes = ", ".join(f"{mib:.0f}" for mib in self.samples[-1][1])
                text = f"soak: {told_s:.0f} s: {producer.user_records:,} records put; workers hold {sizes} MiB"
                print(text, file=sys.stderr, flush=True)

    def parts(self, worker: int) -> list[tuple[float, float]]:
        """Mean and largest of each part of the run; what is left at the end counts to the last."""
        count = max(1, round(self.samples[-1][0] / self.part_s))
        found: list[list[float]] = [[] for _ in range(count)]
        for at_s, sizes in self.samples:
            found[min(count - 1, int(at_s / self.part_s))].append(sizes[worker])
        return [(sum(part) / len(part), max(part)) for part in found if part]

    def thirds(self, worker: int) -> tuple[float, float]:
        """The mean of the first third of the run, and of the last."""
        third_s = self.samples[-1][0] / 3
        first = [sizes[worker] for at_s, sizes in self.samples if at_s <= third_s]
        last = [sizes[worker] for at_s, sizes in self.samples if at_s >= 2 * third_s]
        return sum(first) / len(first), sum(last) / len(last)


def memory_rows(memory: Memory, worker: int) -> list[Row]:
    """A row for each part of the run, and two that say whether it grows."""
    minutes, name = memory.part_s / 60, f"worker {worker + 1}"
    rows = [
        Row(
            id=f"memory_{worker + 1}_{place + 1}",
            what=f"memory of {name}, minute {place * minutes:.3g} to {(place + 1) * minutes:.3g}, mean",
            value=mean, unit="MiB", peer="at most", peer_value=most, ratio=mean / most,
        )
        for place, (mean, most) in enumerate(memory.parts(worker))
    ]  # fmt: skip
    first, last = memory.thirds(worker)
    return [
        *rows,
        Row(
            id=f"thirds_{worker + 1}", what=f"memory of {name}, last third", value=last, unit="MiB", peer="first third",
            peer_value=first, ratio=last / first,
        ),
        Row(
            id=f"flat_{worker + 1}", what=f"memory of {name} is flat", value=float(last <= FLAT * first),
            unit="1 is yes",
        ),
    ]  # fmt: skip
