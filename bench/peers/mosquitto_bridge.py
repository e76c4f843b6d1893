"""A broker's bridge to the stream, as one writes it: a QoS 1 subscriber that puts what it hears, KPL-aggregated.

`python -m bench.peers.mosquitto_bridge PORT`, with a region's environment. At the end of stdin it prints what it put.
"""

import json
import queue
import sys
import threading
import time
from itertools import count

import paho.mqtt.client as mqtt

from contracts.settings import RegionSettings
from producer import Producer

TOPIC = "v1/devices/+/telemetry"
AT_ONCE = 500
QUIET_S = 5.0
"""The broker has sent all that it will once nothing came for so long."""


def main(port: int) -> None:
    """Bridge until stdin ends and nothing comes any more."""
    heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="bridge", clean_session=False)
    client.on_connect = lambda *_: client.subscribe(TOPIC, qos=1)
    client.on_subscribe = lambda *_: print(json.dumps({"subscribed": True}), flush=True)
    client.on_message = lambda _, __, message: heard.put((message.topic.split("/")[2], message.payload))
    client.connect("127.0.0.1", port)
    client.loop_start()
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    print(json.dumps({"put": _put(heard, ended), "cpu_s": time.process_time()}), flush=True)
    client.loop_stop()


def _put(heard: "queue.SimpleQueue[tuple[str, bytes]]", ended: threading.Event) -> int:
    put, quiet_since = 0, time.monotonic()
    with Producer.open(RegionSettings.load()) as producer:
        while not (ended.is_set() and time.monotonic() - quiet_since > QUIET_S):
            batch = _batch(heard)
            if batch:
                producer.put(batch)
                producer.flush()
                put, quiet_since = put + len(batch), time.monotonic()
    return put


def _batch(heard: "queue.SimpleQueue[tuple[str, bytes]]") -> list[tuple[str, bytes]]:
    made: list[tuple[str, bytes]] = []
    for number in count():
        try:
            made.append(heard.get(timeout=0.2 if number == 0 else 0.02))
        except queue.Empty:
            break
        if len(made) >= AT_ONCE:
            break
    return made


if __name__ == "__main__":
    main(int(sys.argv[1]))
