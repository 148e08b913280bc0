/* delay.c: a line that is long: what comes in at one end comes out later at the other.
 *
 *   delay MILLISECONDS PORT    one connection after the other is relayed to PORT
 *
 * Each direction is late by MILLISECONDS, half of the round trip, and keeps its order;
 * the bandwidth stays that of the loopback. Prints the port on which it listens. Takes
 * part in a measurement as the line only: its CPU is nobody's. */

#define _GNU_SOURCE

#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 1 << 16, PIECES = 256 }; /* 16 MiB under way in a direction at most */

struct piece {
    uint64_t due_ns;
    size_t size, sent;
    uint8_t bytes[PIECE];
};

struct direction {
    int from, to;
    size_t first, count;
    int ended; /* `from` has no more to say */
    struct piece pieces[PIECES];
};

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("cannot connect to port %u: %s", port, strerror(errno));
    return fd;
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0
        || listen(fd, 16) < 0
        || getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        die("cannot listen: %s", strerror(errno));
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

/* Take what is there; what is no data ends the direction. */
static void take(struct direction *d, uint64_t late_ns)
{
    struct piece *piece = &d->pieces[(d->first + d->count) % PIECES];
    ssize_t size = recv(d->from, piece->bytes, PIECE, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0)
        d->ended = 1;
    piece->size = size > 0 ? (size_t)size : 0;
    piece->sent = 0;
    piece->due_ns = now_ns() + late_ns;
    d->count++;
}

/* Give what is due; 0 after the end of the direction. */
static int give(struct direction *d)
{
    int one = 1;
    while (d->count && d->pieces[d->first].due_ns <= now_ns()) {
        struct piece *piece = &d->pieces[d->first];
        if (piece->size == 0) {
            shutdown(d->to, SHUT_WR);
            d->count = 0;
            return 0;
        }
        ssize_t sent = send(d->to, piece->bytes + piece->sent,
            piece->size - piece->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        setsockopt(d->to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        piece->sent += (size_t)sent;
        if (piece->sent < piece->size)
            break;
        d->first = (d->first + 1) % PIECES;
        d->count--;
    }
    return 1;
}

static int wait_ms(const struct direction *d)
{
    uint64_t now = now_ns(), due = d->count ? d->pieces[d->first].due_ns : 0;
    if (!d->count)
        return -1;
    return due <= now ? 0 : (int)((due - now + 999999) / 1000000);
}

static void relay(int near, int far, uint64_t late_ns)
{
    static struct direction there, back;
    there.from = back.to = near;
    there.to = back.from = far;
    there.first = there.count = back.first = back.count = 0;
    there.ended = back.ended = 0;
    int alive_there = 1, alive_back = 1;
    while (alive_there || alive_back) {
        struct pollfd fds[2] = {
            {near, there.ended || there.count == PIECES ? 0 : POLLIN, 0},
            {far, back.ended || back.count == PIECES ? 0 : POLLIN, 0}};
        for (int i = 0; i < 2; i++)
            if (!fds[i].events)
                fds[i].fd = -1;
        int a = wait_ms(&there), b = wait_ms(&back);
        int wait = a < 0 ? b : b < 0 ? a : a < b ? a : b;
        if (poll(fds, 2, wait == 0 ? 1 : wait) < 0 && errno != EINTR)
            die("poll: %s", strerror(errno));
        if (fds[0].revents)
            take(&there, late_ns);
        if (fds[1].revents)
            take(&back, late_ns);
        alive_there = alive_there && give(&there);
        alive_back = alive_back && give(&back);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        die("usage: delay MILLISECONDS PORT");
    uint64_t late_ns = strtoull(argv[1], NULL, 10) * 1000000u;
    uint16_t port = (uint16_t)strtoul(argv[2], NULL, 10);
    int listener = listen_anywhere();
    for (;;) {
        int near = accept(listener, NULL, NULL);
        if (near < 0)
            die("accept: %s", strerror(errno));
        int far = connect_to(port);
        relay(near, far, late_ns);
        close(near);
        close(far);
    }
}
