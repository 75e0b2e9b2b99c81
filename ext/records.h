/* The durable format: block header, record, trailer, and the rows of the state tables.
 *
 * Little-endian, fixed width, no implicit padding, reserved bytes zero. A record is ONE movement
 * (one debit side, one credit side, one amount, both balances after), one refusal, one effect on a
 * row (its after-image) or one document. Money is int64 fen; a balance is credits minus debits of
 * its account, so that the sum over all accounts is 0. docs/reference/journal-format.md is the prose.
 */
#ifndef CC_RECORDS_H
#define CC_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#define CC_FORMAT 1u            /* format written */
#define CC_MIN_READER 1u        /* oldest reader that may read it */
#define CC_ENGINE_VERSION 1u    /* decide/apply semantics; grows when a decision changes */
#define CC_MAGIC 0x4B4C424343434331ull /* "1CCCCBLK" */

#define CC_BLOCK_MAX 8192u      /* records per block, due items and parts included */
#define CC_DUE_MAX 4096u        /* due items taken at a block's start */
#define CC_PAYLOAD_MAX (4u << 20) /* bytes of payload area per block */
#define CC_EFFECTS_MAX 8u       /* effects per office command */
#define CC_PARTS_MAX 4u         /* records per tap command */
#define CC_AMOUNT_MAX 100000000ll /* fen per transaction: 1,000,000.00 yuan */
#define CC_BALANCE_MAX 1000000000000000ll /* fen, either sign, any account */
#define CC_LIMIT_DEFAULT 0xFFFFFFFFu /* personal limit not set: the system default rules */
#define CC_TERMINAL_SEQ_MAX 65535u

/* ---- record types ---- */
enum {
    CC_T_PURCHASE = 1,   /* wallets -> merchant payable; or its refusal */
    CC_T_HOLD = 2,       /* reserve on ONLINE; debit_after = ONLINE, credit_after = expiry (s) */
    CC_T_CAPTURE = 3,    /* ONLINE -> merchant payable (bath) or ONLINE -> WATER (water transfer) */
    CC_T_RELEASE = 4,    /* hold freed by the terminal, or by the card counter */
    CC_T_HOLD_EXPIRED = 5, /* due: freed */
    CC_T_HOLD_GREY = 6,  /* due: water transfer without word; stays held */
    CC_T_HOLD_RETIRED = 7, /* due: an expired hold can no longer be captured late */
    CC_T_REVERSAL = 8,   /* mirror of an approved original, whole; flag VOID when the cause is one */
    CC_T_TOMBSTONE = 9,  /* reversal seen before its original; original_seq = batch << 32 | seq */
    CC_T_REFUND = 10,    /* merchant payable -> wallets, partial allowed */
    CC_T_SIGN_IN = 11,   /* batch_no issued; original_seq = previous sign-in of the terminal */
    CC_T_SIGN_OFF = 12,
    CC_T_PIN_CHECK = 13, /* verdict on a transaction password outside a payment */

    CC_T_TOP_UP = 32,    /* clearing or cash -> ONLINE */
    CC_T_SUBSIDY = 33,   /* SUBSIDY_SOURCE -> SUBSIDY */
    CC_T_ADJUST = 34,    /* any -> any, by hand, may overdraw */

    CC_T_ACCOUNT = 64,   /* after-image of an account's papers: open, status, limits, password */
    CC_T_MEDIUM = 65,    /* after-image of a medium: bind, state, unbind */
    CC_T_MERCHANT = 66,
    CC_T_TERMINAL = 67,
    CC_T_CATEGORY = 68,
    CC_T_RULES = 69,     /* next block runs under the new rule version */
    CC_T_MEALS = 70,     /* likewise */
    CC_T_SCHEDULED = 71, /* an effect that waits for its time; its seq is its name */
    CC_T_UNSCHEDULED = 72, /* it will not happen: cancelled, or (DECLINED) what it expected is gone */
    CC_T_DOCUMENT = 96   /* body.document points into the payload area */
};

