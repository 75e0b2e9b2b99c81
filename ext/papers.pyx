"""Office commands: a document and up to eight effects, from Python into the queue's memory."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from ext.commands cimport (
    CC_CF_HAS_PIN, CC_EF_ADJUST, CC_EF_NONE, CC_EF_SETTLE, CC_EF_SUBSIDY, CC_EF_TOP_UP,
    CC_OP_OFFICE, CC_PIN_MAX, cc_command, cc_effect,
)
from ext.digest cimport wipe
from ext.errors import Malformed
from ext.records cimport CC_EFFECTS_MAX, CC_PAYLOAD_MAX

REQUEST_ID_BYTES = 16
BODY_BYTES = 56


cdef int copy_pin(str pin, uint8_t *into) except -1:
    """Digits into the command; how many."""
    cdef bytes digits = pin.encode()
    if len(digits) > CC_PIN_MAX or (digits and not digits.isdigit()):
        raise Malformed("FIELD_INVALID", "pin", f"at most {CC_PIN_MAX} digits")
    memcpy(into, <const char *>digits, len(digits))
    return len(digits)


cdef class Effect:
    """One effect of an office command; see ext/commands.h cc_effect."""

    def __cinit__(
        self,
        uint8_t kind,
        *,
        uint32_t row=0,
        uint32_t link=0,
        uint8_t event=0,
        uint8_t expect=0,
        uint8_t expect_status=0,
        uint8_t expect_flags=0,
        uint64_t expect_last_seq=0,
        uint32_t due_s=0,
        uint16_t mask=0,
        uint64_t scheduled_seq=0,
        uint64_t hold_seq=0,
        int64_t amount_fen=0,
        uint8_t debit_wallet=0,
        uint8_t credit_wallet=0,
        bytes body=b"",
        str pin="",
    ):
        cdef cc_effect *e = &self.effect
        memset(e, 0, sizeof(cc_effect))
        if not CC_EF_NONE < kind <= CC_EF_SETTLE:
            raise Malformed("FIELD_INVALID", "kind", "no such effect")
        if len(body) > BODY_BYTES:
            raise Malformed("FIELD_INVALID", "body", f"at most {BODY_BYTES} bytes")
        e.kind, e.row, e.link, e.event = kind, row, link, event
        e.expect, e.expect_status, e.expect_flags = expect, expect_status, expect_flags
        e.expect_last_seq, e.amount = expect_last_seq, amount_fen
        e.due_s, e.mask = due_s, mask
        e.scheduled_seq, e.hold_seq = scheduled_seq, hold_seq
        if kind == CC_EF_TOP_UP or kind == CC_EF_SUBSIDY or kind == CC_EF_ADJUST:
            e.event, e.spare = debit_wallet, credit_wallet
        memcpy(e.body, <const char *>body, len(body))
        e.pin_len = <uint8_t>copy_pin(pin, e.pin)

    def __dealloc__(self):
        wipe(&self.effect, sizeof(cc_effect))


cdef int papers_fill(
    cc_command *c, bytes payload, list effects, bytes request_id, uint64_t fingerprint,
    uint32_t document_kind, uint32_t actor, uint32_t pin_account, str pin,
) except -1:
    """Make an office command. What it allocates is the sequencer's; on an exception nobody's."""
    cdef Effect effect
    cdef Py_ssize_t i
    if len(request_id) != REQUEST_ID_BYTES:
        raise Malformed("FIELD_INVALID", "request_id", f"{REQUEST_ID_BYTES} bytes")
    if len(payload) > CC_PAYLOAD_MAX:
        raise Malformed("MESSAGE_TOO_LARGE", "payload", f"at most {CC_PAYLOAD_MAX} bytes")
    if len(effects) > CC_EFFECTS_MAX:
        raise Malformed("FIELD_INVALID", "effects", f"at most {CC_EFFECTS_MAX}")
    if document_kind > 0xFFFF:
        raise Malformed("FIELD_INVALID", "document_kind", "at most 65535")
    for item in effects:
        if not isinstance(item, Effect):
            raise TypeError("an effect is an Effect")
    memset(c, 0, sizeof(cc_command))
    c.op = CC_OP_OFFICE
    c.pin_len = <uint8_t>copy_pin(pin, c.pin)
    c.flags = CC_CF_HAS_PIN if c.pin_len != 0 else 0
    c.account, c.fingerprint, c.actor = pin_account, fingerprint, actor
    c.document_kind = <uint16_t>document_kind
    memcpy(c.request_id, <const char *>request_id, REQUEST_ID_BYTES)
    c.payload_len = <uint32_t>len(payload)
    c.effects = <uint8_t>len(effects)
    # One byte at least, so that NULL always means that there was no memory.
    c.payload = <uint8_t *>malloc(c.payload_len + 1)
    c.effect = <cc_effect *>calloc(len(effects) + 1, sizeof(cc_effect))
    if c.payload == NULL or c.effect == NULL:
        papers_forget(c)
        raise MemoryError
    memcpy(c.payload, <const char *>payload, c.payload_len)
    for i in range(len(effects)):
        effect = <Effect>effects[i]
        c.effect[i] = effect.effect
    return 0


cdef void papers_forget(cc_command *c) noexcept:
    """Give back what papers_fill allocated, of a command that did not reach the queue."""
    if c.effect != NULL:
        wipe(c.effect, c.effects * sizeof(cc_effect))
    free(c.effect)
    free(c.payload)
    wipe(c, sizeof(cc_command))
