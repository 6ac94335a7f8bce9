// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Records what a process does to the files of one folder, and lets chosen calls fail. Preloaded (LD_PRELOAD) into the
// child programs of the power-loss tests; never part of anything that is shipped.
//
//   POWER_SHIM_DIR  the folder; only files directly in it are looked at
//   POWER_SHIM_LOG  where the record goes (outside of the folder)
//
// The log is a sequence of records, little-endian, each written by one call, so that a killed process leaves whole ones:
//
//   u8 kind · u8 failed · u16 length of name · u32 length of data · u64 number · name · data
//
//   C create                      W write (number: offset, data: bytes)     T truncate (number: new size)
//   S sync a file                 D sync the folder                         U unlink
//   R rename (data: new name)     M mark (data: what the child says)
//
// Names that begin with a dot are the way to talk to the shim and are not recorded:
//
//   .marks     what is written to it becomes a mark
//   .control   "arm <enospc|eio|kill> <once|sticky> <n>": the n-th call from now (0: the next) that can fail this way does;
//              "lift": no call fails any more; "fired": fails with ENOENT if the armed fault has not struck
//
// enospc strikes where space is taken: creating, writing, growing. A write of more than one byte is cut in half first, as
// a disk does that runs full. eio strikes syncs. kill ends the process before the call. "-shm" files, which SQLite makes
// anew after a crash, can fail but are not recorded.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FDS 4096
#define MAX_NAME 128

enum fault { NONE, ENOSPC_FAULT, EIO_FAULT, KILL_FAULT };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_length;
static int log_fd = -1;
static char names[MAX_FDS][MAX_NAME]; // of open files in the folder; "/" is the folder itself

static enum fault armed = NONE;
static int sticky, fired;
static long countdown;
static int cut_fd = -1; // its last write was cut short: the next one fails

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);

static void *next(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

__attribute__((constructor)) static void begin(void) {
  real_open = next("open64");
  real_openat = next("openat64");
  real_close = next("close");
  real_write = next("write");
  real_pwrite = next("pwrite64");
  real_ftruncate = next("ftruncate64");
  real_fsync = next("fsync");
  real_fdatasync = next("fdatasync");
  real_unlink = next("unlink");
  real_rename = next("rename");
  const char *dir = getenv("POWER_SHIM_DIR"), *log = getenv("POWER_SHIM_LOG");
  if (!dir || !log || strlen(dir) >= sizeof folder) return;
  strcpy(folder, dir);
  folder_length = strlen(folder);
  log_fd = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log_fd < 0) abort();
}

// The name within the folder; "/" for the folder; NULL for what is none of ours.
static const char *name_of(const char *path) {
  if (log_fd < 0 || !path || strncmp(path, folder, folder_length)) return NULL;
  const char *rest = path + folder_length;
  if (*rest == 0) return "/";
  if (*rest++ != '/') return NULL;
  if (*rest == 0) return "/";
  return strchr(rest, '/') || strlen(rest) >= MAX_NAME ? NULL : rest;
}

static const char *name_of_fd(int fd) { return fd >= 0 && fd < MAX_FDS && names[fd][0] ? names[fd] : NULL; }

static int is_private(const char *name) { return name[0] == '.'; }

static int is_recorded(const char *name) {
  size_t length = strlen(name);
  return !is_private(name) && !(length > 4 && !strcmp(name + length - 4, "-shm"));
}

static void record(char kind, int failed, const char *name, uint64_t number, const void *data, size_t size) {
  if (!is_recorded(name) && kind != 'M') return;
  struct __attribute__((packed)) {
    uint8_t kind, failed;
    uint16_t name_length;
    uint32_t size;
    uint64_t number;
  } head = {(uint8_t)kind, (uint8_t)failed, (uint16_t)strlen(name), (uint32_t)size, number};
  struct iovec parts[3] = {{&head, sizeof head}, {(void *)name, head.name_length}, {(void *)data, size}};
  ssize_t all = (ssize_t)(sizeof head + head.name_length + size);
  if (writev(log_fd, parts, 3) != all) abort(); // a record with a hole would prove nothing
}

// Whether the armed fault strikes this call.
static int strikes(enum fault kind) {
  if (armed == NONE || (armed != kind && armed != KILL_FAULT)) return 0;
  if (countdown > 0) {
    countdown--;
    return 0;
  }
  fired = 1;
  if (armed == KILL_FAULT) kill(getpid(), SIGKILL);
  if (!sticky) armed = NONE;
  return 1;
}

static ssize_t control(const char *text, size_t size) {
  char copy[64] = {0}, kind[16], how[16];
  memcpy(copy, text, size < sizeof copy - 1 ? size : sizeof copy - 1);
  if (sscanf(copy, "arm %15s %15s %ld", kind, how, &countdown) == 3) {
    armed = !strcmp(kind, "enospc") ? ENOSPC_FAULT : !strcmp(kind, "eio") ? EIO_FAULT : KILL_FAULT;
    sticky = !strcmp(how, "sticky");
    fired = 0;
  } else if (!strcmp(copy, "lift")) {
    armed = NONE;
    cut_fd = -1;
  } else if (!strcmp(copy, "fired") && !fired) {
    errno = ENOENT;
    return -1;
  }
  return (ssize_t)size;
}

static int fail(int error) {
  errno = error;
  return -1;
}

static int opened(int fd, const char *name) {
  if (fd >= 0 && fd < MAX_FDS) strcpy(names[fd], name);
  return fd;
}

