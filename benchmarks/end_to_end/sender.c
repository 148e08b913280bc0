/* sender.c: a C-STORE and C-ECHO SCU that is never the bottleneck of a measurement.
 *
 * One process per parallel association. A synthetic CT object is laid out once as
 * a list of iovecs over one small pattern; per object only the Message ID and the
 * SOP Instance UID are patched, so a 1 GiB object costs no memory. Every response is
 * checked; the result is one JSON object on stdout. Exit code 0: every message
 * answered with Success; 1: not; 2: usage.
 *
 * --data-set sends the bytes of a file as the data set of every object. --files writes
 * the objects as files instead of sending them. */

#define _GNU_SOURCE

#include "ct_object.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ECHO_CONTEXT = 3, RX_ROOM = 1 << 18, BATCH = 512, MAX_WINDOW = 64 };

struct options {
    const char *host, *port, *files, *uid_base;
    unsigned processes, window, timeout_s, connect_ms;
    uint64_t objects, per_association; /* of each process; 0: all in one association */
    uint64_t first;                    /* number in the UID of the first object */
    uint64_t size;                     /* bytes of pixel data */
    uint32_t max_pdu;
    struct given data_set;             /* sent instead of the CT object */
    int echo, nagle;
};

/* What a process tells the parent, in shared memory. */
struct result {
    uint64_t begin_ns, end_ns, succeeded, failed, bytes;
    uint32_t max_pdu, window;
    char error[160];
};

struct association {
    int fd;
    uint32_t max_pdu; /* as announced by the acceptor */
    unsigned window;
    uint8_t rx[RX_ROOM];
    size_t begin, end;
};

static struct options options = {
    .host = "127.0.0.1", .port = "11112", .uid_base = "100000000000000000",
    .processes = 1, .window = 1, .timeout_s = 60, .objects = 1, .size = 524288,
    .max_pdu = 16384,
};
static struct result *result; /* of this process */

/* ---- the association ------------------------------------------------------------ */

static int fail(const char *what)
{
    if (!result->error[0])
        snprintf(result->error, sizeof result->error, "%s: %s", what,
            errno ? strerror(errno) : "unexpected answer");
    return -1;
}

static int send_parts(int fd, const struct iovec *parts, size_t count)
{
    struct iovec batch[BATCH];
    while (count) {
        size_t n = count < BATCH ? count : BATCH;
        struct msghdr message = {.msg_iov = batch, .msg_iovlen = n};
        memcpy(batch, parts, n * sizeof *parts);
        parts += n;
        count -= n;
        while (message.msg_iovlen) {
            ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR)
                continue;
            if (sent < 0)
                return fail("send");
            while (message.msg_iovlen && (size_t)sent >= message.msg_iov->iov_len) {
                sent -= (ssize_t)message.msg_iov->iov_len;
                message.msg_iov++;
                message.msg_iovlen--;
            }
            if (sent) {
                message.msg_iov->iov_base = (uint8_t *)message.msg_iov->iov_base + sent;
                message.msg_iov->iov_len -= (size_t)sent;
            }
        }
    }
    return 0;
}

static int send_bytes(int fd, void *p, size_t n)
{
    struct iovec part = {p, n};
    return send_parts(fd, &part, 1);
}

/* The next whole PDU; NULL after a failure. It stays valid until the next call. */
static uint8_t *read_pdu(struct association *a)
{
    for (;;) {
        size_t have = a->end - a->begin;
        uint8_t *pdu = a->rx + a->begin;
        if (have >= PDU_HEADER) {
            size_t whole = PDU_HEADER + (size_t)load_be32(pdu + 2);
            if (whole > RX_ROOM) {
                errno = 0;
                fail("PDU too long");
                return NULL;
            }
            if (have >= whole) {
                a->begin += whole;
                return pdu;
            }
        }
        memmove(a->rx, pdu, have);
        a->begin = 0;
        a->end = have;
        ssize_t n = recv(a->fd, a->rx + have, RX_ROOM - have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ECONNRESET;
            fail("receive");
            return NULL;
        }
        a->end += (size_t)n;
    }
}

/* The next response; its Message ID and status. Command sets in several PDVs are
 * joined. */
