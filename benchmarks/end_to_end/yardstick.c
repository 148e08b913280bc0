/* yardstick.c: the least that a storage SCP can do; the floor for every figure.
 *
 * Pre-forked workers on one listening socket. Every presentation context is
 * accepted. Data set bytes go from few large recvmsg() calls straight to their place
 * in a file image, PDU and PDV headers aside; a file is written under a temporary
 * name and renamed. Nothing is logged or configurable beyond what a measurement
 * needs. Not a product: it checks what memory safety and an honest Success need, and
 * aborts on everything else. */

#define _GNU_SOURCE

#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WRITE_SIZE = 1 << 20,            /* one write up to here */
    IMAGE = WRITE_SIZE + (1 << 19),  /* what one scattered receive may add beyond it */
    LINEAR = 1 << 16,                /* one receive while the geometry is unknown */
    STAGE = LINEAR + IMAGE + (1 << 16),
    DEPTH = 32,                      /* predicted PDUs in one receive */
    COMMAND_ROOM = 1 << 14,
    MAX_ASSOCIATION = 1 << 20,
    UID_ROOM = 65
};
#define RWF_DONTCACHE_FLAG 0x80 /* Linux 6.14 */

enum next { MORE, CLOSE_CONNECTION };

struct receiver {
    int fd, directory, worker, file; /* file: -1 until the first write */
    uint8_t image[IMAGE], stage[STAGE], command[COMMAND_ROOM];
    size_t image_fill, command_fill;
    size_t begin, end;          /* of the bytes in `stage` that are not parsed yet */
    uint32_t pdu_left, pdv_left;
    uint8_t context, flags;     /* of the current PDV */
    uint32_t fragment;          /* of the last full PDU with one PDV; 0: unknown */
    uint16_t message_id;
    char sop_class[UID_ROOM], instance[UID_ROOM], temporary[32];
    int in_data_set, failed;
    char calling[17], syntaxes[256][UID_ROOM];
};

static struct {
    const char *directory;
    unsigned port, workers, max_pdu;
    int discard, dontcache;
} options = {.directory = ".", .workers = 2, .max_pdu = 16384};

/* ---- the file ------------------------------------------------------------------- */

static int write_image(struct receiver *r)
{
    if (!options.discard && !r->failed && r->file < 0) {
        r->file = openat(
            r->directory, r->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        r->failed |= r->file < 0;
    }
    for (size_t at = 0; !options.discard && !r->failed && at < r->image_fill;) {
        struct iovec part = {r->image + at, r->image_fill - at};
        ssize_t n = pwritev2(
            r->file, &part, 1, -1, options.dontcache ? RWF_DONTCACHE_FLAG : 0);
        if (n < 0 && errno == EOPNOTSUPP && options.dontcache)
            options.dontcache = 0;
        else if (n < 0 && errno != EINTR)
            r->failed = 1;
        else if (n > 0)
            at += (size_t)n;
    }
    r->image_fill = 0;
    return 0;
}

static void begin_object(struct receiver *r)
{
    struct bytes head = {r->image, 0, IMAGE};
    put_file_head(
        &head, r->sop_class, r->instance, r->syntaxes[r->context], r->calling);
    r->image_fill = options.discard ? 0 : head.fill;
    r->in_data_set = 1;
    r->failed = 0;
    r->fragment = 0;
}

/* Everything is on its way to the disk and under its name, or the object has failed. */
static void finish_object(struct receiver *r)
{
    char name[UID_ROOM + 4];
    write_image(r);
    r->in_data_set = 0;
    if (options.discard)
        return;
    if (r->file >= 0 && close(r->file) < 0)
        r->failed = 1;
    int created = r->file >= 0;
    r->file = -1;
    snprintf(name, sizeof name, "CT.%s", r->instance);
    if (!r->failed && renameat(r->directory, r->temporary, r->directory, name) < 0)
        r->failed = 1;
    if (r->failed && created)
        unlinkat(r->directory, r->temporary, 0);
}

/* ---- messages ------------------------------------------------------------------- */

static int send_bytes(struct receiver *r, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t sent = send(r->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return -1;
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        }
    }
    return 0;
}

static enum next answer(struct receiver *r, uint16_t field)
{
    uint8_t space[512];
    struct bytes pdu = {space, 0, sizeof space};
    reserve(&pdu, HEADERS);
    size_t begin = begin_command(&pdu);
    put_command(&pdu, 0x0002, r->sop_class, strlen(r->sop_class));
    put_command_us(&pdu, 0x0100, field);
    put_command_us(&pdu, 0x0120, r->message_id);
    put_command_us(&pdu, 0x0800, 0x0101);
    put_command_us(&pdu, 0x0900, field == C_STORE_RSP && r->failed ? 0xa700 : 0);
    if (field == C_STORE_RSP)
        put_command(&pdu, 0x1000, r->instance, strlen(r->instance));
    finish_command(&pdu, begin);
    pdata_header(pdu.at, pdu.fill - HEADERS, r->context, PDV_COMMAND | PDV_LAST);
    return send_bytes(r, pdu.at, pdu.fill) < 0 ? CLOSE_CONNECTION : MORE;
}

