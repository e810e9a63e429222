/*
 * The checker: what was sent is written into each payload, so that whatever arrives says by itself whether it is
 * complete, new and in order. A payload is
 *
 *   run id (4) | publisher (4) | number (8) | due time (8) | filling | the number's low half (4)
 */
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILLING_AT 24
#define TAIL_BYTES 4

Findings findings;

static uint8_t filling[65536];

static uint32_t run_id(void) {
    static uint32_t id;
    if (id == 0) id = (uint32_t)(now_ns() ^ ((uint64_t)getpid() << 16)) | 1;
    return id;
}

void payload_fill(uint8_t *payload, size_t length) {
    if (filling[1] == 0) {
        for (size_t i = 0; i < sizeof filling; i++) filling[i] = (uint8_t)('a' + i % 26);
    }
    memcpy(payload + FILLING_AT, filling, length - FILLING_AT);
    uint32_t run = run_id();
    memcpy(payload, &run, 4);
}

void payload_stamp(uint8_t *payload, size_t length, Stamp stamp) {
    uint32_t low = (uint32_t)stamp.number;
    memcpy(payload + 4, &stamp.publisher, 4);
    memcpy(payload + 8, &stamp.number, 8);
    memcpy(payload + 16, &stamp.due, 8);
    memcpy(payload + length - TAIL_BYTES, &low, TAIL_BYTES);
}

bool payload_read(const Message *message, Stamp *stamp) {
    const uint8_t *payload = message->payload;
    size_t length = message->payload_length;
    uint32_t run, low;
    if (length != (size_t)options.size) {
        findings.corrupt++;
        return false;
    }
    memcpy(&run, payload, 4);
    memcpy(&stamp->publisher, payload + 4, 4);
    memcpy(&stamp->number, payload + 8, 8);
    memcpy(&stamp->due, payload + 16, 8);
    memcpy(&low, payload + length - TAIL_BYTES, TAIL_BYTES);
    if (run != run_id()) {
        findings.foreign++;
        return false;
    }
    if (low != (uint32_t)stamp->number ||
        memcmp(payload + FILLING_AT, filling, length - FILLING_AT - TAIL_BYTES) != 0) {
        findings.corrupt++;
        return false;
    }
    return true;
}

static void flow_grow(Flow *flow, size_t word) {
    size_t words = flow->words == 0 ? 16 : flow->words;
    while (words <= word) words *= 2;
    flow->seen = realloc(flow->seen, words * sizeof *flow->seen);
    if (flow->seen == NULL) give_up("out of memory");
    memset(flow->seen + flow->words, 0, (words - flow->words) * sizeof *flow->seen);
    flow->words = words;
}

bool flow_accept(Flow *flow, uint64_t number, bool in_order) {
    size_t word = number / 64;
    uint64_t bit = 1ull << (number % 64);
    if (word >= flow->words) flow_grow(flow, word);
    if (flow->seen[word] & bit) {
        findings.duplicates++;
        return false;
    }
    flow->seen[word] |= bit;
    if (number >= flow->next) flow->next = number + 1;
    else if (in_order) findings.reordered++;
    return true;
}

bool findings_report(uint64_t lost, uint64_t unacknowledged) {
    report("lost", (double)lost);
    report("unacknowledged", (double)unacknowledged);
    report("duplicates", (double)findings.duplicates);
    report("reordered", (double)findings.reordered);
    report("corrupt", (double)findings.corrupt);
    report("misrouted", (double)findings.misrouted);
    report("foreign", (double)findings.foreign);
    report("wrongQos", (double)findings.wrong_qos);
    report("notRetained", (double)findings.not_retained);
    report("repeated", (double)repeated);
    return lost + unacknowledged + findings.duplicates + findings.reordered + findings.corrupt +
               findings.misrouted + findings.foreign + findings.wrong_qos + findings.not_retained ==
           0;
}