static int do_open(int at, const char *path, int flags, mode_t mode) {
  const char *name = at == AT_FDCWD || (path && path[0] == '/') ? name_of(path) : NULL;
  if (!name) return real_openat(at, path, flags, mode);
  pthread_mutex_lock(&lock);
  struct stat before;
  int exists = fstatat(AT_FDCWD, path, &before, 0) == 0, fd;
  int creates = (flags & O_CREAT) && !exists && !is_private(name);
  if (creates && strikes(ENOSPC_FAULT)) {
    fd = fail(ENOSPC);
  } else {
    fd = opened(real_openat(at, path, flags, mode), name);
    if (fd >= 0 && creates) record('C', 0, name, 0, NULL, 0);
    if (fd >= 0 && exists && (flags & O_TRUNC) && before.st_size > 0) record('T', 0, name, 0, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  return fd;
}

#define MODE                                                                                                            \
  mode_t mode = 0;                                                                                                      \
  if (flags & (O_CREAT | __O_TMPFILE)) {                                                                                \
    va_list rest;                                                                                                       \
    va_start(rest, flags);                                                                                              \
    mode = va_arg(rest, mode_t);                                                                                        \
    va_end(rest);                                                                                                       \
  }

int open(const char *path, int flags, ...) { MODE return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return do_open(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE return do_open(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE return do_open(at, path, flags, mode); }

int close(int fd) {
  pthread_mutex_lock(&lock);
  if (fd >= 0 && fd < MAX_FDS) names[fd][0] = 0;
  if (fd == cut_fd) cut_fd = -1;
  pthread_mutex_unlock(&lock);
  return real_close(fd);
}

// How many of `size` bytes may be written: all, the first half, or none (then errno is set).
static size_t room(int fd, size_t size) {
  if (fd == cut_fd || strikes(ENOSPC_FAULT)) {
    int was_cut = fd == cut_fd;
    cut_fd = -1;
    if (!was_cut && size > 1) {
      cut_fd = fd;
      return size / 2;
    }
    errno = ENOSPC;
    return 0;
  }
  return size;
}

static ssize_t do_pwrite(int fd, const void *data, size_t size, off_t offset, int moves) {
  const char *name = name_of_fd(fd);
  if (!name) return moves ? real_write(fd, data, size) : real_pwrite(fd, data, size, offset);
  pthread_mutex_lock(&lock);
  ssize_t written;
  if (!strcmp(name, ".marks")) {
    record('M', 0, "", 0, data, size);
    written = (ssize_t)size;
  } else if (!strcmp(name, ".control")) {
    written = control(data, size);
  } else {
    size_t allowed = room(fd, size);
    if (moves) offset = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    if (allowed == 0 && size > 0) {
      record('W', 1, name, (uint64_t)offset, NULL, 0);
      errno = ENOSPC;
      written = -1;
    } else {
      written = moves ? real_write(fd, data, allowed) : real_pwrite(fd, data, allowed, offset);
      if (written > 0) record('W', 0, name, (uint64_t)offset, data, (size_t)written);
    }
  }
  pthread_mutex_unlock(&lock);
  return written;
}

ssize_t write(int fd, const void *data, size_t size) { return do_pwrite(fd, data, size, 0, 1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return do_pwrite(fd, data, size, at, 0); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return do_pwrite(fd, data, size, at, 0); }

// Nothing that is recorded may pass by in pieces; SQLite and the standard library's files do not use these here.
ssize_t writev(int fd, const struct iovec *parts, int count) {
  static ssize_t (*real)(int, const struct iovec *, int);
  if (!real) real = next("writev");
  if (name_of_fd(fd)) abort();
  return real(fd, parts, count);
}

static int do_ftruncate(int fd, off_t size) {
  const char *name = name_of_fd(fd);
  if (!name) return real_ftruncate(fd, size);
  pthread_mutex_lock(&lock);
  struct stat before;
  int grows = fstat(fd, &before) == 0 && size > before.st_size, result;
  if (grows && strikes(ENOSPC_FAULT)) {
    record('T', 1, name, (uint64_t)size, NULL, 0);
    result = fail(ENOSPC);
  } else {
    result = real_ftruncate(fd, size);
    if (result == 0) record('T', 0, name, (uint64_t)size, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  return result;
}

int ftruncate(int fd, off_t size) { return do_ftruncate(fd, size); }
int ftruncate64(int fd, off64_t size) { return do_ftruncate(fd, size); }

static int do_sync(int fd, int (*sync)(int)) {
  const char *name = name_of_fd(fd);
  if (!name) return sync(fd);
  pthread_mutex_lock(&lock);
  int failed = strikes(EIO_FAULT);
  record(strcmp(name, "/") ? 'S' : 'D', failed, name, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  // What the medium keeps is decided when the images are made; a real flush would only take time.
  return failed ? fail(EIO) : 0;
}

int fsync(int fd) { return do_sync(fd, real_fsync); }
int fdatasync(int fd) { return do_sync(fd, real_fdatasync); }

int unlink(const char *path) {
  const char *name = name_of(path);
  if (!name) return real_unlink(path);
  pthread_mutex_lock(&lock);
  if (armed == KILL_FAULT) strikes(KILL_FAULT);
  int result = real_unlink(path);
  if (result == 0) record('U', 0, name, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  return result;
}

int rename(const char *from, const char *to) {
  const char *name = name_of(from), *new_name = name_of(to);
  if (!name && !new_name) return real_rename(from, to);
  if (!name || !new_name) abort(); // into or out of the folder: not to be recorded
  pthread_mutex_lock(&lock);
  if (armed == KILL_FAULT) strikes(KILL_FAULT);
  int result = real_rename(from, to);
  if (result == 0) record('R', 0, name, 0, new_name, strlen(new_name));
  pthread_mutex_unlock(&lock);
  return result;
}
