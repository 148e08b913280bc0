"""What the process list shows of this process."""

import subprocess
import sys

SCRIPT = (
    "from dcmrecv.server.process_list import hide_values; "
    "hide_values(('+pw', '--use-passwd')); "
    "print(open('/proc/self/cmdline').read().split(chr(0))[3:-1])"
)


def shown(*arguments: str) -> str:
    """What a process with these arguments shows after it has hidden its secrets."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_only_secrets_are_hidden() -> None:
    assert shown("+pw", "secret", "x", "--use-passwd", "other", "secret") == str(
        ["+pw", "******", "x", "--use-passwd", "*****", "secret"]
    )


def test_nothing_to_hide() -> None:
    assert shown("-v", "", "104") == str(["-v", "", "104"])
    assert shown("104", "+pw") == str(["104", "+pw"])
