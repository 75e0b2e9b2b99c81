/* The sequencer's memory: row tables mapped at their maximum, their indexes, the block being built.
 * One thread writes (the sequencer, or replay before it runs); nobody else reads but the
 * checkpointer, which copies rows between blocks. */
#ifndef CC_TABLES_H
#define CC_TABLES_H

#include "commands.h"

#define CC_TABLE_COUNT 14u
#define CC_OLD_BATCHES 64u      /* older batches kept loaded */
#define CC_KEY_WINDOW_S (64ll * 86400) /* idempotency window */

typedef struct {               /* the block being built or replayed */
    cc_block_header head;      /* time, business date, rule version stand; counts grow */
    cc_record *records;
    uint32_t n, max;
    uint8_t *payload;
    uint32_t payload_len, payload_max;
} cc_block;

typedef struct { uint32_t *slot; uint32_t mask, used; } cc_index; /* open addressing; row + 1 */

enum { CC_DUE_HOLD = 0, CC_DUE_SCHEDULED = 1 };
typedef struct {               /* min-heap of what waits for a time */
    int64_t due_s;
    uint64_t seq;              /* of the hold or the scheduled effect */
    uint32_t what, spare;      /* CC_DUE_* */
} cc_due;

enum { CC_OB_FREE = 0, CC_OB_LOADING = 1, CC_OB_READY = 2 };
typedef struct {
    uint32_t terminal, batch_no;
    uint32_t state, spare;
    uint64_t used;             /* block count when last used */
    int64_t sign_in_us;        /* block time of its sign-in; 0: before the window */
    cc_key *keys;              /* CC_TERMINAL_SEQ_MAX + 1 */
} cc_old_batch;

typedef struct {
    /* rows; row 0 of every table is nobody and stays zero */
    cc_account *account;
    cc_account_cold *cold;
    cc_medium *medium;
    cc_merchant *merchant;
    cc_terminal *terminal;
    cc_hold *hold;
    cc_undo *undo;
    cc_scheduled *scheduled;
    cc_ledger ledger[CC_W_SYSTEM_LAST + 1];
    cc_key *keys;              /* [(terminal * 2 + (batch_no & 1)) << 16 | terminal_seq] */
    cc_request *request;
    cc_rules_body rules;
    cc_meals_body meals;
    uint8_t category[CC_CATEGORIES]; /* CC_C_* */
    uint32_t rule_version;

    /* first row never used; max: rows mapped */
    uint32_t accounts, media, merchants, terminals, holds, undos, requests, schedules;
    uint32_t accounts_max, media_max, merchants_max, terminals_max, holds_max, undos_max, requests_max,
        schedules_max;
    uint32_t *hold_stack;      /* freed rows before `holds` */
    uint32_t hold_free;        /* how many */
    uint32_t *schedule_stack;  /* likewise before `schedules` */
    uint32_t schedule_free;
    uint32_t request_next;     /* next row of the circle of requests */

    cc_index medium_index, terminal_index, hold_index, undo_index, request_index, schedule_index;

    cc_due *due;
    uint32_t dues;

    cc_old_batch old_batch[CC_OLD_BATCHES];

    uint8_t pin_key[32];       /* locked memory, excluded from dumps */
    uint8_t pin_kid;
    void *pin_mac;             /* keyed EVP_MAC_CTX */

    /* journal position */
    uint64_t applied_seq;
    int64_t time_us;           /* of the newest block */
    uint32_t business_date;
    uint16_t day_key;          /* of the block being built; records of taps carry them */
    uint8_t meal_key, spare0;
    uint16_t today;            /* its local calendar day */
    uint16_t spare1;
    uint32_t block_rules;      /* rule version of the block being built or replayed */
    uint64_t blocks;

    /* state hash: sum of mixes, old out when a row is first touched in a block, new in at its end */
    uint64_t state_lo, state_hi;
    uint32_t stamp;            /* of the block being built; a row with it is in the touched list */
    uint64_t *touched;         /* table << 32 | row */
    uint32_t touched_n, touched_max;
    uint8_t *dirty[CC_TABLE_COUNT]; /* for the checkpoint: 1 per row (KEYS: per 64 entries) */
} cc_tables;

/* decide(): what the sequencer does next with the command */
enum {
    CC_D_DONE = 0,             /* reply is filled; records (0..CC_PARTS_MAX) are in the block */
    CC_D_REPLAY = 1,           /* reader: answer from journal record reply->record.seq */
    CC_D_LOAD_ORIGINAL = 2,    /* reader: load records at command->original_seq, submit again */
    CC_D_LOAD_BATCH = 3,       /* reader: load (terminal, batch_no); answer KEY_LOADING now */
    CC_D_BLOCK_FULL = 4,       /* close this block, decide again in the next */
    CC_D_READ = 5,             /* reply filled from tables (balance), nothing journaled */
    CC_D_HISTORY = 6           /* reader: walk the account's chain from reply->next_seq */
};

#endif
