/* What a request message of terminal_service.proto looks like on the wire: per message, the meaning
 * of each field number. A test compares these tables with the descriptors protoc makes. */
#ifndef CC_WIRE_H
#define CC_WIRE_H

#include "commands.h"

#define CC_WIRE_FIELDS 16u      /* field numbers 0..15; higher ones are unknown */
#define CC_WIRE_DEPTH 100       /* nested messages and groups, as the official library */
#define CC_WIRE_BATCH_MAX 8192u /* items per AuthorizeBatchRequest */

/* Meaning of a field. Unknown fields, and known ones with another wire type, are skipped. */
enum {
    CC_S_SKIP = 0,
    /* varints */
    CC_S_BATCH, CC_S_TERMINAL_SEQ, CC_S_AMOUNT, CC_S_PARTIAL, CC_S_VOID, CC_S_WATER, CC_S_COUNTER,
    CC_S_ORIGINAL_SEQ, CC_S_ORIGINAL_BATCH, CC_S_ORIGINAL_TERMINAL_SEQ, CC_S_MEDIUM_TYPE,
    CC_S_VARINT_LAST = CC_S_MEDIUM_TYPE,
    /* bytes and strings; strings must be UTF-8 */
    CC_S_TOKEN, CC_S_TERMINAL, CC_S_PIN, CC_S_SOFTWARE,
    CC_S_STRING_FIRST = CC_S_TERMINAL, CC_S_BYTES_LAST = CC_S_SOFTWARE,
    /* embedded messages */
    CC_S_MEDIUM, CC_S_ORIGINAL, CC_S_KEY, CC_S_AUTHORIZATION, CC_S_ITEM
};

/* Messages, by the number of their method where they have one. */
enum { CC_MSG_MEDIUM = 9, CC_MSG_ORIGINAL = 10, CC_MSG_KEY = 11, CC_MSG_STREAM = 12,
       CC_MSG_BATCH = 13, CC_MSG_ITEM = 14, CC_MSG_COUNT = 34 };

static const uint8_t cc_wire_slots[CC_MSG_COUNT][CC_WIRE_FIELDS] = {
    /* CC_OP_AUTHORIZE */ [1] = {[1] = CC_S_TERMINAL, [2] = CC_S_BATCH, [3] = CC_S_TERMINAL_SEQ,
        [4] = CC_S_MEDIUM, [5] = CC_S_AMOUNT, [6] = CC_S_PIN, [7] = CC_S_PARTIAL},
    /* CC_OP_HOLD */ [2] = {[1] = CC_S_TERMINAL, [2] = CC_S_BATCH, [3] = CC_S_TERMINAL_SEQ,
        [4] = CC_S_MEDIUM, [5] = CC_S_AMOUNT, [6] = CC_S_PIN, [7] = CC_S_PARTIAL,
        [8] = CC_S_WATER, [9] = CC_S_COUNTER},
    /* CC_OP_CAPTURE */ [3] = {[1] = CC_S_TERMINAL, [2] = CC_S_BATCH, [3] = CC_S_TERMINAL_SEQ,
        [4] = CC_S_ORIGINAL, [5] = CC_S_AMOUNT},
    /* CC_OP_RELEASE */ [4] = {[1] = CC_S_TERMINAL, [2] = CC_S_BATCH, [3] = CC_S_TERMINAL_SEQ,
        [4] = CC_S_ORIGINAL},
    /* CC_OP_REVERSE */ [5] = {[1] = CC_S_TERMINAL, [2] = CC_S_BATCH, [3] = CC_S_TERMINAL_SEQ,
        [4] = CC_S_ORIGINAL, [5] = CC_S_AMOUNT, [6] = CC_S_VOID},
    /* CC_OP_REFUND */ [6] = {[1] = CC_S_TERMINAL, [2] = CC_S_BATCH, [3] = CC_S_TERMINAL_SEQ,
        [4] = CC_S_ORIGINAL, [5] = CC_S_AMOUNT},
    /* CC_OP_SIGN_IN */ [7] = {[1] = CC_S_TERMINAL, [2] = CC_S_SOFTWARE},
    /* CC_OP_SIGN_OFF */ [8] = {[1] = CC_S_TERMINAL, [2] = CC_S_BATCH},
    [CC_MSG_MEDIUM] = {[1] = CC_S_MEDIUM_TYPE, [2] = CC_S_TOKEN},
    [CC_MSG_ORIGINAL] = {[1] = CC_S_ORIGINAL_SEQ, [2] = CC_S_ORIGINAL_BATCH,
        [3] = CC_S_ORIGINAL_TERMINAL_SEQ},
    [CC_MSG_KEY] = {[1] = CC_S_TERMINAL, [2] = CC_S_BATCH, [3] = CC_S_TERMINAL_SEQ},
    [CC_MSG_STREAM] = {[1] = CC_S_AUTHORIZATION},
    [CC_MSG_BATCH] = {[1] = CC_S_TERMINAL, [2] = CC_S_BATCH, [3] = CC_S_ITEM},
    [CC_MSG_ITEM] = {[1] = CC_S_TERMINAL_SEQ, [2] = CC_S_MEDIUM_TYPE, [3] = CC_S_TOKEN,
        [4] = CC_S_AMOUNT, [5] = CC_S_PIN, [6] = CC_S_PARTIAL},
    /* CC_OP_GET_BALANCE */ [32] = {[1] = CC_S_TERMINAL, [2] = CC_S_MEDIUM},
    /* CC_OP_GET_TRANSACTION */ [33] = {[1] = CC_S_KEY, [2] = CC_S_ORIGINAL_SEQ},
};

