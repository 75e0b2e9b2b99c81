/* Sockets as the front end uses them: never blocking, closed on exec, no Nagle. */
#ifndef CC_FRONT_NET_H
#define CC_FRONT_NET_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CC_NET_AGAIN = -1, CC_NET_GONE = -2 };

/* A new connection's descriptor, CC_NET_AGAIN none waits, CC_NET_GONE another try may do better. */
static inline int cc_net_accept(int listening)
{
    int one = 1, fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? CC_NET_AGAIN : CC_NET_GONE;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

/* Bytes moved, CC_NET_AGAIN, or CC_NET_GONE: closed by the peer, or broken. */
static inline long cc_net_recv(int fd, void *to, size_t size)
{
    for (;;) {
        long n = recv(fd, to, size, 0);
        if (n > 0)
            return n;
        if (n == 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK))
            return CC_NET_GONE;
        if (errno != EINTR)
            return CC_NET_AGAIN;
    }
}

static inline long cc_net_send(int fd, const void *from, size_t size)
{
    for (;;) {
        long n = send(fd, from, size, MSG_NOSIGNAL);
        if (n >= 0)
            return n;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return CC_NET_AGAIN;
        if (errno != EINTR)
            return CC_NET_GONE;
    }
}

static inline int cc_poll_new(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline int cc_poll_add(int poll, int fd, unsigned events, void *what)
{
    struct epoll_event e = {.events = events, .data = {.ptr = what}};
    return epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e);
}

static inline void cc_poll_change(int poll, int fd, unsigned events, void *what)
{
    struct epoll_event e = {.events = events, .data = {.ptr = what}};
    epoll_ctl(poll, EPOLL_CTL_MOD, fd, &e);
}

static inline void cc_poll_drop(int poll, int fd) { epoll_ctl(poll, EPOLL_CTL_DEL, fd, NULL); }

/* Passwords pass through these bytes: outside of core dumps. NULL: no memory. */
static inline void *cc_private_bytes(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    madvise(at, size, MADV_DONTDUMP);
    return at;
}

static inline void cc_private_free(void *at, size_t size)
{
    if (at)
        munmap(at, size);
}

#endif
