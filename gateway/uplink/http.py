"""A device that posts its telemetry and keeps what is not answered."""

import asyncio

import aiohttp

from gateway.uplink.line import Line, Message

WITHIN_S = 60.0
_ACCEPTED, _MIXED, _TOO_MANY, _SERVER = 202, 207, 429, 500


class HttpLine(Line):
    """One device's requests, one after another on a connection that is kept."""

    async def converse(self) -> bool:
        """Post until nothing waits."""
        connector = aiohttp.TCPConnector(ssl=self.tls, limit=1)
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while self.waiting:
                if not await self._post(session, self.waiting[0]):
                    return False
        return True

    async def _post(self, session: aiohttp.ClientSession, message: Message) -> bool:
        url = f"https://{self.endpoint.host}:{self.endpoint.port}/v1/telemetry"
        headers = {"Content-Type": "application/x-ndjson"}
        body, name = b"\n".join(message), self.endpoint.server_name
        try:
            async with session.post(url, data=body, headers=headers, server_hostname=name) as answer:
                document = await answer.json()
        except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
        if answer.status == _TOO_MANY or answer.status >= _SERVER:
            await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
            return False
        self.waiting.popleft()
        if answer.status == _ACCEPTED:
            self.acknowledged(message)
        elif answer.status == _MIXED:
            bad = {one["index"] for one in document["refused"]}
            self.acknowledged([record for place, record in enumerate(message) if place not in bad])
            for one in document["refused"]:
                self.refused([message[one["index"]]], one["reason"])
        else:
            self.refused(message, document["reason"])
        return True
