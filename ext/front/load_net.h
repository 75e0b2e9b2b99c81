/* What a client of the front end needs beside net.h: TLS with a certificate of its own, short sleeps. */
#ifndef CC_FRONT_LOAD_NET_H
#define CC_FRONT_LOAD_NET_H

#include <poll.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>

#include "tls.h"

/* A context of TLS 1.3 that trusts the CAs of a PEM file. NULL: it cannot be made. */
static inline void *cc_load_tls_open(const char *ca)
{
    static const unsigned char h2[] = {2, 'h', '2'};
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (tls != NULL
        && (cc_tls_fed_method() == NULL || !SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION)
            || SSL_CTX_load_verify_locations(tls, ca, NULL) != 1
            || SSL_CTX_set_alpn_protos(tls, h2, sizeof(h2)) != 0)) {
        SSL_CTX_free(tls);
        tls = NULL;
    }
    ERR_clear_error();
    if (tls != NULL) {
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    return tls;
}

/* Shake hands over a socket that does not block, with the certificate and key of one PEM file.
 * NULL: refused, or not done in `timeout_ms`. */
static inline void *cc_load_tls_connect(void *tls, int fd, const char *pem, int timeout_ms)
{
    SSL *ssl = SSL_new(tls);
    int ok = ssl != NULL && SSL_use_certificate_chain_file(ssl, pem) == 1
             && SSL_use_PrivateKey_file(ssl, pem, SSL_FILETYPE_PEM) == 1
             && SSL_set_fd(ssl, fd) == 1;
    while (ok) {
        int rc = SSL_connect(ssl);
        int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, rc);
        struct pollfd ready = {.fd = fd, .events = error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
        if (rc == 1 && cc_tls_by_hand(ssl))
            return ssl;
        ok = (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
             && poll(&ready, 1, timeout_ms) == 1;
    }
    SSL_free(ssl);
    ERR_clear_error();
    return NULL;
}

/* Without a word to the peer: the socket may be closed by now, and its number another's. */
static inline void cc_load_tls_free(void *ssl) { SSL_free(ssl); }

/* As epoll_wait, to the microsecond: the kernel's slack of 50 us would be in every latency. */
static inline int cc_load_wait(int poll, struct epoll_event *events, int most, int64_t ns)
{
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return epoll_pwait2(poll, events, most, &t, NULL);
}

static inline void cc_load_exact_timers(void) { prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); }

#endif
