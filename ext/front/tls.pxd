"""Names of ext/front/tls.h: TLS on a connection's socket, and who its certificate says calls."""

from libc.stdint cimport uint8_t

cdef extern from "front/tls.h" nogil:
    void *tls_open "cc_tls_open"(
        const char *chain, const char *key, const char *clients, char *why, size_t why_size,
    ) noexcept
    void tls_close "cc_tls_close"(void *tls) noexcept
    void *tls_accept "cc_tls_accept"(void *tls, int fd) noexcept
    void tls_end "cc_tls_end"(void *ssl) noexcept
    void tls_feed "cc_tls_feed"(void *ssl, const void *data, size_t size) noexcept
    long tls_recv "cc_tls_recv"(void *ssl, void *to, size_t size) noexcept
    long tls_send "cc_tls_send"(void *ssl, const void *data, size_t size) noexcept
    bint tls_done "cc_tls_done"(void *ssl) noexcept
    bint tls_terminal "cc_tls_terminal"(void *ssl, uint8_t *name) noexcept
