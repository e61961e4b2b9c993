"""A TCP flow with cubic that fills the link beside the one that is examined.

cross_flow.py sink: takes what comes; cross_flow.py ADDRESS: sends there, without end."""

import socket
import sys
import time

PORT = 5001


def sink():
    listener = socket.create_server(("", PORT))
    connection, _ = listener.accept()
    while connection.recv(65536):
        pass


def source(address):
    while True:
        try:
            connection = socket.create_connection((address, PORT), timeout=5)
            break
        except OSError:
            time.sleep(0.1)
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    while True:
        connection.sendall(bytes(65536))


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        sink()
    else:
        source(sys.argv[1])
