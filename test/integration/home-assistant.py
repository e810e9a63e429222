"""A house as Home Assistant knows it: its own client, and devices that announce themselves and come and go.

    home-assistant.py PORT DEVICES

Ends with 0 when all went as it should, else with a traceback. Run by home-assistant.test.ts.
"""
import json
import queue
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

WAIT_S = 30
PORT = int(sys.argv[1])
DEVICES = int(sys.argv[2])
STATUS = "homeassistant/status"


class Client:
    """A client of MQTT 5.0 with a birth message, a will, and its messages in a queue."""

    def __init__(self, client_id, status_topic, filters, expiry=0):
        self.messages = queue.Queue()
        self.connections = queue.Queue()
        self.subscribed = threading.Semaphore(0)
        self.status_topic = status_topic
        self.filters = filters
        self.properties = Properties(PacketTypes.CONNECT)
        self.properties.SessionExpiryInterval = expiry
        self.paho = mqtt.Client(client_id, protocol=mqtt.MQTTv5)
        self.paho.reconnect_delay_set(1, 1)
        self.paho.will_set(status_topic, "offline", qos=1, retain=True)
        self.paho.on_connect = self._on_connect
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_subscribe = lambda *_: self.subscribed.release()

    def start(self, clean=True):
        self.paho.connect("127.0.0.1", PORT, clean_start=clean, properties=self.properties)
        self.paho.loop_start()
        return self

    def _on_connect(self, client, _userdata, flags, reason, _properties):
        assert reason == 0, reason
        for topic_filter, options in self.filters:
            client.subscribe(topic_filter, options=options)
        client.publish(self.status_topic, "online", qos=1, retain=True)
        self.connections.put(flags["session present"])

    def connected(self):
        """Waits until connected with all subscriptions. Returns whether the session went on."""
        present = self.connections.get(timeout=WAIT_S)
        for _ in self.filters:
            assert self.subscribed.acquire(timeout=WAIT_S), "no SUBACK"
        return present

    def publish(self, topic, payload, retain=True):
        self.paho.publish(topic, payload, qos=1, retain=retain).wait_for_publish(WAIT_S)

    def expect(self, wanted):
        """Reads messages until every topic of `wanted` has brought the payload it has there."""
        missing = dict(wanted)
        while missing:
            try:
                message = self.messages.get(timeout=WAIT_S)
            except queue.Empty:
                raise AssertionError(f"{len(missing)} messages missing, as {list(missing.items())[:3]}") from None
            if missing.get(message.topic) == message.payload.decode():
                del missing[message.topic]

    def drop(self):
        """Loses the connection, as when the network does; paho comes back by itself."""
        self.paho.socket().shutdown(2)

    def stop(self):
        self.paho.disconnect()
        self.paho.loop_stop()


def options(qos=0, **more):
    return SubscribeOptions(qos=qos, **more)


def config_of(number):
    topic = f"homeassistant/sensor/device{number}/temperature/config"
    return topic, json.dumps({"state_topic": f"house/device{number}/state", "unique_id": f"d{number}"})


def device(number):
    return Client(
        f"device{number}",
        f"house/device{number}/availability",
        [(f"house/device{number}/set", options(1)), (STATUS, options(1))],
        expiry=300,
    )


def all_of(devices, suffix, payload):
    return {f"house/device{number}/{suffix}": payload for number in range(len(devices))}


def main():
    # Devices are there first, and announce themselves with retained messages.
    devices = [device(number).start(clean=False) for number in range(DEVICES)]
    for number, one in enumerate(devices):
        assert not one.connected(), "there was no session"
        one.publish(*config_of(number))
        one.publish(f"house/device{number}/state", f"{number}.5")

    # The house finds them by wildcards: discovery, states, availability, all retained.
    house = Client(
        "house",
        STATUS,
        [("homeassistant/+/+/+/config", options(0)), ("house/#", options(0)), (STATUS, options(0))],
    ).start()
    house.connected()
    house.expect(dict(config_of(number) for number in range(DEVICES)))
    # A tool that looks at everything sees the same, and nothing of $SYS.
    explorer = Client("explorer", "explorer/status", [("#", options(0))]).start()
    explorer.connected()
    everything = {
        **dict(config_of(number) for number in range(DEVICES)),
        **all_of(devices, "availability", "online"),
        **{f"house/device{number}/state": f"{number}.5" for number in range(DEVICES)},
        STATUS: "online",
    }
    explorer.expect(everything)

    # Commands reach the devices, and the birth message reaches all.
    for number, one in enumerate(devices):
        one.expect({STATUS: "online"})
        house.publish(f"house/device{number}/set", "on", retain=False)
        one.expect({f"house/device{number}/set": "on"})

    # The house is restarted without a good-bye: will, then birth again; commands meanwhile wait for nobody.
    house.drop()
    for one in devices:
        one.expect({STATUS: "offline"})
    for one in devices:
        one.expect({STATUS: "online"})
    house.connected()
    house.expect(all_of(devices, "availability", "online"))

    # The network fails for all devices at once, and all come back at once.
    for one in devices:
        one.drop()
    explorer.expect(all_of(devices, "availability", "offline"))
    explorer.expect(all_of(devices, "availability", "online"))
    for number, one in enumerate(devices):
        assert one.connected(), "the session is gone"
        house.publish(f"house/device{number}/set", "off", retain=False)
        one.expect({f"house/device{number}/set": "off"})

    # A device is removed: its discovery is cleared with an empty message.
    topic, _ = config_of(0)
    house.publish(topic, "")
    explorer.expect({topic: ""})
    later = Client("later", "later/status", [("homeassistant/#", options(0))]).start()
    later.connected()
    later.expect(dict(config_of(number) for number in range(1, DEVICES)))

    for one in [*devices, house, explorer, later]:
        one.stop()


main()
