"""accept(2), see accepting.pyx."""

cpdef tuple accept(int listener)
