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
    samples: list[list[float]] = field(default_factory=list)
    """MiB of each worker."""
    stopping: bool = False

    async def run(self, producer: Producer) -> None:
        """Until `stopping`."""
        processes = [psutil.Process(worker._process.pid) for worker in self.workers]
        since_s = told_s = time.monotonic()
        while not self.stopping:
            self.samples.append([process.memory_info().rss / 2**20 for process in processes])
            await asyncio.sleep(_LOOK_S)
            if time.monotonic() - told_s >= self.part_s:
                told_s += self.part_s
                sizes = ", ".join(f"{mib:.0f}" for mib in self.samples[-1])
                print(
                    f"soak: {told_s - since_s:.0f} s: {producer.user_records:,} records put; workers hold {sizes} MiB",
                    file=sys.stderr,
                    flush=True,
                )

    def parts(self, worker: int) -> list[tuple[float, float]]:
        """Mean and largest of each part of the run."""
        size = max(1, round(self.part_s / _LOOK_S))
        found = [
            [sample[worker] for sample in self.samples[at : at + size]] for at in range(0, len(self.samples), size)
        ]
        whole = [part for part in found if 2 * len(part) >= size]
        return [(sum(part) / len(part), max(part)) for part in whole]

    def thirds(self, worker: int) -> tuple[float, float]:
        """The mean of the first third of the run, and of the last."""
        third = max(1, len(self.samples) // 3)
        first, last = self.samples[:third], self.samples[-third:]
        return sum(sample[worker] for sample in first) / third, sum(sample[worker] for sample in last) / third


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
