"""What CloudWatch's agent is told: which page to read, and which metrics of it to send."""

import json
from typing import Any

from deploy.alarms import PREFIXES, watched

EVERY_S = 30


def agent_settings(place: str, role: str) -> dict[str, Any]:
    """Metrics of a role, over all its tasks and shards: an alarm asks for the worst, a policy for the sum."""
    declared = {
        "source_labels": ["job"],
        "label_matcher": f"^{role}$",
        "dimensions": [["region"]],
        "metric_selectors": [f"^{name}$" for name in watched(role)],
    }
    processor = {"metric_namespace": f"Fleetlake/{role}", "metric_declaration": [declared]}
    return {
        "agent": {"region": "", "omit_hostname": True},
        "logs": {
            "metrics_collected": {
                "prometheus": {
                    "log_group_name": f"/fleetlake/{place}/metrics-{role}",
                    "prometheus_config_path": "env:PROMETHEUS_CONFIG_CONTENT",
                    "emf_processor": processor,
                }
            }
        },
    }


def scrape_settings(place: str, role: str, port: int) -> str:
    """Prometheus' own form of what to read; JSON is YAML. What is not watched is dropped at once."""
    keep = {"source_labels": ["__name__"], "regex": f"{PREFIXES[role]}.*", "action": "keep"}
    target = {"targets": [f"127.0.0.1:{port}"], "labels": {"region": place}}
    job = {
        "job_name": role,
        "scrape_interval": f"{EVERY_S}s",
        "static_configs": [target],
        "metric_relabel_configs": [keep],
    }
    return json.dumps({"global": {"scrape_interval": f"{EVERY_S}s", "scrape_timeout": "10s"}, "scrape_configs": [job]})
