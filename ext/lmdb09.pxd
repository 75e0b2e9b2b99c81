"""Names of ext/lmdb09.h: the LMDB 0.9 of the `lmdb` wheel, usable without the GIL.

`mdb` is filled when ext.lmdb09 is imported: mdb.txn_begin(env, NULL, 0, &txn).
"""

from posix.types cimport mode_t

cdef extern from "lmdb09.h" nogil:
    ctypedef struct MDB_env:
        pass
    ctypedef struct MDB_txn:
        pass
    ctypedef struct MDB_cursor:
        pass
    ctypedef unsigned int MDB_dbi
    ctypedef struct MDB_val:
        size_t mv_size
        void *mv_data
    ctypedef struct MDB_stat:
        unsigned int ms_psize, ms_depth
        size_t ms_branch_pages, ms_leaf_pages, ms_overflow_pages, ms_entries
    ctypedef struct MDB_envinfo:
        void *me_mapaddr
        size_t me_mapsize, me_last_pgno, me_last_txnid
        unsigned int me_maxreaders, me_numreaders
    ctypedef void mdb09_assert_func(MDB_env *env, const char *message) noexcept

    enum:
        MDB_NOSYNC
        MDB_RDONLY
        MDB_NOMETASYNC
        MDB_WRITEMAP
        MDB_MAPASYNC
        MDB_NOTLS
        MDB_NOLOCK
        MDB_NORDAHEAD
        MDB_NOMEMINIT

    enum:
        MDB_INTEGERKEY
        MDB_CREATE

    enum:
        MDB_NOOVERWRITE
        MDB_RESERVE
        MDB_APPEND

    enum:
        MDB_FIRST
        MDB_LAST
        MDB_NEXT
        MDB_PREV
        MDB_SET
        MDB_SET_RANGE

    enum:
        MDB_SUCCESS
        MDB_KEYEXIST
        MDB_NOTFOUND
        MDB_CORRUPTED
        MDB_PANIC
        MDB_VERSION_MISMATCH
        MDB_INVALID
        MDB_MAP_FULL

    ctypedef struct mdb09_api:
        char *(*version)(int *major, int *minor, int *patch) noexcept nogil
        char *(*strerror)(int rc) noexcept nogil
        int (*env_create)(MDB_env **env) noexcept nogil
        int (*env_open)(
            MDB_env *env, const char *path, unsigned int flags, mode_t mode) noexcept nogil
        void (*env_close)(MDB_env *env) noexcept nogil
        int (*env_sync)(MDB_env *env, int force) noexcept nogil
        int (*env_stat)(MDB_env *env, MDB_stat *stat) noexcept nogil
        int (*env_info)(MDB_env *env, MDB_envinfo *info) noexcept nogil
        int (*env_set_flags)(MDB_env *env, unsigned int flags, int onoff) noexcept nogil
        int (*env_get_flags)(MDB_env *env, unsigned int *flags) noexcept nogil
        int (*env_set_mapsize)(MDB_env *env, size_t size) noexcept nogil
        int (*env_set_maxreaders)(MDB_env *env, unsigned int readers) noexcept nogil
        int (*env_set_maxdbs)(MDB_env *env, MDB_dbi dbs) noexcept nogil
        int (*env_set_assert)(MDB_env *env, mdb09_assert_func *func) noexcept nogil
        int (*reader_check)(MDB_env *env, int *dead) noexcept nogil
        int (*txn_begin)(
            MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn) noexcept nogil
        int (*txn_commit)(MDB_txn *txn) noexcept nogil
        void (*txn_abort)(MDB_txn *txn) noexcept nogil
        void (*txn_reset)(MDB_txn *txn) noexcept nogil
        int (*txn_renew)(MDB_txn *txn) noexcept nogil
        size_t (*txn_id)(MDB_txn *txn) noexcept nogil
        int (*dbi_open)(
            MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi) noexcept nogil
        int (*dbi_flags)(MDB_txn *txn, MDB_dbi dbi, unsigned int *flags) noexcept nogil
        int (*stat)(MDB_txn *txn, MDB_dbi dbi, MDB_stat *stat) noexcept nogil
        int (*drop)(MDB_txn *txn, MDB_dbi dbi, int remove) noexcept nogil
        int (*get)(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data) noexcept nogil
        int (*put)(
            MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags,
        ) noexcept nogil
        int (*remove "del")(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data) noexcept nogil
        int (*cursor_open)(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor) noexcept nogil
        void (*cursor_close)(MDB_cursor *cursor) noexcept nogil
        int (*cursor_renew)(MDB_txn *txn, MDB_cursor *cursor) noexcept nogil
        int (*cursor_get)(MDB_cursor *cursor, MDB_val *key, MDB_val *data, int op) noexcept nogil
        int (*cursor_put)(
            MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned int flags) noexcept nogil

    const char *mdb09_resolve(void *library, mdb09_api *api) noexcept

cdef mdb09_api mdb
