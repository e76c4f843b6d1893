"""The Java libraries that Spark needs, resolved by jgo and cached for the machine.

`python -m lake.spark.jars` fetches them ahead of time, so that nothing needs the network later.
"""

from pathlib import Path

from contracts.errors import FleetlakeError

ICEBERG = "1.11.0"
COORDINATES: tuple[str, ...] = (
    f"org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:{ICEBERG}",
    f"org.apache.iceberg:iceberg-aws-bundle:{ICEBERG}",
    "org.postgresql:postgresql:42.7.8",
    "org.apache.hadoop:hadoop-aws:3.4.1",
    "software.amazon.awssdk:s3-transfer-manager:2.44.4",
)
"""Each without its dependencies: iceberg-aws-bundle holds the AWS SDK, and Spark the rest."""
ON_EMR = tuple(name for name in COORDINATES if name.startswith(("org.apache.iceberg:", "org.postgresql:")))
"""Those that a job on EMR brings: its Spark has an S3A of its own."""


def file_name(coordinate: str) -> str:
    """The name of the coordinate's file: artifact-version.jar."""
    _, artifact, version = coordinate.split(":")
    return f"{artifact}-{version}.jar"


def jars(coordinates: tuple[str, ...] = COORDINATES) -> list[Path]:
    """The files of `coordinates` (group:artifact:version), fetched where the machine's Maven cache lacks them.

    Raises FleetlakeError where one is neither cached nor to be had.
    """
    from jgo.maven import MavenContext

    context = MavenContext()
    found = []
    for coordinate in coordinates:
        group, artifact, version = coordinate.split(":")
        try:
            found.append(Path(context.project(group, artifact).at_version(version).artifact().resolve()))
        except Exception as error:  # jgo passes on whatever its HTTP client raises
            raise FleetlakeError(
                f"cannot get {coordinate} from Maven ({type(error).__name__}); "
                "run `python -m lake.spark.jars` with network"
            ) from error
    return found


if __name__ == "__main__":
    for jar in jars():
        print(jar)  # noqa: T201 - this is the command's output
