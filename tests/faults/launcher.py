"""Runs the real program with a table of system calls of the tests' own.

python launcher.py DIRECTORY_OF_THE_TABLE ITS_NAME ITS_FILE [dcmrecv's arguments]
"""

import importlib
import sys

from dcmrecv import cli

if __name__ == "__main__":
    directory, name, file, *arguments = sys.argv[1:]
    sys.path.append(directory)
    importlib.import_module(name).install(file)
    sys.exit(cli.main(arguments))
