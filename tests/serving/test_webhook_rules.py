"""What webhooks are built on: crossings as visits have them, addresses that may be reached, and the signature."""

import asyncio
import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from uuid import UUID, uuid4

import aiohttp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serving.problems import BadRequest
from serving.webhooks.crossings import ENTERED, LEFT, Crossing, crossings
from serving.webhooks.reaching import checked_url, session
from serving.webhooks.signing import headers_of, secret_of, shown
from serving.zones.ring import Ring
from serving.zones.visits import stays

RING = Ring([(8.0, 50.0), (8.1, 50.0), (8.1, 50.1), (8.0, 50.1)])
INSIDE, MARGIN, OUTSIDE = (50.05, 8.05), (50.1 + 15 / 111_195, 8.05), (50.2, 8.05)


@given(
    places=st.lists(st.sampled_from([INSIDE, MARGIN, OUTSIDE]), min_size=1, max_size=30),
    cuts=st.sets(st.integers(1, 29)),
    kept=st.integers(1, 30),
)
@example(places=[INSIDE, INSIDE, INSIDE, MARGIN, INSIDE], cuts={3, 4}, kept=1)
@settings(deadline=None)
def test_told_piece_by_piece_it_is_what_visits_say_of_the_whole(
    places: list[tuple[float, float]], cuts: set[int], kept: int
) -> None:
    points = [(ms, lat, lon) for ms, (lat, lon) in enumerate(places)]
    told: list[Crossing] = []
    begins = [cut for cut in sorted(cuts) if cut < len(points)]
    for begin, end in zip([0, *begins], [*begins, len(points)], strict=True):
        # What Redis keeps: at least what came since the last look.
        seen = points[max(0, min(begin, end - kept)) : end]
        told += crossings(seen, RING, -1, told[-1] if told else None)
    ts_ms, lat, lon = (np.array(column) for column in zip(*points, strict=True))
    expected = []
    for stay in stays(ts_ms, lat, lon, RING):
        expected += [] if stay.began_before else [Crossing(ENTERED, stay.enter_ms)]
        expected += [] if stay.leave_ms is None else [Crossing(LEFT, stay.leave_ms)]
    if told != expected:
        # Only where nothing was told yet may a first look that is short know less: a device is inside as if always.
        assert kept < len(points)
        assert told == expected[len(expected) - len(told) :]


def test_entering_and_leaving_take_turns_and_what_comes_late_tells_nothing() -> None:
    told = Crossing(ENTERED, 100)
    assert crossings([(50, *OUTSIDE), (100, *INSIDE), (150, *INSIDE)], RING, 0, told) == []
    assert crossings([(90, *OUTSIDE), (160, *OUTSIDE)], RING, 0, told) == [Crossing(LEFT, 160)]
    assert crossings([(160, *MARGIN)], RING, 0, told) == []


def test_what_was_before_a_webhook_is_not_told() -> None:
    points = [(1, *OUTSIDE), (2, *INSIDE), (3, *OUTSIDE)]
    assert crossings(points, RING, 2, None) == [Crossing(LEFT, 3)]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://",
        "https://user@example.com/",
        "https://example.com/#a",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://localhost/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "ftp://example.com/",
    ],
)
def test_an_address_that_is_not_public_is_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="url"):
        checked_url(url, private=False)


def test_a_public_address_over_tls_will_do() -> None:
    for url in ("https://example.com/a?b=c", "https://example.com:8443/", "https://93.184.215.14/"):
        assert checked_url(url, private=False) == url
    assert checked_url("http://127.0.0.1:1/", private=True)


def test_a_name_that_leads_into_the_own_network_is_not_reached() -> None:
    async def ask() -> None:
        async with session(private=False, within_s=5) as client, client.post("http://localhost:1/"):
            pass

    with pytest.raises(aiohttp.ClientConnectorDNSError):
        asyncio.run(ask())


def test_a_delivery_is_signed_as_standard_webhooks_has_it() -> None:
    webhook, event, body = uuid4(), UUID(int=7), b'{"type":"zone.left"}'
    secret = secret_of(b"key of the region", webhook, 1)
    before = secret_of(b"key of the region", webhook, 0)
    assert len({secret, before, secret_of(b"key of another", webhook, 1)}) == 3
    headers = headers_of(event, 1_700_000_000, body, [secret, before])
    key = b64decode(shown(secret).removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + b64encode(hmac.new(key, signed, sha256).digest()).decode()
    assert headers["webhook-signature"].split() == [expected, headers["webhook-signature"].split()[1]]
    assert str(event) == headers["webhook-id"]
