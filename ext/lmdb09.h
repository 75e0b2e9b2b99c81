/* The part of LMDB 0.9's interface that we use, reached through a table of pointers.
 *
 * The library is the one inside the `lmdb` wheel, which exports its 0.9 engine as mdb09_NAME.
 * The types repeat LMDB's own; the numbers are part of its interface and of its data format.
 */
#ifndef CC_LMDB09_H
#define CC_LMDB09_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

typedef struct MDB_env MDB_env;
typedef struct MDB_txn MDB_txn;
typedef struct MDB_cursor MDB_cursor;
typedef unsigned int MDB_dbi;
typedef struct { size_t mv_size; void *mv_data; } MDB_val;
typedef struct {
    unsigned int ms_psize, ms_depth;
    size_t ms_branch_pages, ms_leaf_pages, ms_overflow_pages, ms_entries;
} MDB_stat;
typedef struct {
    void *me_mapaddr;
    size_t me_mapsize, me_last_pgno, me_last_txnid;
    unsigned int me_maxreaders, me_numreaders;
} MDB_envinfo;
typedef void mdb09_assert_func(MDB_env *env, const char *message);

enum { MDB_NOSYNC = 0x10000, MDB_RDONLY = 0x20000, MDB_NOMETASYNC = 0x40000,
       MDB_WRITEMAP = 0x80000, MDB_MAPASYNC = 0x100000, MDB_NOTLS = 0x200000,
       MDB_NOLOCK = 0x400000, MDB_NORDAHEAD = 0x800000, MDB_NOMEMINIT = 0x1000000 };
enum { MDB_INTEGERKEY = 0x08, MDB_CREATE = 0x40000 };
enum { MDB_NOOVERWRITE = 0x10, MDB_RESERVE = 0x10000, MDB_APPEND = 0x20000 };
enum { MDB_FIRST = 0, MDB_LAST = 6, MDB_NEXT = 8, MDB_PREV = 12, MDB_SET = 15,
       MDB_SET_RANGE = 17 };
enum { MDB_SUCCESS = 0, MDB_KEYEXIST = -30799, MDB_NOTFOUND = -30798, MDB_CORRUPTED = -30796,
       MDB_PANIC = -30795, MDB_VERSION_MISMATCH = -30794, MDB_INVALID = -30793,
       MDB_MAP_FULL = -30792 };

#define MDB09_FUNCTIONS(F)                                                                  \
    F(char *, version, (int *major, int *minor, int *patch))                                \
    F(char *, strerror, (int rc))                                                           \
    F(int, env_create, (MDB_env **env))                                                     \
    F(int, env_open, (MDB_env *env, const char *path, unsigned int flags, mode_t mode))     \
    F(void, env_close, (MDB_env *env))                                                      \
    F(int, env_sync, (MDB_env *env, int force))                                             \
    F(int, env_stat, (MDB_env *env, MDB_stat *stat))                                        \
    F(int, env_info, (MDB_env *env, MDB_envinfo *info))                                     \
    F(int, env_set_flags, (MDB_env *env, unsigned int flags, int onoff))                    \
    F(int, env_get_flags, (MDB_env *env, unsigned int *flags))                              \
    F(int, env_set_mapsize, (MDB_env *env, size_t size))                                    \
    F(int, env_set_maxreaders, (MDB_env *env, unsigned int readers))                        \
    F(int, env_set_maxdbs, (MDB_env *env, MDB_dbi dbs))                                     \
    F(int, env_set_assert, (MDB_env *env, mdb09_assert_func *func))                         \
    F(int, reader_check, (MDB_env *env, int *dead))                                         \
    F(int, txn_begin, (MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn))   \
    F(int, txn_commit, (MDB_txn *txn))                                                      \
    F(void, txn_abort, (MDB_txn *txn))                                                      \
    F(void, txn_reset, (MDB_txn *txn))                                                      \
    F(int, txn_renew, (MDB_txn *txn))                                                       \
    F(size_t, txn_id, (MDB_txn *txn))                                                       \
    F(int, dbi_open, (MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi))    \
    F(int, dbi_flags, (MDB_txn *txn, MDB_dbi dbi, unsigned int *flags))                     \
    F(int, stat, (MDB_txn *txn, MDB_dbi dbi, MDB_stat *stat))                               \
    F(int, drop, (MDB_txn *txn, MDB_dbi dbi, int remove))                                      \
    F(int, get, (MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data))                   \
    F(int, put, (MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags))   \
    F(int, del, (MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data))                   \
    F(int, cursor_open, (MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor))                   \
    F(void, cursor_close, (MDB_cursor *cursor))                                             \
    F(int, cursor_renew, (MDB_txn *txn, MDB_cursor *cursor))                                \
    F(int, cursor_get, (MDB_cursor *cursor, MDB_val *key, MDB_val *data, int op))           \
    F(int, cursor_put, (MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned flags))

typedef struct {
#define MDB09_FIELD(result, name, arguments) result (*name) arguments;
    MDB09_FUNCTIONS(MDB09_FIELD)
#undef MDB09_FIELD
} mdb09_api;

/* Fills the table from an open library; returns the first name it lacks, or NULL. */
static inline const char *mdb09_resolve(void *library, mdb09_api *api)
{
#define MDB09_LOAD(result, name, arguments)               \
    *(void **)&api->name = dlsym(library, "mdb09_" #name); \
    if (!api->name)                                        \
        return "mdb09_" #name;
    MDB09_FUNCTIONS(MDB09_LOAD)
#undef MDB09_LOAD
    return NULL;
}

#endif
