"""accept(2) with no more than a worker needs: a descriptor, and who it is.

`socket.accept()` asks the kernel twice more and builds an address that nobody reads.
Never retries, but for a signal: what became of a failure is the caller's business.
"""

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EINTR, errno

cdef extern from *:
    """
    #include <arpa/inet.h>
    #include <netinet/in.h>
    #include <sys/socket.h>

    /* The peer's numeric address in `host`, "" where there is none. */
    static int dcmrecv_accept(int listener, char *host, socklen_t size)
    {
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
            struct sockaddr_storage room;
        } peer;
        socklen_t length = sizeof peer;
        int fd = accept4(listener, &peer.any, &length, SOCK_CLOEXEC);
        host[0] = 0;
        if (fd >= 0 && peer.any.sa_family == AF_INET)
            inet_ntop(AF_INET, &peer.v4.sin_addr, host, size);
        else if (fd >= 0 && peer.any.sa_family == AF_INET6)
            inet_ntop(AF_INET6, &peer.v6.sin6_addr, host, size);
        return fd;
    }
    """
    enum: INET6_ADDRSTRLEN
    int c_accept "dcmrecv_accept"(int listener, char* host, unsigned int size) nogil


cpdef tuple accept(int listener):
    """Accept a connection.

    Returns:
        Its descriptor, which the caller owns, blocking and not inheritable; and the
        peer's numeric address.

    Raises:
        BlockingIOError: nobody is there, and the listener is non-blocking.
        OSError: see accept(2).
    """
    cdef char host[INET6_ADDRSTRLEN]
    cdef int fd
    while True:
        with nogil:
            fd = c_accept(listener, host, sizeof(host))
        if fd >= 0:
            return fd, host.decode("ascii")
        if errno != EINTR:
            PyErr_SetFromErrno(OSError)
        PyErr_CheckSignals()
