"""The front end's Python face; its memory and threads."""

from ext.engine cimport Engine
from ext.front.parts cimport cc_front


cdef class Front:
    cdef cc_front *f
    cdef Engine engine           # outlives what this has asked of it
    cdef list paths              # their bytes
    cdef list threads
    cdef object socket
    cdef list contexts           # of TLS, by address: what connections may still use
    cdef bint closed

    cdef int _open(self) except -1
    cdef int _methods(self, list methods) except -1
