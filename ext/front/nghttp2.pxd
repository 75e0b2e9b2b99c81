"""Names of <nghttp2/nghttp2.h>: HTTP/2's framing, HPACK, flow control and stream states."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <nghttp2/nghttp2.h>
    """
    enum:
        NGHTTP2_NV_FLAG_NONE
        NGHTTP2_NV_FLAG_NO_COPY_NAME
        NGHTTP2_NV_FLAG_NO_COPY_VALUE
        NGHTTP2_DATA_FLAG_EOF
        NGHTTP2_DATA_FLAG_NO_END_STREAM
        NGHTTP2_FLAG_NONE
        NGHTTP2_FLAG_END_STREAM
        NGHTTP2_FLAG_END_HEADERS
        NGHTTP2_ERR_CALLBACK_FAILURE
        NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
        NGHTTP2_ERR_DEFERRED
        NGHTTP2_NO_ERROR
        NGHTTP2_INTERNAL_ERROR
        NGHTTP2_CANCEL
        NGHTTP2_REFUSED_STREAM
        NGHTTP2_ENHANCE_YOUR_CALM
        NGHTTP2_DATA
        NGHTTP2_HEADERS
        NGHTTP2_RST_STREAM
        NGHTTP2_SETTINGS
        NGHTTP2_PING
        NGHTTP2_GOAWAY
        NGHTTP2_FLAG_ACK
        NGHTTP2_WINDOW_UPDATE
        NGHTTP2_HCAT_REQUEST
        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
        NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
        NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
        NGHTTP2_HD_INFLATE_EMIT
        NGHTTP2_HD_INFLATE_FINAL

    ctypedef struct nghttp2_session
    ctypedef struct nghttp2_session_callbacks
    ctypedef struct nghttp2_option
    ctypedef struct nghttp2_hd_inflater

    ctypedef struct nghttp2_mem:
        void *mem_user_data
        void *(*malloc)(size_t size, void *user) noexcept nogil
        void (*free)(void *at, void *user) noexcept nogil
        void *(*calloc)(size_t count, size_t size, void *user) noexcept nogil
        void *(*realloc)(void *at, size_t size, void *user) noexcept nogil

    ctypedef struct nghttp2_nv:
        uint8_t *name
        uint8_t *value
        size_t namelen
        size_t valuelen
        uint8_t flags

    ctypedef struct nghttp2_settings_entry:
        int32_t settings_id
        uint32_t value

    ctypedef struct nghttp2_frame_hd:
        size_t length
        int32_t stream_id
        uint8_t type
        uint8_t flags

    ctypedef struct nghttp2_headers:
        int cat

    ctypedef struct nghttp2_ping:
        uint8_t opaque_data[8]

    ctypedef union nghttp2_frame:
        nghttp2_frame_hd hd
        nghttp2_ping ping
        nghttp2_headers headers

    ctypedef union nghttp2_data_source:
        int fd
        void *ptr

    ctypedef long (*nghttp2_data_source_read_callback)(
        nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length,
        uint32_t *data_flags, nghttp2_data_source *source, void *user_data,
    ) noexcept nogil

    ctypedef struct nghttp2_data_provider:
        nghttp2_data_source source
        nghttp2_data_source_read_callback read_callback

    ctypedef int (*nghttp2_on_frame_callback)(
        nghttp2_session *session, const nghttp2_frame *frame, void *user_data,
    ) noexcept nogil
    ctypedef int (*nghttp2_on_begin_frame_callback)(
        nghttp2_session *session, const nghttp2_frame_hd *hd, void *user_data,
    ) noexcept nogil
    ctypedef int (*nghttp2_on_header_callback)(
        nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
        size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags, void *user_data,
    ) noexcept nogil
    ctypedef int (*nghttp2_on_data_chunk_recv_callback)(
        nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
        size_t len, void *user_data,
    ) noexcept nogil
    ctypedef int (*nghttp2_on_stream_close_callback)(
        nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user_data,
    ) noexcept nogil

    int nghttp2_session_callbacks_new(nghttp2_session_callbacks **out) nogil
    void nghttp2_session_callbacks_del(nghttp2_session_callbacks *c) nogil
    void nghttp2_session_callbacks_set_on_begin_frame_callback(
        nghttp2_session_callbacks *c, nghttp2_on_begin_frame_callback f) nogil
    void nghttp2_session_callbacks_set_on_begin_headers_callback(
        nghttp2_session_callbacks *c, nghttp2_on_frame_callback f) nogil
    void nghttp2_session_callbacks_set_on_header_callback(
        nghttp2_session_callbacks *c, nghttp2_on_header_callback f) nogil
    void nghttp2_session_callbacks_set_on_frame_recv_callback(
        nghttp2_session_callbacks *c, nghttp2_on_frame_callback f) nogil
    void nghttp2_session_callbacks_set_on_frame_send_callback(
        nghttp2_session_callbacks *c, nghttp2_on_frame_callback f) nogil
    void nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        nghttp2_session_callbacks *c, nghttp2_on_data_chunk_recv_callback f) nogil
    void nghttp2_session_callbacks_set_on_stream_close_callback(
        nghttp2_session_callbacks *c, nghttp2_on_stream_close_callback f) nogil

    int nghttp2_option_new(nghttp2_option **out) nogil
    void nghttp2_option_del(nghttp2_option *o) nogil
    void nghttp2_option_set_no_auto_window_update(nghttp2_option *o, int value) nogil
    void nghttp2_option_set_no_closed_streams(nghttp2_option *o, int value) nogil
    void nghttp2_option_set_max_outbound_ack(nghttp2_option *o, size_t value) nogil
    void nghttp2_option_set_max_settings(nghttp2_option *o, size_t value) nogil

    int nghttp2_session_client_new2(
        nghttp2_session **out, const nghttp2_session_callbacks *c, void *user_data,
        const nghttp2_option *o) nogil
    int32_t nghttp2_submit_request(
        nghttp2_session *s, const void *priority, const nghttp2_nv *nva, size_t n,
        const nghttp2_data_provider *provider, void *stream_user_data) nogil
    int nghttp2_session_server_new3(
        nghttp2_session **out, const nghttp2_session_callbacks *c, void *user_data,
        const nghttp2_option *o, nghttp2_mem *mem) nogil
    void nghttp2_session_del(nghttp2_session *s) nogil
    long nghttp2_session_mem_recv(nghttp2_session *s, const uint8_t *data, size_t length) nogil
    long nghttp2_session_mem_send(nghttp2_session *s, const uint8_t **data) nogil
    int nghttp2_session_want_read(nghttp2_session *s) nogil
    int nghttp2_session_want_write(nghttp2_session *s) nogil
    int nghttp2_session_consume_connection(nghttp2_session *s, size_t size) nogil
    int nghttp2_session_consume_stream(nghttp2_session *s, int32_t stream_id, size_t size) nogil
    int nghttp2_session_set_stream_user_data(
        nghttp2_session *s, int32_t stream_id, void *data) nogil
    void *nghttp2_session_get_stream_user_data(nghttp2_session *s, int32_t stream_id) nogil
    int nghttp2_session_get_stream_remote_close(nghttp2_session *s, int32_t stream_id) nogil
    int nghttp2_session_set_local_window_size(
        nghttp2_session *s, uint8_t flags, int32_t stream_id, int32_t size) nogil
    int nghttp2_session_resume_data(nghttp2_session *s, int32_t stream_id) nogil
    int32_t nghttp2_session_get_last_proc_stream_id(nghttp2_session *s) nogil
    int nghttp2_session_terminate_session(nghttp2_session *s, uint32_t error) nogil
    int nghttp2_submit_settings(
        nghttp2_session *s, uint8_t flags, const nghttp2_settings_entry *iv, size_t n) nogil
    int nghttp2_submit_response(
        nghttp2_session *s, int32_t stream_id, const nghttp2_nv *nva, size_t n,
        const nghttp2_data_provider *provider) nogil
    int nghttp2_submit_trailer(
        nghttp2_session *s, int32_t stream_id, const nghttp2_nv *nva, size_t n) nogil
    int nghttp2_submit_rst_stream(
        nghttp2_session *s, uint8_t flags, int32_t stream_id, uint32_t error) nogil
    int nghttp2_submit_ping(nghttp2_session *s, uint8_t flags, const uint8_t *opaque) nogil
    int nghttp2_submit_shutdown_notice(nghttp2_session *s) nogil
    int nghttp2_submit_goaway(
        nghttp2_session *s, uint8_t flags, int32_t last_stream_id, uint32_t error,
        const uint8_t *opaque, size_t length) nogil

    int nghttp2_hd_inflate_new(nghttp2_hd_inflater **out) nogil
    void nghttp2_hd_inflate_del(nghttp2_hd_inflater *i) nogil
    long nghttp2_hd_inflate_hd2(
        nghttp2_hd_inflater *i, nghttp2_nv *out, int *flags, const uint8_t *at, size_t length,
        int is_last) nogil
    int nghttp2_hd_inflate_end_headers(nghttp2_hd_inflater *i) nogil
