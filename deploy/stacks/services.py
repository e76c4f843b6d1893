"""A region's processes: gateway, consumer, read API, Dagster with its code server, Spark's application."""

from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_emrserverless as emr
from aws_cdk import aws_servicediscovery as discovery

from contracts.names import SUPPRESSION_COPIES
from contracts.policies.roles import Role, role_policy
from deploy import environment as env
from deploy.alarms import CONSUMER, GATEWAY, SERVING
from deploy.stacks.entrances import api_entrance, device_entrance
from deploy.stacks.kit import Place, allow, document, export, imported, key_arn, role, subnets
from deploy.stacks.network import group
from deploy.stacks.tasks import Task, add_service, add_task

DAGSTER_DSN = {"FLEETLAKE_DAGSTER_DSN": "dagster-dsn"}


def add_services(place: Place) -> cdk.Stack:
    """The stack `services` of a region."""
    stack = place.stack("services", "gateway, consumer, read API, Dagster")
    cluster(stack, place)
    given = _environment(stack, place)
    secrets = {name: part for name, part in env.SECRETS.items() if name not in env.GATEWAY_ONLY}
    add_gateway(stack, place, given, secrets)
    add_consumer(stack, place, given, secrets)
    add_api(stack, place, given, secrets)
    policy = _with_redis(place, _policy(place, "orchestration"), _submit(place))
    add_dagster(stack, place, given, secrets, policy)
    return stack


def cluster(stack: cdk.Stack, place: Place) -> None:
    """The cluster that the place's services run on."""
    ecs.CfnCluster(
        stack, "Cluster", cluster_name=f"fleetlake-{place.name}",
        cluster_settings=[{"name": "containerInsights", "value": "enhanced"}],
        configuration={"executeCommandConfiguration": {"logging": "NONE", "kmsKeyId": key_arn(place)}},
    )  # fmt: skip


def _environment(stack: cdk.Stack, place: Place) -> Mapping[str, str]:
    application = _spark(stack, place).attr_application_id
    export(stack, place, "spark", application)
    return settings_of(place, application, _job_role(stack, place))


def settings_of(place: Place, application: str = "", job_role: str = "") -> Mapping[str, str]:
    """What each process of the region is given by value; another stack's process by what this stack exports."""
    jobs = env.emr_variables(
        place.name, application or imported(place, "spark"),
        job_role or f"arn:aws:iam::{place.account}:role/fleetlake-{place.name}-job",
        place.deployment.lake_bucket(place.name), place.deployment.version,
    )  # fmt: skip
    given = env.region_environment(place.deployment, place.jurisdiction, jobs)
    return given | {"FLEETLAKE_REDIS_URL": env.redis_url(place.name, imported(place, "redis"))}


def _spark(stack: cdk.Stack, place: Place) -> emr.CfnApplication:
    sizes = place.jurisdiction.spark
    cores = sizes.driver_cores + sizes.executor_cores * sizes.most_executors
    gib = sizes.driver_gib + sizes.executor_gib * sizes.most_executors
    return emr.CfnApplication(
        stack, "Spark", name=f"fleetlake-{place.name}", release_label="emr-spark-8.0.0", type="SPARK",
        architecture=place.deployment.architecture, auto_start_configuration={"enabled": True},
        auto_stop_configuration={"enabled": True, "idleTimeoutMinutes": 15},
        maximum_capacity={"cpu": f"{2 * cores} vCPU", "memory": f"{2 * gib} GB"},
        network_configuration={"subnetIds": subnets(place, "private"), "securityGroupIds": [group(place, "spark")]},
    )  # fmt: skip


def _job_role(stack: cdk.Stack, place: Place) -> str:
    dsn = imported(place, "secret-postgres-dsn")
    secret = allow("PostgresSecret", ["secretsmanager:GetSecretValue"], dsn)
    key = allow("SecretsKey", ["kms:Decrypt"], key_arn(place))
    policies = {"own": _policy(place, "job"), "secret": document(secret, key)}
    arn: str = role(stack, "job", place, service="emr-serverless.amazonaws.com", policies=policies).attr_arn
    return arn


def _policy(place: Place, name: Role) -> Mapping[str, Any]:
    chosen = place.deployment
    return role_policy(
        place.jurisdiction, name, account=place.account, lake=chosen.lake_bucket(place.name),
        exchange=chosen.exchange_bucket, key=key_arn(place),
    )  # fmt: skip


def _with_redis(place: Place, policy: Mapping[str, Any], *more: Mapping[str, Any]) -> Mapping[str, Any]:
    """The policy, with leave to connect to live state as the region's user."""
    own = [
        place.arn("elasticache", f"replicationgroup:{env.redis_name(place.name)}"),
        place.arn("elasticache", f"user:{place.name}"),
    ]
    return {**policy, "Statement": [*policy["Statement"], allow("LiveState", ["elasticache:Connect"], own), *more]}


def _submit(place: Place) -> Mapping[str, Any]:
    """Jobs of the region's own application, as the region's own job role."""
    where = place.arn("emr-serverless", "/applications/*")
    start = ["emr-serverless:StartJobRun", "emr-serverless:ListJobRuns", "emr-serverless:GetJobRun",
             "emr-serverless:CancelJobRun", "emr-serverless:TagResource"]  # fmt: skip
    return allow("Jobs", start, where, StringEquals={"aws:ResourceTag/fleetlake-region": place.name})


