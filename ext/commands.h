/* What travels in memory between a front end and the sequencer: commands in, replies out.
 * Nothing here is durable; the durable format is records.h. */
#ifndef CC_COMMANDS_H
#define CC_COMMANDS_H

#include "records.h"

#define CC_PIN_MAX 12u
#define CC_QUEUE_DEFAULT 16384u

enum {
    CC_OP_NONE = 0,
    /* taps: decided in d.5 order, keyed by (terminal, batch_no, terminal_seq) */
    CC_OP_AUTHORIZE = 1, CC_OP_HOLD = 2, CC_OP_CAPTURE = 3, CC_OP_RELEASE = 4,
    CC_OP_REVERSE = 5, CC_OP_REFUND = 6, CC_OP_SIGN_IN = 7, CC_OP_SIGN_OFF = 8,
    /* the office lane: payload + effects, keyed by request_id */
    CC_OP_OFFICE = 16,
    /* reads: journal nothing, answered by the same release rule */
    CC_OP_GET_BALANCE = 32, CC_OP_GET_TRANSACTION = 33, CC_OP_HISTORY = 34, CC_OP_HEAD = 35,
    CC_OP_GET_ACCOUNT = 36
};

enum {
    CC_CF_PARTIAL_OK = 1,  /* the terminal can deliver less than asked */
    CC_CF_HAS_PIN = 2,
    CC_CF_VOID = 4,        /* reversal: the merchant's void */
    CC_CF_WATER = 8,       /* hold: transfer to the water purse */
    CC_CF_BY_ACCOUNT = 16, /* reads: `account` is given instead of a medium */
    CC_CF_BY_SEQ = 32,     /* original_seq is given instead of original_batch/original_terminal_seq */
    CC_CF_LOADED = 64,     /* the reader has put the original's records into `original` */
    CC_CF_NO_DEBITS = 128  /* journal space is short: refuse what moves money out of a wallet */
};

/* One effect: a row and the state it is expected to have. The sequencer makes the after-image. */
enum { CC_EF_NONE = 0, CC_EF_ACCOUNT_OPEN = 1, CC_EF_ACCOUNT_STATUS = 2, CC_EF_ACCOUNT_LIMITS = 3,
       CC_EF_PIN_SET = 4, CC_EF_PIN_RESET = 5, CC_EF_MEDIUM_BIND = 6, CC_EF_MEDIUM_STATE = 7,
       CC_EF_MERCHANT = 8, CC_EF_TERMINAL = 9, CC_EF_CATEGORY = 10, CC_EF_RULES = 11,
       CC_EF_MEALS = 12, CC_EF_TOP_UP = 13, CC_EF_SUBSIDY = 14, CC_EF_ADJUST = 15,
       CC_EF_CANCEL = 16, CC_EF_SETTLE = 17 };

/* Expectations. UNCHANGED: of a scheduled effect, nobody has set status or FROZEN since. */
enum { CC_X_ANY = 0, CC_X_STATUS = 1, CC_X_LAST_SEQ = 2, CC_X_ROW_FREE = 4, CC_X_UNCHANGED = 8 };

typedef struct {
    uint8_t kind;              /* CC_EF_* */
    uint8_t expect;            /* CC_X_* bits */
    uint8_t expect_status;     /* account status or medium state; flags in expect_flags */
    uint8_t expect_flags;
    uint32_t row;              /* account, medium, merchant, terminal number; 0 = next free */
    uint32_t link;             /* medium: account; terminal: merchant */
    uint8_t event;             /* CC_E_*; funds: debit wallet; SETTLE: CC_T_CAPTURE, CC_T_RELEASE */
    uint8_t spare;             /* funds: credit wallet */
    uint8_t pin_len;           /* PIN_SET/ACCOUNT_OPEN: the new password, zeroed once applied */
    uint8_t pin[CC_PIN_MAX];
    uint8_t spare2;
    uint64_t expect_last_seq;
    uint64_t scheduled_seq;    /* CANCEL: which */
    uint64_t hold_seq;         /* SETTLE: which, of account `row` */
    uint32_t due_s;            /* not 0: it waits until then; see cc_scheduled_body */
    uint16_t mask, spare3;
    int64_t amount;            /* funds */
    uint8_t body[56];          /* the after-image's own bytes for the kind */
} cc_effect;

