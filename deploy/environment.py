"""What each process of a region is given: every setting of contracts.settings, by value, by secret, or left out.

A setting that is added to contracts.settings is given to every process with its default at once; one that holds a
secret, or that has no default, has to be named here, and a test fails until it is.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from contracts import names
from contracts.regions import WORLD, Region
from contracts.settings import PREFIX, RegionSettings, WorldSettings
from deploy.deployment import Deployment

IMAGES = ("gateway", "consumer", "serving", "orchestration")
"""Images, one a role: deploy/images/NAME.Containerfile."""
STATE = "/state"
"""The only folder of a task that it may write."""
METRICS_PORT, SERVING_PORT, MQTT_PORT, HTTP_PORT, GRPC_PORT, WEB_PORT = 9400, 8900, 8883, 8443, 4000, 3000

SECRETS: Mapping[str, str] = {
    "FLEETLAKE_POSTGRES_DSN": "postgres-dsn",
    "FLEETLAKE_PRIVACY_DSN": "privacy-dsn",
    "FLEETLAKE_RELEASE_KEY": "release-key",
    "FLEETLAKE_GATEWAY_CREDENTIAL_KEY": "credential-key",
}
"""Settings that come from Secrets Manager, with the last part of the secret's name: fleetlake/R/PART."""
FILES: Mapping[str, str] = {
    "FLEETLAKE_GATEWAY_CERTIFICATE": "gateway-certificate",
    "FLEETLAKE_GATEWAY_KEY": "gateway-key",
}
"""Settings that name a file: deploy.container writes it from a secret before the process starts."""
LEFT_OUT: Mapping[str, str] = {
    **{
        f"FLEETLAKE_{service}_{part}": "botocore's own: AWS's endpoints, and the task's role"
        for service in ("KINESIS", "DYNAMODB", "S3")
        for part in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "SESSION_TOKEN")
    },
    "FLEETLAKE_ALERTS_URL": "alarms go by SNS; who wants Dagster's words too gives it in [settings]",
    "FLEETLAKE_EMR_ENDPOINT": "AWS's own",
    "FLEETLAKE_EMR_PYTHON": "the image's default",
    "FLEETLAKE_EMR_LOGS": "logs/spark/ of the region's own bucket",
    "FLEETLAKE_SPARK_MEMORY": "chosen by the work; Spark runs on EMR Serverless here",
    "FLEETLAKE_GATEWAY_PLAIN_PORT": "nothing is spoken without TLS",
    "FLEETLAKE_GATEWAY_SHAPES": "devices speak the contract; name a file in the image to change it",
    "FLEETLAKE_SERVING_ORIGINS": "pages of no other origin call the API until the deployment names some",
    "FLEETLAKE_SERVING_SITES": "the map shows its own region until the deployment names others",
    "FLEETLAKE_UNPACK": "nothing but KPL aggregates is unpacked until the deployment says so",
}
"""Settings that no process is given, and why. The deployment's [settings] may give them."""
GATEWAY_ONLY = ("FLEETLAKE_GATEWAY_CREDENTIAL_KEY",)


def variables(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[tuple[str, FieldInfo]]:
    """Every variable that the settings read, nested ones too."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from variables(kind, f"{prefix}{name.upper()}_")
        else:
            yield prefix + name.upper(), field


def region_environment(deployment: Deployment, region: Region, emr: Mapping[str, str]) -> dict[str, str]:
    """What every process of the region is given by value. emr: where its jobs run."""
    chosen = {
        "FLEETLAKE_REGION": region.name,
        "FLEETLAKE_LAKE_BUCKET": deployment.lake_bucket(region.name),
        "FLEETLAKE_EXCHANGE_BUCKET": deployment.exchange_bucket,
        "FLEETLAKE_CATALOG": "glue",
        "FLEETLAKE_SPARK": "emr-serverless",
        "FLEETLAKE_STATE": STATE,
        "FLEETLAKE_METRICS_HOST": "0.0.0.0",  # noqa: S104 - a task's own address, behind its security group
        "FLEETLAKE_METRICS_PORT": str(METRICS_PORT),
        "FLEETLAKE_GATEWAY_HOST": "0.0.0.0",  # noqa: S104
        "FLEETLAKE_SERVING_HOST": "0.0.0.0",  # noqa: S104
        "FLEETLAKE_SERVING_JWKS": deployment.identity,
        "FLEETLAKE_SERVING_ISSUER": deployment.issuer,
        "FLEETLAKE_REDIS_IAM_CACHE": redis_name(region.name),
        **emr,
        **deployment.settings,
    }
    defaults = {name: _text(field.default) for name, field in variables(RegionSettings) if _has_default(name, field)}
    return dict(sorted((defaults | chosen | machine(region.aws_region)).items()))


def world_environment(deployment: Deployment) -> dict[str, str]:
    """What every process of `world` is given by value."""
    chosen = {
        "FLEETLAKE_REGION": WORLD,
        "FLEETLAKE_AWS_REGION": deployment.world_aws_region,
        "FLEETLAKE_EXCHANGE_BUCKET": deployment.exchange_bucket,
        "FLEETLAKE_SERVING_HOST": "0.0.0.0",  # noqa: S104
        "FLEETLAKE_SERVING_JWKS": deployment.identity,
        "FLEETLAKE_SERVING_ISSUER": deployment.issuer,
    }
    defaults = {name: _text(field.default) for name, field in variables(WorldSettings) if _has_default(name, field)}
    own = {name: value for name, value in deployment.settings.items() if name in dict(variables(WorldSettings))}
    return dict(sorted((defaults | chosen | own | machine(deployment.world_aws_region)).items()))


def machine(aws_region: str) -> dict[str, str]:
    """Variables that are no setting of ours: the region of AWS, said twice, for no client may fall back to another."""
    return {
        "AWS_REGION": aws_region,
        "AWS_DEFAULT_REGION": aws_region,
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }


def secret_name(scope: str, part: str) -> str:
    """The name of a secret of a region, or of `world`."""
    return f"fleetlake/{scope}/{part}"


def redis_name(region: str) -> str:
    """The replication group of the region's live state."""
    return f"fleetlake-{region}"


def redis_url(region: str, address: str) -> str:
    """Live state: the user authenticates by IAM, so there is no password to keep."""
    return f"rediss://{region}@{address}:6379/0"


def emr_variables(region: str, application: str, role: str, bucket: str, version: str) -> dict[str, str]:
    """Where the region's Spark jobs run."""
    return {
        "FLEETLAKE_EMR_APPLICATION": application,
        "FLEETLAKE_EMR_ROLE": role,
        "FLEETLAKE_EMR_ENTRY_POINT": f"s3://{bucket}/code/{version}/main.py",
        "FLEETLAKE_EMR_POSTGRES_SECRET": secret_name(region, SECRETS["FLEETLAKE_POSTGRES_DSN"]),
    }


def stream_name(region: str) -> str:
    """The region's stream."""
    return names.stream(region)


def _has_default(name: str, field: FieldInfo) -> bool:
    known = name in LEFT_OUT or name in SECRETS or name in FILES
    return not known and not field.is_required() and field.default is not None


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        raise TypeError("a secret has no default that may be written down")
    return str(value).lower() if isinstance(value, bool) else str(value)
