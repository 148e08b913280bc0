"""Runs the real program with the faulty table of system calls.

python launcher.py DIRECTORY_OF_FAULTIO FAULT_SCRIPT [dcmrecv's arguments]
"""

import importlib
import sys

from dcmrecv import cli

if __name__ == "__main__":
    directory, script, *arguments = sys.argv[1:]
    sys.path.append(directory)
    importlib.import_module("faultio").install(script)
    sys.exit(cli.main(arguments))
