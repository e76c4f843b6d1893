"""The CDK app: `python -m deploy.app [FOLDER]` writes the templates of every stack, or fails where a guard does."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from contracts.regions import WORLD, load_regions
from deploy.assembly import read_assembly
from deploy.deployment import NETWORK, Deployment, load_deployment
from deploy.guards import check_guards
from deploy.stacks.acknowledged import acknowledge
from deploy.stacks.kit import Place
from deploy.stacks.network import add_network
from deploy.stacks.scaling import add_scaling
from deploy.stacks.services import add_services, settings_of
from deploy.stacks.shared import add_names, add_world
from deploy.stacks.stores import add_stores
from deploy.stacks.watch import add_watching


def places_of(app: cdk.App, deployment: Deployment) -> list[Place]:
    """Where stacks are: each region, and `world`."""
    places = [
        Place(app=app, deployment=deployment, name=region.name, aws_region=region.aws_region, region=region)
        for region in load_regions().values()
    ]
    return [*places, Place(app=app, deployment=deployment, name=WORLD, aws_region=deployment.world_aws_region)]


def build(app: cdk.App, deployment: Deployment, places: Sequence[Place]) -> None:
    """Every stack: five a region, three of the world, and one for the names."""
    for place in places:
        if place.region is not None:
            _add_region(place)
    regions = [place.region for place in places if place.region is not None]
    world = places[-1]
    network = add_network(world, with_devices=False)
    stores, services = add_world(world, regions)
    stores.add_stack_dependency(network)
    services.add_stack_dependency(stores)
    add_names(
        Place(app=app, deployment=deployment, name=NETWORK, aws_region=deployment.network_aws_region), regions
    )  # fmt: skip


def _add_region(place: Place) -> None:
    network, stores, services = add_network(place, with_devices=True), add_stores(place), add_services(place)
    stores.add_stack_dependency(network)
    services.add_stack_dependency(stores)
    for last in (add_scaling(place), add_watching(place, settings_of(place))):
        last.add_stack_dependency(services)


def synthesise(folder: Path) -> None:
    """Write every template. Raises GuardFailed, or ends with an error of cdk-nag's."""
    app = cdk.App(outdir=str(folder), analytics_reporting=False)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    deployment = load_deployment()
    places = places_of(app, deployment)
    build(app, deployment, places)
    acknowledge(app, places)
    app.synth()
    check_guards(read_assembly(folder), load_regions(), deployment)


if __name__ == "__main__":
    synthesise(Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CDK_OUTDIR", "cdk.out")))