typedef struct {
    uint64_t token;            /* the caller's; comes back in the reply */
    uint8_t op;
    uint8_t effects;           /* office: number in `effect` */
    uint16_t flags;            /* CC_CF_* */
    uint32_t deadline_ms;      /* of the engine's monotonic clock; 0 none. Past it: not decided */
    uint8_t terminal_name[16]; /* ASCII, zero padded */
    uint32_t batch_no, terminal_seq;
    uint8_t medium_key[16];
    int64_t amount;            /* fen */
    uint64_t original_seq;     /* hold, original, or seq to read; history: from this seq back */
    uint32_t original_batch, original_terminal_seq;
    uint32_t card_counter;     /* water hold: counter before the write */
    uint32_t account;          /* reads by account; office with PIN: whose password */
    uint32_t limit;            /* history: records wanted, 1..1000 */
    uint8_t pin_len;
    uint8_t pin[CC_PIN_MAX];   /* digits; zeroed once decided */
    uint8_t spare[3];
    uint8_t request_id[16];    /* office */
    uint64_t fingerprint;      /* set by the decoder: cc_fingerprint() over the body */
    uint8_t *payload;          /* office: malloc'd document, freed by the sequencer */
    uint32_t payload_len;
    uint16_t document_kind, spare1;
    uint32_t actor;
    uint32_t asked;            /* when it was queued, in ticks of ext/ring.pxd */
    cc_effect *effect;         /* office: malloc'd array, freed by the sequencer */
    cc_record original[CC_PARTS_MAX]; /* filled by the reader for REVERSE, REFUND, CAPTURE, RELEASE */
    uint8_t originals;         /* how many */
    uint8_t loads;             /* how often the reader had it: at most 3 */
    uint8_t spare3[6];
} cc_command;

/* Why there is no decision. 0: `record` holds one (or the read's answer). */
enum { CC_ST_OK = 0,
       CC_ST_KEY_LOADING = 1,   /* an older batch is being read: retry */
       CC_ST_OVERLOADED = 2,    /* queue full: retry */
       CC_ST_DRAINING = 3, CC_ST_EXPIRED = 4,   /* deadline passed before deciding */
       CC_ST_STORAGE_FULL = 5,  /* debits refused, loss reports still taken */
       CC_ST_NOT_FOUND = 6,     /* reads: no such row or transaction */
       CC_ST_CONFLICT = 7,      /* office: an expectation failed; nothing journaled */
       CC_ST_INVALID = 8,       /* office: effect out of range */
       CC_ST_TABLE_FULL = 9,    /* a state table is at its configured maximum */
       CC_ST_REQUEST_REUSED = 10, /* same request_id, other body */
       CC_ST_HELD_BACK = 11 };  /* batch or journal state does not allow it now: retry */

typedef struct {
    uint64_t token;
    uint8_t op, status, replayed, parts;
    uint32_t rule_version;
    uint64_t as_of_seq;        /* newest seq decided when this was answered */
    int64_t time_us;           /* block time of the record; reads: of the head */
    uint32_t business_date;
    uint32_t conflict;         /* office CONFLICT/INVALID: index of the effect */
    int64_t approved;          /* fen, all parts */
    uint32_t limit_day, limit_meal; /* effective limits of the account, on refusals by limit */
    uint8_t pin_left, spare[7];
    cc_record record;          /* the last part; reads: zero */
    cc_account account_row;    /* reads of balance/account; stamp zero */
    cc_account_cold cold_row;  /* reads of balance/account: PIN fields zeroed */
    uint32_t row;              /* office: row number given to the first effect */
    uint8_t hold_state;        /* reads of account: CC_HS_* of the open transfer */
    uint8_t spare2[3];
    uint8_t *bytes;            /* history: malloc'd cc_record[count]; freed by the feed */
    uint32_t count;
    uint64_t next_seq;         /* history: where the next page starts, 0 end; reads of account: the
                                  open transfer to the water purse, 0 none */
} cc_reply;

#endif
