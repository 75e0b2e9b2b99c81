"""Opening an engine: options, directory, key, recovery, the first block; and closing it."""

from ext.answers cimport Answers
from ext.shared cimport cc_shared


cdef class Opened:
    """What an open directory is, beside the shared memory."""

    cdef int lock                # the directory's, its descriptor
    cdef readonly bint test
    cdef readonly bytes identity  # the file of this name
    cdef Answers answers
    cdef readonly object recovered


cdef Opened engine_open(cc_shared *s, str data_dir, str key_file, dict options)
cdef int engine_close(cc_shared *s, Opened opened) except -1
