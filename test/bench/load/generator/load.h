/*
 * What the files of the load generator share. One process, one thread: the scenarios (traffic.c, connections.c,
 * stored.c) run phases of one event loop (connection.c), and ask checker.c about each message that arrives.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NS_PER_SECOND 1000000000ull

/* ------------------------------------------------------------------- options (main.c) */

typedef struct {
    int port;
    pid_t pid; /* the broker's process */
    const char *shape;
    int publishers, subscribers;
    int qos, size;
    int window;                     /* closed loop: messages of one publisher under way */
    double rate;                    /* open loop: messages a second of all publishers; 0 for the closed loop */
    double warmup_rate;             /* the same during the warm-up; 0: as afterwards */
    double warmup, seconds;
    double drain;                   /* seconds without a packet after which what is missing counts as lost */
    int connections, at_once;
    double ping_every;
    bool subscribe;
    int messages;
    double limit;                   /* seconds after which the generator gives up */
} Options;

extern Options options;

/* Ends the process with exit status 2 and the reason on stderr: what was measured until then is no figure. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t count, size_t bytes);

/* One number of the report, which is one flat JSON object. */
void report(const char *name, double value);

/* ------------------------------------------------------------------ observe.c */

uint64_t now_ns(void);

void latency_add(uint64_t ns);
void latency_clear(void);
/* Reports `latencyP50Micros` and so on. */
void latency_report(void);

typedef struct {
    long rss, rss_peak, private_dirty; /* kilobytes */
} Memory;

Memory broker_memory(void);
void memory_report(const char *prefix, Memory memory);

/* Processor time in seconds since each began, at one moment. */
typedef struct {
    uint64_t at;
    double broker, generator, machine;
} Effort;

Effort effort_now(void);
double seconds_between(Effort from, Effort to);
/* Reports how many cores the broker, the generator and everything else on the machine took. */
void effort_report(Effort from, Effort to);
double broker_micros_each(Effort from, Effort to, double operations);

/* --------------------------------------------------------------- connection.c */

typedef struct {
    const uint8_t *topic, *payload;
    size_t topic_length, payload_length;
    uint16_t packet_id;
    uint8_t qos;
    bool retain;
} Message;

typedef struct Connection Connection;

/* What a scenario wants to hear of a connection; each may be NULL. */
typedef struct {
    void (*ready)(Connection *);
    void (*message)(Connection *, const Message *);
    void (*acknowledged)(Connection *, uint16_t packet_id); /* PUBACK or PUBCOMP */
    void (*pong)(Connection *);
} Handlers;

typedef enum { CLOSED, GREETING, SUBSCRIBING, READY, LEAVING } State;

typedef struct {
    uint8_t *bytes;
    size_t begin, end, capacity;
} Buffer;

struct Connection {
    int fd, index;
    State state;
    char client_id[32];
    bool clean_session, session_present;
    const char *filter; /* subscribed to after CONNACK; NULL for none */
    uint8_t filter_qos;
    const Handlers *handlers;
    Buffer out, rest; /* `rest`: the beginning of a packet whose end has not come */
    bool waits_to_write, is_to_flush;
    Connection *next_to_flush;
    uint64_t started, pinged;
    uint64_t *unreleased; /* a bit for each QoS 2 packet id without its PUBREL */
};

/* The time when the packets being handled were read. */
extern uint64_t arrival;
/* When anything arrived last. */
extern uint64_t last_arrival;
extern uint64_t repeated; /* QoS 2 messages that came again before their PUBREL, which the protocol allows */

void connection_setup(Connection *, int index, const char *role, const Handlers *);
void connection_open(Connection *);
/* Sends DISCONNECT; the state is CLOSED when the broker has closed its end. */
void connection_leave(Connection *);
void connection_ping(Connection *);
/* Room at the end of what goes out with the end of this turn. */
uint8_t *connection_append(Connection *, size_t bytes);

typedef struct {
    bool (*is_done)(void);
    void (*turn)(uint64_t now); /* after the packets of each turn of the loop */
    uint64_t (*wake)(void);     /* when `turn` is due at the latest */
} Phase;

/* Runs the event loop. Returns true when the phase was done, false when the time was over before. */
bool run_phase(const Phase *, double seconds);
bool is_silent(void); /* nothing has arrived for `options.drain` seconds */

/* Opens connections, at most `options.at_once` of them in handshake; returns when all are ready. */
void open_all(Connection **, int count);

/* ------------------------------------------------------------------ checker.c */

/* What arrived that should not have, and what did not. */
typedef struct {
    uint64_t duplicates, reordered, corrupt, misrouted, foreign, wrong_qos, not_retained;
} Findings;

extern Findings findings;

/* What the payload says. */
typedef struct {
    uint32_t publisher;
    uint64_t number, due;
} Stamp;

#define PAYLOAD_BYTES_MIN 32

void payload_fill(uint8_t *payload, size_t length);
void payload_stamp(uint8_t *payload, size_t length, Stamp);
/* Returns false for a payload that no publisher of this run has sent. */
bool payload_read(const Message *, Stamp *);

/* The messages of one publisher as one subscriber gets them. */
typedef struct {
    uint64_t *seen; /* a bit for each number */
    size_t words;
    uint64_t next;  /* one more than the highest number seen */
} Flow;

/* Counts a duplicate or a reordered message. Returns whether it is the first of its number. */
bool flow_accept(Flow *, uint64_t number, bool in_order);

/* Reports all findings; returns whether there were none and nothing was lost. */
bool findings_report(uint64_t lost, uint64_t unacknowledged);

/* ---------------------------------------------------------------- publisher.c */

typedef struct {
    Connection connection;
    char topic[64];
    size_t topic_length;
    bool is_numbered; /* each message has a topic of its own, which ends with the message's number */
    uint8_t qos;
    bool retain;
    uint8_t *packet; /* one encoded PUBLISH, in which number, time and packet id are replaced */
    size_t packet_length, payload_at;
    uint64_t sent, acknowledged;
    uint64_t completed;   /* all messages below this number have come back */
    uint16_t *outstanding; /* for each message under way: deliveries and acknowledgement still to come */
    uint64_t mask;
    int deliveries; /* how many subscribers get each message */
} Publisher;

#define TOPIC_DIGITS 6

/* `topic`, `qos`, `retain`, `is_numbered`, `deliveries` are set; `window` 0 is for the open loop. */
void publisher_prepare(Publisher *, int window);
void publisher_send(Publisher *, uint64_t due);
bool publisher_may_send(const Publisher *, int window);
/* A delivery of a message that was not seen before. */
void publisher_delivered(Publisher *, uint64_t number);
void publisher_acknowledged(Publisher *, uint16_t packet_id);
/* Whether topic and QoS are what this publisher's message should have; counts what is not. */
void publisher_check(const Publisher *, const Message *, Stamp, uint8_t subscribed_qos);

/* ------------------------------------------------------------------ scenarios */

/* Each returns whether all that was sent arrived, once and in order. */
bool run_traffic(void);
bool run_connects(void);
bool run_idle(void);
bool run_queue(void);
bool run_retain(void);
