"""Job runs of an EMR Serverless application: started once, found again by name, waited for, cancelled."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec
from botocore.exceptions import ClientError

MESSAGES_TAG = "fleetlake:messages"
"""Tag of a job run: the folder that it sends its report through."""
_ENDED = {"SUCCESS", "FAILED", "CANCELLED"}
_LOOK_BACK = timedelta(days=2)
"""Longer than a job may run (executionTimeoutMinutes is 12 hours unless set)."""
_SAME_TOKEN = {"ConflictException", "ValidationException"}
"""What AWS answers where a token was used with other parameters."""


class JobRun(msgspec.Struct, frozen=True):
    """One job run: its id, and the folder of its messages."""

    id: str
    messages: str


class Plan(msgspec.Struct, frozen=True):
    """What to do about a job: wait for a run that is under way, or start one with this token."""

    under_way: JobRun | None
    token: str


class EmrApplication:
    """One application, through its API.

    Promises
    - A job has a name, made of what it does. While a run of that name is under way, `plan` finds it.
    - `start` with an earlier plan's token starts nothing new: two launchers that saw the same runs get the same one.
    """

    def __init__(self, client: Any, application: str, poll_s: float) -> None:
        self._client, self._application, self._poll_s = client, application, poll_s

    def plan(self, name: str) -> Plan:
        """Whether a run of that name is under way. The token names the runs that have ended: after them comes a new."""
        now = datetime.now(UTC)
        pages = self._client.get_paginator("list_job_runs").paginate(
            applicationId=self._application, createdAtAfter=now - _LOOK_BACK
        )
        runs = [run for page in pages for run in page["jobRuns"] if run.get("name") == name]
        ended = sorted(run["id"] for run in runs if run["state"] in _ENDED)
        under_way = sorted(run["id"] for run in runs if run["state"] not in _ENDED)
        follows = [self._application, name, f"{now:%Y-%m-%d}", *ended]
        token = blake2b("\n".join(follows).encode(), digest_size=16).hexdigest()
        return Plan(self._job_run(under_way[0]) if under_way else None, token)

    def start(self, name: str, token: str, parameters: Mapping[str, Any]) -> JobRun:
        """Start a run, or get the one that was started with this token. Raises ClientError."""
        try:
            started = self._client.start_job_run(
                applicationId=self._application, clientToken=token, name=name, **parameters
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            found = self.plan(name).under_way if code in _SAME_TOKEN else None
            if found is None:
                raise
            return found
        return JobRun(started["jobRunId"], parameters["tags"][MESSAGES_TAG])

    def wait(self, job_run: JobRun) -> str:
        """Wait until the run has ended; its state. What EMR says of it besides quotes the last lines of its log."""
        while True:
            state: str = self._get(job_run.id)["state"]
            if state in _ENDED:
                return state
            time.sleep(self._poll_s)

    def cancel(self, job_run: JobRun) -> None:
        """End the run."""
        self._client.cancel_job_run(applicationId=self._application, jobRunId=job_run.id)

    def _job_run(self, run_id: str) -> JobRun:
        return JobRun(run_id, (self._get(run_id).get("tags") or {}).get(MESSAGES_TAG, ""))

    def _get(self, run_id: str) -> dict[str, Any]:
        run: dict[str, Any] = self._client.get_job_run(applicationId=self._application, jobRunId=run_id)["jobRun"]
        return run
