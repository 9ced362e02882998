/* The floor of the benchmark: what a landing costs when nothing is decrypted.
 *
 *   floor MOUNT_POINT SYMLINK LIST
 *
 * Makes the same generation as an installer with the least system calls. LIST is made by benches/run, a line an item:
 *
 *   r PATH                        read a file whole (manifest, key file, sops files), as every installer must
 *   d PATH                        make a directory below the generation, 0751 root:root
 *   f PATH MODE UID GID LENGTH    make a file below the generation
 *
 * A file gets its LENGTH bytes from what was read last: for the kernel they cost what the plaintext would. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Pages are only taken when they are written. */
static char bytes[64 << 20], list[1 << 20];

static void check(long result) {
    if (result < 0) _exit(1);
}

static size_t slurp(const char *path, char *into, size_t room) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd);
    long length = read(fd, into, room);
    check(length);
    close(fd);
    return (size_t)length;
}

/* Removes a directory below `above`, and all that is in it. */
static void prune(int above, const char *name) {
    char entries[32768];
    int dir = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(dir);
    for (long length; (length = syscall(SYS_getdents64, dir, entries, sizeof entries)) > 0;)
        for (long at = 0; at < length;) {
            unsigned short size;
            memcpy(&size, entries + at + 16, sizeof size);
            unsigned char type = (unsigned char)entries[at + 18];
            const char *entry = entries + at + 19;
            if (type != 4) unlinkat(dir, entry, 0);
            else if (strcmp(entry, ".") && strcmp(entry, "..")) prune(dir, entry);
            at += size;
        }
    close(dir);
    unlinkat(above, name, AT_REMOVEDIR);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    const char *mount_point = argv[1], *symlink_path = argv[2];
    list[slurp(argv[3], list, sizeof list - 1)] = 0;

    char current[256] = "", generation[256], fresh[256];
    long length = readlink(symlink_path, current, sizeof current - 1);
    int old = length > 0 ? atoi(strrchr(current, '/') + 1) : 0;
    snprintf(generation, sizeof generation, "%s/%d", mount_point, old + 1);
    snprintf(fresh, sizeof fresh, "%s.new", symlink_path);

    int dir = -1;
    for (char *line = list, *next; *line; line = next) {
        next = strchr(line, '\n');
        if (!next) return 1;
        *next++ = 0;
        char *path = line + 2;
        if (*line == 'r') {
            slurp(path, bytes, sizeof bytes);
            continue;
        }
        if (dir < 0) {
            check(mkdir(generation, 0751));
            check(chmod(generation, 0751));
            dir = open(generation, O_PATH | O_DIRECTORY | O_CLOEXEC);
            check(dir);
        }
        if (*line == 'd') {
            check(mkdirat(dir, path, 0751));
            continue;
        }
        char *fields = strchr(path, ' ');
        *fields++ = 0;
        unsigned mode = (unsigned)strtoul(fields, &fields, 8);
        unsigned uid = (unsigned)strtoul(fields, &fields, 10), gid = (unsigned)strtoul(fields, &fields, 10);
        size_t size = strtoul(fields, &fields, 10);
        int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        check(fd);
        check(write(fd, bytes, size));
        check(fchown(fd, uid, gid));
        check(fchmod(fd, mode));
        close(fd);
    }
    if (dir < 0) check(mkdir(generation, 0751));
    check(symlink(generation, fresh));
    check(rename(fresh, symlink_path));
    if (old) prune(AT_FDCWD, current);
    return 0;
}
