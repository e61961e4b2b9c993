#!/usr/bin/env bash
# How the public runner starts an endpoint: its routes first, then, as the client, waits for the
# simulator. What it is to do comes by the environment.
set -eu
/setup.sh
[ "$ROLE" != client ] || /wait-for-it.sh sim:57832 -s -t 30
# By its own loader, since its libraries are those of the system that it was built on.
exec /endpoint/libraries/ld-linux-x86-64.so.2 --library-path /endpoint/libraries \
    /endpoint/quic_endpoint
