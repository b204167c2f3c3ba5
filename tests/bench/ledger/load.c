/* Asks the credits service over kept connections, each as soon as it has its answer, and says how long answers took.
 *
 * load PORT CONNECTIONS SECONDS MODE TOKEN ACCOUNTS   MODE: charge | hold | batch; ACCOUNTS: a file, an id a line
 *
 * One process, one thread, so that it takes little of the machine it shares with what it measures. A hold is placed and
 * then captured; the pair counts once. Prints one line of JSON: requests, seconds, p50_us, p99_us, failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { ID = 36, BATCH = 100, OUT = 32 * 1024, IN = 64 * 1024, MOST = 4 * 1000 * 1000 };

typedef struct {
    int socket;
    int capturing; /* the hold below is placed, and its capture is asked for */
    char hold[ID + 1], account[ID + 1];
    char out[OUT], in[IN];
    int out_length, out_sent, in_length;
    double began;
} Connection;

static const char *mode, *token;
static char (*accounts)[ID + 1];
static int account_count, asked;
static float *took;
static long done, failed;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void read_accounts(const char *file) {
    FILE *f = fopen(file, "r");
    if (!f) die(file);
    accounts = malloc(sizeof(*accounts) * 2000000);
    while (fscanf(f, "%36s", accounts[account_count]) == 1) account_count++;
    fclose(f);
}

static void write_request(Connection *c) {
    static char body[OUT - 1024];
    char path[160];
    int length = 0;
    if (!c->capturing) strcpy(c->account, accounts[random() % account_count]);
    if (!strcmp(mode, "batch")) {
        strcpy(path, "/internal/v1/charges/batch");
        length = sprintf(body, "{\"charges\":[");
        for (int i = 0; i < BATCH; i++)
            length += sprintf(body + length, "%s{\"account\":\"%s\",\"amount\":\"0.5\"}", i ? "," : "",
                              accounts[random() % account_count]);
        length += sprintf(body + length, "]}");
    } else if (c->capturing) {
        sprintf(path, "/internal/v1/holds/%s/capture?account=%s", c->hold, c->account);
        length = sprintf(body, "{\"amount\":\"0.5\"}");
    } else {
        strcpy(path, !strcmp(mode, "hold") ? "/internal/v1/holds" : "/internal/v1/charges");
        length = sprintf(body, "{\"account\":\"%s\",\"amount\":\"0.5\"}", c->account);
    }
    c->out_length = sprintf(c->out,
                            "POST %s HTTP/1.1\r\nHost: credits\r\nAuthorization: Bearer %s\r\nScrip-Caller: bench\r\n"
                            "Idempotency-Key: bench-%d-%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                            "\r\n%s",
                            path, token, getpid(), asked++, length, body);
    c->out_sent = c->in_length = 0;
    if (!c->capturing) c->began = now();
}

static void send_some(Connection *c) {
    while (c->out_sent < c->out_length) {
        ssize_t n = write(c->socket, c->out + c->out_sent, c->out_length - c->out_sent);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) die("the service hung up");
        c->out_sent += n;
    }
}

/* Whether a whole answer is there. */
static int answered(Connection *c) {
    char *end, *length;
    c->in[c->in_length] = 0;
    if (!(end = strstr(c->in, "\r\n\r\n"))) return 0;
    if (!(length = strcasestr(c->in, "content-length:"))) die("an answer without a length");
    return c->in_length >= (end - c->in) + 4 + atoi(length + 15);
}

static void take_answer(Connection *c) {
    char *hold;
    int good = !strncmp(c->in, "HTTP/1.1 20", 11);
    if (!good && failed++ < 3) fprintf(stderr, "%.600s\n", c->in);
    if (good && !strcmp(mode, "hold") && !c->capturing && (hold = strstr(c->in, "\"hld_"))) {
        memcpy(c->hold, hold + 1, ID);
        c->capturing = 1;
    } else {
        c->capturing = 0;
        if (done < MOST) took[done++] = (float)((now() - c->began) * 1e6);
    }
    write_request(c);
}

static void on_event(Connection *c, int what) {
    if (what & EPOLLIN) {
        ssize_t n = read(c->socket, c->in + c->in_length, IN - 1 - c->in_length);
        if (n <= 0) die("the service hung up");
        c->in_length += n;
        if (answered(c)) take_answer(c);
    }
    send_some(c);
}

static int by_size(const void *a, const void *b) {
    return (*(const float *)a > *(const float *)b) - (*(const float *)a < *(const float *)b);
}

int main(int argc, char **argv) {
    if (argc != 7) return fprintf(stderr, "load PORT CONNECTIONS SECONDS MODE TOKEN ACCOUNTS\n"), 2;
    int connections = atoi(argv[2]), on = 1, poller = epoll_create1(0);
    double seconds = atof(argv[3]), began, ended;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    mode = argv[4], token = argv[5];
    read_accounts(argv[6]);
    took = malloc(sizeof(float) * MOST);
    srandom(getpid());
    Connection *all = calloc(connections, sizeof(Connection));
    for (int i = 0; i < connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        all[i].socket = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(all[i].socket, (struct sockaddr *)&where, sizeof where)) die("connect");
        setsockopt(all[i].socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_ctl(poller, EPOLL_CTL_ADD, all[i].socket, &event);
        write_request(&all[i]);
        send_some(&all[i]);
    }
    for (began = now(); (ended = now()) < began + seconds;) {
        struct epoll_event events[64];
        int n = epoll_wait(poller, events, 64, 100);
        for (int i = 0; i < n; i++) on_event(events[i].data.ptr, events[i].events);
    }
    qsort(took, done, sizeof(float), by_size);
    printf("{\"requests\": %ld, \"seconds\": %.3f, \"p50_us\": %.0f, \"p99_us\": %.0f, \"failed\": %ld}\n", done,
           ended - began, done ? took[done / 2] : 0.0, done ? took[done * 99 / 100] : 0.0, failed);
    return 0;
}