def _pass_role(place: Place) -> Mapping[str, Any]:
    to = {"StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}}
    return allow("JobRole", ["iam:PassRole"], f"arn:aws:iam::{place.account}:role/fleetlake-{place.name}-job", **to)


def add_gateway(stack: cdk.Stack, place: Place, given: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Device access behind an NLB that passes TCP through: TLS, and client certificates, end in the gateway."""
    mqtt, http = device_entrance(stack, place)
    sizes = place.deployment.gateway
    own = {name: part for name, part in env.SECRETS.items() if name in env.GATEWAY_ONLY}
    files = {f"{name}_PEM": part for name, part in env.FILES.items()}
    task = Task(
        name="gateway", image="gateway", command=("fleetlake", "gateway", "--region", place.name), cpu=1024,
        memory_mib=2048, environment=given, secrets={**secrets, **own, **files},
        policy=_with_redis(place, _policy(place, "gateway")), group="gateway", metrics=GATEWAY,
        ports=(env.MQTT_PORT, env.HTTP_PORT, env.METRICS_PORT), health_path="/healthz", fewest=sizes.tasks[0],
        balanced=[_target("gateway", env.MQTT_PORT, mqtt), _target("gateway", env.HTTP_PORT, http)],
    )  # fmt: skip
    add_service(stack, place, task).add_resource_dependency(stack.node.find_child("MqttListener"))


def add_consumer(stack: cdk.Stack, place: Place, given: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Workers that share the stream by leases; one that stops hands its shards over, for which it has a minute."""
    task = Task(
        name="consumer", image="consumer", command=("fleetlake", "consume", "--region", place.name), cpu=512,
        memory_mib=2048, environment=given, secrets=secrets, policy=_with_redis(place, _policy(place, "consumer")),
        group="consumer", metrics=CONSUMER, ports=(env.METRICS_PORT,), health_path="/healthz",
        fewest=place.deployment.consumer.tasks[0],
    )  # fmt: skip
    add_service(stack, place, task)


def add_api(stack: cdk.Stack, place: Place, given: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """The read API and the live map behind an ALB."""
    target = api_entrance(stack, place)
    task = Task(
        name="serving", image="serving", command=("fleetlake", "serve", "--region", place.name), cpu=1024,
        memory_mib=2048, environment=given, secrets=secrets, policy=_with_redis(place, _policy(place, "serving")),
        group="serving", metrics=SERVING, ports=(env.SERVING_PORT,), health_path="/healthz",
        health_port=env.SERVING_PORT, fewest=place.deployment.serving.tasks[0],
        balanced=[_target("serving", env.SERVING_PORT, target)],
    )  # fmt: skip
    add_service(stack, place, task).add_resource_dependency(stack.node.find_child("ApiListener"))


def add_dagster(
    stack: cdk.Stack, place: Place, given: Mapping[str, str], secrets: Mapping[str, str],
    policy: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    """Web server and daemon, which hold no secret of the place but Dagster's own, and the code server, which does.

    Each place has its own: one for all would need a way from its network into every region's.
    """
    name = f"{place.name}.fleetlake.internal"
    space = discovery.CfnPrivateDnsNamespace(stack, "Names", name=name, vpc=imported(place, "vpc"))
    records = {"dnsRecords": [{"type": "A", "ttl": 10}]}
    code = discovery.CfnService(stack, "CodeName", name="code", namespace_id=space.attr_id, dns_config=records)
    where = ("--grpc-host", f"code.{name}", "--grpc-port", str(env.GRPC_PORT))
    home = {"DAGSTER_HOME": f"{env.STATE}/dagster"}
    server = ("python", "-m", "orchestration.container", "python", "-m", "dagster", "api", "grpc", "-m",
              "orchestration.location", "--host", "0.0.0.0", "--port", str(env.GRPC_PORT))  # noqa: S104  # fmt: skip
    with_jobs = None if policy is None else {**policy, "Statement": [*policy["Statement"], _pass_role(place)]}
    tasks: Sequence[Task] = (
        Task(name="code", image="orchestration", command=server, cpu=2048, memory_mib=8192,
             environment={**given, **home}, secrets={**secrets, **DAGSTER_DSN}, policy=with_jobs,
             group="orchestration", ports=(env.GRPC_PORT,), registry=code.attr_arn),
        Task(name="web", image="orchestration", command=("python", "-m", "orchestration.container", "dagster-webserver",
             "--host", "0.0.0.0", "--port", str(env.WEB_PORT), *where), cpu=512, memory_mib=2048,  # noqa: S104
             environment=home, secrets=DAGSTER_DSN, policy=None, group="dagster", ports=(env.WEB_PORT,)),
        Task(name="daemon", image="orchestration", command=("python", "-m", "orchestration.container", "dagster-daemon",
             "run", *where), cpu=512, memory_mib=2048, environment=home, secrets=DAGSTER_DSN, policy=None,
             group="dagster"),
    )  # fmt: skip
    for task in tasks:
        add_service(stack, place, task)


def add_watch(stack: cdk.Stack, place: Place, given: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    """A task that tells how old the marts are and which erasures are late; its definition's ARN."""
    copies = f"arn:aws:s3:::{place.deployment.lake_bucket(place.name)}/{SUPPRESSION_COPIES}*"
    policy = document(
        allow("KeepSuppression", ["s3:PutObject"], copies),
        allow("LakesKey", ["kms:Decrypt", "kms:GenerateDataKey"], key_arn(place)),
    )
    task = Task(
        name="watch", image="orchestration", command=("python", "-m", "deploy.watch"), cpu=256, memory_mib=512,
        environment=given, secrets=secrets, policy=policy, group="orchestration",
    )  # fmt: skip
    definition: str = add_task(stack, place, task).ref
    return definition


def _target(container: str, port: int, group_: elb.CfnTargetGroup) -> dict[str, Any]:
    return {"containerName": container, "containerPort": port, "targetGroupArn": group_.ref}
