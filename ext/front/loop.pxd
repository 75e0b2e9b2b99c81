"""The loop of one front-end thread."""

from ext.front.parts cimport cc_io

# Runs until the front is stopped and the engine has let go of everything this thread asked.
cdef void io_run(cc_io *io) noexcept nogil