/* ---- outcomes ---- */
enum { CC_O_NONE = 0, CC_O_APPROVED = 1, CC_O_DECLINED = 2, CC_O_PIN_REQUIRED = 3, CC_O_EFFECT = 4 };

/* ---- wallets and ledger accounts: a side of a movement ---- */
enum {
    CC_W_NONE = 0,
    CC_W_ONLINE = 1, CC_W_WATER = 2, CC_W_SUBSIDY = 3, /* owner: record.account */
    CC_W_MERCHANT = 8,                                 /* owner: record.merchant */
    CC_W_CASH = 16, CC_W_CLEARING_WX = 17, CC_W_CLEARING_BANK = 18, CC_W_SUBSIDY_SOURCE = 19,
    CC_W_LOSS_OFFLINE = 20, CC_W_ADJUSTMENT = 21, CC_W_FINANCE_FEES = 22, CC_W_INCOME = 23,
    CC_W_SYSTEM_FIRST = 16, CC_W_SYSTEM_LAST = 31
};

/* ---- record flags ---- */
enum {
    CC_F_PIN_OK = 1, CC_F_PIN_BAD = 2,      /* a password was evaluated */
    CC_F_OVER_DAY = 4, CC_F_OVER_MEAL = 8,  /* which threshold asked for it */
    CC_F_PARTIAL = 16,                      /* approved less than asked (aux) */
    CC_F_VOID = 32,                         /* reversal caused by a merchant's void */
    CC_F_FORCED = 64,                       /* posted although the balance did not cover it */
    CC_F_LATE = 128,                        /* capture after the hold expired */
    CC_F_EXCESS = 256,                      /* capture asked more than the hold (aux) */
    CC_F_BY_COUNTER = 512,                  /* resolved by the card counter */
    CC_F_COUNTS_DAY = 1024, CC_F_COUNTS_MEAL = 2048, /* this record moved these counters */
    CC_F_WATER = 4096,                      /* hold/capture/release of a water transfer */
    CC_F_MUST_CHANGE = 8192,                /* the account's password is still the initial one */
    CC_F_KEY_IS_REQUEST = 16384,            /* batch_no/terminal_seq hold 8 bytes of request_id */
    CC_F_DUE = 32768                        /* written by the due list, no command behind it */
};

/* ---- what a record says of the password beside its flags ---- */
enum {
    CC_P_DATED = 1,                         /* the wrong try is of day_key */
    CC_P_SESSION = 2,                       /* its right password begins a session */
    CC_P_BY_SESSION = 4                     /* approved above a limit because of one */
};

typedef struct {
    uint64_t prev_terminal_seq; /* previous record of the terminal, 0 none */
    int64_t amount;             /* fen moved, held or freed; 0 on a refusal */
    int64_t debit_after;        /* balance of the debit side; on a refusal or hold: ONLINE */
    int64_t credit_after;       /* balance of the credit side; refusal by limits: day | meal << 32 */
    int64_t held_after;         /* held on ONLINE */
    uint32_t day_used;          /* fen in day_key after this record; 0 when day_key is past */
    uint32_t meal_used;         /* fen in meal_key after; 0 when past or the record has no meal */
    uint16_t day_key;           /* day the limits count: local days since 1970-01-01 */
    uint8_t meal_key;           /* meal index 1..8, | 0x80 when the meal began the day before */
    uint8_t debit_wallet;
    uint8_t credit_wallet;
    uint8_t pin_fails;          /* consecutive wrong passwords after */
    uint8_t original_part;      /* reversal, refund: which part original_seq is, 1-based */
    uint8_t pin_marks;          /* CC_P_* */
} cc_money_body;

