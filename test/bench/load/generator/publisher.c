/* A publisher: encodes its PUBLISH once, then only replaces in it what differs from message to message. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

#define PACKET_IDS 65535

void publisher_prepare(Publisher *publisher, int window) {
    size_t topic = strlen(publisher->topic), payload = (size_t)options.size;
    size_t id = publisher->qos > 0 ? 2 : 0;
    size_t remaining = 2 + topic + id + payload;
    uint8_t *at = publisher->packet = allocate(1, remaining + 5);
    publisher->topic_length = topic;
    *at++ = (uint8_t)(0x30 | publisher->qos << 1 | (publisher->retain ? 1 : 0));
    for (size_t left = remaining;; left >>= 7) {
        *at++ = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
        if (left <= 0x7f) break;
    }
    *at++ = (uint8_t)(topic >> 8);
    *at++ = (uint8_t)topic;
    memcpy(at, publisher->topic, topic);
    at += topic + id;
    publisher->payload_at = (size_t)(at - publisher->packet);
    publisher->packet_length = publisher->payload_at + payload;
    payload_fill(at, payload);
    uint64_t slots = 1;
    while (slots < (uint64_t)window) slots *= 2;
    publisher->mask = slots - 1;
    publisher->outstanding = window > 0 ? allocate(slots, sizeof *publisher->outstanding) : NULL;
}

static void write_digits(uint8_t *end, uint64_t number) {
    for (int i = 0; i < TOPIC_DIGITS; i++, number /= 10) *--end = (uint8_t)('0' + number % 10);
}

void publisher_send(Publisher *publisher, uint64_t due) {
    uint64_t number = publisher->sent++;
    uint8_t *packet = connection_append(&publisher->connection, publisher->packet_length);
    uint8_t *payload = packet + publisher->payload_at;
    memcpy(packet, publisher->packet, publisher->packet_length);
    Stamp stamp = {.publisher = (uint32_t)publisher->connection.index, .number = number, .due = due};
    payload_stamp(payload, (size_t)options.size, stamp);
    if (publisher->qos > 0) {
        uint16_t id = (uint16_t)(number % PACKET_IDS + 1);
        payload[-2] = (uint8_t)(id >> 8);
        payload[-1] = (uint8_t)id;
    }
    if (publisher->is_numbered) write_digits(payload - (publisher->qos > 0 ? 2 : 0), number);
    if (publisher->outstanding != NULL) {
        publisher->outstanding[number & publisher->mask] =
            (uint16_t)(publisher->deliveries + (publisher->qos > 0 ? 1 : 0));
    }
}

bool publisher_may_send(const Publisher *publisher, int window) {
    return publisher->sent - publisher->completed < (uint64_t)window;
}

/* One delivery or acknowledgement of a message has come. Credit comes back in the order of sending. */
static void came_back(Publisher *publisher, uint64_t number) {
    if (publisher->outstanding == NULL) return;
    publisher->outstanding[number & publisher->mask]--;
    while (publisher->completed < publisher->sent &&
           publisher->outstanding[publisher->completed & publisher->mask] == 0)
        publisher->completed++;
}

void publisher_delivered(Publisher *publisher, uint64_t number) {
    came_back(publisher, number);
}

void publisher_acknowledged(Publisher *publisher, uint16_t packet_id) {
    publisher->acknowledged++;
    if (publisher->outstanding == NULL) return;
    /* The window is smaller than the number of packet ids: only one message under way can have this one. */
    uint64_t first = publisher->completed;
    uint64_t ahead = (packet_id + PACKET_IDS - 1u - first % PACKET_IDS) % PACKET_IDS;
    if (first + ahead >= publisher->sent) give_up("an acknowledgement for packet id %u, which is not in use", packet_id);
    came_back(publisher, first + ahead);
}

void publisher_check(const Publisher *publisher, const Message *message, Stamp stamp, uint8_t subscribed_qos) {
    uint8_t topic[sizeof publisher->topic];
    memcpy(topic, publisher->topic, publisher->topic_length);
    if (publisher->is_numbered) write_digits(topic + publisher->topic_length, stamp.number);
    if (message->topic_length != publisher->topic_length ||
        memcmp(message->topic, topic, publisher->topic_length) != 0)
        findings.misrouted++;
    uint8_t wanted = publisher->qos < subscribed_qos ? publisher->qos : subscribed_qos;
    if (message->qos != wanted) findings.wrong_qos++;
}