static int read_response(
    struct association *a, uint16_t *field, uint16_t *message_id, uint16_t *status)
{
    uint8_t command[4096];
    size_t fill = 0;
    for (int last = 0; !last;) {
        uint8_t *pdu = read_pdu(a);
        if (!pdu)
            return -1;
        errno = 0;
        if (pdu[0] != P_DATA_TF)
            return fail(pdu[0] == ABORT ? "A-ABORT" : "PDU type");
        size_t left = load_be32(pdu + 2);
        for (uint8_t *pdv = pdu + PDU_HEADER; left;) {
            size_t length = left < PDV_HEADER ? 0 : load_be32(pdv);
            if (length < 2 || length > left - 4 || !(pdv[5] & PDV_COMMAND)
                || length - 2 > sizeof command - fill)
                return fail("PDV");
            memcpy(command + fill, pdv + PDV_HEADER, length - 2);
            fill += length - 2;
            last = pdv[5] & PDV_LAST;
            pdv += 4 + length;
            left -= 4 + length;
        }
    }
    int seen = 0;
    for (size_t at = 0; fill - at >= 8;) {
        size_t length = load_le32(command + at + 4);
        if (length > fill - at - 8)
            return fail("command set");
        if (length == 2 && load_le16(command + at) == 0) {
            uint16_t element = load_le16(command + at + 2);
            uint16_t value = load_le16(command + at + 8);
            if (element == 0x0100)
                *field = value, seen |= 1;
            if (element == 0x0120)
                *message_id = value, seen |= 2;
            if (element == 0x0900)
                *status = value, seen |= 4;
        }
        at += 8 + length;
    }
    return seen == 7 ? 0 : fail("response without status");
}

static int connect_to_peer(void)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    struct timeval limit = {.tv_sec = (time_t)options.timeout_s};
    uint64_t give_up = now_ns() + options.connect_ms * 1000000ull;
    int code = getaddrinfo(options.host, options.port, &hints, &found), fd, one = 1;
    if (code)
        die("%s: %s", options.host, gai_strerror(code));
    for (;;) {
        fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0) {
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
            if (!options.nagle)
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            if (connect(fd, found->ai_addr, found->ai_addrlen) == 0)
                break;
            close(fd);
        }
        if (errno != ECONNREFUSED || now_ns() > give_up) {
            fd = fail("connect");
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    freeaddrinfo(found);
    return fd;
}

static void put_context(
    struct bytes *b, uint8_t id, const char *abstract, const char *transfer)
{
    size_t context = begin_item(b, ITEM_CONTEXT_RQ);
    put(b, (uint8_t[]){id, 0, 0, 0}, 4);
    put_item(b, ITEM_ABSTRACT, abstract, strlen(abstract));
    put_item(b, ITEM_TRANSFER, transfer, strlen(transfer));
    end_item(b, context);
}

/* Connect and negotiate; the wanted presentation context must be accepted. */
static int open_association(struct association *a)
{
    uint8_t space[1024];
    struct bytes rq = {space, 0, sizeof space};
    uint8_t *fixed = reserve(&rq, 74);
    memset(fixed, 0, 74);
    fixed[0] = ASSOCIATE_RQ;
    store_be16(fixed + 6, 1);
    memcpy(fixed + 10, "ANY-SCP         BENCHMARK       ", 32);
    put_item(&rq, ITEM_APPLICATION, APPLICATION_CONTEXT, strlen(APPLICATION_CONTEXT));
    put_context(&rq, CT_CONTEXT, CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN);
    put_context(&rq, ECHO_CONTEXT, VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN);
    put_user_information(&rq, RX_ROOM / 2, options.window);
    store_be32(rq.at + 2, (uint32_t)(rq.fill - PDU_HEADER));

    a->begin = a->end = 0;
    a->max_pdu = options.max_pdu;
    a->window = 1;
    a->fd = connect_to_peer();
    if (a->fd < 0 || send_bytes(a->fd, rq.at, rq.fill) < 0)
        return -1;
    uint8_t *ac = read_pdu(a);
    if (!ac)
        return -1;
    errno = 0;
    size_t end = PDU_HEADER + (size_t)load_be32(ac + 2);
    if (ac[0] != ASSOCIATE_AC || end < 74)
        return fail("A-ASSOCIATE-RQ");
    int accepted = 0;
    uint8_t wanted = options.echo ? ECHO_CONTEXT : CT_CONTEXT;
    for (size_t at = 74; at + 4 <= end;) {
        size_t next = at + 4 + load_be16(ac + at + 2);
        if (next > end)
            return fail("A-ASSOCIATE-AC");
        if (ac[at] == ITEM_CONTEXT_AC && next >= at + 8 && ac[at + 4] == wanted)
            accepted = ac[at + 6] == 0;
        if (ac[at] == ITEM_MAX_LENGTH && next == at + 8) {
            uint32_t theirs = load_be32(ac + at + 4);
            if (theirs && theirs < a->max_pdu)
                a->max_pdu = theirs;
        }
        if (ac[at] == ITEM_WINDOW && next == at + 8 && options.window > 1) {
            a->window = load_be16(ac + at + 4);
            if (a->window == 0 || a->window > options.window)
                a->window = options.window;
        }
        at = ac[at] == ITEM_USER ? at + 4 : next;
    }
    if (!accepted)
        return fail("presentation context not accepted");
    result->max_pdu = a->max_pdu;
    result->window = a->window;
    return 0;
}

