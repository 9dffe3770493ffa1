"""record.py OUT COLUMNSxROWS SECONDS DELAY:KEYS... -- COMMAND: what a program prints on a terminal.

Types KEYS (with Python's escapes) one after the other, each DELAY seconds after the one
before, and answers the questions that every terminal answers.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

ANSWERS = [
    (rb"\x1b\[0?c", b"\x1b[?62;22c"),
    (rb"\x1b\[>0?c", b"\x1b[>0;300;0c"),
    (rb"\x1b\[6n", b"\x1b[1;1R"),
    (rb"\x1b\[5n", b"\x1b[0n"),
    (rb"\x1b\[\?u", b"\x1b[?0u"),
    (rb"\x1b\]10;\?", b"\x1b]10;rgb:e5e5/e5e5/e5e5\x1b\\"),
    (rb"\x1b\]11;\?", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
    (rb"\x1b\[\?2026\$p", b"\x1b[?2026;2$y"),
]

split = sys.argv.index("--")
out, size, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
script, at = [], 0.0
for item in sys.argv[4:split]:
    delay, keys = item.split(":", 1)
    at += float(delay)
    script.append((at, keys.encode().decode("unicode_escape").encode("latin1")))
columns, rows = map(int, size.split("x"))

child, terminal = pty.fork()
if child == 0:
    time.sleep(0.2)  # until the size is set
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

printed = b""
start = time.time()
while time.time() - start < seconds:
    while script and script[0][0] <= time.time() - start:
        os.write(terminal, script.pop(0)[1])
    if not select.select([terminal], [], [], 0.05)[0]:
        continue
    try:
        chunk = os.read(terminal, 65536)
    except OSError:
        break
    printed += chunk
    for question, answer in ANSWERS:
        for _ in re.findall(question, chunk):
            os.write(terminal, answer)
with open(out, "wb") as file:
    file.write(printed)
try:
    os.killpg(child, signal.SIGKILL)
except ProcessLookupError:
    pass
