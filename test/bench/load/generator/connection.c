/*
 * MQTT 3.1.1 connections and the event loop. What a turn of the loop has to write is gathered and written once at its
 * end; reading takes all that has come. A connection that breaks, or a packet that makes no sense, ends the run.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { CONNACK = 2, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK = 9, PINGRESP = 13 };

#define INPUT_BYTES (256 * 1024)
#define EVENTS 256

uint64_t arrival, last_arrival, repeated;

static uint8_t input[INPUT_BYTES];
static int poll_fd = -1, timer_fd = -1;
static Connection *first_to_flush;

static const char *name_of(const Connection *connection) {
    return connection->client_id;
}

/* -------------------------------------------------------------------- writing */

static void flush_later(Connection *connection) {
    if (connection->is_to_flush) return;
    connection->is_to_flush = true;
    connection->next_to_flush = first_to_flush;
    first_to_flush = connection;
}

static uint8_t *append(Buffer *buffer, size_t bytes) {
    if (buffer->end + bytes > buffer->capacity) {
        size_t used = buffer->end - buffer->begin;
        if (buffer->begin > 0) memmove(buffer->bytes, buffer->bytes + buffer->begin, used);
        buffer->begin = 0;
        buffer->end = used;
        if (used + bytes > buffer->capacity) {
            size_t capacity = buffer->capacity == 0 ? 128 : buffer->capacity;
            while (capacity < used + bytes) capacity *= 2;
            buffer->bytes = realloc(buffer->bytes, capacity);
            if (buffer->bytes == NULL) give_up("out of memory");
            buffer->capacity = capacity;
        }
    }
    uint8_t *room = buffer->bytes + buffer->end;
    buffer->end += bytes;
    return room;
}

uint8_t *connection_append(Connection *connection, size_t bytes) {
    flush_later(connection);
    return append(&connection->out, bytes);
}

static void watch(Connection *connection, int operation, bool for_writing) {
    struct epoll_event event = {.events = EPOLLIN | (for_writing ? EPOLLOUT : 0), .data.ptr = connection};
    if (epoll_ctl(poll_fd, operation, connection->fd, &event) < 0) give_up("epoll_ctl: %s", strerror(errno));
    connection->waits_to_write = for_writing;
}

static void flush(Connection *connection) {
    Buffer *out = &connection->out;
    while (out->begin < out->end) {
        ssize_t sent = send(connection->fd, out->bytes + out->begin, out->end - out->begin,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) {
            if (!connection->waits_to_write) watch(connection, EPOLL_CTL_MOD, true);
            return;
        }
        if (sent < 0) give_up("%s cannot write: %s", name_of(connection), strerror(errno));
        out->begin += (size_t)sent;
    }
    out->begin = out->end = 0;
    if (connection->waits_to_write) watch(connection, EPOLL_CTL_MOD, false);
}

static void flush_all(void) {
    while (first_to_flush != NULL) {
        Connection *connection = first_to_flush;
        first_to_flush = connection->next_to_flush;
        connection->is_to_flush = false;
        if (connection->state != CLOSED) flush(connection);
    }
}

/* -------------------------------------------------------------- our packets */

static uint8_t *put_text(uint8_t *at, const char *text) {
    size_t length = strlen(text);
    *at++ = (uint8_t)(length >> 8);
    *at++ = (uint8_t)length;
    memcpy(at, text, length);
    return at + length;
}

static void send_connect(Connection *connection) {
    size_t remaining = 10 + 2 + strlen(connection->client_id);
    uint8_t *at = connection_append(connection, 2 + remaining);
    *at++ = 0x10;
    *at++ = (uint8_t)remaining;
    at = put_text(at, "MQTT");
    *at++ = 4;
    *at++ = connection->clean_session ? 2 : 0;
    *at++ = 0x0e; /* keep alive: an hour */
    *at++ = 0x10;
    put_text(at, connection->client_id);
}

static void send_subscribe(Connection *connection) {
    size_t remaining = 2 + 2 + strlen(connection->filter) + 1;
    uint8_t *at = connection_append(connection, 2 + remaining);
    *at++ = 0x82;
    *at++ = (uint8_t)remaining;
    *at++ = 0;
    *at++ = 1;
    at = put_text(at, connection->filter);
    *at = connection->filter_qos;
}

static void send_answer(Connection *connection, int type, uint16_t packet_id) {
    uint8_t *at = connection_append(connection, 4);
    at[0] = (uint8_t)(type << 4 | (type == PUBREL ? 2 : 0));
    at[1] = 2;
    at[2] = (uint8_t)(packet_id >> 8);
    at[3] = (uint8_t)packet_id;
}

void connection_ping(Connection *connection) {
    uint8_t *at = connection_append(connection, 2);
    at[0] = 0xc0;
    at[1] = 0;
}