static int release_association(struct association *a)
{
    uint8_t rq[10] = {RELEASE_RQ, 0, 0, 0, 0, 4};
    if (send_bytes(a->fd, rq, sizeof rq) < 0)
        return -1;
    uint8_t *pdu = read_pdu(a);
    errno = 0;
    return pdu && pdu[0] == RELEASE_RP ? 0 : fail("A-RELEASE-RQ");
}

/* ---- the work of one process ---------------------------------------------------- */

static void build_echo(struct object *o)
{
    struct bytes message = {malloc(128), 0, 128};
    reserve(&message, HEADERS);
    size_t begin = begin_command(&message);
    put_command(&message, 0x0002, VERIFICATION, strlen(VERIFICATION));
    put_command_us(&message, 0x0100, C_ECHO_RQ);
    put_command_us(&message, 0x0110, 0);
    o->message_id = message.at + message.fill - 2;
    put_command_us(&message, 0x0800, 0x0101);
    finish_command(&message, begin);
    pdata_header(
        message.at, message.fill - HEADERS, ECHO_CONTEXT, PDV_COMMAND | PDV_LAST);
    o->parts = malloc(sizeof *o->parts);
    o->count = 0;
    o->data_set_bytes = 0;
    add_part(o, message.at, message.fill);
}

/* Messages [from, to) over one association, at most `window` unanswered. */
static int exchange(
    struct association *a, struct object *o, unsigned process, uint64_t from,
    uint64_t to, uint64_t *latency)
{
    uint64_t sent_ns[MAX_WINDOW], sent = from;
    for (uint64_t answered = from; answered < to;) {
        while (sent < to && sent - answered < a->window) {
            store_le16(o->message_id, (uint32_t)(sent + 1) & 0xffff);
            if (!options.echo) {
                char uid[UID_LENGTH + 1];
                format_uid(uid, options.uid_base, process, options.first + sent);
                memcpy(o->command_uid, uid, UID_LENGTH);
                o->command_uid[UID_LENGTH] = 0;
                if (o->data_set_uid)
                    memcpy(o->data_set_uid, uid, UID_LENGTH);
            }
            sent_ns[sent % MAX_WINDOW] = now_ns();
            if (send_parts(a->fd, o->parts, o->count) < 0)
                return -1;
            sent++;
        }
        uint16_t field = 0, message_id = 0, status = 0;
        if (read_response(a, &field, &message_id, &status) < 0)
            return -1;
        latency[answered] = now_ns() - sent_ns[answered % MAX_WINDOW];
        errno = 0;
        if (message_id != ((answered + 1) & 0xffff)
            || field != (options.echo ? C_ECHO_RSP : C_STORE_RSP))
            return fail("response to another message");
        if (status == 0) {
            result->succeeded++;
            result->bytes += o->data_set_bytes;
        } else if (!result->error[0]) {
            snprintf(result->error, sizeof result->error, "status %04XH", status);
        }
        answered++;
    }
    return 0;
}