typedef struct {               /* CC_T_ACCOUNT: after-image of everything but money and counters */
    uint8_t pin_tag[16];       /* HMAC-SHA256(key kid, "cc-pin-v1" | account | version | salt | PIN) */
    uint8_t pin_salt[8];
    uint32_t pin_version;      /* 0: no password set */
    uint32_t day_limit;        /* fen, CC_LIMIT_DEFAULT */
    uint32_t meal_limit;
    uint8_t status;            /* cc_account_status */
    uint8_t flags;             /* CC_A_* */
    uint8_t pin_fails;
    uint8_t pin_kid;
    uint8_t kind;              /* 1 student 2 staff 3 temporary 4 operator */
    uint8_t event;             /* CC_E_*: what the act was */
    uint16_t changes;          /* how often the status was set, modulo 2^16 */
    uint8_t spare[12];
} cc_account_body;

typedef struct {               /* CC_T_MEDIUM */
    uint8_t key[16];           /* type, length, token (see cc_medium_key) */
    uint8_t state;             /* cc_medium_state */
    uint8_t flags;             /* CC_M_LOST, CC_M_FROZEN */
    uint8_t event;
    uint8_t spare0;
    uint16_t expires_day;      /* first local day it is no longer valid; 0 never */
    uint16_t changes;          /* how often FROZEN was set or cleared, modulo 2^16 */
    uint8_t spare[32];
} cc_medium_body;

typedef struct { uint8_t category, status, flags, spare[53]; } cc_merchant_body;

typedef struct {
    uint8_t name[16];          /* ASCII, zero padded */
    uint32_t max_amount;       /* fen per transaction, 0 = CC_AMOUNT_MAX */
    uint8_t status;            /* 1 in service, 2 suspended, 3 withdrawn */
    uint8_t flags;             /* CC_TERM_KEYPAD */
    uint8_t spare[34];
} cc_terminal_body;

typedef struct { uint8_t category, flags, spare[54]; } cc_category_body;

typedef struct {               /* CC_T_RULES: one versioned set, next block on */
    uint32_t version;
    uint32_t day_limit, meal_limit;           /* fen, system defaults: 10000, 5000 */
    uint32_t day_ceiling, meal_ceiling;       /* fen, personal limits' upper bound */
    uint32_t hold_seconds;                    /* 1800 */
    uint32_t water_hold_seconds;              /* 300 */
    uint32_t late_capture_seconds;            /* 40 days */
    uint32_t water_tap;                       /* 1000 */
    uint32_t water_cap;                       /* fen the WATER wallet may hold, 0 none */
    int32_t utc_offset_seconds;               /* 28800 */
    uint8_t pin_max;                          /* 3 */
    uint8_t meal_scope;                       /* 0 per meal, 1 per transaction (D1) */
    uint8_t limit_day;                        /* 0 calendar day, 1 business day (D2) */
    uint8_t pin_reset;                        /* 0 wrong tries are of their day, 1 until reset (D6) */
    uint16_t pin_session_seconds;             /* 0: the password is asked each time (D5) */
    uint16_t day_cut_minutes;                 /* minute the business day begins; from 720 on: of
                                                 the evening before */
    uint8_t spare[4];
} cc_rules_body;

typedef struct { uint16_t start_minute, end_minute; } cc_meal; /* [start, end), may cross midnight */
typedef struct { uint8_t count, spare[3]; cc_meal meals[8]; uint32_t version; uint8_t spare2[16]; } cc_meals_body;

typedef struct {               /* CC_T_SCHEDULED, CC_T_UNSCHEDULED */
    uint32_t due_s;            /* block time it takes effect at, UTC seconds */
    uint16_t mask;             /* RULES: fields that change; MEDIUM_STATE: flags that change */
    uint16_t changes;          /* the row's when it was scheduled, for CC_X_UNCHANGED */
    uint8_t kind;              /* CC_EF_* */
    uint8_t event;             /* CC_E_* */
    uint8_t expect;            /* CC_X_* bits, looked at when its time has come */
    uint8_t expect_status;     /* account status or medium state (0 any) */
    uint8_t expect_flags;      /* medium flags, those in the mask */
    uint8_t spare;
    uint8_t values[42];        /* by kind: status; state, flags; category, flags; the rules from
                                  day_limit on, or if the mask names one from limit_day on, those;
                                  the meals' first 36. Zero what does not change */
} cc_scheduled_body;