void connection_leave(Connection *connection) {
    uint8_t *at = connection_append(connection, 2);
    at[0] = 0xe0;
    at[1] = 0;
    connection->state = LEAVING;
}

/* -------------------------------------------------------------- opening */

void connection_setup(Connection *connection, int index, const char *role, const Handlers *handlers) {
    *connection = (Connection){.fd = -1, .index = index, .clean_session = true, .handlers = handlers};
    snprintf(connection->client_id, sizeof connection->client_id, "load-%s-%d", role, index);
}

static void create_loop(void) {
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (poll_fd < 0 || timer_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, &event) < 0)
        give_up("the event loop cannot be made: %s", strerror(errno));
}

void connection_open(Connection *connection) {
    if (poll_fd < 0) create_loop();
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    connection->started = now_ns();
    connection->state = GREETING;
    connection->rest.begin = connection->rest.end = connection->out.begin = connection->out.end = 0;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) give_up("no socket for %s: %s", name_of(connection), strerror(errno));
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        give_up("%s cannot connect to port %d: %s", name_of(connection), options.port, strerror(errno));
    watch(connection, EPOLL_CTL_ADD, false);
    send_connect(connection);
}

static void become_ready(Connection *connection);

/* -------------------------------------------------------------- the broker's packets */

static uint16_t read_u16(const uint8_t *at) {
    return (uint16_t)(at[0] << 8 | at[1]);
}

static _Noreturn void malformed(const Connection *connection, const char *what) {
    give_up("%s got %s", name_of(connection), what);
}

static void handle_connack(Connection *connection, const uint8_t *body, size_t length) {
    if (connection->state != GREETING || length != 2) malformed(connection, "an unexpected CONNACK");
    if (body[1] != 0) give_up("%s is refused with return code %d", name_of(connection), body[1]);
    connection->session_present = body[0] & 1;
    if (connection->filter == NULL) {
        become_ready(connection);
        return;
    }
    connection->state = SUBSCRIBING;
    send_subscribe(connection);
}

static void handle_suback(Connection *connection, const uint8_t *body, size_t length) {
    if (connection->state != SUBSCRIBING || length != 3) malformed(connection, "an unexpected SUBACK");
    if (body[2] != connection->filter_qos) give_up("%s asked for QoS %d and got %#x", name_of(connection), connection->filter_qos, body[2]);
    become_ready(connection);
}

/* Whether this QoS 2 message is the first with its packet id since the last PUBREL. */
static bool is_first_of_id(Connection *connection, uint16_t packet_id) {
    if (connection->unreleased == NULL) connection->unreleased = allocate(1024, sizeof(uint64_t));
    uint64_t *word = &connection->unreleased[packet_id / 64], bit = 1ull << (packet_id % 64);
    if (*word & bit) {
        repeated++;
        return false;
    }
    *word |= bit;
    return true;
}

static void handle_publish(Connection *connection, uint8_t flags, const uint8_t *body, size_t length) {
    Message message = {.qos = flags >> 1 & 3, .retain = flags & 1};
    size_t head = 2 + (message.qos > 0 ? 2 : 0);
    if (length < head) malformed(connection, "a PUBLISH that is too short");
    message.topic_length = read_u16(body);
    message.topic = body + 2;
    if (length < head + message.topic_length) malformed(connection, "a PUBLISH whose topic is longer than itself");
    message.payload = body + head + message.topic_length;
    message.payload_length = length - head - message.topic_length;
    if (message.qos > 0) message.packet_id = read_u16(body + 2 + message.topic_length);
    if (message.qos == 1) send_answer(connection, PUBACK, message.packet_id);
    if (message.qos == 2) {
        send_answer(connection, PUBREC, message.packet_id);
        if (!is_first_of_id(connection, message.packet_id)) return;
    }
    if (connection->handlers->message != NULL) connection->handlers->message(connection, &message);
}

static void handle_released(Connection *connection, uint16_t packet_id) {
    if (connection->unreleased != NULL) connection->unreleased[packet_id / 64] &= ~(1ull << (packet_id % 64));
    send_answer(connection, PUBCOMP, packet_id);
}

static void handle_acknowledged(Connection *connection, uint16_t packet_id) {
    if (connection->handlers->acknowledged == NULL) malformed(connection, "an acknowledgement of nothing");
    connection->handlers->acknowledged(connection, packet_id);
}

static void handle_packet(Connection *connection, uint8_t first, const uint8_t *body, size_t length) {
    int type = first >> 4;
    if (type == PUBLISH) {
        handle_publish(connection, first, body, length);
        return;
    }
    if (type >= PUBACK && type <= PUBCOMP && length != 2) malformed(connection, "an acknowledgement of wrong length");
    switch (type) {
    case CONNACK: handle_connack(connection, body, length); break;
    case PUBACK:
    case PUBCOMP: handle_acknowledged(connection, read_u16(body)); break;
    case PUBREC: send_answer(connection, PUBREL, read_u16(body)); break;
    case PUBREL: handle_released(connection, read_u16(body)); break;
    case SUBACK: handle_suback(connection, body, length); break;
    case PINGRESP:
        if (connection->handlers->pong != NULL) connection->handlers->pong(connection);
        break;
    default: malformed(connection, "a packet of a type that no broker sends");
    }
}

