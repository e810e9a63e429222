"""What paho-mqtt users do with a broker, one function a scenario.

    paho-scenarios.py PORT SCENARIO VERSION TRANSPORT      VERSION: 3 (MQTT 3.1), 4 (3.1.1) or 5
                                                           TRANSPORT: tcp or websockets

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
TRANSPORT = sys.argv[4]
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

    def __init__(self, client_id, clean=True, will=None, topic_filter=None, qos=2, expiry=60, **connect_properties):
        options = {} if V5 else {"clean_session": clean}
        self.paho = mqtt.Client(OWN + client_id, protocol=VERSION, transport=TRANSPORT, **options)
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
            for name, value in connect_properties.items():
                setattr(properties, name, value)
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

    def share(self, group, topic_filter, qos):
        """Subscribes as a member of a group."""
        self.subscribed.clear()
        self.paho.subscribe(f"$share/{group}/{OWN}{topic_filter}", qos)
        assert self.subscribed.wait(WAIT_S), "no SUBACK"

    def publish(self, topic, payload, publish_properties=None, **options):
        if publish_properties:
            options["properties"] = Properties(PacketTypes.PUBLISH)
            for name, value in publish_properties.items():
                setattr(options["properties"], name, value)
        self.paho.publish(OWN + topic if topic else "", payload, **options).wait_for_publish(WAIT_S)

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


def shared():
    """A group shares its messages, each going to one member, in turn."""
    members = [Client(f"member-{n}") for n in range(3)]
    for member in members:
        member.share("group", "x", 1)
    publisher = Client("pub")
    sent = [f"{n}" for n in range(30)]
    for text in sent:
        publisher.publish("x", text, qos=1)
    got = [[member.next().payload.decode() for _ in range(10)] for member in members]
    assert sorted(sum(got, []), key=int) == sent, got
    for client in [*members, publisher]:
        client.leave()


def aliases():
    """Topic aliases of the client stand for their topics (MQTT 5.0)."""
    subscriber = Client("sub", topic_filter="#", qos=1)
    publisher = Client("pub")
    publisher.publish("a", "1", {"TopicAlias": 1}, qos=1)
    publisher.publish("b", "2", {"TopicAlias": 2}, qos=1)
    publisher.publish("", "3", {"TopicAlias": 1}, qos=1)
    publisher.publish("", "4", {"TopicAlias": 2}, qos=0)
    got = [(m.topic, m.payload) for m in (subscriber.next() for _ in range(4))]
    assert got == [("a", b"1"), ("b", b"2"), ("a", b"3"), ("b", b"4")], got
    for client in (subscriber, publisher):
        client.leave()


def flow():
    """A client that takes one message at a time gets all of them (MQTT 5.0)."""
    subscriber = Client("sub", topic_filter="x", qos=2, ReceiveMaximum=1)
    publisher = Client("pub")
    sent = [f"{n}" for n in range(50)]
    for text in sent:
        publisher.publish("x", text, qos=2)
    assert [subscriber.next().payload.decode() for _ in sent] == sent
    for client in (subscriber, publisher):
        client.leave()


def expiry():
    """What waits too long is not delivered; the rest comes with what is left of its time (MQTT 5.0)."""
    sleeper = Client("sleeper", clean=False, topic_filter="x", qos=1)
    sleeper.leave()
    clock = Client("clock", clean=False, topic_filter="tick", qos=1)
    publisher = Client("pub")
    publisher.publish("x", "short", {"MessageExpiryInterval": 1}, qos=1)
    publisher.publish("x", "long", {"MessageExpiryInterval": 100}, qos=1)
    # Retained messages tell when the second is over: they expire, too.
    publisher.publish("tick", "tick", {"MessageExpiryInterval": 2}, qos=1, retain=True)
    clock.next()
    while True:
        clock.subscribe("tick", 1)
        publisher.publish("tick", "end", qos=1)
        if clock.next().payload == b"end":
            break
        clock.next()
    again = Client("sleeper", clean=False)
    assert again.next().payload == b"long"
    publisher.publish("x", "end", qos=1)
    assert again.next().payload == b"end"
    for client in (again, clock, publisher):
        client.leave()


{"exchange": exchange, "retained": retained, "will": will, "session": session, "shared": shared,
 "aliases": aliases, "flow": flow, "expiry": expiry}[SCENARIO]()