typedef struct {
    uint32_t offset, length;   /* in the block's payload area */
    uint16_t kind;             /* core/documents.py */
    uint16_t effects;          /* records of this command before this one */
    uint32_t actor;            /* 0: the system */
    uint8_t request_id[16];
    uint8_t spare[24];
} cc_document_body;

typedef struct {
    uint64_t seq;
    uint8_t type, outcome;
    uint16_t reason;           /* cc_reason, 0 = OK */
    uint16_t flags;
    uint8_t part, parts;       /* 1-based; the parts of a command are neighbours */
    uint32_t account, medium, merchant, terminal; /* row numbers, 0 none */
    uint32_t batch_no, terminal_seq;
    uint64_t fingerprint;      /* of the command's body without password */
    uint64_t original_seq;
    uint64_t prev_account_seq; /* previous record of the account, 0 none */
    union {
        cc_money_body money;
        cc_account_body account_row;
        cc_medium_body medium_row;
        cc_merchant_body merchant_row;
        cc_terminal_body terminal_row;
        cc_category_body category_row;
        cc_rules_body rules;
        cc_meals_body meals;
        cc_scheduled_body scheduled;
        cc_document_body document;
        uint8_t bytes[56];
    } body;
    uint32_t aux;              /* asked fen; water hold: card counter; refund: refunded in all */
    uint32_t crc32c;           /* of bytes 0..123 */
} cc_record;

typedef struct {
    uint64_t magic;
    uint16_t format, min_reader;
    uint16_t shard, engine_version;
    uint32_t epoch;            /* who may write */
    uint32_t count;            /* records */
    uint64_t first_seq, last_seq;
    int64_t time_us;           /* UTC microseconds since 1970 */
    uint32_t business_date;    /* local days since 1970-01-01 */
    uint32_t rule_version;
    uint32_t payload_len;
    uint32_t spare0;
    int64_t debits;            /* fen moved by this block's movements, for projections */
    uint8_t prev_hash[32];     /* chain hash of the block before; zero at seq 1 */
    uint8_t spare[20];
    uint32_t crc32c;           /* of bytes 0..123 */
} cc_block_header;

typedef struct {
    uint64_t state_lo, state_hi; /* state hash after this block */
    uint8_t chain[32];         /* SHA-256(header | records | payload | state hash) */
    uint32_t payload_crc32c;
    uint8_t spare[8];
    uint32_t crc32c;           /* of bytes 0..59 */
} cc_block_trailer;

/* ---- rows of the state tables; `stamp` is volatile: not hashed, zero on disk ---- */
enum { CC_TABLE_ACCOUNT = 1, CC_TABLE_COLD = 2, CC_TABLE_MEDIUM = 3, CC_TABLE_MERCHANT = 4,
       CC_TABLE_TERMINAL = 5, CC_TABLE_HOLD = 6, CC_TABLE_UNDO = 7, CC_TABLE_LEDGER = 8,
       CC_TABLE_RULES = 9, CC_TABLE_CATEGORY = 10, CC_TABLE_KEYS = 11, CC_TABLE_REQUEST = 12,
       CC_TABLE_SCHEDULED = 13 };

enum { CC_AS_NONE = 0, CC_AS_NORMAL = 1, CC_AS_SUSPENDED = 2, CC_AS_CLOSING = 3, CC_AS_CLOSED = 4 };
enum { CC_A_MUST_CHANGE = 1 };
enum { CC_MS_NONE = 0, CC_MS_PRODUCED = 1, CC_MS_IN_TRANSIT = 2, CC_MS_ACTIVE = 3, CC_MS_VOID = 4,
       CC_MS_RETURNED = 5, CC_MS_UNBOUND = 6 };
