/* Records what a process does to the files below a directory, for building the images that a
 * power cut could leave. Loaded with LD_PRELOAD; no part of the product.
 *
 *   CC_RECORD_ROOT  the directory        CC_RECORD_LOG  where the events go (appended)
 *
 * An event: kind u32 · flags u32 · offset u64 · length u64 · two path lengths u32 · paths · data.
 * Events of one process are in the order in which the calls returned; a sync also leaves an event
 * when it begins, since it covers only what was written before that.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC_BEGIN, SYNC_END, SYNC_FAILED, CREATE, TRUNCATE, MKDIR, RENAME, UNLINK,
       RMDIR, OUTPUT };
enum { DSYNC = 1 };
enum { SYNC_US = 300 };  /* a file system in memory would leave no time for anything meanwhile */

static const char *root;
static size_t root_len;
static int log_fd = -1;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

__attribute__((constructor)) static void start(void)
{
    const char *name = getenv("CC_RECORD_LOG");
    root = getenv("CC_RECORD_ROOT");
    if (!root || !name)
        return;
    root_len = strlen(root);
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                          0600);
    if (log_fd < 0)
        abort();
}

/* The path relative to the root, or NULL when it is not below it. */
static const char *below(const char *path, char *buffer)
{
    char folder[PATH_MAX], *name;
    if (log_fd < 0 || !path)
        return NULL;
    if (path[0] != '/') {
        if (!getcwd(folder, sizeof folder))
            return NULL;
        snprintf(buffer, PATH_MAX, "%s/%s", folder, path);
    } else
        snprintf(buffer, PATH_MAX, "%s", path);
    if (strncmp(buffer, root, root_len) || (buffer[root_len] && buffer[root_len] != '/'))
        return NULL;
    name = buffer + root_len;
    return *name ? name + 1 : name;
}

static const char *below_fd(int fd, char *buffer)
{
    char link[64];
    ssize_t n;
    if (log_fd < 0)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, buffer, PATH_MAX - 1);
    if (n < 0)
        return NULL;
    buffer[n] = 0;
    if (strncmp(buffer, root, root_len) || (buffer[root_len] && buffer[root_len] != '/'))
        return NULL;
    return buffer[root_len] ? buffer + root_len + 1 : buffer + root_len;
}

static void put(const void *data, size_t n)
{
    const char *p = data;
    while (n) {
        ssize_t done = syscall(SYS_write, log_fd, p, n);
        if (done <= 0)
            abort();
        p += done;
        n -= (size_t)done;
    }
}

static void event(uint32_t kind, uint32_t flags, uint64_t offset, const char *path,
                  const char *other, const struct iovec *part, int parts, uint64_t length)
{
    uint64_t left = length;
    struct {
        uint32_t kind, flags;
        uint64_t offset, length;
        uint32_t path_len, other_len;
    } head = {kind, flags, offset, length, (uint32_t)strlen(path),
              other ? (uint32_t)strlen(other) : 0};
    int saved = errno;
    pthread_mutex_lock(&guard);
    put(&head, sizeof head);
    put(path, head.path_len);
    if (other)
        put(other, head.other_len);
    for (int i = 0; i < parts && left; i++) {
        size_t n = part[i].iov_len < left ? part[i].iov_len : left;
        put(part[i].iov_base, n);
        left -= n;
    }
    pthread_mutex_unlock(&guard);
    errno = saved;
}

static void wrote(int fd, const struct iovec *part, int parts, off_t offset, ssize_t done)
{
    char buffer[PATH_MAX];
    const char *path;
    int flags;
    if (done <= 0 || log_fd < 0)
        return;
    if (fd == 1) {
        event(OUTPUT, 0, 0, "", NULL, part, parts, (uint64_t)done);
        return;
    }
    path = below_fd(fd, buffer);
    if (!path)
        return;
    flags = fcntl(fd, F_GETFL);
    event(WRITE, flags & O_DSYNC ? DSYNC : 0, (uint64_t)offset, path, NULL, part, parts,
          (uint64_t)done);
}

ssize_t write(int fd, const void *data, size_t n)
{
    off_t at = log_fd >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = REAL(write)(fd, data, n);
    struct iovec part = {(void *)data, n};
    wrote(fd, &part, 1, at, done);
    return done;
}

