/* What libFuzzer calls: the decoder by itself, and the front end over a connection, plain or TLS.
 *
 * Loaded before everything else into a Python process, which opens the subject, tells where it is and
 * then calls LLVMFuzzerRunDriver.
 */
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "commands.h"

enum { END_MS = 30000, QUIET_MS = 2, FLIGHT_MS = 50, ROUNDS = 4, HEAD = 9, OUT_MAX = 1 << 16 };

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* As in ext/wire_decode.pxd. */
typedef struct {
    int reason, item;
    const char *parent, *field, *detail;
} wire_error;

typedef int (*decode_one)(int, const uint8_t *, size_t, cc_command *, wire_error *);
typedef int (*decode_stream)(const uint8_t *, size_t, cc_command *, wire_error *);
typedef int (*batch_open)(void *, const uint8_t *, size_t, wire_error *);
typedef int (*batch_next)(void *, cc_command *, wire_error *);

struct {
    decode_one one;
    decode_stream stream;
    batch_open open;
    batch_next next;
} cc_fuzz_wire;
char cc_fuzz_path[108]; /* of the front end's socket */
char cc_fuzz_pem[108];  /* of a client's key and certificate */

/* ---- a fault to be found, so that who finds none can be believed ---- */

int cc_fuzz_control(const uint8_t *data, size_t size)
{
    volatile uint8_t beyond = 0;
    if (size > 3 && data[0] == 'l' && data[1] == 'o' && data[2] == 's' && data[3] == 't')
        beyond = data[size];
    return beyond & 0;
}

/* ---- the decoder: the first byte chooses the method ---- */

static void told(int rc, const cc_command *c, const wire_error *err)
{
    if (rc == 0)
        return;
    MUST(err->reason == rc);
    MUST(strlen(err->parent) < 32 && strlen(err->field) < 32 && strlen(err->detail) < 128);
    MUST(c->pin_len == 0);
}

static void batch(const uint8_t *data, size_t size)
{
    uint64_t place[64]; /* a cc_wire_batch; its count is behind two pointers */
    cc_command c;
    wire_error err;
    uint32_t wanted, got = 0;
    int rc = cc_fuzz_wire.open(place, data, size, &err);
    if (rc != 0) {
        MUST(err.reason == rc);
        return;
    }
    wanted = (uint32_t)place[2];
    while ((rc = cc_fuzz_wire.next(place, &c, &err)) != 0) {
        got++;
        MUST(rc == 1 || (rc == -1 && err.item == (int)got - 1 && c.pin_len == 0));
    }
    MUST(got == wanted);
}

int cc_fuzz_decoder(const uint8_t *data, size_t size)
{
    static const int ops[] = {
        CC_OP_AUTHORIZE, CC_OP_HOLD,    CC_OP_CAPTURE,  CC_OP_RELEASE,     CC_OP_REVERSE,
        CC_OP_REFUND,    CC_OP_SIGN_IN, CC_OP_SIGN_OFF, CC_OP_GET_BALANCE, CC_OP_GET_TRANSACTION,
    };
    enum { OPS = sizeof(ops) / sizeof(ops[0]) };
    cc_command first, second;
    wire_error err;
    int rc, which;
    if (size == 0)
        return 0;
    which = data[0] % (OPS + 2);
    if (which == OPS + 1) {
        batch(data + 1, size - 1);
        return 0;
    }
    memset(&first, 0xA5, sizeof(first));
    memset(&second, 0x5A, sizeof(second));
    if (which == OPS) {
        rc = cc_fuzz_wire.stream(data + 1, size - 1, &first, &err);
        MUST(rc == cc_fuzz_wire.stream(data + 1, size - 1, &second, &err));
    } else {
        rc = cc_fuzz_wire.one(ops[which], data + 1, size - 1, &first, &err);
        MUST(rc == cc_fuzz_wire.one(ops[which], data + 1, size - 1, &second, &err));
    }
    told(rc, &first, &err);
    /* Whatever was there before: the same message is the same command. */
    MUST(rc != 0 || first.fingerprint == second.fingerprint);
    MUST(memcmp(first.terminal_name, second.terminal_name, 16) == 0);
    MUST(first.pin_len == second.pin_len && first.amount == second.amount);
    return 0;
}

/* ---- the front end: an input is a list of frames ---- */

static size_t frames_of(const uint8_t *data, size_t size, uint8_t *out)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    size_t n = 0, length;
    if (!(data[0] & 2)) {
        memcpy(out, preface, sizeof(preface) - 1);
        n = sizeof(preface) - 1;
    }
    data++, size--;
    /* kind, flags, stream, length, then as many bytes; kind 255: bytes as they are */
    while (size >= 5) {
        length = (size_t)data[3] << 8 | data[4];
        length = length < size - 5 ? length : size - 5;
        if (n + HEAD + length > OUT_MAX)
            break;
        if (data[0] != 255) {
            uint8_t head[HEAD] = {0, (uint8_t)(length >> 8), (uint8_t)length, data[0], data[1],
                                  0, 0, 0, data[2]};
            memcpy(out + n, head, HEAD);
            n += HEAD;
        }
        memcpy(out + n, data + 5, length);
        n += length;
        data += 5 + length;
        size -= 5 + length;
    }
    return n;
}

