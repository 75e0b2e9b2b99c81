"""Names of ext/tables.h: the sequencer's memory."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ext.records cimport (
    CC_CATEGORIES, cc_account, cc_account_cold, cc_block_header, cc_hold, cc_key, cc_ledger,
    cc_meals_body, cc_medium, cc_merchant, cc_record, cc_request, cc_rules_body, cc_scheduled,
    cc_terminal, cc_undo,
)

cdef extern from "tables.h" nogil:
    enum:
        CC_TABLE_COUNT
        CC_OLD_BATCHES
    const int64_t CC_KEY_WINDOW_S

    ctypedef struct cc_block:
        cc_block_header head
        cc_record *records
        uint32_t n, max
        uint8_t *payload
        uint32_t payload_len, payload_max

    ctypedef struct cc_index:
        uint32_t *slot
        uint32_t mask, used

    enum:
        CC_DUE_HOLD
        CC_DUE_SCHEDULED

    ctypedef struct cc_due:
        int64_t due_s
        uint64_t seq
        uint32_t what, spare

    enum:
        CC_OB_FREE
        CC_OB_LOADING
        CC_OB_READY

    ctypedef struct cc_old_batch:
        uint32_t terminal, batch_no
        uint32_t state, spare
        uint64_t used
        int64_t sign_in_us
        cc_key *keys

    ctypedef struct cc_tables:
        cc_account *account
        cc_account_cold *cold
        cc_medium *medium
        cc_merchant *merchant
        cc_terminal *terminal
        cc_hold *hold
        cc_undo *undo
        cc_scheduled *scheduled
        cc_ledger ledger[32]
        cc_key *keys
        cc_request *request
        cc_rules_body rules
        cc_meals_body meals
        uint8_t category[CC_CATEGORIES]
        uint32_t rule_version
        uint32_t accounts, media, merchants, terminals, holds, undos, requests, schedules
        uint32_t accounts_max, media_max, merchants_max, terminals_max, holds_max
        uint32_t undos_max, requests_max, schedules_max
        uint32_t *hold_stack
        uint32_t hold_free
        uint32_t *schedule_stack
        uint32_t schedule_free
        uint32_t request_next
        cc_index medium_index, terminal_index, hold_index, undo_index, request_index
        cc_index schedule_index
        cc_due *due
        uint32_t dues
        cc_old_batch old_batch[CC_OLD_BATCHES]
        uint8_t pin_key[32]
        uint8_t pin_kid
        void *pin_mac
        uint64_t applied_seq
        int64_t time_us
        uint32_t business_date
        uint16_t day_key
        uint8_t meal_key, spare0
        uint16_t today, spare1
        uint32_t block_rules
        uint64_t blocks
        uint64_t state_lo, state_hi
        uint32_t stamp
        uint64_t *touched
        uint32_t touched_n, touched_max
        uint8_t *dirty[CC_TABLE_COUNT]

    enum:
        CC_D_DONE
        CC_D_REPLAY
        CC_D_LOAD_ORIGINAL
        CC_D_LOAD_BATCH
        CC_D_BLOCK_FULL
        CC_D_READ
        CC_D_HISTORY
