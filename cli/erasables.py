"""Every store's adapter, for erasures: the one place where they are put together. A store without one fails a test."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contracts.settings import RegionSettings
    from privacy.erasure.run import Stores


def erasables(settings: "RegionSettings") -> "Stores":
    """The adapters of a region's stores."""
    from gateway.admin.erasable import Credentials
    from ingest.kinesis.erasable import Stream
    from ingest.leases.acknowledged import Consumers
    from ingest.live.erasable import LiveState
    from lake.erase.landing import LandedObjects
    from lake.erase.tables import IcebergTables
    from marts.erasable import Registry, StagingAndMarts
    from privacy.erasure.exports import Exports
    from privacy.erasure.run import Stores
    from release.erasable import ReleaseMarks
    from serving.stores.erasable import SharesEventsAndReadings

    exports, credentials, readings = Exports(settings), Credentials(settings), SharesEventsAndReadings(settings)
    return Stores(
        consumers=Consumers(settings),
        objects=[LandedObjects(settings), exports],
        history=[IcebergTables(settings)],
        serving=[
            LiveState(settings),
            StagingAndMarts(settings),
            credentials,
            readings,
            ReleaseMarks(settings),
        ],
        registry=[Registry(settings)],
        beyond=[Stream(settings)],
        canaries=[exports, credentials, readings],
    )
