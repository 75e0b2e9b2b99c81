/* What libFuzzer calls: the decoder by itself, and the front end over a connection.
 *
 * Loaded before everything else into a Python process, which opens the subject, tells where it is and
 * then calls LLVMFuzzerRunDriver.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "commands.h"

enum { END_MS = 10000, QUIET_MS = 2, ROUNDS = 4, HEAD = 9, OUT_MAX = 1 << 16 };

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
char cc_fuzz_path[108];

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
static int take(int fd, int wait_ms)
{
    uint8_t answer[65536];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, wait_ms) > 0) {
        ssize_t n = recv(fd, answer, sizeof(answer), 0);
        if (n == 0 || (n < 0 && errno != EINTR))
            return 0;
    }
    return 1;
}

int cc_fuzz_front(const uint8_t *data, size_t size)
{
    static uint8_t out[OUT_MAX];
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length, sent = 0;
    int fd, i;
    if (size == 0)
        return 0;
    length = frames_of(data, size, out);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(to.sun_path, cc_fuzz_path, sizeof(to.sun_path));
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    while (sent < length) {
        ssize_t n = send(fd, out + sent, length - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    /* Some wait for answers, others are gone before they come. */
    for (i = 0; (data[0] & 1) && i < ROUNDS && take(fd, QUIET_MS); i++)
        ;
    shutdown(fd, SHUT_WR);
    MUST(!take(fd, END_MS)); /* who has said all is let go */
    close(fd);
    return 0;
}
