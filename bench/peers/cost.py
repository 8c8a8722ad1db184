"""Run a command and print what it cost as one JSON object on the last line of stdout.

    python cost.py COMMAND ARGUMENT...

The command's own stdout goes to stderr. This file imports nothing heavy: the peak memory that the kernel
reports for a child includes that of its parent before exec.
"""

import json
import os
import sys
import time


def cost(command, stdout=None):
    """Run command; {"exit", "seconds", "cpu_seconds", "peak_rss_bytes"}. stdout: a file descriptor or None."""
    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(2 if stdout is None else stdout, 1)
            os.execvp(command[0], command)
        except OSError as e:
            os.write(2, f"{command[0]}: {e.strerror}\n".encode())
        os._exit(127)
    _, status, usage = os.wait4(pid, 0)
    return {
        "exit": os.waitstatus_to_exitcode(status), "seconds": time.perf_counter() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_rss_bytes": usage.ru_maxrss * 1024,
    }


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: cost.py COMMAND ARGUMENT...")
    result = cost(sys.argv[1:])
    print(json.dumps(result))
    sys.exit(result["exit"] != 0)
