/* Connections without messages: how fast they are accepted, and what they take while they only stand there. */
#include "load.h"

#include <stdlib.h>

static Connection *connections;
static Connection **list;
static uint64_t pings, pongs, ping_start;

static void on_ready(Connection *connection) {
    latency_add(arrival - connection->started);
}

static void on_pong(Connection *connection) {
    pongs++;
    latency_add(arrival - connection->pinged);
}

static void create_connections(const Handlers *handlers) {
    connections = allocate((size_t)options.connections, sizeof *connections);
    list = allocate((size_t)options.connections, sizeof *list);
    for (int i = 0; i < options.connections; i++) {
        connection_setup(&connections[i], i, "client", handlers);
        list[i] = &connections[i];
    }
}

bool run_connects(void) {
    static const Handlers handlers = {.ready = on_ready};
    create_connections(&handlers);
    Effort before = effort_now();
    open_all(list, options.connections);
    Effort after = effort_now();
    report("connectionsPerSecond", options.connections / seconds_between(before, after));
    report("cpuMicrosPerConnection", broker_micros_each(before, after, options.connections));
    latency_report();
    effort_report(before, after);
    report("peakRssKilobytes", (double)broker_memory().rss_peak);
    return true;
}

static uint64_t next_ping(void) {
    return ping_start + (uint64_t)((double)pings * options.ping_every * 1e9 / options.connections);
}

static void ping_in_turn(uint64_t now) {
    for (; next_ping() <= now; pings++) {
        Connection *connection = &connections[pings % (uint64_t)options.connections];
        connection->pinged = now;
        connection_ping(connection);
    }
}

static bool are_all_answered(void) {
    return pongs >= pings || is_silent();
}

bool run_idle(void) {
    static const Handlers handlers = {.pong = on_pong};
    create_connections(&handlers);
    if (options.subscribe) {
        for (int i = 0; i < options.connections; i++) {
            connections[i].filter = connections[i].client_id;
            connections[i].filter_qos = (uint8_t)options.qos;
        }
    }
    Memory start = broker_memory();
    open_all(list, options.connections);
    ping_start = now_ns();
    const Phase pinging = {.turn = ping_in_turn, .wake = next_ping};
    const Phase draining = {.is_done = are_all_answered};
    Effort before = effort_now();
    run_phase(&pinging, options.seconds);
    Effort after = effort_now();
    double answered = (double)pongs;
    run_phase(&draining, options.limit);
    Memory end = broker_memory();
    memory_report("start", start);
    memory_report("end", end);
    report("rssBytesPerConnection", (double)(end.rss - start.rss) * 1024 / options.connections);
    report("privateDirtyBytesPerConnection",
           (double)(end.private_dirty - start.private_dirty) * 1024 / options.connections);
    report("cpuMicrosPerPing", broker_micros_each(before, after, answered));
    latency_report();
    effort_report(before, after);
    report("unanswered", (double)(pings - pongs));
    return pings == pongs;
}