/* Returns the length of the packet's head, 0 if it is not complete. */
static size_t read_head(const Connection *connection, const uint8_t *bytes, size_t length, size_t *remaining) {
    *remaining = 0;
    for (size_t i = 1; i < length; i++) {
        if (i > 4) malformed(connection, "a remaining length of more than four bytes");
        *remaining |= (size_t)(bytes[i] & 0x7f) << (7 * (i - 1));
        if ((bytes[i] & 0x80) == 0) return i + 1;
    }
    return 0;
}

/* Returns how many bytes belong to complete packets. */
static size_t handle_packets(Connection *connection, const uint8_t *bytes, size_t length) {
    size_t at = 0;
    while (at < length) {
        size_t remaining, head = read_head(connection, bytes + at, length - at, &remaining);
        if (head + remaining > INPUT_BYTES) malformed(connection, "a packet that is larger than any that was sent");
        if (head == 0 || length - at < head + remaining) break;
        handle_packet(connection, bytes[at], bytes + at + head, remaining);
        at += head + remaining;
    }
    return at;
}

static void receive(Connection *connection) {
    Buffer *rest = &connection->rest;
    size_t had = rest->end;
    if (had > 0) memcpy(input, rest->bytes, had);
    ssize_t got = recv(connection->fd, input + had, INPUT_BYTES - had, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        if (connection->state != LEAVING) {
            const char *reason = got == 0 ? "the broker has closed it" : strerror(errno);
            give_up("the connection of %s has broken: %s", name_of(connection), reason);
        }
        close(connection->fd);
        connection->fd = -1;
        connection->state = CLOSED;
        return;
    }
    arrival = last_arrival = now_ns();
    size_t length = had + (size_t)got;
    size_t used = handle_packets(connection, input, length);
    rest->begin = rest->end = 0;
    if (used < length) memcpy(append(rest, length - used), input + used, length - used);
}

/* ------------------------------------------------------------- the event loop */

static void set_timer(uint64_t at) {
    struct itimerspec time = {.it_value = {.tv_sec = (time_t)(at / NS_PER_SECOND), .tv_nsec = (long)(at % NS_PER_SECOND)}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &time, NULL);
}

static void clear_timer(void) {
    uint64_t expirations;
    if (read(timer_fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
        give_up("the timer cannot be read: %s", strerror(errno));
}

static void run_turn(void) {
    struct epoll_event events[EVENTS];
    /* Silence and the ends of phases are looked at ten times a second where nothing happens. */
    int count = epoll_wait(poll_fd, events, EVENTS, 100);
    for (int i = 0; i < count; i++) {
        Connection *connection = events[i].data.ptr;
        if (connection == NULL) {
            clear_timer();
            continue;
        }
        if (events[i].events & EPOLLOUT) flush_later(connection);
        if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) receive(connection);
    }
}

bool run_phase(const Phase *phase, double seconds) {
    if (poll_fd < 0) create_loop();
    uint64_t began = now_ns(), end = began + (uint64_t)(seconds * 1e9), armed = 0;
    if (last_arrival < began) last_arrival = began;
    for (;;) {
        uint64_t now = now_ns();
        if (phase->turn != NULL) phase->turn(now);
        flush_all();
        if (phase->is_done != NULL && phase->is_done()) return true;
        if (now >= end) return false;
        uint64_t wake = phase->wake == NULL ? end : phase->wake();
        if (wake > end) wake = end;
        if (wake != armed) set_timer(wake);
        armed = wake;
        run_turn();
    }
}

bool is_silent(void) {
    return (double)(now_ns() - last_arrival) / 1e9 > options.drain;
}

/* ------------------------------------------------------------------- many */

static Connection **to_open;
static int to_open_count, opened, ready;

static void become_ready(Connection *connection) {
    ready++;
    connection->state = READY;
    if (connection->handlers->ready != NULL) connection->handlers->ready(connection);
}

static void open_more(uint64_t now) {
    (void)now;
    while (opened < to_open_count && opened - ready < options.at_once) connection_open(to_open[opened++]);
}

static bool are_all_ready(void) {
    return ready == to_open_count;
}

void open_all(Connection **connections, int count) {
    const Phase phase = {.turn = open_more, .is_done = are_all_ready};
    to_open = connections;
    to_open_count = count;
    opened = ready = 0;
    if (!run_phase(&phase, options.limit)) give_up("only %d of %d connections are accepted", ready, count);
}
