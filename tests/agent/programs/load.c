/* Load for the agent's tests, to be linked statically: the only program in the test image.
 *
 *   load serve PORT SERVICE_MS                       answers until killed, a process a connection;
 *                                                    from SIGUSR1 to SIGUSR2 it takes five times as long
 *   load ask HOST PORT COUNT SECONDS THINK_MS REQUEST ANSWER   one connection; COUNT 0: for SECONDS
 *   load keep CONNECTIONS PORT THINK_MS REQUEST ANSWER HOST...   that many to each host, made anew when they break
 *   load churn HOST PORT SECONDS PROCESSES PER_SECOND   connects and waits for the end, that often
 *   load take PORT PROCESSES                         accepts and closes
 *
 * A request begins with 16 digits: its own size and the answer's. Each prints what it itself counted, one line of JSON a connection (churn: one in all).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
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

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void pause_ms(double ms) {
  if (ms <= 0) return;
  struct timespec t = {(time_t)(ms / 1000), (long)((ms - 1000 * (long)(ms / 1000)) * 1e6)};
  while (nanosleep(&t, &t) && errno == EINTR) {}
}

static int moved(int fd, long size, int out) {
  while (size > 0) {
    long part = size < (long)sizeof buffer ? size : (long)sizeof buffer;
    long n = out ? send(fd, buffer, part, MSG_NOSIGNAL) : recv(fd, buffer, part, 0);
    if (n <= 0) return 0;
    size -= n;
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
  int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1, zero = 0;
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
  fd = socket(AF_INET, SOCK_STREAM, 0);
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
    long n = 0, sent = 0, received = 0, request, answer;
    double worked = 0, begin;
    while (moved(fd, 16, 0)) {
      buffer[16] = 0;
      answer = atol(buffer + 8);
      buffer[8] = 0;
      request = atol(buffer);
      if (!moved(fd, request - 16, 0)) break;
      begin = now();
      pause_ms(service * *slower);
      worked += (now() - begin) * 1000;
      if (!moved(fd, answer, 1)) break;
      n++;
      sent += answer;
      received += request;
    }
    printf("{\"answered\": %ld, \"sent\": %ld, \"received\": %ld, \"resent\": %u, \"service_ms\": %.3f}\n",
           n, sent, received, resent(fd), n ? worked / n : 0);
    fflush(stdout);
    exit(0);
  }
}

static int ask(char **a) {
  double end, total = 0, squares = 0, most = 0;
  long count = atol(a[2]), request = atol(a[5]), answer = atol(a[6]), n = 0;
  int fd = -1;
  for (int i = 0; i < 50 && (fd = connected(a[0], a[1])) < 0; i++) pause_ms(100);
  if (fd < 0) { printf("{\"error\": \"cannot connect\"}\n"); return 1; }
  end = now() + atof(a[3]);
  while (count ? n < count : now() < end) {
    double begin = now(), took;
    snprintf(buffer, 17, "%08ld%08ld", request, answer);
    if (!moved(fd, request, 1) || !moved(fd, answer, 0)) break;
    took = (now() - begin) * 1000;
    total += took;
    squares += took * took;
    if (took > most) most = took;
    n++;
    pause_ms(atof(a[4]));
  }
  printf("{\"requests\": %ld, \"sent\": %ld, \"received\": %ld, \"resent\": %u, \"mean_ms\": %.3f, "
         "\"square_ms\": %.3f, \"max_ms\": %.3f}\n",
         n, n * request, n * answer, resent(fd), n ? total / n : 0, n ? squares / n : 0, most);
  fflush(stdout);
  close(fd);
  return 0;
}

static void keep(char **a) {
  signal(SIGTERM, leave);
  for (char **host = a + 5; *host; host++)
    for (int i = 0; i < atoi(a[0]); i++) {
      if (fork()) continue;
      srand(getpid());
      for (;;) {
        int fd = connected(*host, a[1]);
        while (fd >= 0) {
          snprintf(buffer, 17, "%08ld%08ld", atol(a[3]), atol(a[4]));
          if (!moved(fd, atol(a[3]), 1) || !moved(fd, atol(a[4]), 0)) break;
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
  if (argc == 9 && !strcmp(argv[1], "ask")) return ask(argv + 2);
  if (argc >= 8 && !strcmp(argv[1], "keep")) keep(argv + 2);
  if (argc == 7 && !strcmp(argv[1], "churn")) return churn(argv + 2);
  if (argc == 4 && !strcmp(argv[1], "take")) take(atoi(argv[2]), atoi(argv[3]));
  fprintf(stderr, "load: wrong arguments\n");
  return 2;
}
