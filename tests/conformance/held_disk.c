/* Preloaded into a server: while the file named by HELD exists, no sync of the journal returns. The
 * file beside it, `.stuck`, says that one waits. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_journal(int fd)
{
    char link[64], path[4096];
    ssize_t n;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    path[n < 0 ? 0 : n] = 0;
    return strstr(path, "/journal/") != NULL;
}

static void wait_while_held(void)
{
    const char *held = getenv("HELD");
    char stuck[4096];
    snprintf(stuck, sizeof(stuck), "%s.stuck", held);
    while (access(held, F_OK) == 0) {
        int fd = open(stuck, O_CREAT | O_WRONLY, 0600);
        if (fd >= 0)
            close(fd);
        usleep(1000);
    }
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (is_journal(fd))
        wait_while_held();
    return real(fd);
}
