/* TLS 1.2 and 1.3 by OpenSSL over sockets that never block; HTTP/2 by ALPN only. */
#ifndef CC_FRONT_TLS_H
#define CC_FRONT_TLS_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "net.h"

#define CC_TLS_TERMINAL "spiffe://campus/terminal/"

/* What a connection has read and OpenSSL has not yet taken. By itself OpenSSL would ask the socket twice
 * for each record, for its head and for the rest. */
struct cc_tls_fed {
    const unsigned char *at;
    size_t left;
};

static inline int cc_tls_fed_read(BIO *bio, char *to, int size)
{
    struct cc_tls_fed *fed = BIO_get_data(bio);
    size_t n = fed->left < (size_t)size ? fed->left : (size_t)size;
    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, fed->at, n);
    fed->at += n, fed->left -= n;
    return (int)n;
}

static inline long cc_tls_fed_ctrl(BIO *bio, int what, long number, void *at)
{
    (void)bio, (void)number, (void)at;
    return what == BIO_CTRL_FLUSH;
}

static inline int cc_tls_fed_free(BIO *bio)
{
    OPENSSL_free(BIO_get_data(bio));
    return 1;
}

/* Made with the first context, in one thread; it stays. */
static inline BIO_METHOD *cc_tls_fed_method(void)
{
    static BIO_METHOD *method;
    if (method == NULL) {
        BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fed");
        if (made == NULL)
            return NULL;
        BIO_meth_set_read(made, cc_tls_fed_read);
        BIO_meth_set_ctrl(made, cc_tls_fed_ctrl);
        BIO_meth_set_destroy(made, cc_tls_fed_free);
        method = made;
    }
    return method;
}

/* From now on `ssl` reads what it is fed; it writes where it did. 0: no memory. */
static inline int cc_tls_by_hand(SSL *ssl)
{
    struct cc_tls_fed *fed = OPENSSL_zalloc(sizeof(*fed));
    BIO *bio = fed != NULL ? BIO_new(cc_tls_fed_method()) : NULL;
    if (bio == NULL) {
        OPENSSL_free(fed);
        return 0;
    }
    BIO_set_data(bio, fed);
    BIO_set_init(bio, 1);
    SSL_set0_rbio(ssl, bio);
    return 1;
}

/* Bytes of the socket, which stay where they are until tls_recv has said that it wants more. */
static inline void cc_tls_feed(void *ssl, const void *at, size_t length)
{
    struct cc_tls_fed *fed = BIO_get_data(SSL_get_rbio(ssl));
    fed->at = at, fed->left = length;
}

static inline int cc_tls_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                              const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl, (void)arg;
    for (unsigned i = 0; i + 2 < in_len; i += 1 + in[i])
        if (in[i] == 2 && !memcmp(in + i + 1, "h2", 2)) {
            *out = in + i + 1, *out_len = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A context of PEM files; `clients` is a file of CAs whose certificates callers must have, or "".
 * NULL: what went wrong stands in `why`. */
static inline SSL_CTX *cc_tls_open(const char *chain, const char *key, const char *clients,
                                   char *why, size_t why_size)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    int ok = tls != NULL && cc_tls_fed_method() != NULL && SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION)
             && SSL_CTX_use_certificate_chain_file(tls, chain) == 1
             && SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) == 1
             && SSL_CTX_check_private_key(tls) == 1;
    if (ok && *clients) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(clients);
        ok = names != NULL && SSL_CTX_load_verify_locations(tls, clients, NULL) == 1;
        SSL_CTX_set_client_CA_list(tls, names);
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        ok = ok && SSL_CTX_set_session_id_context(tls, (const unsigned char *)"campuscard", 10);
    }
    if (!ok) {
        snprintf(why, why_size, "%s", ERR_reason_error_string(ERR_peek_error()) ?: "no memory");
        ERR_clear_error();
        SSL_CTX_free(tls);
        return NULL;
    }
    SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION
                                 | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                              | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(tls, cc_tls_alpn, NULL);
    return tls;
}

static inline void cc_tls_close(void *tls) { SSL_CTX_free(tls); }

static inline void *cc_tls_accept(void *tls, int fd)
{
    SSL *ssl = SSL_new(tls);
    if (ssl == NULL)
        return NULL;
    if (SSL_set_fd(ssl, fd) != 1 || !cc_tls_by_hand(ssl)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return ssl;
}

static inline void cc_tls_end(void *ssl)
{
    if (ssl == NULL)
        return;
    SSL_shutdown(ssl);
    SSL_free(ssl);
    ERR_clear_error();
}

static inline long cc_tls_result(SSL *ssl, int rc, size_t n)
{
    int error;
    if (rc == 1)
        return (long)n;
    error = SSL_get_error(ssl, rc);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? CC_NET_AGAIN
                                                                         : CC_NET_GONE;
}

/* As cc_net_recv and cc_net_send. The first reads are the handshake. Each gives a record's bytes, and
 * CC_NET_AGAIN when all that was fed is taken. */
static inline long cc_tls_recv(void *ssl, void *to, size_t size)
{
    size_t n = 0;
    int rc = SSL_read_ex(ssl, to, size, &n);
    return cc_tls_result(ssl, rc, n);
}

static inline long cc_tls_send(void *ssl, const void *from, size_t size)
{
    size_t n = 0;
    int rc = SSL_write_ex(ssl, from, size, &n);
    return cc_tls_result(ssl, rc, n);
}

static inline int cc_tls_done(void *ssl) { return SSL_is_init_finished(ssl); }

/* The terminal a caller's certificate names, 16 bytes zero padded: 1; 0 it names none. */
static inline int cc_tls_terminal(void *ssl, uint8_t *name)
{
    X509 *peer = SSL_get0_peer_certificate(ssl);
    GENERAL_NAMES *names =
        peer ? X509_get_ext_d2i(peer, NID_subject_alt_name, NULL, NULL) : NULL;
    const size_t before = sizeof(CC_TLS_TERMINAL) - 1;
    int found = 0;
    for (int i = 0; names && !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        const ASN1_IA5STRING *uri = one->type == GEN_URI ? one->d.uniformResourceIdentifier : NULL;
        size_t length = uri ? (size_t)ASN1_STRING_length(uri) : 0;
        const unsigned char *text = uri ? ASN1_STRING_get0_data(uri) : NULL;
        if (length > before && length <= before + 16 && !memcmp(text, CC_TLS_TERMINAL, before)) {
            memset(name, 0, 16);
            memcpy(name, text + before, length - before);
            found = 1;
        }
    }
    GENERAL_NAMES_free(names);
    return found;
}

#endif
