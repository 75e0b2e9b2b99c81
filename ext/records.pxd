"""Names of ext/records.h: the durable format. Units and ranges are explained there."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "records.h" nogil:
    enum:
        CC_FORMAT
        CC_MIN_READER
        CC_ENGINE_VERSION
        CC_BLOCK_MAX
        CC_DUE_MAX
        CC_PAYLOAD_MAX
        CC_EFFECTS_MAX
        CC_PARTS_MAX
        CC_TERMINAL_SEQ_MAX
    const uint64_t CC_MAGIC
    const int64_t CC_AMOUNT_MAX
    const int64_t CC_BALANCE_MAX
    const uint32_t CC_LIMIT_DEFAULT

    enum:
        CC_T_PURCHASE
        CC_T_HOLD
        CC_T_CAPTURE
        CC_T_RELEASE
        CC_T_HOLD_EXPIRED
        CC_T_HOLD_GREY
        CC_T_HOLD_RETIRED
        CC_T_REVERSAL
        CC_T_TOMBSTONE
        CC_T_REFUND
        CC_T_SIGN_IN
        CC_T_SIGN_OFF
        CC_T_PIN_CHECK
        CC_T_TOP_UP
        CC_T_SUBSIDY
        CC_T_ADJUST
        CC_T_ACCOUNT
        CC_T_MEDIUM
        CC_T_MERCHANT
        CC_T_TERMINAL
        CC_T_CATEGORY
        CC_T_RULES
        CC_T_MEALS
        CC_T_SCHEDULED
        CC_T_UNSCHEDULED
        CC_T_DOCUMENT

    enum:
        CC_O_NONE
        CC_O_APPROVED
        CC_O_DECLINED
        CC_O_PIN_REQUIRED
        CC_O_EFFECT

    enum:
        CC_W_NONE
        CC_W_ONLINE
        CC_W_WATER
        CC_W_SUBSIDY
        CC_W_MERCHANT
        CC_W_CASH
        CC_W_CLEARING_WX
        CC_W_CLEARING_BANK
        CC_W_SUBSIDY_SOURCE
        CC_W_LOSS_OFFLINE
        CC_W_ADJUSTMENT
        CC_W_FINANCE_FEES
        CC_W_INCOME
        CC_W_SYSTEM_FIRST
        CC_W_SYSTEM_LAST

    enum:
        CC_F_PIN_OK
        CC_F_PIN_BAD
        CC_F_OVER_DAY
        CC_F_OVER_MEAL
        CC_F_PARTIAL
        CC_F_VOID
        CC_F_FORCED
        CC_F_LATE
        CC_F_EXCESS
        CC_F_BY_COUNTER
        CC_F_COUNTS_DAY
        CC_F_COUNTS_MEAL
        CC_F_WATER
        CC_F_MUST_CHANGE
        CC_F_KEY_IS_REQUEST
        CC_F_DUE
        CC_P_DATED
        CC_P_SESSION
        CC_P_BY_SESSION

    ctypedef struct cc_money_body:
        uint64_t prev_terminal_seq
        int64_t amount
        int64_t debit_after
        int64_t credit_after
        int64_t held_after
        uint32_t day_used
        uint32_t meal_used
        uint16_t day_key
        uint8_t meal_key
        uint8_t debit_wallet
        uint8_t credit_wallet
        uint8_t pin_fails
        uint8_t original_part
        uint8_t pin_marks

    ctypedef struct cc_account_body:
        uint8_t pin_tag[16]
        uint8_t pin_salt[8]
        uint32_t pin_version
        uint32_t day_limit
        uint32_t meal_limit
        uint8_t status
        uint8_t flags
        uint8_t pin_fails
        uint8_t pin_kid
        uint8_t kind
        uint8_t event
        uint16_t changes
        uint8_t spare[12]

    ctypedef struct cc_medium_body:
        uint8_t key[16]
        uint8_t state
        uint8_t flags
        uint8_t event
        uint8_t spare0
        uint16_t expires_day
        uint16_t changes
        uint8_t spare[32]

    ctypedef struct cc_merchant_body:
        uint8_t category
        uint8_t status
        uint8_t flags
        uint8_t spare[53]

    ctypedef struct cc_terminal_body:
        uint8_t name[16]
        uint32_t max_amount
        uint8_t status
        uint8_t flags
        uint8_t spare[34]

    ctypedef struct cc_category_body:
        uint8_t category
        uint8_t flags
        uint8_t spare[54]

    ctypedef struct cc_rules_body:
        uint32_t version
        uint32_t day_limit, meal_limit
        uint32_t day_ceiling, meal_ceiling
        uint32_t hold_seconds
        uint32_t water_hold_seconds
        uint32_t late_capture_seconds
        uint32_t water_tap
        uint32_t water_cap
        int32_t utc_offset_seconds
        uint8_t pin_max
        uint8_t meal_scope
        uint8_t limit_day
        uint8_t pin_reset
        uint16_t pin_session_seconds
        uint16_t day_cut_minutes
        uint8_t spare[4]

    ctypedef struct cc_meal:
        uint16_t start_minute, end_minute

    ctypedef struct cc_meals_body:
        uint8_t count
        uint8_t spare[3]
        cc_meal meals[8]
        uint32_t version
        uint8_t spare2[16]

    ctypedef struct cc_scheduled_body:
        uint32_t due_s
        uint16_t mask
        uint16_t changes
        uint8_t kind
        uint8_t event
        uint8_t expect
        uint8_t expect_status
        uint8_t expect_flags
        uint8_t spare
        uint8_t values[42]

    ctypedef struct cc_document_body:
        uint32_t offset, length
        uint16_t kind
        uint16_t effects
        uint32_t actor
        uint8_t request_id[16]
        uint8_t spare[24]

    ctypedef union cc_record_body:
        cc_money_body money
        cc_account_body account_row
        cc_medium_body medium_row
        cc_merchant_body merchant_row
        cc_terminal_body terminal_row
        cc_category_body category_row
        cc_rules_body rules
        cc_meals_body meals
        cc_scheduled_body scheduled
        cc_document_body document
        uint8_t bytes[56]

    ctypedef struct cc_record:
        uint64_t seq
        uint8_t type, outcome
        uint16_t reason
        uint16_t flags
        uint8_t part, parts
        uint32_t account, medium, merchant, terminal
        uint32_t batch_no, terminal_seq
        uint64_t fingerprint
        uint64_t original_seq
        uint64_t prev_account_seq
        cc_record_body body
        uint32_t aux
        uint32_t crc32c

    ctypedef struct cc_block_header:
        uint64_t magic
        uint16_t format, min_reader
        uint16_t shard, engine_version
        uint32_t epoch
        uint32_t count
        uint64_t first_seq, last_seq
        int64_t time_us
        uint32_t business_date
        uint32_t rule_version
        uint32_t payload_len
        uint32_t spare0
        int64_t debits
        uint8_t prev_hash[32]
        uint8_t spare[20]
        uint32_t crc32c

    ctypedef struct cc_block_trailer:
        uint64_t state_lo, state_hi
        uint8_t chain[32]
        uint32_t payload_crc32c
        uint8_t spare[8]
        uint32_t crc32c

    enum:
        CC_TABLE_ACCOUNT
        CC_TABLE_COLD
        CC_TABLE_MEDIUM
        CC_TABLE_MERCHANT
        CC_TABLE_TERMINAL
        CC_TABLE_HOLD
        CC_TABLE_UNDO
        CC_TABLE_LEDGER
        CC_TABLE_RULES
        CC_TABLE_CATEGORY
        CC_TABLE_KEYS
        CC_TABLE_REQUEST
        CC_TABLE_SCHEDULED

    enum:
        CC_AS_NONE
        CC_AS_NORMAL
        CC_AS_SUSPENDED
        CC_AS_CLOSING
        CC_AS_CLOSED

    enum:
        CC_A_MUST_CHANGE

    enum:
        CC_MS_NONE
        CC_MS_PRODUCED
        CC_MS_IN_TRANSIT
        CC_MS_ACTIVE
        CC_MS_VOID
        CC_MS_RETURNED
        CC_MS_UNBOUND

    enum:
        CC_M_LOST
        CC_M_FROZEN

    enum:
        CC_MT_RFID_CARD
        CC_MT_MOBILE_QR
        CC_MT_MOBILE_NFC
        CC_MT_FACE

    enum:
        CC_TS_IN_SERVICE
        CC_TS_SUSPENDED
        CC_TS_WITHDRAWN

    enum:
        CC_TERM_KEYPAD

    enum:
        CC_CAT_CANTEEN
        CC_CAT_UTILITY
        CC_CAT_WATER
        CC_CAT_BATH
        CC_CAT_SHOP
        CC_CAT_ACCESS
        CC_CATEGORIES

    enum:
        CC_C_DAY
        CC_C_MEAL
        CC_C_REFUNDABLE
        CC_C_HOLD
        CC_C_SPEND
        CC_C_SUBSIDY

    enum:
        CC_E_OPEN
        CC_E_STATUS
        CC_E_LIMITS
        CC_E_PIN_SET
        CC_E_PIN_RESET
        CC_E_BIND
        CC_E_STATE
        CC_E_UNBIND
        CC_E_LOSS
        CC_E_UNLOSS

    ctypedef struct cc_account:
        int64_t online, held, subsidy
        uint64_t last_seq
        uint32_t day_used, meal_used
        uint32_t day_limit, meal_limit
        uint16_t day_key
        uint16_t meal_day
        uint8_t meal_index
        uint8_t status, pin_fails, flags
        uint32_t water_hold
        uint32_t stamp

    ctypedef struct cc_account_cold:
        int64_t water
        uint8_t pin_tag[16]
        uint8_t pin_salt[8]
        uint32_t pin_version
        uint8_t pin_kid
        uint8_t kind
        uint16_t changes
        uint32_t session_s
        uint32_t session_medium
        uint32_t session_terminal
        uint32_t session_rules
        uint16_t pin_fail_day
        uint8_t spare[2]
        uint32_t stamp

    ctypedef struct cc_medium:
        uint8_t key[16]
        uint32_t account
        uint8_t state
        uint8_t flags
        uint8_t spare0[2]
        uint16_t expires_day, changes
        uint32_t stamp

    ctypedef struct cc_merchant:
        int64_t payable
        uint8_t category
        uint8_t status
        uint8_t flags
        uint8_t spare0[5]
        uint8_t spare[44]
        uint32_t stamp

    ctypedef struct cc_terminal:
        uint8_t name[16]
        uint32_t merchant, max_amount
        uint32_t batch_no, prev_batch_no
        uint64_t last_seq, sign_in_seq
        uint64_t keys_sum[2]
        uint8_t status, flags, signed_in, spare0
        uint8_t spare[56]
        uint32_t stamp

    enum:
        CC_HS_FREE
        CC_HS_HELD
        CC_HS_GREY
        CC_HS_EXPIRED

    ctypedef struct cc_hold:
        uint64_t seq
        int64_t amount
        int64_t due_s
        uint32_t account, medium, merchant, terminal
        uint32_t card_counter
        uint16_t day_key
        uint8_t meal_key
        uint8_t state
        uint8_t water
        uint8_t counts
        uint8_t spare[10]
        uint32_t stamp

    ctypedef struct cc_undo:
        uint64_t original_seq
        int64_t refunded
        uint8_t reversed
        uint8_t spare[11]
        uint32_t stamp

    ctypedef struct cc_scheduled:
        uint64_t seq
        uint32_t account, medium
        cc_scheduled_body body
        uint8_t spare[52]
        uint32_t stamp

    ctypedef struct cc_ledger:
        int64_t balance
        uint8_t spare[20]
        uint32_t stamp

    enum:
        CC_K_NONE
        CC_K_FINAL
        CC_K_PIN_REQUIRED
        CC_K_TOMBSTONE

    ctypedef struct cc_key:
        uint64_t seq_state
        uint64_t fingerprint

    ctypedef struct cc_request:
        uint8_t id[16]
        uint64_t seq
        uint64_t fingerprint