/* Take what comes until nothing does for some milliseconds; 0: the other side has ended. */
static int take(int fd, int wait_ms, BIO *to)
{
    uint8_t answer[65536];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, wait_ms) > 0) {
        ssize_t n = recv(fd, answer, sizeof(answer), 0);
        if (n == 0 || (n < 0 && errno != EINTR))
            return 0;
        if (n > 0 && to)
            BIO_write(to, answer, (int)n);
    }
    return 1;
}

static int connected(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(to.sun_path, cc_fuzz_path, sizeof(to.sun_path));
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    return fd;
}

static void say(int fd, const uint8_t *at, size_t length)
{
    while (length) {
        ssize_t n = send(fd, at, length, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += n, length -= (size_t)n;
    }
}

/* Who has said all is let go. */
static void leave(int fd)
{
    shutdown(fd, SHUT_WR);
    MUST(!take(fd, END_MS, NULL));
    close(fd);
}

int cc_fuzz_front(const uint8_t *data, size_t size)
{
    static uint8_t out[OUT_MAX];
    int fd, i;
    if (size == 0)
        return 0;
    fd = connected();
    say(fd, out, frames_of(data, size, out));
    /* Some wait for answers, others are gone before they come. */
    for (i = 0; (data[0] & 1) && i < ROUNDS && take(fd, QUIET_MS, NULL); i++)
        ;
    leave(fd);
    return 0;
}

/* ---- TLS: an input is what a client does, and how its bytes are bent on their way ---- */

enum { ONLY_12 = 1, CERTIFIED = 2, NO_HTTP2 = 4, FLIGHT_MAX = 1 << 17 };
enum { STEP_RAW, STEP_SEND, STEP_CUT, STEP_SAY, STEP_KEYS, STEP_END, STEP_WAIT, STEPS };

static SSL *client(int how)
{
    static SSL_CTX *kept[2];
    SSL_CTX **tls = &kept[(how & CERTIFIED) != 0];
    const unsigned char *alpn = (const unsigned char *)((how & NO_HTTP2) ? "\x08http/1.1" : "\x02h2");
    SSL *ssl;
    if (*tls == NULL) {
        MUST(*tls = SSL_CTX_new(TLS_client_method()));
        MUST(!(how & CERTIFIED)
             || (SSL_CTX_use_certificate_file(*tls, cc_fuzz_pem, SSL_FILETYPE_PEM) == 1
                 && SSL_CTX_use_PrivateKey_file(*tls, cc_fuzz_pem, SSL_FILETYPE_PEM) == 1));
    }
    MUST(ssl = SSL_new(*tls));
    SSL_set_connect_state(ssl);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    MUST(SSL_set_alpn_protos(ssl, alpn, alpn[0] + 1u) == 0);
    if (how & ONLY_12)
        SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    SSL_do_handshake(ssl);
    return ssl;
}

/* Send what the client has ready, the bytes behind a place changed, or only its beginning. */
static void send_bent(SSL *ssl, int fd, int kind, const uint8_t *at, size_t length)
{
    static uint8_t flight[FLIGHT_MAX];
    int n = BIO_read(SSL_get_wbio(ssl), flight, sizeof(flight));
    size_t size = n > 0 ? (size_t)n : 0, place = 0, i;
    if (length >= 2)
        place = (size_t)at[0] << 8 | at[1];
    if (kind == STEP_CUT)
        size = place < size ? place : size;
    else
        for (i = 2; i < length && place + i - 2 < size; i++)
            flight[place + i - 2] ^= at[i];
    say(fd, flight, size);
}

static void step(SSL *ssl, int fd, int kind, const uint8_t *at, size_t length)
{
    static uint8_t frames[OUT_MAX];
    uint8_t heard[4096];
    switch (kind) {
    case STEP_RAW:
        say(fd, at, length);
        break;
    case STEP_SEND:
    case STEP_CUT:
        send_bent(ssl, fd, kind, at, length);
        break;
    case STEP_SAY:
        if (length && SSL_is_init_finished(ssl) && (length = frames_of(at, length, frames)))
            SSL_write(ssl, frames, (int)length);
        break;
    case STEP_KEYS:
        if (SSL_version(ssl) == TLS1_3_VERSION)
            SSL_key_update(ssl, length & 1);
        else
            SSL_renegotiate(ssl);
        SSL_do_handshake(ssl);
        break;
    case STEP_END:
        SSL_shutdown(ssl);
        break;
    case STEP_WAIT:
        /* What is in the middle of a handshake waits longer, or a slow machine would see none end. */
        if (!SSL_is_init_finished(ssl))
            poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, FLIGHT_MS);
        take(fd, QUIET_MS, SSL_get_rbio(ssl));
        if (!SSL_is_init_finished(ssl))
            SSL_do_handshake(ssl);
        while (SSL_is_init_finished(ssl) && SSL_read(ssl, heard, sizeof(heard)) > 0)
            ;
        break;
    }
}

int cc_fuzz_tls(const uint8_t *data, size_t size)
{
    size_t length;
    SSL *ssl;
    int fd;
    if (size == 0)
        return 0;
    fd = connected();
    ssl = client(data[0]);
    data++, size--;
    /* kind, length, then as many bytes */
    while (size >= 3) {
        length = (size_t)data[1] << 8 | data[2];
        length = length < size - 3 ? length : size - 3;
        step(ssl, fd, data[0] % STEPS, data + 3, length);
        data += 3 + length;
        size -= 3 + length;
    }
    send_bent(ssl, fd, STEP_SEND, data, 0);
    SSL_free(ssl);
    leave(fd);
    return 0;
}
