/* Load for the agent's tests, to be linked statically: the only program in the test image.
 *
 *   load serve PORT SERVICE_MS                       answers until killed, a process a connection;
 *                                                    from SIGUSR1 to SIGUSR2 it takes five times as long
 *   load ask HOST PORT COUNT SECONDS THINK_MS REQUEST ANSWER CONNECTIONS   at once; COUNT 0: for SECONDS
 *                                                    or until SIGTERM
 *   load keep CONNECTIONS PORT THINK_MS REQUEST ANSWER HOST...   that many to each host, made anew when they break
 *   load churn HOST PORT SECONDS PROCESSES PER_SECOND   connects and waits for the end, that often
 *   load take PORT PROCESSES                         accepts and closes
 *
 * A request begins with 16 digits: its own size and the answer's. Each prints what it itself counted, one line
 * of JSON a connection (ask and churn: one in all). Times end where the kernel took in the last segment, which
 * is what the agent can see too: on a busy machine a process is woken milliseconds later.
 *
 * With PROMPT in the environment, ask waits until it has been given a real-time priority, 10 s at most.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];

static double seconds(struct timespec t) { return t.tv_sec + t.tv_nsec / 1e9; }

static double now(void) {  /* the clock of the kernel's timestamps */
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return seconds(t);
}

static void pause_ms(double ms) {
  if (ms <= 0) return;
  struct timespec t = {(time_t)(ms / 1000), (long)((ms - 1000 * (long)(ms / 1000)) * 1e6)};
  while (nanosleep(&t, &t) && errno == EINTR) {}
}

static int sent(int fd, long size) {
  while (size > 0) {
    long part = size < (long)sizeof buffer ? size : (long)sizeof buffer;
    long n = send(fd, buffer, part, MSG_NOSIGNAL);
    if (n <= 0) return 0;
    size -= n;
  }
  return 1;
}

static int stamped(int fd) {
  int one = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
  return fd;
}

/* Receives all of size; when is set to the time at which the kernel had it. */
static int received(int fd, long size, double *when) {
  while (size > 0) {
    char control[256];
    struct iovec part = {buffer, size < (long)sizeof buffer ? size : (long)sizeof buffer};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    long n = recvmsg(fd, &message, 0);
    if (n <= 0) return 0;
    size -= n;
    *when = now();
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec t;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        *when = seconds(t);
      }
  }
  return 1;
}

static unsigned resent(int fd) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  memset(&info, 0, sizeof info);
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
  return info.tcpi_total_retrans;
}

static int listening(int port) {
  int fd = stamped(socket(AF_INET6, SOCK_STREAM, 0)), one = 1, zero = 0;
  struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  if (bind(fd, (void *)&at, sizeof at) || listen(fd, 4096)) { perror("listen"); exit(1); }
  return fd;
}

static int connected(const char *host, const char *port) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  int fd;
  if (getaddrinfo(host, port, &hints, &found)) return -1;
  fd = stamped(socket(AF_INET, SOCK_STREAM, 0));
  if (connect(fd, found->ai_addr, found->ai_addrlen)) { close(fd); fd = -1; }
  freeaddrinfo(found);
  return fd;
}

static volatile double *slower;  /* shared with the processes of all connections */

static void slow(int signal) { *slower = signal == SIGUSR1 ? 5 : 1; }

static void leave(int signal) { _exit(signal != SIGTERM); }

