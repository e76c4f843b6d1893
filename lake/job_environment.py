"""What a job on a cluster is given: the settings that it reads and the names of its secrets, never a secret.

Keys of AWS are not passed on: on the cluster a job has the role that it runs as.
"""

import os
from collections.abc import Mapping
from typing import Any

from contracts.errors import FleetlakeError, Misuse
from contracts.settings import PREFIX, AwsService, LakeSettings, RegionSettings, SecretReferences
from lake.jobs import DeriveDays, Expire, Job, Maintain, MergeLanding

_EVERY_JOB = ("region", "catalog", "lake_bucket", "s3")
_TRIP_RULES = ("trip_stop_s", "trip_gap_s", "moving_kmh", "trip_least_m", "trip_least_s")
NEEDED: dict[type[Job], tuple[str, ...]] = {
    MergeLanding: (*_EVERY_JOB, "dynamodb", "straggler_share", "straggler_wait_h"),
    DeriveDays: (*_EVERY_JOB, *_TRIP_RULES, "pack_from_rows"),
    Maintain: (*_EVERY_JOB, *_TRIP_RULES, "dynamodb", "snapshot_keep_h", "landing_keep_days", "live_unseen_days"),
    Expire: (*_EVERY_JOB, *_TRIP_RULES),
}
"""The settings that each kind of job reads, besides the database, which it is told the secret's name of."""
POSTGRES_SECRET = f"{PREFIX}POSTGRES_SECRET"


def job_environment(settings: RegionSettings, job: Job) -> dict[str, str]:
    """The variables of the driver of a job on EMR. Of services it has endpoints alone; defaults are left out."""
    given = {"FLEETLAKE_SPARK": settings.spark, "FLEETLAKE_REGION": settings.region}
    for name in sorted(set(NEEDED[type(job)]) & settings.model_fields_set):
        value = getattr(settings, name)
        of_service = isinstance(value, AwsService)
        variable = f"{PREFIX}{name.upper()}{'_ENDPOINT' if of_service else ''}"
        if (text := value.endpoint if of_service else value) is not None:
            given[variable] = str(text)
    if settings.emr.postgres_secret:
        given[POSTGRES_SECRET] = settings.emr.postgres_secret
    return given


def job_settings(environ: Mapping[str, str] | None = None) -> LakeSettings:
    """The settings of the job in whose environment this process is, its secrets fetched from Secrets Manager.

    Raises BadSettings and UnknownRegion; FleetlakeError where a secret is not to be had.
    """
    variables = dict(os.environ if environ is None else environ)
    reference = SecretReferences.load(variables).postgres_secret
    if reference and "FLEETLAKE_POSTGRES_DSN" not in variables:
        variables["FLEETLAKE_POSTGRES_DSN"] = _secret(variables, reference)
    return LakeSettings.load(variables)


def _secret(environ: Mapping[str, str], name: str) -> str:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from contracts.regions import find_region

    known = SecretReferences.load(environ)
    client: Any = boto3.client("secretsmanager", **known.secrets.client_kwargs(find_region(known.region).aws_region))
    try:
        return str(client.get_secret_value(SecretId=name)["SecretString"])
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "no code")
        raise Misuse(
            f"Secrets Manager does not give {POSTGRES_SECRET} ({name}): {code}; "
            "let the job's role call secretsmanager:GetSecretValue on it"
        ) from None
    except BotoCoreError as error:
        raise FleetlakeError(f"Secrets Manager does not answer for {POSTGRES_SECRET}: {error}") from None
