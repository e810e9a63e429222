/* What is measured: the clock, latencies, and what Linux says of the broker's process and of the whole machine. */
#define _GNU_SOURCE
#include "load.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_nsec;
}

/* ------------------------------------------------------------------ latencies */

/* Each power of two has 64 buckets: a figure is exact to 1.6 %. */
#define STEPS_LOG2 6
#define STEPS (1u << STEPS_LOG2)
#define BUCKETS ((64 - STEPS_LOG2 + 1) * STEPS)

static uint64_t buckets[BUCKETS], latency_count, latency_max;

static unsigned bucket_of(uint64_t ns) {
    if (ns < STEPS) return (unsigned)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - STEPS_LOG2;
    return (shift + 1) * STEPS + (unsigned)((ns >> shift) - STEPS);
}

/* The middle of a bucket. */
static double value_of(unsigned bucket) {
    if (bucket < STEPS) return bucket;
    unsigned shift = bucket / STEPS - 1;
    return ((double)(STEPS + bucket % STEPS) + 0.5) * (double)(1ull << shift);
}

void latency_add(uint64_t ns) {
    buckets[bucket_of(ns)]++;
    latency_count++;
    if (ns > latency_max) latency_max = ns;
}

void latency_clear(void) {
    memset(buckets, 0, sizeof buckets);
    latency_count = latency_max = 0;
}

static double latency_quantile(double share) {
    double wanted = share * (double)latency_count, seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += (double)buckets[i];
        if (seen >= wanted && seen > 0) return value_of(i);
    }
    return 0;
}

void latency_report(void) {
    report("latencyP50Micros", latency_quantile(0.5) / 1e3);
    report("latencyP90Micros", latency_quantile(0.9) / 1e3);
    report("latencyP99Micros", latency_quantile(0.99) / 1e3);
    report("latencyP999Micros", latency_quantile(0.999) / 1e3);
    report("latencyMaxMicros", (double)latency_max / 1e3);
}

/* --------------------------------------------------------------------- memory */

static long kilobytes_of(const char *file, const char *key) {
    char path[64], line[256];
    size_t length = strlen(key);
    long value = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)options.pid, file);
    FILE *stream = fopen(path, "r");
    if (stream == NULL) give_up("%s cannot be read: has the broker ended?", path);
    while (fgets(line, sizeof line, stream) != NULL) {
        if (strncmp(line, key, length) != 0) continue;
        value = atol(line + length);
        break;
    }
    fclose(stream);
    return value;
}

Memory broker_memory(void) {
    return (Memory){
        .rss = kilobytes_of("status", "VmRSS:"),
        .rss_peak = kilobytes_of("status", "VmHWM:"),
        .private_dirty = kilobytes_of("smaps_rollup", "Private_Dirty:"),
    };
}

void memory_report(const char *prefix, Memory memory) {
    char name[64];
    snprintf(name, sizeof name, "%sRssKilobytes", prefix);
    report(name, (double)memory.rss);
    snprintf(name, sizeof name, "%sPrivateDirtyKilobytes", prefix);
    report(name, (double)memory.private_dirty);
}

/* ------------------------------------------------------------- processor time */

static bool read_file(const char *path, char *text, size_t size) {
    FILE *stream = fopen(path, "r");
    if (stream == NULL) return false;
    size_t length = fread(text, 1, size - 1, stream);
    fclose(stream);
    text[length] = 0;
    return length > 0;
}

/* To the nanosecond, but without the threads that have ended. */
static double threads_seconds(void) {
    char path[400], text[128];
    double sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)options.pid);
    DIR *folder = opendir(path);
    if (folder == NULL) give_up("the broker's process %d has ended", (int)options.pid);
    for (struct dirent *thread; (thread = readdir(folder)) != NULL;) {
        if (thread->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)options.pid, thread->d_name);
        if (read_file(path, text, sizeof text)) sum += strtod(text, NULL) / 1e9;
    }
    closedir(folder);
    return sum;
}

/* With the threads that have ended, but in ticks of the kernel. */
static double process_seconds(void) {
    char path[64], text[1024];
    unsigned long user, system;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)options.pid);
    if (!read_file(path, text, sizeof text)) return 0;
    char *after_name = strrchr(text, ')');
    const char *fields = " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu";
    if (after_name == NULL || sscanf(after_name + 1, fields, &user, &system) != 2) return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Everything that ran, and what the hypervisor gave to others instead. */
static double machine_seconds(void) {
    char text[512];
    unsigned long long user, nice, system, idle, wait, irq, softirq, steal;
    if (!read_file("/proc/stat", text, sizeof text)) return 0;
    if (sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq,
               &softirq, &steal) != 8)
        return 0;
    return (double)(user + nice + system + irq + softirq + steal) / (double)sysconf(_SC_CLK_TCK);
}

Effort effort_now(void) {
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    double threads = threads_seconds(), process = process_seconds();
    return (Effort){
        .at = now_ns(),
        .broker = threads > process ? threads : process,
        .generator = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
                     (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6,
        .machine = machine_seconds(),
    };
}

double seconds_between(Effort from, Effort to) {
    return (double)(to.at - from.at) / 1e9;
}

double broker_micros_each(Effort from, Effort to, double operations) {
    return operations > 0 ? (to.broker - from.broker) * 1e6 / operations : 0;
}

void effort_report(Effort from, Effort to) {
    double seconds = seconds_between(from, to);
    double broker = to.broker - from.broker, generator = to.generator - from.generator;
    double others = to.machine - from.machine - broker - generator;
    report("brokerCores", broker / seconds);
    report("generatorCores", generator / seconds);
    report("otherCores", others > 0 ? others / seconds : 0);
}
