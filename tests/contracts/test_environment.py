"""A child process inherits the machine, and nothing of a region or of AWS."""

from contracts.environment import inherited


def test_variables_of_the_machine_are_inherited_and_no_others():
    environ = {"PATH": "/bin", "LC_TIME": "C", "HTTPS_PROXY": "http://proxy:3128"}
    secrets = {"FLEETLAKE_POSTGRES_DSN": "postgresql://", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "dev"}

    kept = inherited(environ | secrets)

    assert environ.items() <= kept.items()
    assert not kept.keys() & secrets.keys()


def test_this_machine_is_reached_without_a_proxy():
    assert inherited({"NO_PROXY": "intranet"})["NO_PROXY"] == "intranet,127.0.0.1,localhost"
    assert inherited({})["no_proxy"] == "127.0.0.1,localhost"
