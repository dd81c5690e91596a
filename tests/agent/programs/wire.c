/* A wire between two network interfaces that delays and loses frames: wire LEFT RIGHT CONTROL
 *
 * CONTROL is a file: "DELAY_US LOSS_LEFT_TO_RIGHT LOSS_RIGHT_TO_LEFT" (losses in parts per million of
 * TCP frames with payload), read again whenever it changes; what was done until then is written to
 * CONTROL.done, left to right first.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 16384
#define FRAME 2048

struct frame { double due; int size; unsigned char data[FRAME]; };
struct way { int in, out; struct frame *ring; unsigned head, tail; long seen, data, lost, full; };
static volatile sig_atomic_t done;
static void end(int s) { (void)s; done = 1; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int opened(const char *name) {
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), size = 8 << 20, one = 1;
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
  struct packet_mreq all = {.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
  if (!at.sll_ifindex || bind(fd, (void *)&at, sizeof at)) { perror(name); exit(1); }
  setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all);
  setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  return fd;
}

/* Whether a frame is TCP over IPv4 with payload (VXLAN is looked into). */
static int has_data(const unsigned char *f, int size) {
  int ip = 14, header;
  if (size < 54 || f[12] != 8 || f[13] != 0) return 0;
  header = (f[ip] & 15) * 4;
  if (f[ip + 9] == 17 && size > ip + header + 16 + 54 && ((f[ip + header + 2] << 8) | f[ip + header + 3]) == 4789)
    return has_data(f + ip + header + 16, size - ip - header - 16);
  if (f[ip + 9] != 6) return 0;
  return ((f[ip + 2] << 8) | f[ip + 3]) > header + (f[ip + header + 12] >> 4) * 4;
}

static void take(struct way *w, double delay, long ppm) {
  for (int i = 0; i < 256; i++) {
    struct frame *f = &w->ring[w->head % SLOTS];
    int size, data;
    if (w->head - w->tail >= SLOTS) { w->full++; return; }
    size = recv(w->in, f->data, FRAME, MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0) return;
    w->seen++;
    if (size > FRAME) { w->full++; continue; }
    data = has_data(f->data, size);
    w->data += data;
    if (data && ppm && (random() % 1000000) < ppm) { w->lost++; continue; }
    f->size = size;
    f->due = now() + delay;
    w->head++;
  }
}

static double give(struct way *w) {
  while (w->tail != w->head) {
    struct frame *f = &w->ring[w->tail % SLOTS];
    double left = f->due - now();
    if (left > 0) return left;
    if (send(w->out, f->data, f->size, 0) < 0 && errno != ENOBUFS) w->full++;
    w->tail++;
  }
  return 1;
}

static void tell(const char *control, struct way *ways) {
  char name[4096], next[4096];
  FILE *file;
  snprintf(name, sizeof name, "%s.done", control);
  snprintf(next, sizeof next, "%s.next", control);
  if (!(file = fopen(next, "w"))) return;
  for (int i = 0; i < 2; i++) {
    fprintf(file, "%s{\"seen\": %ld, \"data\": %ld, \"lost\": %ld, \"full\": %ld}%s", i ? "," : "[",
            ways[i].seen, ways[i].data, ways[i].lost, ways[i].full, i ? "]\n" : "");
    ways[i].seen = ways[i].data = ways[i].lost = ways[i].full = 0;
  }
  fclose(file);
  rename(next, name);
}

int main(int argc, char **argv) {
  struct way ways[2];
  double delay = 0;
  long ppm[2] = {0, 0};
  struct timespec read_at = {0, 0};
  if (argc != 4) return 2;
  memset(ways, 0, sizeof ways);
  ways[0].in = ways[1].out = opened(argv[1]);
  ways[1].in = ways[0].out = opened(argv[2]);
  for (int i = 0; i < 2; i++) ways[i].ring = malloc(SLOTS * sizeof(struct frame));
  signal(SIGTERM, end);
  srandom(7);
  while (!done) {
    struct stat status;
    double left = 1, other;
    if (!stat(argv[3], &status) && (status.st_mtim.tv_nsec != read_at.tv_nsec || status.st_mtim.tv_sec != read_at.tv_sec)) {
      FILE *file = fopen(argv[3], "r");
      double us;
      long a, b;
      if (file && fscanf(file, "%lf %ld %ld", &us, &a, &b) == 3) { tell(argv[3], ways); delay = us / 1e6; ppm[0] = a; ppm[1] = b; read_at = status.st_mtim; }
      if (file) fclose(file);
    }
    for (int i = 0; i < 2; i++) { take(&ways[i], delay, ppm[i]); if ((other = give(&ways[i])) < left) left = other; }
    struct pollfd fds[2] = {{ways[0].in, POLLIN, 0}, {ways[1].in, POLLIN, 0}};
    struct timespec wait = {0, (long)(left < 0.1 ? left * 1e9 : 1e8)};
    ppoll(fds, 2, &wait, 0);
  }
  return 0;
}
