"""From replies to answers: messages, trailers, refusals."""

from libc.stdint cimport uint8_t, uint32_t

from ext.front.parts cimport FRONT_REASONS, cc_call, cc_conn, cc_slot, cc_status

# The connection has something to send: it is flushed before its thread sleeps.
cdef void conn_mark(cc_conn *conn) noexcept nogil

# One more call or message of a stream that was refused for this reason.
cdef inline void count_reason(cc_call *call, int reason) noexcept nogil:
    if 0 < reason < FRONT_REASONS:
        call.io.reason[reason] += 1


# Ends the call with a refusal, after what it was answered before.
cdef void call_refuse(cc_call *call, const cc_status *status) noexcept nogil
# The same by a reason alone; retry 0: as the catalogue says.
cdef void call_refuse_for(cc_call *call, int reason, uint32_t retry_after_ms) noexcept nogil
# Ends a call of Python's after what it said: NULL well, else so. The status is the call's then.
cdef void call_finish(cc_call *call, cc_status *own) noexcept nogil
# Ends a call that is no gRPC, by HTTP's own status.
cdef void call_refuse_http(cc_call *call, const char *status) noexcept nogil
# One of a call's responses; False: it has no place, or nobody waits, and the call has ended.
cdef bint call_say(cc_call *call, const uint8_t *message, size_t length) noexcept nogil
# The one response of a call, then its end.
cdef void call_respond(cc_call *call, const uint8_t *message, size_t length) noexcept nogil
# A command has been decided.
cdef void slot_arrived(cc_slot *slot) noexcept nogil
# Puts a stream's answers that are next behind those not sent yet; ends it when it is through.
cdef void stream_answers(cc_call *call) noexcept nogil
# All items of a batch are decided, or refused.
cdef void batch_arrived(cc_call *call) noexcept nogil
# grpc-status and what goes with it, behind the last message.
cdef void call_trailers(cc_call *call) noexcept nogil
# The stream has ended, however it did: nothing more is said.
cdef void call_gone(cc_call *call) noexcept nogil