enum { CC_M_LOST = 1, CC_M_FROZEN = 2 };
enum { CC_MT_RFID_CARD = 1, CC_MT_MOBILE_QR = 2, CC_MT_MOBILE_NFC = 3, CC_MT_FACE = 4 };
enum { CC_TS_IN_SERVICE = 1, CC_TS_SUSPENDED = 2, CC_TS_WITHDRAWN = 3 };
enum { CC_TERM_KEYPAD = 1 };
enum { CC_CAT_CANTEEN = 1, CC_CAT_UTILITY = 2, CC_CAT_WATER = 3, CC_CAT_BATH = 4, CC_CAT_SHOP = 5,
       CC_CAT_ACCESS = 6, CC_CATEGORIES = 16 };
enum { CC_C_DAY = 1, CC_C_MEAL = 2, CC_C_REFUNDABLE = 4, CC_C_HOLD = 8, CC_C_SPEND = 16,
       CC_C_SUBSIDY = 32 }; /* counts to day, to meal; may refund, hold, purchase, spend SUBSIDY */
enum { CC_E_OPEN = 1, CC_E_STATUS = 2, CC_E_LIMITS = 3, CC_E_PIN_SET = 4, CC_E_PIN_RESET = 5,
       CC_E_BIND = 6, CC_E_STATE = 7, CC_E_UNBIND = 8, CC_E_LOSS = 9, CC_E_UNLOSS = 10 };

typedef struct {               /* read on every tap */
    int64_t online, held, subsidy;
    uint64_t last_seq;         /* head of the account's chain */
    uint32_t day_used, meal_used;
    uint32_t day_limit, meal_limit;
    uint16_t day_key;          /* the day day_used counts */
    uint16_t meal_day;         /* the day meal_used's meal began */
    uint8_t meal_index;        /* 1..8, 0 none yet */
    uint8_t status, pin_fails, flags;
    uint32_t water_hold;       /* low half of the seq of the open water transfer, 0 none */
    uint32_t stamp;
} cc_account;

typedef struct {               /* read above a limit, for WATER and for papers */
    int64_t water;
    uint8_t pin_tag[16], pin_salt[8];
    uint32_t pin_version;
    uint8_t pin_kid, kind;
    uint16_t changes;          /* of the status */
    uint32_t session_s;        /* block second a password session began, 0 none */
    uint32_t session_medium, session_terminal; /* where it holds */
    uint32_t session_rules;    /* rule version it began under: it ends with it */
    uint16_t pin_fail_day;     /* day of the newest wrong try; 0 unknown */
    uint8_t spare[2];
    uint32_t stamp;
} cc_account_cold;

typedef struct {
    uint8_t key[16];
    uint32_t account;
    uint8_t state, flags, spare0[2];
    uint16_t expires_day, changes; /* of FROZEN */
    uint32_t stamp;
} cc_medium;

typedef struct {
    int64_t payable;
    uint8_t category, status, flags, spare0[5];
    uint8_t spare[44];
    uint32_t stamp;
} cc_merchant;

typedef struct {
    uint8_t name[16];
    uint32_t merchant, max_amount;
    uint32_t batch_no, prev_batch_no; /* the last two sign-ins; 0 none */
    uint64_t last_seq, sign_in_seq;
    uint64_t keys_sum[2];      /* sum of mix64 over the key entries, by batch_no & 1 */
    uint8_t status, flags, signed_in, spare0;
    uint8_t spare[56];
    uint32_t stamp;
} cc_terminal;

enum { CC_HS_FREE = 0, CC_HS_HELD = 1, CC_HS_GREY = 2, CC_HS_EXPIRED = 3 };
typedef struct {
    uint64_t seq;              /* of the HOLD record: the hold's name; 0 = free row */
    int64_t amount;
    int64_t due_s;             /* next deadline, UTC seconds: expiry, then retirement */
    uint32_t account, medium, merchant, terminal;
    uint32_t card_counter;
    uint16_t day_key;
    uint8_t meal_key, state, water, counts, spare[10];
    uint32_t stamp;
} cc_hold;

