/* The identity file of a data directory, DATA/campuscard, and the key file outside it. */
#ifndef CC_STORE_H
#define CC_STORE_H

#include "records.h"

#define CC_IDENTITY_MAGIC 0x31444943504D4143ull /* "CAMPCID1" */
#define CC_KEY_MAGIC 0x3159454B504D4143ull      /* "CAMPKEY1" */

enum { CC_I_TEST = 1 };        /* made with --test: may run on a clock file */

typedef struct {
    uint64_t magic;
    uint16_t format, min_reader;
    uint32_t flags;            /* CC_I_* */
    uint8_t uuid[16];          /* random, of this campus; copies of the directory share it */
    int64_t created_us;        /* UTC microseconds since 1970 */
    uint64_t segment_bytes;    /* of a new segment, unless the options say otherwise */
    uint8_t key_check[16];     /* of the password key, see digest.pyx */
    uint8_t key_id;            /* of that key, 1 at first */
    uint8_t spare0[7];
    cc_rules_body rules;       /* of the first block; version 0: the defaults */
    cc_meals_body meals;       /* likewise; count 0 */
    uint8_t spare[68];
    uint32_t crc32c;           /* of bytes 0..251 */
} cc_identity;

typedef struct {
    uint64_t magic;
    uint8_t key_id;
    uint8_t spare[7];
    uint8_t key[32];           /* random */
    uint8_t check[16];         /* check value of the key */
} cc_key_file;

_Static_assert(sizeof(cc_identity) == 256, "identity");
_Static_assert(offsetof(cc_identity, rules) == 72, "identity");
_Static_assert(offsetof(cc_identity, crc32c) == 252, "identity");
_Static_assert(sizeof(cc_key_file) == 64, "key file");

#endif
