"""Names of ext/commands.h: what travels between a front end and the sequencer."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ext.records cimport (
    CC_PARTS_MAX, cc_account, cc_account_cold, cc_record,
)

cdef extern from "commands.h" nogil:
    enum:
        CC_PIN_MAX
        CC_QUEUE_DEFAULT

    enum:
        CC_OP_NONE
        CC_OP_AUTHORIZE
        CC_OP_HOLD
        CC_OP_CAPTURE
        CC_OP_RELEASE
        CC_OP_REVERSE
        CC_OP_REFUND
        CC_OP_SIGN_IN
        CC_OP_SIGN_OFF
        CC_OP_OFFICE
        CC_OP_GET_BALANCE
        CC_OP_GET_TRANSACTION
        CC_OP_HISTORY
        CC_OP_HEAD
        CC_OP_GET_ACCOUNT

    enum:
        CC_CF_PARTIAL_OK
        CC_CF_HAS_PIN
        CC_CF_VOID
        CC_CF_WATER
        CC_CF_BY_ACCOUNT
        CC_CF_BY_SEQ
        CC_CF_LOADED
        CC_CF_NO_DEBITS

    enum:
        CC_EF_NONE
        CC_EF_ACCOUNT_OPEN
        CC_EF_ACCOUNT_STATUS
        CC_EF_ACCOUNT_LIMITS
        CC_EF_PIN_SET
        CC_EF_PIN_RESET
        CC_EF_MEDIUM_BIND
        CC_EF_MEDIUM_STATE
        CC_EF_MERCHANT
        CC_EF_TERMINAL
        CC_EF_CATEGORY
        CC_EF_RULES
        CC_EF_MEALS
        CC_EF_TOP_UP
        CC_EF_SUBSIDY
        CC_EF_ADJUST
        CC_EF_CANCEL
        CC_EF_SETTLE

    enum:
        CC_X_ANY
        CC_X_STATUS
        CC_X_LAST_SEQ
        CC_X_ROW_FREE
        CC_X_UNCHANGED

    ctypedef struct cc_effect:
        uint8_t kind
        uint8_t expect
        uint8_t expect_status
        uint8_t expect_flags
        uint32_t row
        uint32_t link
        uint8_t event
        uint8_t spare
        uint8_t pin_len
        uint8_t pin[CC_PIN_MAX]
        uint8_t spare2
        uint64_t expect_last_seq
        uint64_t scheduled_seq
        uint64_t hold_seq
        uint32_t due_s
        uint16_t mask, spare3
        int64_t amount
        uint8_t body[56]

    ctypedef struct cc_command:
        uint64_t token
        uint8_t op
        uint8_t effects
        uint16_t flags
        uint32_t deadline_ms
        uint8_t terminal_name[16]
        uint32_t batch_no, terminal_seq
        uint8_t medium_key[16]
        int64_t amount
        uint64_t original_seq
        uint32_t original_batch, original_terminal_seq
        uint32_t card_counter
        uint32_t account
        uint32_t limit
        uint8_t pin_len
        uint8_t pin[CC_PIN_MAX]
        uint8_t spare[3]
        uint8_t request_id[16]
        uint64_t fingerprint
        uint8_t *payload
        uint32_t payload_len
        uint16_t document_kind, spare1
        uint32_t actor
        uint32_t asked
        cc_effect *effect
        cc_record original[CC_PARTS_MAX]
        uint8_t originals
        uint8_t loads
        uint8_t spare3[6]

    enum:
        CC_ST_OK
        CC_ST_KEY_LOADING
        CC_ST_OVERLOADED
        CC_ST_DRAINING
        CC_ST_EXPIRED
        CC_ST_STORAGE_FULL
        CC_ST_NOT_FOUND
        CC_ST_CONFLICT
        CC_ST_INVALID
        CC_ST_TABLE_FULL
        CC_ST_REQUEST_REUSED
        CC_ST_HELD_BACK

    ctypedef struct cc_reply:
        uint64_t token
        uint8_t op, status, replayed, parts
        uint32_t rule_version
        uint64_t as_of_seq
        int64_t time_us
        uint32_t business_date
        uint32_t conflict
        int64_t approved
        uint32_t limit_day, limit_meal
        uint8_t pin_left
        uint8_t spare[7]
        cc_record record
        cc_account account_row
        cc_account_cold cold_row
        uint32_t row
        uint8_t hold_state
        uint8_t spare2[3]
        uint8_t *bytes
        uint32_t count
        uint64_t next_seq
