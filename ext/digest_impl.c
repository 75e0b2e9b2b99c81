#include "digest_impl.h"

#include <string.h>

#define COVERED offsetof(cc_record, crc32c)

static uint32_t table[8][256];
static int has_instruction;

/* Runs when the module is loaded, before any thread of ours exists. */
__attribute__((constructor)) static void fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
        table[0][i] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
#if defined(__x86_64__)
    __builtin_cpu_init();
    has_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

/* Eight bytes a step: each of the eight tables moves a byte to where the CRC ends. */
uint32_t cc_crc32c_table(uint32_t crc, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        word ^= crc;
        crc = table[7][word & 255] ^ table[6][word >> 8 & 255] ^ table[5][word >> 16 & 255] ^
              table[4][word >> 24 & 255] ^ table[3][word >> 32 & 255] ^
              table[2][word >> 40 & 255] ^ table[1][word >> 48 & 255] ^ table[0][word >> 56];
    }
    for (; len; len--, p++)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_instruction(uint32_t start,
                                                                  const uint8_t *p, size_t len)
{
    uint64_t crc = ~start, word;
    for (; len >= 8; len -= 8, p += 8) {
        memcpy(&word, p, 8);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    uint32_t rest = (uint32_t)crc;
    for (; len; len--, p++)
        rest = __builtin_ia32_crc32qi(rest, *p);
    return ~rest;
}

/* Four records at once: the instruction takes three cycles but starts every cycle. */
__attribute__((target("sse4.2"))) static void crc_four(const cc_record *record, uint32_t out[4])
{
    uint64_t crc[4] = {0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu}, word;
    size_t at = 0;
    for (; at + 8 <= COVERED; at += 8)
        for (int i = 0; i < 4; i++) {
            memcpy(&word, (const uint8_t *)(record + i) + at, 8);
            crc[i] = __builtin_ia32_crc32di(crc[i], word);
        }
    for (int i = 0; i < 4; i++) {
        uint32_t last;
        memcpy(&last, (const uint8_t *)(record + i) + at, 4);
        out[i] = ~__builtin_ia32_crc32si((uint32_t)crc[i], last);
    }
}
#else
static uint32_t crc_instruction(uint32_t crc, const uint8_t *p, size_t len)
{
    return cc_crc32c_table(crc, p, len);
}

static void crc_four(const cc_record *record, uint32_t out[4])
{
    for (int i = 0; i < 4; i++)
        out[i] = cc_crc32c_table(0, record + i, COVERED);
}
#endif

_Static_assert(COVERED % 8 == 4, "crc_four ends with four bytes");

uint32_t cc_crc32c(uint32_t crc, const void *bytes, size_t len)
{
    return has_instruction ? crc_instruction(crc, bytes, len) : cc_crc32c_table(crc, bytes, len);
}

void cc_crc32c_seal(cc_record *record, size_t n)
{
    size_t i = 0;
    uint32_t crc[4];
    for (; has_instruction && i + 4 <= n; i += 4) {
        crc_four(record + i, crc);
        for (int k = 0; k < 4; k++)
            record[i + k].crc32c = crc[k];
    }
    for (; i < n; i++)
        record[i].crc32c = cc_crc32c(0, record + i, COVERED);
}

/* The index of the first record whose CRC is wrong; n when all are right. */
size_t cc_crc32c_check(const cc_record *record, size_t n)
{
    size_t i = 0;
    uint32_t crc[4];
    for (; has_instruction && i + 4 <= n; i += 4) {
        crc_four(record + i, crc);
        for (size_t k = 0; k < 4; k++)
            if (record[i + k].crc32c != crc[k])
                return i + k;
    }
    for (; i < n; i++)
        if (record[i].crc32c != cc_crc32c(0, record + i, COVERED))
            return i;
    return n;
}