static void work(unsigned process, uint64_t *latency, uint64_t *duration)
{
    static struct association a;
    struct object object = {0};
    uint32_t built_for = 0;
    uint64_t step = options.per_association ? options.per_association : options.objects;
    for (uint64_t from = 0; from < options.objects; from += step) {
        uint64_t to = options.objects - from < step ? options.objects : from + step;
        uint64_t begin = now_ns();
        int ok = open_association(&a) == 0;
        if (ok && built_for != a.max_pdu) { /* the acceptor says the same each time */
            if (options.echo)
                build_echo(&object);
            else
                build_object(&object, &options.data_set, options.size, a.max_pdu);
            built_for = a.max_pdu;
        }
        ok = ok && exchange(&a, &object, process, from, to, latency) == 0
            && release_association(&a) == 0;
        if (a.fd >= 0)
            close(a.fd);
        duration[from / step] = now_ns() - begin;
        if (!ok)
            break;
    }
    result->failed = options.objects - result->succeeded;
}

/* ---- the parent ----------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Zeros are messages that were never answered. */
static void print_distribution(const char *name, uint64_t *values, size_t count)
{
    size_t skip = 0;
    qsort(values, count, sizeof *values, by_value);
    while (skip < count && values[skip] == 0)
        skip++;
    values += skip;
    count -= skip;
    if (count)
        printf("\"%s\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}, ", name,
            (double)values[count / 2] / 1e3, (double)values[count * 99 / 100] / 1e3,
            (double)values[count - 1] / 1e3);
    else
        printf("\"%s\": null, ", name);
}

static void *shared(size_t size)
{
    void *p = mmap(
        NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        die("out of memory");
    return p;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int send_all(void)
{
    unsigned n = options.processes;
    uint64_t step = options.per_association ? options.per_association : options.objects;
    uint64_t associations = (options.objects + step - 1) / step;
    struct result *results = shared(n * sizeof *results);
    uint64_t *latency = shared(n * options.objects * sizeof *latency);
    uint64_t *duration = shared(n * associations * sizeof *duration);
    int ready[2], go[2];
    if (pipe(ready) < 0 || pipe(go) < 0)
        die("pipe: %s", strerror(errno));
    for (unsigned i = 0; i < n; i++) {
        pid_t child = fork();
        if (child < 0)
            die("fork: %s", strerror(errno));
        if (child == 0) {
            char byte = 0;
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(go[1]);
            result = results + i;
            if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 0)
                _exit(2);
            result->begin_ns = now_ns();
            work(i, latency + i * options.objects, duration + i * associations);
            result->end_ns = now_ns();
            _exit(0);
        }
    }
    char byte;
    for (unsigned i = 0; i < n; i++)
        if (read(ready[0], &byte, 1) != 1)
            die("a process did not start");
    close(go[1]); /* all start together */
    int status;
    while (wait(&status) > 0)
        ;
    struct result total = {.begin_ns = UINT64_MAX, .window = options.window};
    const char *error = "";
    for (unsigned i = 0; i < n; i++) {
        struct result *r = results + i;
        total.succeeded += r->succeeded;
        total.bytes += r->bytes;
        total.begin_ns = r->begin_ns < total.begin_ns ? r->begin_ns : total.begin_ns;
        total.end_ns = r->end_ns > total.end_ns ? r->end_ns : total.end_ns;
        if (r->error[0])
            error = r->error;
    }
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    uint64_t failures = n * options.objects - total.succeeded;
    printf("{\"objects\": %llu, \"bytes\": %llu, ",
        (unsigned long long)total.succeeded, (unsigned long long)total.bytes);
    printf("\"wall_s\": %.6f, \"failures\": %llu, ",
        (double)(total.end_ns - total.begin_ns) / 1e9, (unsigned long long)failures);
    print_distribution("latency_us", latency, n * options.objects);
    print_distribution("association_us", duration, n * associations);
    printf("\"sender_cpu_s\": %.6f, \"max_pdu\": %u, \"window\": %u, ",
        seconds(usage.ru_utime) + seconds(usage.ru_stime), results->max_pdu,
        results->window);
    printf("\"error\": \"%s\"}\n", error);
    return failures != 0 || error[0] != 0;
}

static uint64_t number_of(const char *argument, uint64_t low, uint64_t high)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(argument, &end, 10);
    if (errno || *end || value < low || value > high)
        die("%s: a number from %llu to %llu is wanted", argument,
            (unsigned long long)low, (unsigned long long)high);
    return value;
}

