"""The paths of a stack, all below its state folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The state folder of one stack. `root` is absolute."""

    root: Path

    @classmethod
    def of(cls, state: Path) -> "Layout":
        """The layout of a state folder given by an absolute or relative path."""
        return cls(Path(state).expanduser().resolve())

    @property
    def lock(self) -> Path:
        """Lock file of `up` and `down`."""
        return self.root / "lock"

    @property
    def facts(self) -> Path:
        """JSON of what the stack was started with: ports and region table."""
        return self.root / "stack.json"

    @property
    def credentials(self) -> Path:
        """JSON of every secret, readable by its owner only."""
        return self.root / "credentials.json"

    @property
    def logs(self) -> Path:
        """Folder of the services' logs."""
        return self.root / "logs"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME of Dagster's processes."""
        return self.root / "dagster"

    def log(self, service: str) -> Path:
        """The log of one service, appended to at each start."""
        return self.logs / f"{service}.log"

    def process(self, service: str) -> Path:
        """JSON record of one service's running process."""
        return self.root / "run" / f"{service}.json"

    def data(self, service: str) -> Path:
        """The data folder of one service."""
        return self.root / service

    def make(self) -> None:
        """Create the folders. Other users may traverse the root, as Postgres has a user of its own, but not list it."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        for folder in (self.logs, self.process("s3").parent, self.dagster_home):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)
