/* Stands between a program and its system, and makes the disk slow or full and the clock wrong, as a
 * file says that the program's tests write to while it runs. Loaded by LD_PRELOAD; the variables
 * MEDDLING_ORDERS and MEDDLING_FOLDER name that file, and the folder that lies on the bad disk.
 *
 * The system is called directly, so that nothing here depends on the order in which libraries are
 * made ready. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The same order as in tests/src/meddling.rs. */
struct orders {
    _Atomic int64_t slow_us;  /* what is brought to the disk takes so much longer */
    _Atomic int64_t full;     /* nothing more fits on it */
    _Atomic int64_t ahead_ms; /* the clock is so far ahead */
    _Atomic int64_t slowed;   /* how often each was met with */
    _Atomic int64_t refused;
    _Atomic int64_t misled;
};

static struct orders *orders;
static char folder[PATH_MAX];
static size_t folder_length;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("MEDDLING_ORDERS"), *data = getenv("MEDDLING_FOLDER");
    if (!file || !data || strlen(data) >= sizeof folder) return;
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *found = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (found == MAP_FAILED) return;
    folder_length = strlen(data);
    memcpy(folder, data, folder_length);
    orders = found;
}

/* Whether a file lies on the bad disk. */
static int is_ours(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    return length > (ssize_t)folder_length && memcmp(path, folder, folder_length) == 0 &&
           path[folder_length] == '/';
}

static void wait_for_the_disk(int fd) {
    int64_t slow_us = orders ? atomic_load(&orders->slow_us) : 0;
    if (slow_us <= 0 || !is_ours(fd)) return;
    atomic_fetch_add(&orders->slowed, 1);
    struct timespec wait = {slow_us / 1000000, slow_us % 1000000 * 1000};
    syscall(SYS_nanosleep, &wait, NULL);
}

static int is_refused(int fd) {
    if (!orders || !atomic_load(&orders->full) || !is_ours(fd)) return 0;
    atomic_fetch_add(&orders->refused, 1);
    errno = ENOSPC;
    return 1;
}

int fsync(int fd) {
    wait_for_the_disk(fd);
    return syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    wait_for_the_disk(fd);
    return syscall(SYS_fdatasync, fd);
}

int sync_file_range(int fd, off64_t from, off64_t bytes, unsigned flags) {
    wait_for_the_disk(fd);
    return syscall(SYS_sync_file_range, fd, from, bytes, flags);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    return is_refused(fd) ? -1 : syscall(SYS_write, fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    return is_refused(fd) ? -1 : syscall(SYS_writev, fd, pieces, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return is_refused(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return pwrite64(fd, bytes, count, at);
}

int fallocate64(int fd, int mode, off64_t from, off64_t bytes) {
    return is_refused(fd) ? -1 : syscall(SYS_fallocate, fd, mode, from, bytes);
}

int fallocate(int fd, int mode, off_t from, off_t bytes) {
    return fallocate64(fd, mode, from, bytes);
}

static int64_t ahead_ms(void) {
    int64_t ahead = orders ? atomic_load(&orders->ahead_ms) : 0;
    if (ahead) atomic_fetch_add(&orders->misled, 1);
    return ahead;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return failed;
    int64_t nanoseconds = time->tv_nsec + ahead_ms() * 1000000;
    time->tv_sec += nanoseconds / 1000000000;
    time->tv_nsec = nanoseconds % 1000000000;
    if (time->tv_nsec < 0) {
        time->tv_nsec += 1000000000;
        time->tv_sec -= 1;
    }
    return 0;
}

int gettimeofday(struct timeval *time, void *zone) {
    (void)zone;
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    time->tv_sec = exact.tv_sec;
    time->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *to) {
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    if (to) *to = exact.tv_sec;
    return exact.tv_sec;
}