/* A UID as a string; anything that could leave the directory is refused. */
static int copy_uid(char *uid, const uint8_t *value, size_t length)
{
    while (length && value[length - 1] == 0)
        length--;
    if (length >= UID_ROOM)
        return -1;
    memcpy(uid, value, length);
    uid[length] = 0;
    return length && strspn(uid, "0123456789.") == length ? 0 : -1;
}

static enum next act_on_command(struct receiver *r)
{
    uint16_t field = 0;
    r->sop_class[0] = r->instance[0] = 0;
    for (size_t at = 0; r->command_fill - at >= 8;) {
        const uint8_t *element = r->command + at;
        size_t length = load_le32(element + 4);
        if (length > r->command_fill - at - 8 || load_le16(element) != 0)
            return CLOSE_CONNECTION;
        int bad = 0;
        switch (load_le16(element + 2)) {
        case 0x0002: bad = copy_uid(r->sop_class, element + 8, length); break;
        case 0x0100: bad = length != 2; field = load_le16(element + 8); break;
        case 0x0110: bad = length != 2; r->message_id = load_le16(element + 8); break;
        case 0x1000: bad = copy_uid(r->instance, element + 8, length); break;
        }
        if (bad)
            return CLOSE_CONNECTION;
        at += 8 + length;
    }
    r->command_fill = 0;
    if (field == C_ECHO_RQ)
        return answer(r, C_ECHO_RSP);
    if (field != C_STORE_RQ || !r->sop_class[0] || !r->instance[0])
        return CLOSE_CONNECTION;
    begin_object(r);
    return MORE;
}

/* The last byte of a PDV is where it belongs. */
static enum next end_fragment(struct receiver *r)
{
    if (!(r->flags & PDV_LAST))
        return MORE;
    if (r->flags & PDV_COMMAND)
        return act_on_command(r);
    finish_object(r);
    return answer(r, C_STORE_RSP);
}

/* ---- the stream ----------------------------------------------------------------- */

static enum next begin_fragment(struct receiver *r, uint32_t length)
{
    int command = (r->flags & PDV_COMMAND) != 0;
    if (command ? r->in_data_set : !r->in_data_set)
        return CLOSE_CONNECTION;
    r->pdv_left = length;
    return length ? MORE : end_fragment(r);
}

/* Parse what `stage` holds, copying fragments; stop where a header is not complete. */
static enum next consume(struct receiver *r)
{
    enum next next = MORE;
    while (next == MORE && r->end > r->begin) {
        const uint8_t *at = r->stage + r->begin;
        size_t have = r->end - r->begin;
        if (r->pdv_left) {
            size_t n = have < r->pdv_left ? have : r->pdv_left;
            uint8_t *to = r->image + r->image_fill;
            if (r->flags & PDV_COMMAND) {
                if (n > COMMAND_ROOM - r->command_fill)
                    return CLOSE_CONNECTION;
                to = r->command + r->command_fill;
                r->command_fill += n;
            } else {
                if (r->image_fill >= WRITE_SIZE)
                    write_image(r);
                if (n > IMAGE - r->image_fill)
                    n = IMAGE - r->image_fill;
                to = r->image + r->image_fill;
                r->image_fill += n;
            }
            memcpy(to, at, n);
            r->begin += n;
            r->pdv_left -= (uint32_t)n;
            if (r->pdv_left == 0)
                next = end_fragment(r);
        } else if (r->pdu_left) {
            if (have < PDV_HEADER)
                break;
            uint32_t length = load_be32(at);
            if (length < 2 || r->pdu_left < 4 || length > r->pdu_left - 4)
                return CLOSE_CONNECTION;
            r->pdu_left -= 4 + length;
            r->context = at[4];
            r->flags = at[5];
            r->begin += PDV_HEADER;
            /* a PDU that holds one PDV and no end of a message shows the geometry */
            r->fragment = r->pdu_left == 0 && !r->flags ? length - 2 : 0;
            next = begin_fragment(r, length - 2);
        } else {
            if (have < PDU_HEADER)
                break;
            if (at[0] != P_DATA_TF) {
                uint8_t rp[10] = {RELEASE_RP, 0, 0, 0, 0, 4};
                if (at[0] == RELEASE_RQ)
                    send_bytes(r, rp, sizeof rp);
                return CLOSE_CONNECTION;
            }
            r->pdu_left = load_be32(at + 2);
            r->begin += PDU_HEADER;
        }
    }
    if (r->begin == r->end)
        r->begin = r->end = 0;
    return next;
}

