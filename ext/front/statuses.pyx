"""The index of made statuses: threads read it without a lock, the GIL guards its growing."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from ext.atomics cimport cas_pointer, load_pointer
from ext.front.parts cimport FRONT_STATUSES, cc_front, cc_status
from ext.reasons cimport CC_R_INTERNAL, CC_R_MESSAGE_TOO_LARGE, cc_reason_text_of
from ext.wire_decode cimport cc_wire_error

cdef enum:
    PROBES = 64          # a fuller neighbourhood gets no more: the plain reason is sent


cdef int statuses_open(cc_front *front, object make) except -1:
    cdef cc_status wanted
    Py_INCREF(make)
    front.maker = <PyObject *>make
    wanted.parent = wanted.field = wanted.detail = NULL
    wanted.reason, wanted.retry_after_ms = CC_R_INTERNAL, 0
    front.failed = made(front, &wanted, "")
    return 0


cdef void statuses_close(cc_front *front) noexcept:
    cdef uint32_t i
    cdef cc_status *status
    for i in range(FRONT_STATUSES):
        status = <cc_status *>front.status[i]
        if status != NULL and status != front.failed:
            status_forget(status)
    if front.failed != NULL:
        status_forget(<cc_status *>front.failed)
    if front.maker != NULL:
        Py_DECREF(<object>front.maker)


cdef void status_forget(cc_status *status) noexcept nogil:
    free(<void *>status.message)
    free(<void *>status.details)
    free(status)


cdef const char *copied(bytes text) except NULL:
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    cdef char *at = <char *>malloc(<size_t>length + 1)
    if at == NULL:
        raise MemoryError
    memcpy(at, PyBytes_AS_STRING(text), <size_t>length + 1)
    return at


cdef const cc_status *made(cc_front *front, const cc_status *wanted, str path) except NULL:
    """Ask Python for the parts of a status and keep them."""
    cdef cc_status *status = <cc_status *>calloc(1, sizeof(cc_status))
    cdef str detail = ""
    if status == NULL:
        raise MemoryError
    status[0] = wanted[0]
    status.message, status.details = NULL, NULL
    try:
        if wanted.detail != NULL and wanted.field != NULL:
            detail = (<const char *>wanted.detail).decode("ascii")
        name = cc_reason_text_of(<unsigned>wanted.reason).name.decode("ascii")
        allowed = <uint32_t><size_t>wanted.detail if wanted.reason == CC_R_MESSAGE_TOO_LARGE else 0
        code, message, details = (<object>front.maker)(
            name, path, detail, wanted.retry_after_ms, allowed)
        status.code = code
        status.message, status.message_length = copied(message), len(message)
        status.details, status.details_length = copied(details), len(details)
    except BaseException:
        status_forget(status)
        raise
    return status


cdef inline uint64_t mixed(uint64_t value) noexcept nogil:
    value ^= value >> 33
    value *= <uint64_t>0xFF51AFD7ED558CCD
    return value ^ (value >> 29)


cdef inline uint32_t place_of(const cc_status *wanted) noexcept nogil:
    cdef uint64_t value = mixed(<uint64_t><size_t>wanted.field)
    value = mixed(value ^ <uint64_t><size_t>wanted.detail)
    value = mixed(value ^ <uint64_t><size_t>wanted.parent)
    value = mixed(value ^ (<uint64_t>wanted.reason << 32 | wanted.retry_after_ms))
    return <uint32_t>(value % FRONT_STATUSES)


cdef inline bint same(const cc_status *a, const cc_status *b) noexcept nogil:
    return (
        a.reason == b.reason and a.retry_after_ms == b.retry_after_ms and a.field == b.field
        and a.detail == b.detail and a.parent == b.parent
    )


cdef const cc_status *kept(cc_front *front, const cc_status *wanted, uint32_t at) noexcept with gil:
    """Make a status and publish it; another thread may have done so meanwhile."""
    cdef const cc_status *status
    cdef void *empty
    cdef uint32_t i
    cdef str path = ""
    for i in range(PROBES):
        status = <const cc_status *>load_pointer(&front.status[(at + i) % FRONT_STATUSES])
        if status == NULL:
            break
        if same(status, wanted):
            return status
    else:
        return front.failed
    try:
        if wanted.field != NULL:
            path = (<const char *>wanted.field).decode("ascii")
            if (<const char *>wanted.parent)[0]:
                path = (<const char *>wanted.parent).decode("ascii") + "." + path
        status = made(front, wanted, path)
    except Exception:
        # Whoever makes statuses cannot: the caller is told so, the thread goes on.
        return front.failed
    empty = NULL
    # Only holders of the GIL write here, so the place is still empty.
    cas_pointer(&front.status[(at + i) % FRONT_STATUSES], &empty, <void *>status)
    return status


cdef const cc_status *found(cc_front *front, const cc_status *wanted) noexcept nogil:
    cdef uint32_t at = place_of(wanted), i
    cdef const cc_status *status
    for i in range(PROBES):
        status = <const cc_status *>load_pointer(&front.status[(at + i) % FRONT_STATUSES])
        if status == NULL:
            break
        if same(status, wanted):
            return status
    return kept(front, wanted, at)


cdef const cc_status *status_of(
    cc_front *front, int reason, uint32_t retry_after_ms,
) noexcept nogil:
    cdef cc_status wanted
    wanted.parent = wanted.field = wanted.detail = NULL
    wanted.reason, wanted.retry_after_ms = reason, retry_after_ms
    return found(front, &wanted)


cdef const cc_status *status_of_field(
    cc_front *front, const cc_wire_error *err,
) noexcept nogil:
    cdef cc_status wanted
    if err.field[0] == 0:
        return status_of(front, err.reason, 0)
    wanted.parent, wanted.field, wanted.detail = err.parent, err.field, err.detail
    wanted.reason, wanted.retry_after_ms = err.reason, 0
    return found(front, &wanted)


cdef const cc_status *status_of_size(cc_front *front, uint32_t allowed) noexcept nogil:
    cdef cc_status wanted
    wanted.parent = wanted.field = NULL
    wanted.detail = <const void *><size_t>allowed
    wanted.reason, wanted.retry_after_ms = CC_R_MESSAGE_TOO_LARGE, 0
    return found(front, &wanted)
