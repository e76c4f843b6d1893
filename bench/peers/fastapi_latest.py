"""A peer of the read API: FastAPI on uvicorn that does only the read of newest records. Run by uvicorn, one process.

REDIS_URL and IDS (device ids, separated by commas) in its environment. No token, no tenancy, no limits, no cursor.
"""

import json
import os

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from redis.asyncio import Redis

from contracts.names import redis_latest

app = FastAPI()
_redis = Redis.from_url(os.environ["REDIS_URL"])
_keys = [redis_latest("eu", device) for device in os.environ["IDS"].split(",")]


@app.get("/latest")
async def latest() -> JSONResponse:
    """The newest records of all the ids."""
    return JSONResponse([json.loads(document) for document in await _redis.mget(_keys) if document])
