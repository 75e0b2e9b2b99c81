"""Calls of a load: what is sent, and what comes back."""

from ext.front.load_parts cimport cc_caller, cc_client, cc_load
from ext.front.nghttp2 cimport nghttp2_session_callbacks

cdef const char *path_of(int kind) noexcept nogil
cdef void submit(cc_caller *c) noexcept nogil
cdef void mark(cc_client *client) noexcept nogil
cdef void set_free(cc_caller *c) noexcept nogil
cdef bint may_ask(const cc_load *load) noexcept nogil
cdef void set_callbacks(cc_load *load, nghttp2_session_callbacks *callbacks) noexcept nogil