static struct given mapped(const char *path)
{
    struct stat facts;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &facts) < 0 || facts.st_size == 0)
        die("%s: no data set", path);
    void *p = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        die("%s: %s", path, strerror(errno));
    close(fd);
    return (struct given){p, (uint64_t)facts.st_size};
}

static const char usage_text[] =
    "sender [options]\n"
    "  --host H, --port P       the receiver\n"
    "  --associations N         parallel associations, a process each (1)\n"
    "  --objects N              messages of each process (1)\n"
    "  --per-association N      a new association after N messages (0: never)\n"
    "  --size BYTES             of Pixel Data (524288)\n"
    "  --data-set FILE          what it holds, instead of an object of that size\n"
    "  --pdu BYTES              largest PDU, if the acceptor allows it (16384)\n"
    "  --window N               messages under way at once, if negotiated (1)\n"
    "  --echo                   C-ECHO instead of C-STORE\n"
    "  --nagle                  leave TCP as it comes: no TCP_NODELAY\n"
    "  --timeout S              of every system call (60)\n"
    "  --connect-ms N           try again that long while refused (0)\n"
    "  --uid-base DIGITS        18 digits, the first not 0, of every SOP Instance UID\n"
    "  --first N                number of the first object in its UID (0)\n"
    "  --files DIR              write the objects of one process there, send nothing\n";

int main(int argc, char **argv)
{
    static const struct option names[] = {{"host", 1, 0, 'h'}, {"port", 1, 0, 'p'},
        {"associations", 1, 0, 'a'}, {"objects", 1, 0, 'n'},
        {"per-association", 1, 0, 'k'}, {"size", 1, 0, 's'}, {"pdu", 1, 0, 'd'},
        {"window", 1, 0, 'w'}, {"echo", 0, 0, 'e'}, {"nagle", 0, 0, 'g'},
        {"timeout", 1, 0, 't'}, {"connect-ms", 1, 0, 'c'}, {"uid-base", 1, 0, 'u'},
        {"files", 1, 0, 'f'}, {"first", 1, 0, 'i'}, {"data-set", 1, 0, 'b'},
        {0, 0, 0, 0}};
    struct options *o = &options;
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (name) {
        case 'h': o->host = optarg; break;
        case 'p': o->port = optarg; break;
        case 'a': o->processes = (unsigned)number_of(optarg, 1, 1000); break;
        case 'n': o->objects = number_of(optarg, 1, 99999999); break;
        case 'k': o->per_association = number_of(optarg, 0, 99999999); break;
        case 's': o->size = number_of(optarg, 2, 0xfffffffe); break;
        case 'd': o->max_pdu = (uint32_t)number_of(optarg, 2048, 16777216); break;
        case 'w': o->window = (unsigned)number_of(optarg, 1, MAX_WINDOW); break;
        case 'e': o->echo = 1; break;
        case 'g': o->nagle = 1; break;
        case 't': o->timeout_s = (unsigned)number_of(optarg, 1, 86400); break;
        case 'c': o->connect_ms = (unsigned)number_of(optarg, 0, 600000); break;
        case 'u': o->uid_base = optarg; break;
        case 'i': o->first = number_of(optarg, 0, 99999999); break;
        case 'f': o->files = optarg; break;
        case 'b': o->data_set = mapped(optarg); break;
        default: fputs(usage_text, stderr); return 2;
        }
    }
    if (optind != argc || strspn(o->uid_base, "0123456789") != 18 || o->uid_base[18]
        || o->uid_base[0] == '0') {
        fputs(usage_text, stderr);
        return 2;
    }
    fill_pattern();
    if (o->files)
        return write_files(o->files, o->first, o->objects, o->size, o->uid_base);
    return send_all();
}
