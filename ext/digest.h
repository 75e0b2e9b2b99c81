/* Mixes over rows, keys and command bodies: fixed arithmetic, not cryptographic.
 *
 * They guard against bit rot and programming errors; against a forger stands the SHA-256 chain.
 * All numbers are unsigned 64-bit, little-endian; products and sums wrap. A verifier in another
 * language needs only this page. K[i] is output i of splitmix64 started at "campusca", so the
 * constants can be derived again.
 */
#ifndef CC_DIGEST_H
#define CC_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "records.h"

#define CC_MIX_MAX 128u         /* bytes of the longest row */

static const uint64_t cc_mix_k[16] = {
    0x992D74E77335AD65ull, 0x8E9527DC70A84390ull, 0x17CADCD719100A2Eull,
    0xC852B6E311BB5DE1ull, 0x6174089DE201FDB3ull, 0xD955830AFA98C427ull,
    0xECEBD160AA8DB9B8ull, 0x0DA8FA7362D39F54ull, 0x7BD7FA62F899AA8Aull,
    0x48B3797FFC6B8E67ull, 0x4DAA20E76FC08FEAull, 0xC6F18E42815A0A29ull,
    0x12856FF7E8D6D4C7ull, 0x94A43F8320D6C8DAull, 0xC8CA4D65A4BBAB05ull,
    0x746ADA7B7A288B13ull,
};

static inline uint64_t cc_rotl64(uint64_t x, unsigned n) { return x << n | x >> (64 - n); }

/* Every input bit reaches every output bit (the finaliser of MurmurHash3). */
static inline uint64_t cc_fmix64(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xFF51AFD7ED558CCDull;
    x ^= x >> 33;
    x *= 0xC4CEB9FE1A85EC53ull;
    return x ^ x >> 33;
}

static inline uint64_t cc_word(const uint8_t *bytes, size_t len, size_t at)
{
    uint64_t wide = 0;
    uint32_t narrow = 0;
    if (at + 8 <= len) {
        memcpy(&wide, bytes + at, 8);
        return wide;
    }
    if (at + 4 <= len) {
        memcpy(&narrow, bytes + at, 4);
        return narrow;
    }
    return 0;
}

/* The 128-bit mix of one row of a state table. `len` is a multiple of 4, at most CC_MIX_MAX;
 * words past the end count as zero. A row of zero bytes mixes to zero: rows never used or freed
 * add nothing, whatever the table's size. The products do not wait for each other; the finaliser
 * binds them to table and row, so that rows cannot be exchanged or cancel each other out. */
static inline void cc_mix128(uint32_t table, uint32_t row, const uint8_t *bytes, size_t len,
                             uint64_t *lo, uint64_t *hi)
{
    unsigned __int128 sum = 0;
    uint64_t name = (uint64_t)table << 32 | row, any = 0, v, w, x, y;
    for (size_t at = 0, i = 0; at < len; at += 16, i += 2) {
        v = cc_word(bytes, len, at);
        w = cc_word(bytes, len, at + 8);
        any |= v | w;
        sum += (unsigned __int128)(v ^ cc_mix_k[i]) * (w ^ cc_mix_k[i + 1]);
    }
    if (!any) {
        *lo = *hi = 0;
        return;
    }
    x = cc_fmix64((uint64_t)sum ^ (name ^ cc_mix_k[2]) * cc_mix_k[3]);
    y = cc_fmix64((uint64_t)(sum >> 64) + x + (uint64_t)len);
    *lo = x + cc_rotl64(y, 32);
    *hi = y;
}

/* The 64-bit mix of one idempotency key; cc_terminal.keys_sum adds them up per batch. An empty
 * key mixes to zero. */
static inline uint64_t cc_mix64(uint32_t terminal, uint32_t batch_no, uint32_t terminal_seq,
                                const cc_key *key)
{
    unsigned __int128 product = (unsigned __int128)(key->seq_state ^ cc_mix_k[0]) *
                                (key->fingerprint ^ cc_mix_k[1]);
    uint64_t name = ((uint64_t)terminal << 32 | batch_no) ^ cc_mix_k[2];
    uint64_t x = (uint64_t)product ^ cc_rotl64((uint64_t)(product >> 64), 32);
    if (!(key->seq_state | key->fingerprint))
        return 0;
    return cc_fmix64(x ^ (name * cc_mix_k[3] + terminal_seq * cc_mix_k[4]));
}

/* What tells two command bodies under one key apart. Never 0, which means none. */
static inline uint64_t cc_fingerprint64(const uint8_t *bytes, size_t len)
{
    uint64_t h = ((uint64_t)len ^ cc_mix_k[5]) * cc_mix_k[3], tail = 0;
    size_t at = 0;
    for (; at + 8 <= len; at += 8)
        h = cc_fmix64(h ^ cc_word(bytes, len, at)) + cc_mix_k[6];
    if (at < len)
        memcpy(&tail, bytes + at, len - at);
    h = cc_fmix64(h ^ tail);
    return h ? h : 1;
}

#endif