static void serve(int port, double service) {
  int at = listening(port);
  slower = mmap(0, sizeof *slower, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *slower = 1;
  signal(SIGUSR1, slow);
  signal(SIGUSR2, slow);
  signal(SIGCHLD, SIG_IGN);
  printf("{\"ready\": true}\n"); fflush(stdout);
  for (;;) {
    int fd = accept(at, 0, 0);
    if (fd < 0) continue;
    if (fork()) { close(fd); continue; }
    close(at);
    long n = 0, out = 0, in = 0, request, answer;
    double worked = 0, asked;
    while (received(fd, 16, &asked)) {
      buffer[16] = 0;
      answer = atol(buffer + 8);
      buffer[8] = 0;
      request = atol(buffer);
      if (!received(fd, request - 16, &asked)) break;
      pause_ms(service * *slower);
      worked += (now() - asked) * 1000;
      if (!sent(fd, answer)) break;
      n++;
      out += answer;
      in += request;
    }
    printf("{\"answered\": %ld, \"sent\": %ld, \"received\": %ld, \"resent\": %u, \"service_ms\": %.3f}\n",
           n, out, in, resent(fd), n ? worked / n : 0);
    fflush(stdout);
    exit(0);
  }
}

static volatile sig_atomic_t enough;

static void stop(int signal) {
  if (!enough) kill(0, signal);  /* the processes of all connections */
  enough = 1;
}

struct counts { long requests; unsigned resent; double ms, squares, most; };

/* What one connection asks and counts; requests is -1 where it could not be made. */
static struct counts asked(char **a) {
  struct counts c = {0};
  double begin, answered, end;
  long count = atol(a[2]), request = atol(a[5]), answer = atol(a[6]);
  int fd = -1;
  for (int i = 0; i < 50 && (fd = connected(a[0], a[1])) < 0; i++) pause_ms(100);
  if (fd < 0) { c.requests = -1; return c; }
  end = now() + atof(a[3]);
  while (!enough && (count ? c.requests < count : now() < end)) {
    double took;
    snprintf(buffer, 17, "%08ld%08ld", request, answer);
    begin = now();
    if (!sent(fd, request) || !received(fd, answer, &answered)) break;
    took = (answered - begin) * 1000;
    c.ms += took;
    c.squares += took * took;
    if (took > c.most) c.most = took;
    c.requests++;
    pause_ms(atof(a[4]) * (0.5 + rand() / (double)RAND_MAX));
  }
  shutdown(fd, SHUT_WR);  /* leave once the other end has closed too: no FIN is sent into the void */
  received(fd, 1, &answered);
  c.resent = resent(fd);  /* a FIN may have been sent again as well */
  close(fd);
  return c;
}

static void await_priority(void) {
  for (int i = 0; getenv("PROMPT") && i < 1000 && sched_getscheduler(0) != SCHED_FIFO; i++) pause_ms(10);
}

static int ask(char **a) {
  struct counts all = {0}, c;
  int counted[2], connections = atoi(a[7]);
  long request = atol(a[5]), answer = atol(a[6]);
  if (pipe(counted)) return 1;
  signal(SIGTERM, stop);
  await_priority();
  for (int i = 0; i < connections; i++) {
    if (fork()) continue;
    srand(getpid());
    c = asked(a);
    exit(write(counted[1], &c, sizeof c) != sizeof c);
  }
  close(counted[1]);
  for (int i = 0; i < connections; i++) {
    if (read(counted[0], &c, sizeof c) != sizeof c || c.requests < 0) { printf("{\"error\": \"cannot connect\"}\n"); return 1; }
    all.requests += c.requests;
    all.resent += c.resent;
    all.ms += c.ms;
    all.squares += c.squares;
    if (c.most > all.most) all.most = c.most;
  }
  printf("{\"requests\": %ld, \"sent\": %ld, \"received\": %ld, \"resent\": %u, \"mean_ms\": %.3f, "
         "\"square_ms\": %.3f, \"max_ms\": %.3f}\n",
         all.requests, all.requests * request, all.requests * answer, all.resent,
         all.requests ? all.ms / all.requests : 0, all.requests ? all.squares / all.requests : 0, all.most);
  fflush(stdout);
  return 0;
}

static void keep(char **a) {
  double answered;
  signal(SIGTERM, leave);
  for (char **host = a + 5; *host; host++)
    for (int i = 0; i < atoi(a[0]); i++) {
      if (fork()) continue;
      srand(getpid());
      for (;;) {
        int fd = connected(*host, a[1]);
        while (fd >= 0) {
          snprintf(buffer, 17, "%08ld%08ld", atol(a[3]), atol(a[4]));
          if (!sent(fd, atol(a[3])) || !received(fd, atol(a[4]), &answered)) break;
          pause_ms(atof(a[2]) * (0.5 + rand() / (double)RAND_MAX));
        }
        if (fd >= 0) close(fd);
        pause_ms(500);
      }
    }
  for (;;) pause();
}

static int churn(char **a) {
  double begin = now(), end = begin + atof(a[2]), rate = atof(a[4]) / atoi(a[3]);
  int counts[2];
  long n = 0, all = 0, part;
  if (pipe(counts)) return 1;
  for (int i = 0; i < atoi(a[3]); i++) {
    if (fork()) continue;
    while (now() < end) {
      int fd = connected(a[0], a[1]);
      if (fd < 0) continue;
      while (recv(fd, buffer, sizeof buffer, 0) > 0) {}
      close(fd);
      n++;
      pause_ms((begin + n / rate - now()) * 1000);
    }
    if (write(counts[1], &n, sizeof n) != sizeof n) exit(1);
    exit(0);
  }
  for (int i = 0; i < atoi(a[3]); i++)
    if (read(counts[0], &part, sizeof part) == sizeof part) all += part;
  printf("{\"connections\": %ld, \"seconds\": %.3f}\n", all, now() - begin);
  fflush(stdout);
  return 0;
}

static void take(int port, int processes) {
  int at = listening(port);
  printf("{\"ready\": true}\n");
  fflush(stdout);
  while (--processes > 0 && fork()) {}
  for (;;) {
    int fd = accept(at, 0, 0);
    if (fd >= 0) close(fd);
  }
}

int main(int argc, char **argv) {
  if (argc == 4 && !strcmp(argv[1], "serve")) serve(atoi(argv[2]), atof(argv[3]));
  if (argc == 10 && !strcmp(argv[1], "ask")) return ask(argv + 2);
  if (argc >= 8 && !strcmp(argv[1], "keep")) keep(argv + 2);
  if (argc == 7 && !strcmp(argv[1], "churn")) return churn(argv + 2);
  if (argc == 4 && !strcmp(argv[1], "take")) take(atoi(argv[2]), atoi(argv[3]));
  fprintf(stderr, "load: wrong arguments\n");
  return 2;
}
