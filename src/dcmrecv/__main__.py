"""`python -m dcmrecv`: the command line program."""

from dcmrecv.cli import entry_point

if __name__ == "__main__":
    entry_point()
