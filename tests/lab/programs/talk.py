"""Sends datagrams that nobody waits for: ``python -SE talk.py ADDRESS PER_SECOND``, until it is ended."""

import socket
import sys
import time

DISCARD = 9
SIZE = 500
TICK_S = 0.02


def main():
    address, rate = sys.argv[1], float(sys.argv[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        while True:
            for _ in range(int(rate * TICK_S)):
                out.sendto(bytes(SIZE), (address, DISCARD))
            time.sleep(TICK_S)


if __name__ == "__main__":
    main()
