/*
 * The load generator and delivery checker of `npm run bench compare` (test/bench/README.md).
 *
 *   load SCENARIO --port PORT --pid PID [--OPTION VALUE]...
 *
 * Prints one JSON object with what was measured. Exit status: 0 if all that was sent arrived once and in order,
 * 1 if not, 2 if nothing could be measured (the reason is on stderr).
 */
#define _GNU_SOURCE
#include "load.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

Options options = {.shape = "pairs", .publishers = 10, .subscribers = 10, .size = 64, .window = 100, .warmup = 2,
                   .seconds = 3, .drain = 3, .connections = 5000, .at_once = 50, .ping_every = 2, .messages = 20000,
                   .limit = 60};

typedef struct {
    const char *name;
    bool (*run)(void);
} Scenario;

static const Scenario scenarios[] = {{"traffic", run_traffic}, {"connects", run_connects}, {"idle", run_idle},
                                     {"queue", run_queue}, {"retain", run_retain}};

typedef struct {
    const char *name;
    double min, max;
    int *integer;
    double *real;
} NumberOption;

static int pid_option, subscribe_option;

static const NumberOption number_options[] = {
    {"--port", 1, 65535, &options.port, NULL},
    {"--pid", 1, 1e9, &pid_option, NULL},
    {"--publishers", 1, 1000, &options.publishers, NULL},
    {"--subscribers", 1, 1000, &options.subscribers, NULL},
    {"--qos", 0, 2, &options.qos, NULL},
    {"--size", PAYLOAD_BYTES_MIN, 65536, &options.size, NULL},
    {"--window", 1, 10000, &options.window, NULL},
    {"--rate", 0, 1e6, NULL, &options.rate},
    {"--warmup-rate", 0, 1e6, NULL, &options.warmup_rate},
    {"--warmup", 0, 60, NULL, &options.warmup},
    {"--seconds", 0.1, 60, NULL, &options.seconds},
    {"--drain", 0.1, 30, NULL, &options.drain},
    {"--connections", 1, 50000, &options.connections, NULL},
    {"--at-once", 1, 1000, &options.at_once, NULL},
    {"--ping-every", 0.1, 60, NULL, &options.ping_every},
    {"--subscribe", 0, 1, &subscribe_option, NULL},
    {"--messages", 1, 999999, &options.messages, NULL},
    {"--limit", 1, 300, NULL, &options.limit},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

void give_up(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, values);
    fputs("\n", stderr);
    va_end(values);
    exit(2);
}

void *allocate(size_t count, size_t bytes) {
    void *memory = calloc(count, bytes);
    if (memory == NULL) give_up("out of memory");
    return memory;
}

/* Printed at the end only: a run that gives up prints none. */
static char numbers[8192];
static size_t numbers_length;

void report(const char *name, double value) {
    const char *separator = numbers_length == 0 ? "" : ",";
    numbers_length += (size_t)snprintf(numbers + numbers_length, sizeof numbers - numbers_length, "%s\"%s\":%.12g",
                                       separator, name, value);
    if (numbers_length >= sizeof numbers) give_up("the report is too long");
}

static void read_option(const char *name, const char *text) {
    if (text == NULL) give_up("%s wants a value", name);
    if (strcmp(name, "--shape") == 0) {
        options.shape = text;
        return;
    }
    for (size_t i = 0; i < COUNT(number_options); i++) {
        const NumberOption *option = &number_options[i];
        if (strcmp(name, option->name) != 0) continue;
        char *end;
        double value = strtod(text, &end);
        if (*text == 0 || *end != 0 || !(value >= option->min && value <= option->max))
            give_up("%s %s: a number from %g to %g is wanted", name, text, option->min, option->max);
        if (option->integer != NULL) *option->integer = (int)value;
        else *option->real = value;
        return;
    }
    give_up("there is no option %s", name);
}

static const Scenario *find_scenario(const char *name) {
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        if (strcmp(name, scenarios[i].name) == 0) return &scenarios[i];
    }
    give_up("there is no scenario %s: traffic, connects, idle, queue and retain are known", name);
}

static void raise_file_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void on_alarm(int signal) {
    (void)signal;
    static const char text[] = "load: not done within --limit seconds\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(3);
    _exit(2);
}

int main(int count, char **arguments) {
    if (count < 2) give_up("usage: load SCENARIO --port PORT --pid PID [--OPTION VALUE]...");
    const Scenario *scenario = find_scenario(arguments[1]);
    for (int i = 2; i < count; i += 2) read_option(arguments[i], arguments[i + 1]);
    if (options.port == 0 || pid_option == 0) give_up("--port and --pid are wanted");
    options.pid = pid_option;
    options.subscribe = subscribe_option != 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no load without the program that asked for it */
    raise_file_limit();
    signal(SIGALRM, on_alarm);
    alarm((unsigned)options.limit);
    bool is_clean = scenario->run();
    printf("{%s}\n", numbers);
    return is_clean ? 0 : 1;
}
