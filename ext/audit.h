/* LMDB 0.9's pages as they lie in a file (64-bit, little-endian, pages of 4,096 bytes).
 *
 * LMDB keeps no checksum on its own pages. These are for looking at a file before LMDB does:
 * is the newest meta page the newest, does every page belong to exactly one place.
 */
#ifndef CC_AUDIT_H
#define CC_AUDIT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CC_PAGE 4096u
#define CC_PAGE_HEAD 16u
#define CC_LMDB_MAGIC 0xBEEFC0DEu
#define CC_LMDB_DATA_VERSION 1u
#define CC_NO_PAGE UINT64_MAX

enum { CC_P_BRANCH = 1, CC_P_LEAF = 2, CC_P_OVERFLOW = 4, CC_P_META = 8 };
enum { CC_N_BIGDATA = 1 };      /* the value is on overflow pages */

typedef struct {
    uint64_t number;
    uint16_t pad, flags;
    uint16_t lower, upper;      /* branch, leaf: free space between; overflow: page count */
    uint16_t slot[];            /* offsets of the nodes */
} cc_lmdb_page;

typedef struct {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
} cc_lmdb_db;

typedef struct {
    cc_lmdb_page page;
    uint32_t magic, version;
    uint64_t address, map_size;
    cc_lmdb_db free, main;
    uint64_t last_page, txn;
} cc_lmdb_meta;

typedef struct { uint16_t low, high, flags, key_size; uint8_t key[]; } cc_lmdb_node;

_Static_assert(sizeof(cc_lmdb_page) == CC_PAGE_HEAD, "page header");
_Static_assert(sizeof(cc_lmdb_meta) == 152, "meta page");
_Static_assert(sizeof(cc_lmdb_node) == 8, "node header");

/* Values on leaf pages are aligned to two bytes only. */
static inline uint64_t cc_load_word(const void *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

#endif
