"""Where a stack keeps what: every path below its one state folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The state folder of one stack. `root` is absolute."""

    root: Path

    @classmethod
    def of(cls, state: Path) -> "Layout":
        """The layout of a state folder, wherever the caller stands."""
        return cls(Path(state).expanduser().resolve())

    @property
    def lock(self) -> Path:
        """Held while `up` or `down` works."""
        return self.root / "lock"

    @property
    def facts(self) -> Path:
        """JSON of what the stack was started with: ports and region table."""
        return self.root / "stack.json"

    @property
    def credentials(self) -> Path:
        """JSON of every secret; readable by its owner only."""
        return self.root / "credentials.json"

    @property
    def logs(self) -> Path:
        """One log a service."""
        return self.root / "logs"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME of the processes that orchestrate."""
        return self.root / "dagster"

    def log(self, service: str) -> Path:
        """The log of one service, appended to at each start."""
        return self.logs / f"{service}.log"

    def process(self, service: str) -> Path:
        """JSON that names the running process of one service."""
        return self.root / "run" / f"{service}.json"

    def data(self, service: str) -> Path:
        """The folder that one service keeps its data in."""
        return self.root / service

    def make(self) -> None:
        """Create the folders. Others may pass through, since Postgres runs as a user of its own, but not list."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        for folder in (self.logs, self.process("s3").parent, self.dagster_home):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)
