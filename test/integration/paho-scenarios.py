"""What paho-mqtt users do with a broker, one function a scenario.

    paho-scenarios.py PORT SCENARIO VERSION      VERSION: 3 (MQTT 3.1), 4 (3.1.1) or 5

Ends with 0 when all went as it should, else with a traceback. Run by paho.test.ts. Client ids and topics begin with
scenario and version, so that all can run at once on one broker.
"""
import queue
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WAIT_S = 10
PORT = int(sys.argv[1])
SCENARIO = sys.argv[2]
VERSION = int(sys.argv[3])
OWN = f"{SCENARIO}{VERSION}/"
V5 = VERSION == mqtt.MQTTv5


class Message:
    """A message received; its topic without the scenario's prefix."""

    def __init__(self, message):
        self.topic = message.topic[len(OWN):]
        self.payload = message.payload
        self.qos = message.qos
        self.retain = message.retain


class Client:
    """A paho client with its network loop in a thread, and its messages in a queue."""

    def __init__(self, client_id, clean=True, will=None, topic_filter=None, qos=2, expiry=60):
        options = {} if V5 else {"clean_session": clean}
        self.paho = mqtt.Client(OWN + client_id, protocol=VERSION, **options)
        self.messages = queue.Queue()
        self.connected = threading.Event()
        self.subscribed = threading.Event()
        self.disconnected = threading.Event()
        self.paho.on_connect = self._on_connect
        self.paho.on_message = lambda _c, _u, message: self.messages.put(Message(message))
        self.paho.on_subscribe = lambda *_: self.subscribed.set()
        self.paho.on_disconnect = lambda *_: self.disconnected.set()
        if will:
            self.paho.will_set(**{**will, "topic": OWN + will["topic"]})
        if V5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else expiry
            self.paho.connect("127.0.0.1", PORT, clean_start=clean, properties=properties)
        else:
            self.paho.connect("127.0.0.1", PORT)
        self.paho.loop_start()
        assert self.connected.wait(WAIT_S), "no CONNACK"
        if topic_filter:
            self.subscribe(topic_filter, qos)

    def _on_connect(self, _client, _userdata, flags, code, _properties=None):
        assert code == 0, code
        self.session_present = flags["session present"]
        self.connected.set()

    def subscribe(self, topic_filter, qos):
        self.subscribed.clear()
        self.paho.subscribe(OWN + topic_filter, qos)
        assert self.subscribed.wait(WAIT_S), "no SUBACK"

    def publish(self, topic, payload, **options):
        self.paho.publish(OWN + topic, payload, **options).wait_for_publish(WAIT_S)

    def next(self):
        return self.messages.get(timeout=WAIT_S)

    def leave(self):
        self.paho.disconnect()
        assert self.disconnected.wait(WAIT_S), "not disconnected"
        self.paho.loop_stop()

    def vanish(self):
        """As a client whose power fails: no DISCONNECT."""
        self.paho.loop_stop()
        self.paho._sock_close()


def exchange():
    """Every QoS published meets every QoS subscribed; the lower one wins, the order stays."""
    subscribers = [Client(f"sub-{qos}", topic_filter="#", qos=qos) for qos in (0, 1, 2)]
    publisher = Client("pub")
    sent = [(qos, f"{qos}-{n}") for n in range(20) for qos in (0, 1, 2)]
    for qos, text in sent:
        publisher.publish(f"{qos}", text, qos=qos)
    for granted, subscriber in enumerate(subscribers):
        got = [subscriber.next() for _ in sent]
        for qos in (0, 1, 2):
            texts = [m.payload.decode() for m in got if m.topic == f"{qos}"]
            assert texts == [text for sent_qos, text in sent if sent_qos == qos], texts
        for message in got:
            assert message.qos == min(granted, int(message.topic)), (granted, message.topic, message.qos)
            assert not message.retain
        assert subscriber.messages.empty()
    for client in [*subscribers, publisher]:
        client.leave()


def retained():
    publisher = Client("pub")
    publisher.publish("a", "1", qos=1, retain=True)
    publisher.publish("b", "2", qos=2, retain=True)
    publisher.publish("a", "3", qos=1, retain=True)
    subscriber = Client("sub", topic_filter="+")
    got = {m.topic: (m.payload, m.qos, m.retain) for m in (subscriber.next(), subscriber.next())}
    assert got == {"a": (b"3", 1, True), "b": (b"2", 2, True)}, got

    publisher.publish("a", None, qos=1, retain=True)
    message = subscriber.next()
    assert (message.topic, message.payload, message.retain) == ("a", b"", False)
    late = Client("late", topic_filter="#")
    assert late.next().topic == "b"
    publisher.publish("c", "end", qos=1)
    assert late.next().topic == "c"
    for client in (publisher, subscriber, late):
        client.leave()


def will():
    watcher = Client("watcher", topic_filter="+", qos=2)
    polite = Client("polite", will={"topic": "polite", "payload": "gone", "qos": 1})
    lost = Client("lost", will={"topic": "lost", "payload": "gone", "qos": 2, "retain": True})
    polite.leave()
    lost.vanish()
    message = watcher.next()
    assert (message.topic, message.payload, message.qos, message.retain) == ("lost", b"gone", 2, False)
    late = Client("late", topic_filter="+")
    assert late.next().retain
    for client in (watcher, late):
        client.leave()


def session():
    """Subscriptions and messages survive a disconnection, and a lost connection."""
    first = Client("sleeper", clean=False, topic_filter="#", qos=2)
    assert not first.session_present
    publisher = Client("pub")
    for leave in (first.leave, None):
        if leave:
            leave()
        else:
            again.vanish()
        sent = [f"{qos}-{n}" for n in range(30) for qos in (1, 2)]
        for text in sent:
            publisher.publish("x", text, qos=int(text[0]))
        again = Client("sleeper", clean=False)
        assert VERSION == 3 or again.session_present
        got = [again.next().payload.decode() for _ in sent]
        # paho shows a QoS 2 message at its PUBREL, so the order holds within one QoS only.
        for qos in "12":
            assert [text for text in got if text[0] == qos] == [text for text in sent if text[0] == qos], got
    publisher.publish("x", "end", qos=1)
    assert again.next().payload == b"end"
    again.leave()

    fresh = Client("sleeper", clean=True, topic_filter="#", qos=1)
    assert not fresh.session_present
    publisher.publish("x", "only", qos=1)
    assert fresh.next().payload == b"only"
    for client in (fresh, publisher):
        client.leave()


{"exchange": exchange, "retained": retained, "will": will, "session": session}[SCENARIO]()
