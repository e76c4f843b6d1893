"""Scores that are computed here are those that the server computes."""

import numpy as np
import pytest

from ingest.live.places import MAX_LATITUDE_DEG, geo_scores
from tests.builders.valkey_server import valkey

COUNT = 20_000


@pytest.fixture(scope="module")
def server():
    with valkey() as client:
        yield client


def test_scores_are_those_of_geoadd(server):
    chance = np.random.default_rng(20261201)
    longitude, latitude = chance.uniform(-180, 180, COUNT), chance.uniform(-MAX_LATITUDE_DEG, MAX_LATITUDE_DEG, COUNT)
    corners = [(0.0, 0.0), (180.0, MAX_LATITUDE_DEG), (-180.0, -MAX_LATITUDE_DEG), (13.4, 52.5), (-0.0, 1e-9)]
    for place, (lon, lat) in enumerate(corners):
        longitude[place], latitude[place] = lon, lat
    for first in range(0, COUNT, 1_000):
        triples = []
        for number in range(first, first + 1_000):
            triples += [float(longitude[number]), float(latitude[number]), f"d{number}"]
        server.geoadd("places", triples)

    told = server.zmscore("places", [f"d{number}" for number in range(COUNT)])

    assert np.array_equal(np.array(told), geo_scores(longitude, latitude).astype(float))
