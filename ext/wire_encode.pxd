"""Responses of the hot methods, from replies to protobuf bytes; no Python, no allocation.

A response is the shortest encoding with fields in order: the official library writes the same
bytes when it serialises deterministically.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.commands cimport cc_reply

cdef enum:
    WIRE_RESPONSE_MAX = 2048    # bytes of one response at most

# The response of `method` (CC_OP_*). 0: the buffer is smaller than WIRE_RESPONSE_MAX, the method
# has no response here, or the reply's status is not OK and there is nothing to say.
# GET_BALANCE takes wallets and present counters from the reply's rows, limits from limit_day and
# limit_meal. GET_TRANSACTION names no terminal: use wire_encode_transaction.
cdef size_t wire_encode(
    int method, const cc_reply *reply, uint8_t *buf, size_t cap,
) noexcept nogil
# GetTransactionResponse with the key's terminal, 16 bytes zero padded; NULL: not known.
cdef size_t wire_encode_transaction(
    const cc_reply *reply, const uint8_t *terminal_name, uint8_t *buf, size_t cap,
) noexcept nogil
# AuthorizeStreamResponse: the decision, or the status as an ItemError.
cdef size_t wire_encode_stream(
    const cc_reply *reply, uint32_t terminal_seq, uint8_t *buf, size_t cap,
) noexcept nogil
# AuthorizeStreamResponse of a message that was refused before it became a command.
cdef size_t wire_encode_stream_error(
    int reason, uint32_t retry_after_ms, uint32_t terminal_seq, uint8_t *buf, size_t cap,
) noexcept nogil

# The six characters for the slip, as field 10 of a Decision and of an AuthorizeResult.
cdef uint8_t *put_auth_code(uint8_t *p, uint64_t seq) noexcept nogil

# The catalogue's number for a status (CC_ST_*) other than OK, and how long to wait; 0: do not.
cdef int wire_status_reason(int op, int status) noexcept nogil
cdef uint32_t wire_status_retry_ms(int status) noexcept nogil