/* A parsed request: pointers into the message, numbers as sent. */
typedef struct {
    const uint8_t *terminal, *token, *pin, *software;
    uint32_t terminal_len, token_len, pin_len, software_len;
    int64_t amount;
    uint64_t original_seq;
    uint32_t batch_no, terminal_seq, original_batch, original_terminal_seq;
    uint32_t card_counter;
    int32_t medium_type;
    uint32_t items;
    uint8_t partial_ok, void_sale, water, spare;
} cc_wire_fields;

/* The body two commands under one key are compared by. */
typedef struct {
    uint8_t medium_key[16];
    int64_t amount;
    uint64_t original_seq;
    uint32_t original_batch, original_terminal_seq;
    uint32_t card_counter;
    uint16_t flags;            /* PARTIAL_OK, VOID, WATER, BY_SEQ */
    uint8_t op, spare;
} cc_wire_body;
_Static_assert(sizeof(cc_wire_body) == 48, "the fingerprint covers no padding");

/* Names of Refusal.numbers, sorted: a map is written in this order. */
enum { CC_N_ASKED, CC_N_AVAILABLE, CC_N_DAY_LIMIT, CC_N_DAY_USED, CC_N_MEAL_LIMIT, CC_N_MEAL_USED,
       CC_N_REFUNDABLE, CC_N_TRIES_LEFT, CC_N_WATER_CAP, CC_N_COUNT };
static const char *const cc_wire_numbers[CC_N_COUNT] = {
    "askedFen", "availableFen", "dayLimitFen", "dayUsedFen", "mealLimitFen", "mealUsedFen",
    "refundableFen", "triesLeft", "waterCapFen",
};

/* What stands before, between and behind a limit and what is used of it: by language (Chinese,
 * English), then day or meal. */
enum { CC_CHINESE = 0, CC_ENGLISH = 1 };
static const char *const cc_wire_limit_words[2][2][3] = {
    {{"日消费限额 ", " 元: 已用 ", ""}, {"餐消费限额 ", " 元: 已用 ", ""}},
    {{"day limit ", ": ", " used"}, {"meal limit ", ": ", " used"}},
};

static inline const char *cc_wire_type_name(unsigned type)
{
    static const char *const names[CC_T_DOCUMENT + 1] = {
        [CC_T_PURCHASE] = "PURCHASE", [CC_T_HOLD] = "HOLD", [CC_T_CAPTURE] = "CAPTURE",
        [CC_T_RELEASE] = "RELEASE", [CC_T_HOLD_EXPIRED] = "HOLD_EXPIRED",
        [CC_T_HOLD_GREY] = "HOLD_GREY", [CC_T_HOLD_RETIRED] = "HOLD_RETIRED",
        [CC_T_REVERSAL] = "REVERSAL", [CC_T_TOMBSTONE] = "TOMBSTONE", [CC_T_REFUND] = "REFUND",
        [CC_T_SIGN_IN] = "SIGN_IN", [CC_T_SIGN_OFF] = "SIGN_OFF", [CC_T_PIN_CHECK] = "PIN_CHECK",
        [CC_T_TOP_UP] = "TOP_UP", [CC_T_SUBSIDY] = "SUBSIDY", [CC_T_ADJUST] = "ADJUST",
        [CC_T_ACCOUNT] = "ACCOUNT", [CC_T_MEDIUM] = "MEDIUM", [CC_T_MERCHANT] = "MERCHANT",
        [CC_T_TERMINAL] = "TERMINAL", [CC_T_CATEGORY] = "CATEGORY", [CC_T_RULES] = "RULES",
        [CC_T_MEALS] = "MEALS", [CC_T_SCHEDULED] = "SCHEDULED",
        [CC_T_UNSCHEDULED] = "UNSCHEDULED", [CC_T_DOCUMENT] = "DOCUMENT",
    };
    return type <= CC_T_DOCUMENT && names[type] ? names[type] : "";
}

#endif
