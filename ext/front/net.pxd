"""Names of ext/front/net.h: sockets that never block, epoll, memory outside of core dumps."""

from libc.stdint cimport uint32_t

cdef extern from "front/net.h" nogil:
    enum:
        CC_NET_AGAIN
        CC_NET_GONE
        EPOLLIN
        EPOLLOUT
        EPOLLRDHUP
        EPOLLHUP
        EPOLLERR
        EPOLLEXCLUSIVE

    ctypedef union epoll_data_t:
        void *ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_wait(int poll, epoll_event *events, int most, int timeout_ms)

    int net_accept "cc_net_accept"(int listening) noexcept
    long net_recv "cc_net_recv"(int fd, void *to, size_t size) noexcept
    long net_send "cc_net_send"(int fd, const void *data, size_t size) noexcept
    int poll_new "cc_poll_new"() noexcept
    int poll_add "cc_poll_add"(int poll, int fd, unsigned int events, void *what) noexcept
    void poll_change "cc_poll_change"(int poll, int fd, unsigned int events, void *what) noexcept
    void poll_drop "cc_poll_drop"(int poll, int fd) noexcept
    void *private_bytes "cc_private_bytes"(size_t size) noexcept
    void private_free "cc_private_free"(void *at, size_t size) noexcept
