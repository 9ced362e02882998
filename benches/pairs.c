/* The benchmark's clock: runs each command once a round, and times each as a whole process.
 *
 *   pairs RUNS SECONDS fresh|again|plain  NAME MOUNT_POINT SYMLINK COMMAND [ARGUMENT...] [--- NAME ...]
 *
 * fresh: before each run, untimed, the mount point gets a new empty ramfs and the symlink goes away. again: the state
 * of the last run stays; the first run is a warm-up. plain: nothing is prepared. A command leaves the round once it
 * has used SECONDS. In rounds, so that a drift of the machine's speed meets all commands alike, and in another order
 * each round, so that none always follows one that empties the caches; vfork from a small process, so that the clock
 * does not time the copying of page tables. A line a command, separated by tabs:
 *
 *   NAME RUNS MEDIAN_US MIN_US MAX_US PEAK_KIB EXIT_STATUS */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_COMMANDS = 8, MOST_RUNS = 100000 };

struct command {
    const char *name, *mount_point, *symlink;
    char **argv;
    double *times, used;
    int runs, status;
    long peak_kib;
};

extern char **environ;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void empty(const struct command *command) {
    unlink(command->symlink);
    while (!umount2(command->mount_point, MNT_DETACH)) {}
    if (mount("none", command->mount_point, "ramfs", MS_NODEV | MS_NOSUID | MS_NOEXEC, "mode=0751"))
        die(command->mount_point);
}

static void run(struct command *command, posix_spawn_file_actions_t *actions, int counted) {
    pid_t pid;
    int state;
    struct rusage usage;
    double begin = now_us();
    int error = posix_spawn(&pid, command->argv[0], actions, NULL, command->argv, environ);
    if (error) errno = error, die(command->argv[0]);
    if (wait4(pid, &state, 0, &usage) != pid) die("wait4");
    double took = now_us() - begin;
    command->status = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
    command->used += took;
    if (usage.ru_maxrss > command->peak_kib) command->peak_kib = usage.ru_maxrss;
    if (counted) command->times[command->runs++] = took;
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    if (argc < 8) return 2;
    int runs = atoi(argv[1]);
    double budget = atof(argv[2]) * 1e6;
    int fresh = !strcmp(argv[3], "fresh"), again = !strcmp(argv[3], "again");
    if (runs < 1 || runs > MOST_RUNS) return 2;
    struct command commands[MOST_COMMANDS] = {0};
    int count = 0;
    for (int at = 4; at + 3 < argc && count < MOST_COMMANDS; at++) {
        struct command *command = &commands[count++];
        command->name = argv[at];
        command->mount_point = argv[at + 1];
        command->symlink = argv[at + 2];
        command->argv = argv + at + 3;
        command->times = malloc(sizeof(double) * (size_t)runs);
        while (at < argc && strcmp(argv[at], "---")) at++;
        if (at < argc) argv[at] = NULL;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (again)
        for (int i = 0; i < count; i++) {
            empty(&commands[i]);
            run(&commands[i], &actions, 0);
            commands[i].used = 0;
        }
    int order[MOST_COMMANDS];
    for (int i = 0; i < count; i++) order[i] = i;
    srand(1);
    for (int round = 0; round < runs; round++)
        for (int i = 0; i < count; i++) {
            int other = i + rand() % (count - i), chosen = order[other];
            order[other] = order[i];
            order[i] = chosen;
            struct command *command = &commands[chosen];
            if (command->used > budget) continue;
            if (fresh) empty(command);
            run(command, &actions, 1);
        }
    for (int i = 0; i < count; i++) {
        struct command *command = &commands[i];
        qsort(command->times, (size_t)command->runs, sizeof(double), ascending);
        int middle = command->runs / 2;
        double median = command->runs % 2 ? command->times[middle] : (command->times[middle - 1] + command->times[middle]) / 2;
        printf("%s\t%d\t%.1f\t%.1f\t%.1f\t%ld\t%d\n", command->name, command->runs, median, command->times[0],
               command->times[command->runs - 1], command->peak_kib, command->status);
    }
    return 0;
}