ssize_t writev(int fd, const struct iovec *part, int parts)
{
    off_t at = log_fd >= 0 ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = REAL(writev)(fd, part, parts);
    wrote(fd, part, parts, at, done);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    ssize_t done = REAL(pwrite)(fd, data, n, at);
    struct iovec part = {(void *)data, n};
    wrote(fd, &part, 1, at, done);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
    __attribute__((alias("pwrite")));

ssize_t pwritev(int fd, const struct iovec *part, int parts, off_t at)
{
    ssize_t done = REAL(pwritev)(fd, part, parts, at);
    wrote(fd, part, parts, at, done);
    return done;
}

ssize_t pwritev64(int fd, const struct iovec *part, int parts, off64_t at)
    __attribute__((alias("pwritev")));

static int synced(int fd, int (*call)(int))
{
    char buffer[PATH_MAX];
    const char *path = below_fd(fd, buffer);
    int rc;
    if (path)
        event(SYNC_BEGIN, (uint32_t)gettid(), 0, path, NULL, NULL, 0, 0);
    rc = call(fd);
    if (path) {
        usleep(SYNC_US);
        event(rc ? SYNC_FAILED : SYNC_END, (uint32_t)gettid(), 0, path, NULL, NULL, 0, 0);
    }
    return rc;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int ftruncate(int fd, off_t size)
{
    char buffer[PATH_MAX];
    const char *path = below_fd(fd, buffer);
    int rc = REAL(ftruncate)(fd, size);
    if (!rc && path)
        event(TRUNCATE, 0, (uint64_t)size, path, NULL, NULL, 0, 0);
    return rc;
}

int ftruncate64(int fd, off64_t size) __attribute__((alias("ftruncate")));

static int opened(const char *name, int folder, const char *path, int flags, mode_t mode)
{
    char buffer[PATH_MAX];
    const char *inside = folder == AT_FDCWD || path[0] == '/' ? below(path, buffer) : NULL;
    struct stat st;
    int there = inside && stat(path, &st) == 0;
    int fd = !strcmp(name, "openat") ? REAL(openat)(folder, path, flags, mode)
                                     : REAL(open)(path, flags, mode);
    if (fd >= 0 && inside && flags & O_CREAT && !there)
        event(CREATE, 0, 0, inside, NULL, NULL, 0, 0);
    else if (fd >= 0 && inside && flags & O_TRUNC && there)
        event(TRUNCATE, 0, 0, inside, NULL, NULL, 0, 0);
    return fd;
}

#define MODE(flags, last)                                      \
    mode_t mode = 0;                                           \
    if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {    \
        va_list more;                                          \
        va_start(more, last);                                  \
        mode = va_arg(more, mode_t);                           \
        va_end(more);                                          \
    }

int open(const char *path, int flags, ...)
{
    MODE(flags, flags)
    return opened("open", AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags, flags)
    return opened("open", AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    MODE(flags, flags)
    return opened("openat", folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    MODE(flags, flags)
    return opened("openat", folder, path, flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
    char buffer[PATH_MAX];
    const char *inside = below(path, buffer);
    int rc = REAL(mkdir)(path, mode);
    if (!rc && inside)
        event(MKDIR, 0, 0, inside, NULL, NULL, 0, 0);
    return rc;
}

int rename(const char *from, const char *to)
{
    char one[PATH_MAX], two[PATH_MAX];
    const char *inside = below(from, one), *target = below(to, two);
    int rc = REAL(rename)(from, to);
    if (!rc && inside && target)
        event(RENAME, 0, 0, inside, target, NULL, 0, 0);
    return rc;
}

int unlink(const char *path)
{
    char buffer[PATH_MAX];
    const char *inside = below(path, buffer);
    int rc = REAL(unlink)(path);
    if (!rc && inside)
        event(UNLINK, 0, 0, inside, NULL, NULL, 0, 0);
    return rc;
}

int rmdir(const char *path)
{
    char buffer[PATH_MAX];
    const char *inside = below(path, buffer);
    int rc = REAL(rmdir)(path);
    if (!rc && inside)
        event(RMDIR, 0, 0, inside, NULL, NULL, 0, 0);
    return rc;
}
