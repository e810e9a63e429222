/* What the broker stores: messages queued for a client that is away, and retained messages. */
#include "load.h"

#include <stdio.h>

static Publisher publisher;
static Connection subscriber;
static Flow flow;
static uint64_t delivered, after_all;
static bool is_drained, is_retained;

static void on_message(Connection *connection, const Message *message) {
    Stamp stamp;
    if (!payload_read(message, &stamp)) return;
    if (stamp.number >= publisher.sent) {
        findings.corrupt++;
        return;
    }
    publisher_check(&publisher, message, stamp, connection->filter_qos);
    if (is_retained && !message->retain) findings.not_retained++;
    /* Retained messages of different topics have no order. */
    if (flow_accept(&flow, stamp.number, !is_retained)) delivered++;
    if (is_drained) after_all++;
}

static void on_acknowledged(Connection *connection, uint16_t packet_id) {
    (void)connection;
    publisher_acknowledged(&publisher, packet_id);
}

static const Handlers handlers = {.message = on_message, .acknowledged = on_acknowledged};

static void send_within_window(uint64_t now) {
    while (publisher.sent < (uint64_t)options.messages && publisher_may_send(&publisher, options.window))
        publisher_send(&publisher, now);
}

static bool is_all_acknowledged(void) {
    return publisher.acknowledged >= (uint64_t)options.messages || is_silent();
}

static bool is_all_delivered(void) {
    return delivered >= (uint64_t)options.messages || is_silent();
}

static bool has_left(void) {
    return subscriber.state == CLOSED;
}

static void leave(void) {
    const Phase leaving = {.is_done = has_left};
    connection_leave(&subscriber);
    if (!run_phase(&leaving, options.limit)) give_up("the broker does not close after DISCONNECT");
}

static void open_one(Connection *connection) {
    open_all(&connection, 1);
}

/* Sends all messages; reports `NAMEPerSecond` and `NAMECpuMicros`. */
static void send_all(const char *name) {
    char key[64];
    const Phase sending = {.turn = send_within_window, .is_done = is_all_acknowledged};
    publisher_prepare(&publisher, options.window);
    open_one(&publisher.connection);
    Effort before = effort_now();
    run_phase(&sending, options.limit);
    Effort after = effort_now();
    double count = (double)publisher.acknowledged;
    snprintf(key, sizeof key, "%sPerSecond", name);
    report(key, count / seconds_between(before, after));
    snprintf(key, sizeof key, "%sCpuMicros", name);
    report(key, broker_micros_each(before, after, count));
    effort_report(before, after);
}

/* From the subscriber's connecting until it has everything; reports `NAMEPerSecond` and `NAMECpuMicros`. */
static void receive_all(const char *name) {
    char key[64];
    const Phase receiving = {.is_done = is_all_delivered};
    Effort before = effort_now();
    open_one(&subscriber);
    run_phase(&receiving, options.limit);
    Effort after = effort_now();
    snprintf(key, sizeof key, "%sPerSecond", name);
    report(key, (double)delivered / seconds_between(before, after));
    snprintf(key, sizeof key, "%sCpuMicros", name);
    report(key, broker_micros_each(before, after, (double)delivered));
}

static uint64_t missing(uint64_t of) {
    return (uint64_t)options.messages - of;
}

bool run_queue(void) {
    connection_setup(&subscriber, 0, "away", &handlers);
    connection_setup(&publisher.connection, 0, "publisher", &handlers);
    subscriber.clean_session = false;
    subscriber.filter = "load/queue";
    subscriber.filter_qos = (uint8_t)options.qos;
    snprintf(publisher.topic, sizeof publisher.topic, "load/queue");
    publisher.qos = (uint8_t)options.qos;
    open_one(&subscriber);
    leave();
    Memory start = broker_memory();
    send_all("queued");
    Memory full = broker_memory();
    subscriber.filter = NULL; /* the session still has its subscription */
    receive_all("drained");
    if (!subscriber.session_present) give_up("the broker has no session for a client that was away");
    is_drained = true;
    leave();
    open_one(&subscriber);
    const Phase listening = {0};
    run_phase(&listening, 0.5);
    leave();
    memory_report("start", start);
    memory_report("queued", full);
    report("deliveredAgain", (double)after_all);
    return findings_report(missing(delivered), missing(publisher.acknowledged));
}

bool run_retain(void) {
    is_retained = true;
    connection_setup(&subscriber, 0, "reader", &handlers);
    connection_setup(&publisher.connection, 0, "publisher", &handlers);
    subscriber.filter = "load/retained/#";
    subscriber.filter_qos = (uint8_t)options.qos;
    snprintf(publisher.topic, sizeof publisher.topic, "load/retained/%0*d", TOPIC_DIGITS, 0);
    publisher.qos = (uint8_t)options.qos;
    publisher.retain = publisher.is_numbered = true;
    Memory start = broker_memory();
    send_all("set");
    Memory full = broker_memory();
    receive_all("read");
    memory_report("start", start);
    memory_report("set", full);
    report("rssBytesPerMessage", (double)(full.rss - start.rss) * 1024 / options.messages);
    return findings_report(missing(delivered), missing(publisher.acknowledged));
}
