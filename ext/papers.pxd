"""Office commands: a document and up to eight effects, from Python into the queue's memory."""

from libc.stdint cimport uint32_t, uint64_t

from ext.commands cimport cc_command, cc_effect


cdef class Effect:
    cdef cc_effect effect


cdef int papers_fill(
    cc_command *c, bytes payload, list effects, bytes request_id, uint64_t fingerprint,
    uint32_t document_kind, uint32_t actor, uint32_t pin_account, str pin,
) except -1
cdef void papers_forget(cc_command *c) noexcept
