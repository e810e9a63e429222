/*
 * Messages between publishers and subscribers that are all connected.
 *
 * Closed loop: each publisher has at most `--window` messages under way, and one is under way until all its subscribers
 * have it and the broker has acknowledged it. Open loop (`--rate`): each message is due at a time of its own, and its
 * latency counts from then, even if the generator or the broker is late.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Connection connection;
    char filter[32];
} Subscriber;

static Publisher *publishers;
static Subscriber *subscribers;
static Flow *flows; /* publisher by subscriber */
static bool is_pairs, is_measuring;
static uint64_t sent, delivered, expected, to_acknowledge, acknowledged;
static uint64_t scheduled, schedule_start;
static double schedule_rate;

/* ------------------------------------------------------------------ arrivals */

static void on_message(Connection *connection, const Message *message) {
    Stamp stamp;
    if (!payload_read(message, &stamp)) return;
    int index = connection->index;
    if (stamp.publisher >= (uint32_t)options.publishers || (is_pairs && stamp.publisher != (uint32_t)index)) {
        findings.misrouted++;
        return;
    }
    Publisher *publisher = &publishers[stamp.publisher];
    if (stamp.number >= publisher->sent) {
        findings.corrupt++;
        return;
    }
    publisher_check(publisher, message, stamp, connection->filter_qos);
    Flow *flow = &flows[is_pairs ? index : (int)stamp.publisher * options.subscribers + index];
    if (!flow_accept(flow, stamp.number, true)) return;
    delivered++;
    if (is_measuring) latency_add(arrival > stamp.due ? arrival - stamp.due : 0);
    publisher_delivered(publisher, stamp.number);
}

static void on_acknowledged(Connection *connection, uint16_t packet_id) {
    acknowledged++;
    publisher_acknowledged(&publishers[connection->index], packet_id);
}

/* ------------------------------------------------------------------- sending */

static void send_one(Publisher *publisher, uint64_t due) {
    publisher_send(publisher, due);
    sent++;
    expected += (uint64_t)publisher->deliveries;
    to_acknowledge += publisher->qos > 0;
}

static void send_within_window(uint64_t now) {
    for (int i = 0; i < options.publishers; i++) {
        while (publisher_may_send(&publishers[i], options.window)) send_one(&publishers[i], now);
    }
}

static uint64_t next_due(void) {
    return schedule_start + (uint64_t)((double)scheduled * 1e9 / schedule_rate);
}

static void start_schedule(double rate) {
    schedule_start = now_ns();
    schedule_rate = rate;
    scheduled = 0;
}

static void send_what_is_due(uint64_t now) {
    for (uint64_t due; (due = next_due()) <= now; scheduled++)
        send_one(&publishers[scheduled % (uint64_t)options.publishers], due);
}

static bool has_all_come(void) {
    return (delivered >= expected && acknowledged >= to_acknowledge) || is_silent();
}

/* -------------------------------------------------------------------- shapes */

static void choose_shape(void) {
    is_pairs = strcmp(options.shape, "pairs") == 0;
    if (is_pairs) options.subscribers = options.publishers;
    else if (strcmp(options.shape, "fanout") == 0) options.publishers = 1;
    else if (strcmp(options.shape, "fanin") == 0) options.subscribers = 1;
    else if (strcmp(options.shape, "gateway") != 0)
        give_up("--shape %s: pairs, fanout, fanin and gateway are known", options.shape);
}

static bool is_gateway(void) {
    return strcmp(options.shape, "gateway") == 0;
}

static void create_publishers(const Handlers *handlers) {
    publishers = allocate((size_t)options.publishers, sizeof *publishers);
    for (int i = 0; i < options.publishers; i++) {
        Publisher *publisher = &publishers[i];
        connection_setup(&publisher->connection, i, "publisher", handlers);
        /* The sensors of a gateway send with QoS 0 and the given QoS by turns. */
        publisher->qos = (uint8_t)(is_gateway() && i % 2 == 0 ? 0 : options.qos);
        publisher->deliveries = is_pairs ? 1 : options.subscribers;
        if (is_gateway()) snprintf(publisher->topic, sizeof publisher->topic, "plant/line%d/sensor%d/value", i % 10, i);
        else snprintf(publisher->topic, sizeof publisher->topic, "load/%d", i);
        publisher_prepare(publisher, options.rate > 0 ? 0 : options.window);
    }
}

static void choose_filter(Subscriber *subscriber) {
    static const char *const gateway_filters[] = {"plant/#", "plant/+/+/value", "#"};
    int index = subscriber->connection.index;
    Connection *connection = &subscriber->connection;
    connection->filter_qos = (uint8_t)options.qos;
    if (is_gateway()) {
        snprintf(subscriber->filter, sizeof subscriber->filter, "%s", gateway_filters[index % 3]);
        if (index % 3 == 1) connection->filter_qos = 0;
    } else if (strcmp(options.shape, "fanin") == 0) {
        snprintf(subscriber->filter, sizeof subscriber->filter, "load/+");
    } else {
        snprintf(subscriber->filter, sizeof subscriber->filter, "load/%d", is_pairs ? index : 0);
    }
    connection->filter = subscriber->filter;
}

static void create_subscribers(const Handlers *handlers) {
    subscribers = allocate((size_t)options.subscribers, sizeof *subscribers);
    for (int i = 0; i < options.subscribers; i++) {
        connection_setup(&subscribers[i].connection, i, "subscriber", handlers);
        choose_filter(&subscribers[i]);
    }
}

static void open_everything(void) {
    int count = options.publishers + options.subscribers;
    Connection **all = allocate((size_t)count, sizeof *all);
    for (int i = 0; i < options.subscribers; i++) all[i] = &subscribers[i].connection;
    for (int i = 0; i < options.publishers; i++) all[options.subscribers + i] = &publishers[i].connection;
    open_all(all, count);
    free(all);
}

bool run_traffic(void) {
    static const Handlers handlers = {.message = on_message, .acknowledged = on_acknowledged};
    choose_shape();
    create_subscribers(&handlers);
    create_publishers(&handlers);
    flows = allocate((size_t)options.publishers * (size_t)(is_pairs ? 1 : options.subscribers), sizeof *flows);
    open_everything();

    bool is_open_loop = options.rate > 0;
    const Phase sending = {.turn = is_open_loop ? send_what_is_due : send_within_window,
                           .wake = is_open_loop ? next_due : NULL,
                           .is_done = is_silent};
    const Phase draining = {.is_done = has_all_come};
    start_schedule(options.warmup_rate > 0 ? options.warmup_rate : options.rate);
    bool is_stalled = run_phase(&sending, options.warmup);
    is_measuring = true;
    uint64_t delivered_before = delivered, sent_before = sent;
    Effort before = effort_now();
    start_schedule(options.rate);
    is_stalled = is_stalled || run_phase(&sending, options.seconds);
    Effort after = effort_now();
    is_measuring = false;
    double deliveries = (double)(delivered - delivered_before), seconds = seconds_between(before, after);
    double messages = (double)(sent - sent_before);
    if (!is_stalled) run_phase(&draining, options.limit);

    report("deliveriesPerSecond", deliveries / seconds);
    report("sentPerSecond", messages / seconds);
    report("cpuMicrosPerDelivery", broker_micros_each(before, after, deliveries));
    latency_report();
    effort_report(before, after);
    Memory memory = broker_memory();
    memory_report("end", memory);
    report("peakRssKilobytes", (double)memory.rss_peak);
    report("sent", (double)sent);
    report("delivered", (double)delivered);
    return findings_report(expected - delivered, to_acknowledge - acknowledged);
}
