"""`fleetlake erase` and `fleetlake requests`, as a privacy officer calls them."""

import json
import uuid

import psycopg

from privacy.erasure.suppression import wholly_suppressed
from tests.builders.command import fleetlake, reported

AF = ("--region", "af")


def test_a_device_that_sent_nothing_is_erased_with_a_report_and_lifted_again(stack, tmp_path):
    device, file = f"silent-{uuid.uuid4().hex[:8]}", tmp_path / "report.json"
    planned = reported(stack.state, "erase", device, *AF, "--dry-run")
    assert (planned["kind"], planned["devices"], sum(planned["counts"].values())) == ("device", 1, 0)

    done = reported(stack.state, "erase", device, *AF, "--who", "officer", "--report", str(file))
    assert (done["state"], done["counts"]) == ("done", {"hits_before": 0, "hits_after": 0})
    assert "verify" in done["steps"]
    assert device not in json.dumps(done) + file.read_text()
    assert wholly_suppressed(stack.settings("af"), [device]) == {device}
    assert reported(stack.state, "requests", *AF, "--verify", str(file)) == {"genuine": True}

    file.write_text(file.read_text().replace('"hits_after": 0', '"hits_after": 7'))
    assert fleetlake(stack.state, "requests", *AF, "--verify", str(file)).returncode == 1

    reported(stack.state, "erase", device, *AF, "--lift")
    assert wholly_suppressed(stack.settings("af"), [device]) == set()
    assert fleetlake(stack.state, "erase", device, *AF, "--lift").returncode == 2


def test_an_overdue_request_is_told_by_the_exit_code(stack):
    settings = stack.settings("af")
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as privacy:
        privacy.execute(
            "insert into privacy.requests (kind, subject_kind, subject, subject_hmac, who, due_at)"
            " values ('erase', 'device', 'overdue-device-9', 'x', 'officer', now() - interval '1 day')"
        )
    try:
        listed = fleetlake(stack.state, "requests", *AF, "--json")
        assert listed.returncode == 1
        assert [one["overdue"] for one in json.loads(listed.stdout)["requests"]].count(True) == 1
        assert "overdue-device-9" not in listed.stdout
    finally:
        with psycopg.connect(settings.privacy_dsn.get_secret_value()) as privacy:
            privacy.execute("delete from privacy.requests where subject = 'overdue-device-9'")