/* A sender with Nagle's algorithm holds back the end of a message until what went
 * before is acknowledged, which the kernel delays by 40 ms unless told not to, each
 * time. dcmsend writes the 12 header bytes and the fragment one by one. */
static ssize_t receive(struct receiver *r, struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t n;
    int one = 1;
    if (r->in_data_set || r->begin < r->end || r->pdu_left || r->pdv_left
        || r->command_fill)
        setsockopt(r->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
    do
        n = recvmsg(r->fd, &message, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

/* One receive into `stage`; 0: the connection is over. */
static int receive_linear(struct receiver *r)
{
    memmove(r->stage, r->stage + r->begin, r->end - r->begin);
    r->end -= r->begin;
    r->begin = 0;
    struct iovec part = {r->stage + r->end, LINEAR};
    ssize_t n = receive(r, &part, 1);
    if (n > 0)
        r->end += (size_t)n;
    return n > 0;
}

/* Bytes that landed behind a header that was not as predicted: line them up to be
 * parsed. */
static void unscatter(struct receiver *r, struct iovec *parts, size_t n)
{
    for (; n; parts++) {
        size_t k = n < parts->iov_len ? n : parts->iov_len;
        memcpy(r->stage + r->end, parts->iov_base, k);
        r->end += k;
        n -= k;
    }
}

/* The rest of this PDV and PDUs of the same size with one receive, each fragment in
 * place. `stage` is empty before; after it, it holds whatever did not fit the
 * prediction. */
static enum next receive_scattered(struct receiver *r)
{
    static uint8_t headers[DEPTH][HEADERS];
    struct iovec parts[2 * DEPTH + 1];
    size_t count = 0, fragment = r->fragment;
    if (r->image_fill >= WRITE_SIZE)
        write_image(r);
    uint8_t *to = r->image + r->image_fill, *limit = r->image + IMAGE;
    size_t first = r->pdv_left;
    if (first > (size_t)(limit - to))
        first = (size_t)(limit - to);
    parts[count++] = (struct iovec){to, first};
    to += first;
    for (size_t i = 0; i < DEPTH && first == r->pdv_left; i++) {
        if (fragment > (size_t)(limit - to) || to > r->image + WRITE_SIZE)
            break;
        parts[count++] = (struct iovec){headers[i], HEADERS};
        parts[count++] = (struct iovec){to, fragment};
        to += fragment;
    }
    ssize_t received = receive(r, parts, count);
    if (received <= 0)
        return CLOSE_CONNECTION;
    size_t n = (size_t)received, k = n < first ? n : first;
    r->image_fill += k;
    r->pdv_left -= (uint32_t)k;
    n -= k;
    if (r->pdv_left || k < first)
        return MORE;
    enum next next = end_fragment(r);
    for (size_t i = 1; n && next == MORE; i += 2) {
        uint8_t *header = parts[i].iov_base;
        size_t length = n < HEADERS ? 0 : load_be32(header + 6);
        if (n < HEADERS || header[0] != P_DATA_TF || length < 2
            || load_be32(header + 2) != length + 4 || header[10] != r->context
            || header[11] & PDV_COMMAND || length - 2 > fragment || !r->in_data_set) {
            unscatter(r, parts + i, n);
            break;
        }
        n -= HEADERS;
        length -= 2;
        k = n < length ? n : length;
        r->flags = header[11];
        r->image_fill += k;
        r->pdv_left = (uint32_t)(length - k);
        n -= k;
        if (length < fragment && n) { /* what follows a short PDU landed in its place */
            parts[i + 1].iov_base = (uint8_t *)parts[i + 1].iov_base + k;
            parts[i + 1].iov_len -= k;
            unscatter(r, parts + i + 1, n);
            n = 0;
        }
        if (r->pdv_left == 0)
            next = end_fragment(r);
    }
    return next;
}

/* ---- the association ------------------------------------------------------------ */

/* Read the A-ASSOCIATE-RQ and accept each presentation context with its first
 * syntax. */
static int associate(struct receiver *r)
{
    static uint8_t space[1 << 16];
    struct bytes ac = {space, 0, sizeof space};
    size_t end = 0;
    do {
        if (end > STAGE - 2 * LINEAR || !receive_linear(r))
            return -1;
        end = r->end < PDU_HEADER ? 0 : PDU_HEADER + (size_t)load_be32(r->stage + 2);
        if (r->end >= PDU_HEADER && (r->stage[0] != ASSOCIATE_RQ || end < 74))
            return -1;
    } while (end == 0 || r->end < end);
    memcpy(reserve(&ac, 74), r->stage, 74);
    ac.at[0] = ASSOCIATE_AC;
    memcpy(r->calling, r->stage + 26, 16);
    for (int i = 16; i && r->calling[i - 1] == ' '; i--)
        r->calling[i - 1] = 0;
    put_item(&ac, ITEM_APPLICATION, APPLICATION_CONTEXT, strlen(APPLICATION_CONTEXT));
    unsigned window = 1;
    for (size_t at = 74; at + 4 <= end;) {
        const uint8_t *item = r->stage + at;
        size_t next = at + 4 + load_be16(item + 2);
        if (next > end)
            return -1;
        if (item[0] == ITEM_WINDOW && next == at + 8)
            window = load_be16(item + 4);
        if (item[0] == ITEM_CONTEXT_RQ && next >= at + 8) {
            char *syntax = r->syntaxes[item[4]];
            syntax[0] = 0;
            for (size_t sub = at + 8; sub + 4 <= next && !syntax[0];) {
                size_t length = load_be16(r->stage + sub + 2);
                if (length > next - sub - 4)
                    return -1;
                if (r->stage[sub] == ITEM_TRANSFER
                    && copy_uid(syntax, r->stage + sub + 4, length) < 0)
                    return -1;
                sub += 4 + length;
            }
            size_t context = begin_item(&ac, ITEM_CONTEXT_AC);
            put(&ac, (uint8_t[]){item[4], 0, 0, 0}, 4);
            put_item(&ac, ITEM_TRANSFER, syntax, strlen(syntax));
            end_item(&ac, context);
        }
        at = item[0] == ITEM_USER ? at + 4 : next;
    }
    r->begin = end;
    put_user_information(&ac, options.max_pdu, window);
    store_be32(ac.at + 2, (uint32_t)(ac.fill - PDU_HEADER));
    return send_bytes(r, ac.at, ac.fill);
}

static void serve(struct receiver *r)
{
    r->begin = r->end = r->command_fill = 0;
    r->pdu_left = r->pdv_left = r->fragment = 0;
    r->in_data_set = 0;
    r->file = -1;
    enum next next = associate(r) < 0 ? CLOSE_CONNECTION : consume(r);
    while (next == MORE) {
        if (r->begin == r->end && r->in_data_set && r->fragment && r->pdv_left) {
            next = receive_scattered(r);
            if (next == MORE)
                next = consume(r);
        } else {
            next = receive_linear(r) ? consume(r) : CLOSE_CONNECTION;
        }
    }
    if (r->file >= 0) { /* the connection ended in the middle of an object */
        close(r->file);
        unlinkat(r->directory, r->temporary, 0);
    }
}

static void work(int listener, unsigned worker)
{
    static struct receiver r;
    struct timeval limit = {.tv_sec = 60};
    int one = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    r.directory = open(options.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r.directory < 0)
        die("%s: %s", options.directory, strerror(errno));
    snprintf(r.temporary, sizeof r.temporary, ".yardstick.%u", worker);
    for (;;) {
        r.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (r.fd < 0)
            continue;
        setsockopt(r.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(r.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        setsockopt(r.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        serve(&r);
        close(r.fd);
    }
}

static const char usage_text[] =
    "yardstick [options] port\n"
    "  --directory DIR   of the files (.)\n"
    "  --workers N       processes, an association each (2)\n"
    "  --max-pdu BYTES   as announced (16384)\n"
    "  --discard         receive and answer, write nothing\n"
    "  --dontcache       write with RWF_DONTCACHE\n";

int main(int argc, char **argv)
{
    static const struct option names[] = {{"directory", 1, 0, 'd'},
        {"workers", 1, 0, 'w'}, {"max-pdu", 1, 0, 'p'}, {"discard", 0, 0, 'i'},
        {"dontcache", 0, 0, 'c'}, {0, 0, 0, 0}};
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (name) {
        case 'd': options.directory = optarg; break;
        case 'w': options.workers = (unsigned)atoi(optarg); break;
        case 'p': options.max_pdu = (unsigned)atoi(optarg); break;
        case 'i': options.discard = 1; break;
        case 'c': options.dontcache = 1; break;
        default: fputs(usage_text, stderr); return 2;
        }
    }
    if (optind + 1 != argc || options.workers < 1 || options.workers > 256
        || options.max_pdu < 4096 || options.max_pdu > 131072) {
        fputs(usage_text, stderr);
        return 2;
    }
    options.port = (unsigned)atoi(argv[optind]);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0
        || listen(listener, 128) < 0)
        die("port %u: %s", options.port, strerror(errno));
    for (unsigned i = 0; i < options.workers; i++) {
        pid_t child = fork();
        if (child < 0)
            die("fork: %s", strerror(errno));
        if (child == 0)
            work(listener, i);
    }
    while (wait(NULL) > 0)
        ;
    die("every worker has ended");
}
