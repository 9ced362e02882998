/* Runs a command and tells what it took; can kill it at its Nth system call, and dump its memory at its end.
 *
 *   watch limit SECONDS REPORT COMMAND [ARGUMENT...]   end it with SIGKILL when it runs longer than that
 *   watch count REPORT COMMAND [ARGUMENT...]           count its system calls
 *   watch kill N REPORT COMMAND [ARGUMENT...]          SIGKILL at its Nth system call, which does not happen any more
 *   watch dump FILE REPORT COMMAND [ARGUMENT...]       write what its memory holds when it calls exit_group
 *
 * The system calls of all threads of the command count. Processes that the command starts are not traced and not killed, as
 * in life; watch waits for them too. The report is one line:
 *
 *   end=exit|signal|limit|killed status=N calls=N wall_us=N cpu_us=N peak_kib=N nr=N
 *
 * nr is the number of the system call at which it was killed, else -1.
 *
 * Exit status: 0 when the report was written, 1 otherwise. Linux 5.3 or newer. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t command;
static volatile sig_atomic_t limit_reached;

static void die(const char *what) {
    perror(what);
    if (command > 0) kill(command, SIGKILL);
    exit(1);
}

static void on_alarm(int number) {
    (void)number;
    limit_reached = 1;
    kill(command, SIGKILL);
}

static long long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* Starts the command, held back before its execve until the returned descriptor is closed. */
static int start(char **argv) {
    int hold[2];
    if (pipe(hold)) die("pipe");
    command = fork();
    if (command < 0) die("fork");
    if (command == 0) {
        char byte;
        /* Should a damaged input make the command ask for all memory, the machine survives. */
        struct rlimit address_space = {4ULL << 30, 4ULL << 30};
        setrlimit(RLIMIT_AS, &address_space);
        close(hold[1]);
        while (read(hold[0], &byte, 1) < 0 && errno == EINTR) {}
        close(hold[0]);
        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
    close(hold[0]);
    return hold[1];
}

/* Writes all memory that the process can write to, one region after the other. */
static void dump(pid_t pid, const char *path) {
    char name[64], line[512], *bytes = malloc(1 << 20);
    snprintf(name, sizeof name, "/proc/%d/maps", pid);
    FILE *maps = fopen(name, "r"), *out = fopen(path, "w");
    snprintf(name, sizeof name, "/proc/%d/mem", pid);
    FILE *mem = fopen(name, "r");
    if (!maps || !out || !mem || !bytes) die("dump");
    while (fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &begin, &end, rights) != 3 || rights[1] != 'w') continue;
        if (fseeko(mem, (off_t)begin, SEEK_SET)) continue;
        while (begin < end) {
            size_t size = end - begin < 1 << 20 ? end - begin : 1 << 20, got = fread(bytes, 1, size, mem);
            if (got == 0) break;
            if (fwrite(bytes, 1, got, out) != got) die(path);
            begin += got;
        }
        clearerr(mem);
    }
    if (fclose(out)) die(path);
    fclose(maps);
    fclose(mem);
    free(bytes);
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    int counting = !strcmp(mode, "count"), killing = !strcmp(mode, "kill"), limiting = !strcmp(mode, "limit");
    int dumping = !strcmp(mode, "dump");
    int first = counting ? 2 : 3;
    if (!(counting || killing || limiting || dumping) || argc < first + 2) {
        fprintf(stderr, "usage: watch limit SECONDS|count|kill N|dump FILE  REPORT COMMAND [ARGUMENT...]\n");
        return 1;
    }
    long number = counting ? 0 : atol(argv[2]);
    const char *report = argv[first];
    /* Orphans of the command become our children, so that we can wait for them. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int hold = start(argv + first + 1);
    if (!limiting &&
        ptrace(PTRACE_SEIZE, command, 0,
               PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL))
        die("ptrace");
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    alarm(limiting ? (unsigned)number : 120);
    long long begin = now_us(), end = begin;
    close(hold);

    long calls = 0, killed_nr = -1;
    int status = 0;
    struct rusage used = {0};
    for (;;) {
        int state;
        struct rusage usage;
        pid_t pid = wait4(-1, &state, __WALL, &usage);
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0 && errno == ECHILD) break;
        if (pid < 0) die("wait4");
        if (!WIFSTOPPED(state)) {
            if (pid == command) status = state, used = usage, end = now_us();
            continue;
        }
        int signal = WSTOPSIG(state), event = state >> 16;
        if (signal == (SIGTRAP | 0x80)) {
            /* The kernel's struct ptrace_syscall_info, which not every libc has: op, arch, two pointers, nr. */
            uint64_t info[16] = {0};
            if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, info) < 0 && errno != ESRCH) die("ptrace");
            int entry = *(uint8_t *)info == 1;
            calls += entry;
            if (killing && entry && calls == number) {
                killed_nr = (long)info[3];
                kill(command, SIGKILL);
                continue;
            }
            if (dumping && entry && info[3] == SYS_exit_group) dump(pid, argv[2]);
            signal = 0;
        } else if (event || signal == SIGTRAP) {
            signal = 0;
        }
        ptrace(PTRACE_SYSCALL, pid, 0, signal);
    }

    const char *how = killed_nr >= 0 ? "killed" : limit_reached ? "limit" : WIFEXITED(status) ? "exit" : "signal";
    long long cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    FILE *out = fopen(report, "w");
    if (!out) die(report);
    fprintf(out, "end=%s status=%d calls=%ld wall_us=%lld cpu_us=%lld peak_kib=%ld nr=%ld\n", how,
            WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), calls, end - begin, cpu, used.ru_maxrss, killed_nr);
    return fclose(out) ? 1 : 0;
}