typedef struct {               /* what was already taken back of an original */
    uint64_t original_seq;     /* first part's seq; 0 = free row */
    int64_t refunded;          /* fen, all parts */
    uint8_t reversed, spare[11];
    uint32_t stamp;
} cc_undo;

typedef struct {               /* an effect that waits for its time */
    uint64_t seq;              /* of the SCHEDULED record: its name; 0 = free row */
    uint32_t account, medium;
    cc_scheduled_body body;
    uint8_t spare[52];
    uint32_t stamp;
} cc_scheduled;

typedef struct { int64_t balance; uint8_t spare[20]; uint32_t stamp; } cc_ledger; /* system accounts */

enum { CC_K_NONE = 0, CC_K_FINAL = 1, CC_K_PIN_REQUIRED = 2, CC_K_TOMBSTONE = 3 };
typedef struct { uint64_t seq_state; uint64_t fingerprint; } cc_key; /* seq << 2 | CC_K_* */

typedef struct {               /* request_id of staff, holders, channels */
    uint8_t id[16];
    uint64_t seq;              /* last record of the command */
    uint64_t fingerprint;
} cc_request;

_Static_assert(sizeof(cc_money_body) == 56, "money body");
_Static_assert(sizeof(cc_account_body) == 56, "account body");
_Static_assert(sizeof(cc_medium_body) == 56, "medium body");
_Static_assert(sizeof(cc_merchant_body) == 56, "merchant body");
_Static_assert(sizeof(cc_terminal_body) == 56, "terminal body");
_Static_assert(sizeof(cc_category_body) == 56, "category body");
_Static_assert(sizeof(cc_rules_body) == 56, "rules body");
_Static_assert(sizeof(cc_meals_body) == 56, "meals body");
_Static_assert(sizeof(cc_scheduled_body) == 56, "scheduled body");
_Static_assert(sizeof(cc_document_body) == 56, "document body");
_Static_assert(sizeof(cc_record) == 128, "record");
_Static_assert(offsetof(cc_record, body) == 64 && offsetof(cc_record, crc32c) == 124, "record");
_Static_assert(sizeof(cc_block_header) == 128, "header");
_Static_assert(offsetof(cc_block_header, prev_hash) == 72, "header");
_Static_assert(offsetof(cc_block_header, crc32c) == 124, "header");
_Static_assert(sizeof(cc_block_trailer) == 64, "trailer");
_Static_assert(sizeof(cc_account) == 64 && sizeof(cc_account_cold) == 64, "account rows");
_Static_assert(sizeof(cc_medium) == 32, "medium row");
_Static_assert(sizeof(cc_merchant) == 64, "merchant row");
_Static_assert(sizeof(cc_terminal) == 128, "terminal row");
_Static_assert(sizeof(cc_hold) == 64, "hold row");
_Static_assert(sizeof(cc_undo) == 32, "undo row");
_Static_assert(sizeof(cc_ledger) == 32, "ledger row");
_Static_assert(sizeof(cc_scheduled) == 128, "scheduled row");
_Static_assert(offsetof(cc_rules_body, limit_day) - offsetof(cc_rules_body, day_limit)
               == 42, "scheduled rules");
/* Rows are hashed without their last four bytes. */
_Static_assert(offsetof(cc_account, stamp) == 60 && offsetof(cc_account_cold, stamp) == 60, "stamp");
_Static_assert(offsetof(cc_medium, stamp) == 28 && offsetof(cc_merchant, stamp) == 60, "stamp");
_Static_assert(offsetof(cc_terminal, stamp) == 124 && offsetof(cc_hold, stamp) == 60, "stamp");
_Static_assert(offsetof(cc_undo, stamp) == 28 && offsetof(cc_ledger, stamp) == 28, "stamp");
_Static_assert(offsetof(cc_scheduled, stamp) == 124, "stamp");
_Static_assert(sizeof(cc_key) == 16 && sizeof(cc_request) == 32, "keys");

#endif
